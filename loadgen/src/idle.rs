//! `loadgen idle`: sessions that are established, say nothing, and are held; what each costs the relay is reported.
//!
//! Each is answered for: a PING of the relay's gets its answer, a session that ends is counted.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use commucat_client::{Event, OsEntropy, StaticKey};
use commucat_proto::DeviceId;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::{Idle, Offer};
use crate::error::LoadError;
use crate::limits::{IDLE_READ, PER_SOURCE, TICK};
use crate::net::{self, Handler, establish};
use crate::run::random;
use crate::spawn::Relay;
use crate::stop::Stop;
use crate::target::Target;
use crate::{net::run as on_ring, process};

/// After the last handshake, before memory is read: timers of the handshake run out, buffers are given back.
const SETTLE: Duration = Duration::from_secs(3);

/// What the thread that holds the sessions tells the one that shows them.
#[derive(Debug, Default)]
struct Shared {
    established: AtomicUsize,
    lost: AtomicUsize,
    done: AtomicBool,
}

/// The report.
#[derive(Debug, Serialize)]
struct Held {
    connections: usize,
    lost: usize,
    /// As `--http` names it.
    http: &'static str,
    seconds: f64,
    /// Resident memory of the relay before the first session and with all of them, when its process was found.
    server_bytes_before: Option<u64>,
    server_bytes: Option<u64>,
    bytes_per_connection: Option<u64>,
}

/// Opens and holds the sessions, and tells whether all of them lasted.
pub(crate) fn idle(arguments: &Idle) -> Result<bool, LoadError> {
    let mut arguments = arguments.clone();
    process::raise_file_limit();
    let stop = Stop::on_signals()?;
    let relay = match arguments.spawn {
        true => Some(Relay::start(&mut arguments.reach, arguments.shards)?),
        false => None,
    };
    let target = Target::find(&arguments.reach)?;
    let local = || {
        arguments
            .reach
            .url
            .is_loopback()
            .then(|| process::listening_on(arguments.reach.url.port))
            .flatten()
    };
    let server = relay.as_ref().map(Relay::pid).or_else(local);
    let before = server.and_then(process::resident_bytes);

    let shared = Arc::new(Shared::default());
    let (plan, for_thread) = (arguments.clone(), Arc::clone(&shared));
    let holder = std::thread::Builder::new()
        .name("idle".to_owned())
        .spawn(move || on_ring(hold(plan, target, for_thread))?)
        .map_err(|source| LoadError::Io {
            doing: "start a thread",
            source,
        })?;
    let progress = ProgressBar::new(arguments.connections as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}") {
        progress.set_style(style);
    }
    let mut held_since: Option<Instant> = None;
    let mut with_all = None;
    while !stop.requested() && !holder.is_finished() {
        std::thread::sleep(Duration::from_millis(50));
        let established = shared.established.load(Ordering::Relaxed);
        progress.set_position(established as u64);
        if established < arguments.connections {
            continue;
        }
        let held = held_since.get_or_insert_with(Instant::now).elapsed();
        if with_all.is_none() && held > SETTLE {
            with_all = server.and_then(process::resident_bytes);
            let cost = per_connection(before, with_all, established);
            let cost = cost.map_or_else(String::new, |bytes| format!("; {bytes} bytes of the relay each"));
            progress.suspend(|| eprintln!("{established} sessions are established{cost}; Ctrl-C ends"));
        }
        let lost = shared.lost.load(Ordering::Relaxed);
        progress.set_message(format!("held {:.0} s, {lost} lost", held.as_secs_f64()));
        if arguments
            .seconds
            .is_some_and(|seconds| held.as_secs_f64() >= seconds.max(SETTLE.as_secs_f64() + 0.1))
        {
            break;
        }
    }
    shared.done.store(true, Ordering::Relaxed);
    progress.finish_and_clear();
    let connections = shared.established.load(Ordering::Relaxed);
    let report = Held {
        connections,
        lost: shared.lost.load(Ordering::Relaxed),
        http: arguments.reach.http.name(),
        seconds: held_since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
        server_bytes_before: before,
        server_bytes: with_all,
        bytes_per_connection: per_connection(before, with_all, connections),
    };
    match holder.join() {
        Ok(result) => result?,
        Err(_) => {
            return Err(LoadError::GaveUp(
                "the thread that held the sessions panicked".to_owned(),
            ));
        }
    }
    drop(relay);
    show(&report, arguments.json)?;
    Ok(report.lost == 0 && report.connections == arguments.connections)
}

fn show(report: &Held, json: bool) -> Result<(), LoadError> {
    if json {
        let json = serde_json::to_string(report).map_err(|error| LoadError::Argument(error.to_string()))?;
        println!("{json}");
        return Ok(());
    }
    let Held {
        connections,
        lost,
        seconds,
        ..
    } = report;
    println!("{connections} sessions held for {seconds:.1} s, {lost} lost");
    if let (Some(before), Some(bytes), Some(each)) = (
        report.server_bytes_before,
        report.server_bytes,
        report.bytes_per_connection,
    ) {
        println!("relay: {before} bytes resident before, {bytes} with all sessions: {each} bytes each");
    }
    Ok(())
}

fn per_connection(before: Option<u64>, after: Option<u64>, connections: usize) -> Option<u64> {
    let grown = after?.saturating_sub(before?);
    (connections > 0).then(|| grown / connections as u64)
}

/// Where connection number `index` comes from: 127.0.0.0/8 is all this machine, and each address has its own ports.
fn source(index: usize) -> IpAddr {
    let address = index / PER_SOURCE + 2;
    let [high, low] = u16::try_from(address).unwrap_or(u16::MAX).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

async fn hold(arguments: Idle, target: Target, shared: Arc<Shared>) -> Result<(), LoadError> {
    let run = random();
    let next = Rc::new(Cell::new(0));
    let target = Rc::new(target);
    let openers: Vec<_> = (0..arguments.concurrency.max(1))
        .map(|_| {
            let (target, next, shared) = (Rc::clone(&target), Rc::clone(&next), Arc::clone(&shared));
            let (total, offer) = (arguments.connections, arguments.offer);
            monoio::spawn(async move {
                while next.get() < total && !shared.done.load(Ordering::Relaxed) {
                    let index = next.replace(next.get() + 1);
                    open(run, index, offer, &target, &shared).await?;
                }
                Ok::<_, LoadError>(())
            })
        })
        .collect();
    for opener in openers {
        opener.await?;
    }
    while !shared.done.load(Ordering::Relaxed) {
        monoio::time::sleep(TICK * 20).await;
    }
    Ok(())
}

async fn open(run: u64, index: usize, offer: Offer, target: &Target, shared: &Arc<Shared>) -> Result<(), LoadError> {
    let device =
        DeviceId::parse(&format!("idle-{run:016x}-{index}")).map_err(|error| LoadError::Argument(error.to_string()))?;
    let mut config = target.config(device, StaticKey::generate(&mut OsEntropy));
    config.capabilities = offer.capabilities();
    let loopback = target.endpoint.host.parse() == Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let session = establish(target, config, loopback.then(|| source(index))).await?;
    shared.established.fetch_add(1, Ordering::Relaxed);
    let shared = Arc::clone(shared);
    net::start(session, IDLE_READ, |_| Silent { shared });
    Ok(())
}

/// Waits, and counts its own end.
struct Silent {
    shared: Arc<Shared>,
}

impl Handler for Silent {
    fn event(&mut self, _event: Event<'_>) {}

    fn turn(&mut self) {}

    fn lost(&mut self, why: &str) {
        if !self.shared.done.load(Ordering::Relaxed) && self.shared.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("loadgen: a session was lost: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn sources_spread_over_the_loopback_network_and_stay_in_it() {
        let addresses = [0, 999, 1_000, 253_999, 254_000, 60_000_000].map(|index| source(index).to_string());
        assert_eq!(
            addresses,
            [
                "127.1.0.2",
                "127.1.0.2",
                "127.1.0.3",
                "127.1.0.255",
                "127.1.1.0",
                "127.1.234.98"
            ]
        );
    }
}
