//! Processor time of the relay per delivered frame under busy pairs: the relay alone on one core, the load generator on
//! another, variants interleaved, medians.
//!
//! `cargo run --release -p commucat-bench --bin pairs [-- --server OLD --server NEW]`: with several servers the same load
//! meets each in turn, which is how two builds are compared. A single figure moves by 10 % with the weather of the
//! machine; the ratio of two medians of one run moves far less.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use commucat_bench::relay::{Relay, RelayError, Start, last_words, loadgen, median, report};

#[derive(Debug, Parser)]
struct Arguments {
    /// Relays to compare; the one beside this program when none is given.
    #[arg(long, value_name = "PROGRAM")]
    server: Vec<PathBuf>,
    /// Shards of the relay, all of them on its core: with more than one, who speaks to whom across them is chance.
    #[arg(long, value_name = "N", default_values_t = [1])]
    shards: Vec<u16>,
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
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Runs of each variant.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Also without TLS.
    #[arg(long)]
    plain: bool,
    /// The relay's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The load generator's core.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
}

#[derive(Clone, Debug)]
struct Variant {
    server: Option<PathBuf>,
    shards: u16,
    http: u8,
    tls: bool,
}

/// What the runs of a variant gave.
#[derive(Clone, Debug, Default)]
struct Runs {
    nanoseconds: Vec<f64>,
    rate: Vec<f64>,
    p99: Vec<f64>,
    frames_per_send: Vec<f64>,
}

fn main() -> ExitCode {
    match compare(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pairs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), RelayError> {
    let variants = variants(arguments);
    let mut runs = vec![Runs::default(); variants.len()];
    for round in 1..=arguments.rounds {
        for (variant, runs) in variants.iter().zip(&mut runs) {
            run(arguments, variant, runs)?;
            eprintln!(
                "round {round}: {}: {:.0} ns",
                name(variant),
                runs.nanoseconds.last().copied().unwrap_or(f64::NAN)
            );
        }
    }
    println!(
        "{} pairs, {} bytes, {} in flight each; medians of {} runs of {} s",
        arguments.pairs, arguments.payload, arguments.window, arguments.rounds, arguments.seconds
    );
    println!("ns of relay CPU per delivered frame (least to most) | frames per second | p99 | frames per send");
    let first = median(&runs[0].nanoseconds);
    for (variant, runs) in variants.iter().zip(&runs) {
        let middle = median(&runs.nanoseconds);
        let least = runs.nanoseconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = runs.nanoseconds.iter().copied().fold(0.0, f64::max);
        println!(
            "{:<40} {middle:>6.0} ({least:.0} to {most:.0}), {:.2} of the first | {:>9.0} | {:>7.0} µs | {:.1}",
            name(variant),
            middle / first,
            median(&runs.rate),
            median(&runs.p99),
            median(&runs.frames_per_send),
        );
    }
    Ok(())
}

fn variants(arguments: &Arguments) -> Vec<Variant> {
    let mut servers: Vec<Option<PathBuf>> = arguments.server.iter().cloned().map(Some).collect();
    if servers.is_empty() {
        servers.push(None);
    }
    let mut variants = Vec::new();
    for tls in [true, false] {
        for http in [1, 2] {
            for server in servers.iter().filter(|_| tls || arguments.plain) {
                variants.extend(arguments.shards.iter().map(|shards| Variant {
                    server: server.clone(),
                    shards: *shards,
                    http,
                    tls,
                }));
            }
        }
    }
    variants
}

fn name(variant: &Variant) -> String {
    let tls = if variant.tls { "TLS" } else { "plain" };
    let server = variant
        .server
        .as_ref()
        .map_or(String::new(), |path| format!(" {}", path.display()));
    let shards = match variant.shards {
        1 => String::new(),
        more => format!(", {more} shards"),
    };
    format!("HTTP/{} {tls}{shards}{server}", variant.http)
}

fn run(arguments: &Arguments, variant: &Variant, runs: &mut Runs) -> Result<(), RelayError> {
    let relay = Relay::start(&Start {
        server: variant.server.clone(),
        shards: variant.shards,
        core: Some(arguments.server_core),
        ..Start::default()
    })?;
    let mut load = loadgen(Some(arguments.load_core))?;
    load.args(["run", "--json", "--threads", "1"])
        .args(["--pairs", &arguments.pairs.to_string()])
        .args(["--payload", &arguments.payload.to_string()])
        .args(["--window", &arguments.window.to_string()])
        .args(["--seconds", &arguments.seconds.to_string()])
        .args(["--http", &variant.http.to_string()])
        .args(relay.reach(variant.tls));
    let report = report(load)?;
    let log = relay.stop()?;
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    runs.nanoseconds.push(number("cpu_ns_per_delivered"));
    runs.rate.push(number("delivered_per_second"));
    runs.p99.push(number("p99_us"));
    let sends = last_words(&log, "sends").max(1) as f64;
    runs.frames_per_send.push(last_words(&log, "delivered") as f64 / sends);
    Ok(())
}
