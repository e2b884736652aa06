//! System calls of the relay under busy pairs: one `io_uring_enter` per turn of the loop, and how many of all kinds per
//! delivered frame.
//!
//! `cargo run --release -p commucat-bench --bin syscalls`. Two runs: one undisturbed, where the relay's own counters say
//! how many turns it made and how often it entered the kernel; and one under `strace -c -f`, which slows it down and shows
//! that there are no other calls.

use std::collections::BTreeMap;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use commucat_bench::relay::{Relay, RelayError, Start, last_words, loadgen, report, signal};
use rustix::process::Signal;

/// System calls per delivered frame; more is a failure of this program.
const TARGET: f64 = 0.2;
/// What strace needs to attach to every thread.
const ATTACH: Duration = Duration::from_millis(500);

#[derive(Debug, Parser)]
struct Arguments {
    /// Pairs of devices.
    #[arg(long, default_value_t = 100)]
    pairs: u32,
    /// Bytes of each message.
    #[arg(long, default_value_t = 64)]
    payload: u32,
    /// Messages each sender keeps in flight.
    #[arg(long, default_value_t = 32)]
    window: u32,
    /// How long each run measures.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Only HTTP/1.1 or only HTTP/2.
    #[arg(long)]
    http: Option<u8>,
    /// Threads of the relay that carry traffic.
    #[arg(long, default_value_t = 1)]
    shards: u16,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let versions = match arguments.http {
        Some(one) => vec![one],
        None => vec![1, 2],
    };
    let mut within = true;
    for http in versions {
        match undisturbed(&arguments, http).and_then(|calls| traced(&arguments, http).map(|()| calls)) {
            Ok(calls) => within &= calls < TARGET,
            Err(error) => {
                eprintln!("syscalls: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if !within {
        eprintln!("syscalls: {TARGET} or more per delivered frame");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// By the relay's own counters; gives the calls per delivered frame.
fn undisturbed(arguments: &Arguments, http: u8) -> Result<f64, RelayError> {
    let relay = start(arguments)?;
    report(load(arguments, http, &relay)?)?;
    let log = relay.stop()?;
    let count = |key| last_words(&log, key) as f64;
    let (turns, enters, delivered) = (count("turns"), count("enters"), count("delivered").max(1.0));
    let calls = enters / delivered;
    println!(
        "HTTP/{http}: {:.4} io_uring_enter per turn, {calls:.4} per delivered frame; {:.1} frames per turn, {:.1} per send",
        enters / turns.max(1.0),
        delivered / turns.max(1.0),
        delivered / count("sends").max(1.0),
    );
    Ok(calls)
}

/// Under strace: what else there is.
fn traced(arguments: &Arguments, http: u8) -> Result<(), RelayError> {
    let relay = start(arguments)?;
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-U", "calls,name", "-p", &relay.pid().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(RelayError::io("start strace (apt-get install strace)"))?;
    std::thread::sleep(ATTACH);
    let loaded = load(arguments, http, &relay).and_then(report);
    let table = end(&mut strace)?;
    loaded?;
    let log = relay.stop()?;
    let delivered = last_words(&log, "delivered").max(1) as f64;
    let calls = calls(&table);
    let all: u64 = calls.values().sum();
    println!(
        "        under strace: {:.4} calls of all kinds per delivered frame:",
        all as f64 / delivered
    );
    let mut by_count: Vec<_> = calls.into_iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (name, count) in by_count.iter().take(8) {
        println!("        {count:>9}  {name}");
    }
    Ok(())
}

fn start(arguments: &Arguments) -> Result<Relay, RelayError> {
    Relay::start(&Start {
        shards: arguments.shards,
        core: (arguments.shards == 1).then_some(0),
        ..Start::default()
    })
}

fn load(arguments: &Arguments, http: u8, relay: &Relay) -> Result<Command, RelayError> {
    let mut load = loadgen((arguments.shards == 1).then_some(1))?;
    load.args(["run", "--json", "--threads", "1"])
        .args(["--pairs", &arguments.pairs.to_string()])
        .args(["--payload", &arguments.payload.to_string()])
        .args(["--window", &arguments.window.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .args(["--http", &http.to_string()])
        .args(relay.reach(true));
    Ok(load)
}

/// Detaches strace, which prints its table then.
fn end(strace: &mut Child) -> Result<String, RelayError> {
    signal(strace, Signal::INT);
    let mut table = String::new();
    if let Some(mut output) = strace.stderr.take() {
        std::io::Read::read_to_string(&mut output, &mut table).map_err(RelayError::io("read strace's table"))?;
    }
    strace.wait().map_err(RelayError::io("wait for strace"))?;
    Ok(table)
}

/// `CALLS NAME` lines.
fn calls(table: &str) -> BTreeMap<String, u64> {
    table
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let count = words.next()?.parse().ok()?;
            let name = words.next().filter(|name| *name != "total")?;
            Some((name.to_owned(), count))
        })
        .collect()
}
