//! `loadgen`: the chat of the README's first conversation, and the relay's load generator.
//!
//! ```text
//!  chat                                  one session, blocking, a person at the keyboard
//!  pairs fanout groups calls mixed       traffic between sessions on io_uring, a thread per core
//!  connect idle offline                  handshakes; memory; what is stored and replayed
//!
//!  cli ─► scenario ─► engine (net, measure) ─► report (table, JSON, page)
//! ```

mod chat;
mod cli;
mod engine;
mod error;
mod limits;
mod machine;
mod measure;
mod net;
mod progress;
mod report;
mod scenario;
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
        Command::Pairs(arguments) => scenario::pairs(&arguments),
        Command::Fanout(arguments) => scenario::fanout(&arguments),
        Command::Groups(arguments) => scenario::groups(&arguments),
        Command::Calls(arguments) => scenario::calls(&arguments),
        Command::Idle(arguments) => scenario::idle(&arguments),
        Command::Connect(arguments) => scenario::connect(&arguments),
        Command::Offline(arguments) => scenario::offline(&arguments),
        Command::Mixed(arguments) => scenario::mixed(&arguments),
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
