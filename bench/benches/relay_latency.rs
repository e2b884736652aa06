//! How long a frame takes through the real relay: at shares of its capacity, and beside a bare ring.
//!
//! `cargo bench -p commucat-bench --bench relay_latency [-- --seconds N] [-- --rounds N] [-- --json]`, after
//! `cargo build --release -p commucat-server -p loadgen`. The relay has one shard on one core, the load another core.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use commucat_bench::bare::Runtime;
use commucat_bench::latency::{Crowd, Pace, Run, pairs};
use commucat_bench::peers::load::{LoadError, Plan, Shape, run};
use commucat_bench::peers::server::{Server, ServerError};
use commucat_bench::peers::{Peer, Variant};
use commucat_bench::relay::{Relay, RelayError, Start, median};
use commucat_client::HttpVersion;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;

/// Of capacity, in hundredths.
const SHARES: [u32; 4] = [1, 10, 50, 80];
/// A program that takes less of its core was not the limit.
const SATURATED: f64 = 0.8;
/// p99 at half of capacity is at most so many times p99 at a hundredth of it.
const TARGET_HALF: f64 = 4.0;
/// p50 and p99 of one pair are at most so many times those of a bare ring.
const TARGET_BARE: f64 = 1.3;

#[derive(Debug, Parser)]
struct Arguments {
    /// How long each run measures.
    #[arg(short, long, default_value_t = 3.0)]
    seconds: f64,
    /// Runs of each.
    #[arg(short, long, default_value_t = 3)]
    rounds: usize,
    /// Connections, every two of them a pair.
    #[arg(short, long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..))]
    connections: u32,
    /// Bytes of each message.
    #[arg(short, long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(24..))]
    payload: u32,
    /// Frames that each connection keeps in flight while capacity is looked for: with more than one, a send carries
    /// several, which those of an open loop, who know nothing of each other, do not.
    #[arg(short, long, default_value_t = 1)]
    window: u32,
    /// The relay's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The load's core.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// One JSON object per row instead of tables.
    #[arg(short, long)]
    json: bool,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, thiserror::Error)]
enum LatencyError {
    #[error(transparent)]
    Relay(#[from] RelayError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("{variant}: {source}")]
    Load { variant: String, source: LoadError },
    #[error(
        "the relay and the load need a core each ({server} and {load} were asked for, this process may use {allowed:?}): \
         --server-core, --load-core"
    )]
    Cores {
        server: usize,
        load: usize,
        allowed: Vec<usize>,
    },
    #[error("cannot run on core {core}: {source}")]
    Pin { core: usize, source: rustix::io::Errno },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match check_cores(&arguments)
        .and_then(|()| shares(&arguments))
        .and_then(|()| beside_a_bare_ring(&arguments))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay_latency: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check_cores(arguments: &Arguments) -> Result<(), LatencyError> {
    let allowed: Vec<usize> = sched_getaffinity(None)
        .map(|set| (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
        .unwrap_or_default();
    let (server, load) = (arguments.server_core, arguments.load_core);
    if server != load && allowed.contains(&server) && allowed.contains(&load) {
        return Ok(());
    }
    Err(LatencyError::Cores { server, load, allowed })
}

/// Capacity, then shares of it.
fn shares(arguments: &Arguments) -> Result<(), LatencyError> {
    let relay = Relay::start(&Start {
        shards: 1,
        core: Some(arguments.server_core),
        log_filter: Some("warn"),
        ..Start::default()
    })?;
    let crowd = Crowd {
        pairs: arguments.connections / 2,
        payload: arguments.payload,
        seconds: arguments.seconds,
        warm_up: 1.0,
        core: arguments.load_core,
    };
    let mut closed = Vec::new();
    for round in 1..=arguments.rounds.max(1) {
        let run = pairs(&relay, &crowd, Pace::Window(arguments.window))?;
        eprintln!("capacity, round {round}: {:.0} frames/s", run.rate);
        closed.push(run);
    }
    let capacity = median(&closed.iter().map(|run| run.rate).collect::<Vec<_>>());
    if closed.iter().all(|run| run.relay_busy.max(run.load_busy) < SATURATED) {
        eprintln!(
            "relay_latency: neither program filled its core: the machine is busy with others, or --window is too small; \
             the shares below are of less than the relay can do"
        );
    }
    let mut runs = SHARES.map(|share| (share, Vec::new()));
    for round in 1..=arguments.rounds.max(1) {
        for (share, runs) in &mut runs {
            let rate = capacity * f64::from(*share) / 100.0;
            let run = pairs(&relay, &crowd, Pace::Rate(rate))?;
            eprintln!("{share} %, round {round}: p99 {:.0} µs", run.p99_us);
            runs.push(run);
        }
    }
    relay.stop()?;
    show_shares(arguments, &closed, &runs);
    Ok(())
}

fn show_shares(arguments: &Arguments, closed: &[Run], shares: &[(u32, Vec<Run>)]) {
    if !arguments.json {
        println!(
            "\n{} connections in pairs, {} bytes, HTTP/2, TLS, ack-range, one shard; medians of {} runs of {} s; µs from due to arrived",
            arguments.connections, arguments.payload, arguments.rounds, arguments.seconds
        );
        println!(
            "{:<26} {:>10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6} {:>9}",
            "", "frames/s", "p50", "p90", "p99", "p99.9", "max", "relay", "load", "own p99"
        );
    }
    let closed_name = format!("closed loop, {} in flight", arguments.window);
    show_row(arguments.json, &closed_name, closed);
    for (share, runs) in shares {
        show_row(arguments.json, &format!("open loop, {share} %"), runs);
    }
    let p99 = |wanted| {
        shares
            .iter()
            .find(|(share, _)| *share == wanted)
            .map_or(&[][..], |(_, runs)| &runs[..])
    };
    let ratios: Vec<f64> = p99(50)
        .iter()
        .zip(p99(1))
        .map(|(half, little)| half.p99_us / little.p99_us)
        .collect();
    show_ratio(
        arguments.json,
        "p99 at 50 % of capacity, of p99 at 1 %",
        &ratios,
        TARGET_HALF,
    );
}

fn show_row(json: bool, name: &str, runs: &[Run]) {
    let of = |pick: fn(&Run) -> f64| median(&runs.iter().map(pick).collect::<Vec<_>>());
    let middle = Run {
        rate: of(|run| run.rate),
        p50_us: of(|run| run.p50_us),
        p90_us: of(|run| run.p90_us),
        p99_us: of(|run| run.p99_us),
        p999_us: of(|run| run.p999_us),
        max_us: of(|run| run.max_us),
        relay_busy: of(|run| run.relay_busy),
        load_busy: of(|run| run.load_busy),
        own_p99_us: Some(of(|run| run.own_p99_us.unwrap_or(f64::NAN))).filter(|own| own.is_finite()),
    };
    if json {
        println!("{}", json!({ "load": name, "median": middle, "runs": runs }));
        return;
    }
    println!(
        "{name:<26} {:>10.0} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>8.0} {:>6.0}% {:>5.0}% {:>9}",
        middle.rate,
        middle.p50_us,
        middle.p90_us,
        middle.p99_us,
        middle.p999_us,
        middle.max_us,
        middle.relay_busy * 100.0,
        middle.load_busy * 100.0,
        middle.own_p99_us.map_or(String::new(), |own| format!("{own:.0}")),
    );
}

/// One ratio per round, and whether their median is what it should be.
fn show_ratio(json: bool, name: &str, ratios: &[f64], target: f64) {
    let middle = median(ratios);
    let verdict = if middle <= target { "met" } else { "missed" };
    if json {
        println!(
            "{}",
            json!({ "ratio": name, "median": middle, "runs": ratios, "target": target, "verdict": verdict })
        );
        return;
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    println!("{name}: {middle:.2} ({least:.2} to {most:.2}); at most {target}: {verdict}");
}

/// Who is asked, over TLS: the first is what the others are compared with.
fn askers() -> [(&'static str, Variant, Shape); 4] {
    let pair = Shape::Pairs { count: 1, both: false };
    let tls = |peer| Variant { peer, tls: true };
    let ours = |http| tls(Peer::CommuCat { http, ack_range: true });
    [
        ("bare ring, a pair", tls(Peer::Bare(Runtime::Own)), pair),
        ("bare ring, an echo", tls(Peer::Bare(Runtime::Own)), Shape::Echo),
        ("this relay, HTTP/2", ours(HttpVersion::Http2), pair),
        ("this relay, HTTP/1.1", ours(HttpVersion::Http1), pair),
    ]
}

/// There and back, in microseconds.
#[derive(Clone, Debug, Default)]
struct Times {
    p50: Vec<f64>,
    p99: Vec<f64>,
    p999: Vec<f64>,
}

/// One frame at a time, to the relay and on to who it is for, both ends in one program.
fn beside_a_bare_ring(arguments: &Arguments) -> Result<(), LatencyError> {
    let core = arguments.load_core;
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|source| LatencyError::Pin { core, source })?;
    let askers = askers();
    let mut times = vec![Times::default(); askers.len()];
    for round in 1..=arguments.rounds.max(1) {
        for ((name, variant, shape), times) in askers.iter().zip(&mut times) {
            let plan = Plan {
                shape: *shape,
                payload: arguments.payload as usize,
                window: 1,
                sample: 1,
                warm_up: Duration::from_secs_f64((arguments.seconds / 3.0).min(1.0)),
                measure: Duration::from_secs_f64(arguments.seconds),
            };
            let server = Server::start(*variant, arguments.server_core)?;
            let figures = run(server.reach(), *variant, &plan).map_err(|source| LatencyError::Load {
                variant: variant.name(),
                source,
            })?;
            let at = |quantile| figures.latency.value_at_quantile(quantile) as f64 / 1e3;
            times.p50.push(at(0.5));
            times.p99.push(at(0.99));
            times.p999.push(at(0.999));
            eprintln!("{name}, round {round}: p50 {:.1} µs, p99 {:.1} µs", at(0.5), at(0.99));
        }
    }
    let names = askers.map(|(name, ..)| name);
    show_times(arguments, &names, &times);
    Ok(())
}

fn show_times(arguments: &Arguments, names: &[&str], times: &[Times]) {
    if !arguments.json {
        println!(
            "\nOne frame at a time of {} bytes over TLS, there and back; medians of {} runs of {} s; µs",
            arguments.payload, arguments.rounds, arguments.seconds
        );
        println!("{:<26} {:>8} {:>8} {:>8}", "", "p50", "p99", "p99.9");
    }
    for (name, times) in names.iter().zip(times) {
        let (p50, p99, p999) = (median(&times.p50), median(&times.p99), median(&times.p999));
        if arguments.json {
            println!(
                "{}",
                json!({ "there_and_back": name, "p50_us": p50, "p99_us": p99, "p999_us": p999 })
            );
        } else {
            println!("{name:<26} {p50:>8.1} {p99:>8.1} {p999:>8.1}");
        }
    }
    let over =
        |ours: &[f64], bare: &[f64]| -> Vec<f64> { ours.iter().zip(bare).map(|(ours, bare)| ours / bare).collect() };
    for (name, ours) in names.iter().zip(times).skip(2) {
        for (bare_name, bare) in names.iter().zip(times).take(2) {
            let of = |percentile| format!("{percentile}: {name}, of {bare_name}");
            show_ratio(arguments.json, &of("p50"), &over(&ours.p50, &bare.p50), TARGET_BARE);
            show_ratio(arguments.json, &of("p99"), &over(&ours.p99, &bare.p99), TARGET_BARE);
        }
    }
}
