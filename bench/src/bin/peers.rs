//! Processor time per delivered message of the relay and of what its users would pick instead, side by side.
//!
//! `cargo run --release -p commucat-bench --bin peers`. Needs Debian's nats-server, redis-server and mosquitto, and the relay built:
//! `cargo build --release -p commucat-server`.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use commucat_bench::compare::{self, compare};
use commucat_bench::peers::{Peer, Variant};
use commucat_client::HttpVersion;

#[derive(Debug, Parser)]
struct Arguments {
    /// Servers to compare; all of them without it.
    #[arg(long, value_enum)]
    only: Vec<Which>,
    #[command(flatten)]
    compare: compare::Arguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Relay,
    Nats,
    Redis,
    Mosquitto,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match compare(&arguments.compare, &variants(&arguments.only)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn variants(only: &[Which]) -> Vec<Variant> {
    let relay = |http, ack_range, tls| Variant {
        peer: Peer::CommuCat { http, ack_range },
        tls,
    };
    let mut all = vec![
        (Which::Relay, relay(HttpVersion::Http2, true, true)),
        (Which::Relay, relay(HttpVersion::Http2, false, true)),
        (Which::Relay, relay(HttpVersion::Http1, true, true)),
        (Which::Relay, relay(HttpVersion::Http1, true, false)),
        (Which::Relay, relay(HttpVersion::Http1, false, false)),
    ];
    for (which, peer) in [
        (Which::Nats, Peer::Nats),
        (Which::Redis, Peer::Redis),
        (Which::Mosquitto, Peer::Mosquitto),
    ] {
        all.extend([true, false].map(|tls| (which, Variant { peer, tls })));
    }
    all.retain(|(which, _)| only.is_empty() || only.contains(which));
    all.into_iter().map(|(_, variant)| variant).collect()
}
