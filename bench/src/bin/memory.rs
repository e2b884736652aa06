//! What an idle connection costs the relay: its memory before and with many established sessions, over real TLS.
//!
//! `cargo run --release -p commucat-bench --bin memory [-- --connections 10000 --connections 100000]`. The figure is the growth of
//! the relay's proportional set size (PSS) per session: everything the process holds for it, the store's record of the new device
//! included; the kernel's own socket memory is not in it. A small crowd comes and leaves before the first reading, since an
//! allocator gives back what starting up took only when it is used again: without that the growth would look smaller than it is.
//!
//! A host that allows 20,000 descriptors allows them to each process of the load and to the table of each ring of the relay, so
//! many sessions need several of both.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use commucat_bench::crowd::Crowd;
use commucat_bench::relay::{Relay, RelayError, Start};
use serde::Serialize;

/// What a session may cost, in bytes; more is a failure of this program.
const TARGETS: [(&str, u64); 2] = [("1", 8 * 1024), ("2", 12 * 1024)];
/// The same of a WebSocket.
const TARGET: u64 = 20 * 1024;
/// Sessions of the crowd before the first reading, of each shard.
const FIRST_CROWD: u64 = 500;
/// After the last handshake, before memory is read: buffers are given back, timers of the handshake run out.
const SETTLE: Duration = Duration::from_secs(4);
/// Sessions of one shard or one load process, where it was not said how many there are: below 20,000 descriptors.
const SHARE: u64 = 17_000;

#[derive(Debug, Parser)]
struct Arguments {
    /// Sessions to hold; several numbers are held one after the other.
    #[arg(long, default_values_t = [10_000], value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    connections: Vec<u64>,
    /// Only this, as the load generator names it: 1, 2, ws or ws2. Without it, HTTP/1.1 and then HTTP/2.
    #[arg(long)]
    http: Option<String>,
    /// Threads of the relay that carry traffic; one for every 17,000 sessions when not given.
    #[arg(long)]
    shards: Option<u16>,
    /// Processes of the load generator; one for every 17,000 sessions when not given.
    #[arg(long)]
    load_processes: Option<u64>,
    /// One JSON object per line instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Cost {
    http: String,
    shards: u16,
    load_processes: u64,
    connections: u64,
    bytes_before: u64,
    bytes_held: u64,
    bytes_after: u64,
    per_connection: u64,
    target: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let versions = match &arguments.http {
        Some(one) => vec![one.as_str()],
        None => vec!["1", "2"],
    };
    let mut within = true;
    for connections in &arguments.connections {
        for http in &versions {
            match measure(&arguments, http, *connections) {
                Ok(cost) => {
                    within &= cost.per_connection <= cost.target;
                    show(&cost, arguments.json);
                }
                Err(error) => {
                    eprintln!("memory: {error}");
                    return ExitCode::from(2);
                }
            }
        }
    }
    if !within {
        eprintln!("memory: a connection costs more than its target");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments, http: &str, connections: u64) -> Result<Cost, RelayError> {
    let shares = connections.div_ceil(SHARE);
    let shards = arguments
        .shards
        .unwrap_or(u16::try_from(shares).unwrap_or(u16::MAX))
        .max(1);
    let load_processes = arguments.load_processes.unwrap_or(shares);
    let relay = Relay::start(&Start {
        shards,
        // A line per session would be measured as well.
        log_filter: Some("warn"),
        connections: Some(room(connections, shards)),
        ..Start::default()
    })?;
    let first = Crowd::gather(&relay, http, FIRST_CROWD * u64::from(shards), 1)?;
    std::thread::sleep(SETTLE);
    first.leave()?;
    std::thread::sleep(SETTLE);
    let bytes_before = relay.pss()?;
    let crowd = Crowd::gather(&relay, http, connections, load_processes)?;
    std::thread::sleep(SETTLE);
    let bytes_held = relay.pss()?;
    crowd.leave()?;
    std::thread::sleep(SETTLE);
    let bytes_after = relay.pss()?;
    relay.stop()?;
    let target = TARGETS
        .iter()
        .find(|(name, _)| *name == http)
        .map_or(TARGET, |(_, target)| *target);
    Ok(Cost {
        http: http.to_owned(),
        shards,
        load_processes,
        connections,
        bytes_before,
        bytes_held,
        bytes_after,
        per_connection: bytes_held.saturating_sub(bytes_before) / connections.max(1),
        target,
    })
}

/// Connections that each shard is to allow. The kernel spreads them by a hash: one shard in a hundred gets more than three
/// standard deviations above its share, and 5 % are more than that from a few thousand on.
fn room(connections: u64, shards: u16) -> u32 {
    let share = connections.div_ceil(u64::from(shards));
    u32::try_from(share + share / 20 + 300).unwrap_or(u32::MAX)
}

fn show(cost: &Cost, json: bool) {
    if json {
        // A structure of numbers is always JSON.
        println!("{}", serde_json::to_string(cost).unwrap_or_default());
        return;
    }
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "--http {} over TLS, {} sessions, {} shard(s), {} load process(es): {} bytes each ({:.1} KiB, at most {})   [relay: {:.1} MiB \
         before, {:.1} with all, {:.1} after they left]",
        cost.http,
        cost.connections,
        cost.shards,
        cost.load_processes,
        cost.per_connection,
        cost.per_connection as f64 / 1024.0,
        cost.target,
        mebibytes(cost.bytes_before),
        mebibytes(cost.bytes_held),
        mebibytes(cost.bytes_after),
    );
}
