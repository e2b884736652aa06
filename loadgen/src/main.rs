//! `loadgen`: the chat of the README's first conversation, and the relay's load generator.
//!
//! ```text
//!  chat   one session, blocking, a person at the keyboard
//!  run    pairs of sessions on io_uring, a thread per core: throughput and latency
//!  idle   many sessions that say nothing: memory
//! ```

mod chat;
mod cli;
mod error;
mod idle;
mod limits;
mod net;
mod process;
mod run;
mod spawn;
mod stop;
mod target;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Chat(arguments) => chat::chat(&arguments).map(|()| true),
        Command::Run(arguments) => run::run(&arguments),
        Command::Idle(arguments) => idle::idle(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        // The report said what was wrong.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadgen: {error}");
            ExitCode::FAILURE
        }
    }
}
