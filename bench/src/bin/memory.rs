//! What an idle connection costs the relay: its memory before and with many established sessions, over real TLS.
//!
//! `cargo run --release -p commucat-bench --bin memory`. The figure is the growth of the relay's proportional set size
//! (PSS) per session: everything the process holds for it, the store's record of the new device included; the kernel's
//! own socket memory is not in it. A small crowd comes and leaves before the first reading, since an allocator gives back
//! what starting up took only when it is used again: without that the growth would look smaller than it is.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use commucat_bench::relay::{Relay, RelayError, Start, loadgen, signal};
use rustix::process::Signal;
use serde::Serialize;

/// What a session may cost; more is a failure of this program.
const TARGET: u64 = 20 * 1024;
/// Sessions of the crowd before the first reading.
const FIRST_CROWD: u64 = 500;
/// After the last handshake, before memory is read: buffers are given back, timers of the handshake run out.
const SETTLE: Duration = Duration::from_secs(4);
/// Longer than any of this takes.
const HOLD_SECONDS: &str = "600";

#[derive(Debug, Parser)]
struct Arguments {
    /// Sessions to hold. Each takes a descriptor of each process: 20,000 of them are a common limit.
    #[arg(long, default_value_t = 10_000)]
    connections: u64,
    /// Only this, as the load generator names it: 1, 2, ws or ws2. Without it, HTTP/1.1 and then HTTP/2.
    #[arg(long)]
    http: Option<String>,
    /// Threads of the relay that carry traffic.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// One JSON object per line instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Cost {
    http: String,
    shards: u16,
    connections: u64,
    bytes_before: u64,
    bytes_held: u64,
    bytes_after: u64,
    per_connection: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let versions = match &arguments.http {
        Some(one) => vec![one.as_str()],
        None => vec!["1", "2"],
    };
    let mut within = true;
    for http in versions {
        match measure(&arguments, http) {
            Ok(cost) => {
                within &= cost.per_connection <= TARGET;
                show(&cost, arguments.json);
            }
            Err(error) => {
                eprintln!("memory: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if !within {
        eprintln!("memory: a connection costs more than {TARGET} bytes");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments, http: &str) -> Result<Cost, RelayError> {
    let relay = Relay::start(&Start {
        shards: arguments.shards,
        // A line per session would be measured as well.
        log_filter: Some("warn"),
        ..Start::default()
    })?;
    hold(&relay, http, FIRST_CROWD)?;
    let bytes_before = relay.pss()?;
    let bytes_held = hold(&relay, http, arguments.connections)?;
    let bytes_after = relay.pss()?;
    relay.stop()?;
    Ok(Cost {
        http: http.to_owned(),
        shards: arguments.shards,
        connections: arguments.connections,
        bytes_before,
        bytes_held,
        bytes_after,
        per_connection: bytes_held.saturating_sub(bytes_before) / arguments.connections.max(1),
    })
}

/// The relay's memory while it has so many sessions; they are gone when this returns.
fn hold(relay: &Relay, http: &str, connections: u64) -> Result<u64, RelayError> {
    let mut crowd = loadgen(None)?
        .arg("idle")
        .args(["--connections", &connections.to_string()])
        .args(["--http", http, "--seconds", HOLD_SECONDS])
        .args(relay.reach(true))
        .stdout(Stdio::null())
        .spawn()
        .map_err(RelayError::io("start loadgen"))?;
    let established = wait_until_all_are_there(&mut crowd);
    std::thread::sleep(SETTLE);
    let held = relay.pss();
    signal(&crowd, Signal::INT);
    let status = crowd.wait().map_err(RelayError::io("wait for loadgen"))?;
    established?;
    if !status.success() {
        return Err(RelayError::Loadgen {
            what: format!("ended with {status}"),
            output: "sessions were lost".to_owned(),
        });
    }
    std::thread::sleep(SETTLE);
    held
}

/// `loadgen idle` says on its standard error when every session is established.
fn wait_until_all_are_there(crowd: &mut Child) -> Result<(), RelayError> {
    let mut said = String::new();
    if let Some(errors) = crowd.stderr.take() {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if line.contains("are established") {
                return Ok(());
            }
            said += &line;
            said.push('\n');
        }
    }
    Err(RelayError::Loadgen {
        what: "did not establish all sessions".to_owned(),
        output: said,
    })
}

fn show(cost: &Cost, json: bool) {
    if json {
        // A structure of numbers is always JSON.
        println!("{}", serde_json::to_string(cost).unwrap_or_default());
        return;
    }
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "--http {} over TLS, {} sessions, {} shard(s): {} bytes each ({:.1} KiB)   [relay: {:.1} MiB before, {:.1} with all, {:.1} after they left]",
        cost.http,
        cost.connections,
        cost.shards,
        cost.per_connection,
        cost.per_connection as f64 / 1024.0,
        mebibytes(cost.bytes_before),
        mebibytes(cost.bytes_held),
        mebibytes(cost.bytes_after),
    );
}
