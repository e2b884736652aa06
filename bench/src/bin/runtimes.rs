//! The least that can be called a relay on our own ring, monoio, glommio and tokio, side by side, so that the choice of runtime
//! stays a measured one.
//!
//! `cargo run --release -p commucat-bench --bin runtimes`, after `cargo build --release -p commucat-bench --bin bare`.

use std::process::ExitCode;

use clap::Parser;
use commucat_bench::bare::Runtime;
use commucat_bench::compare::{self, compare};
use commucat_bench::peers::{Peer, Variant};

#[derive(Debug, Parser)]
struct Arguments {
    /// Over TLS.
    #[arg(long)]
    tls: bool,
    /// Runtimes to compare; all of them without it.
    #[arg(long, value_enum)]
    only: Vec<Runtime>,
    #[command(flatten)]
    compare: compare::Arguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let variants: Vec<_> = [Runtime::Own, Runtime::Monoio, Runtime::Glommio, Runtime::Tokio]
        .into_iter()
        .filter(|runtime| arguments.only.is_empty() || arguments.only.contains(runtime))
        .map(|runtime| Variant {
            peer: Peer::Bare(runtime),
            tls: arguments.tls,
        })
        .collect();
    match compare(&arguments.compare, &variants) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtimes: {error}");
            ExitCode::FAILURE
        }
    }
}
