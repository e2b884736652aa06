//! `commucat-cli`: what an operator does beside running the relay.

use std::process::ExitCode;

fn main() -> ExitCode {
    commucat_server::cli::run(std::env::args_os(), std::env::vars_os())
}
