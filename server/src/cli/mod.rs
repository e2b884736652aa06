//! `commucat-cli`: keys, stores, health, and a device's own account, each command in a file of its own.
//!
//! Every command prints for a person, or with `--json` one object for a program, and says in its exit code how it went:
//! 0 well, 1 not, 2 wrong usage. Commands on the data folder read the relay's own configuration, from the same places.

mod account;
mod doctor;
mod host;
mod migrate;
mod output;
mod reach;
mod rotate;
mod stats;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, ConfigError};
use output::{Failure, Output};

#[derive(Debug, Parser)]
#[command(
    name = "commucat-cli",
    version,
    about = "Keys, stores and health of a CommuCat relay"
)]
struct Cli {
    /// One JSON object instead of words for a person
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at everything the relay needs of this host: each line is ok, or says what to do
    Doctor(Relay),
    /// Make new long-term keys; the old Noise key works on for a grace period
    RotateKeys(rotate::Options),
    /// Bring the store's tables up to this version
    Migrate(Relay),
    /// Ask for a pairing code as a device, or use one for a new device
    Pair(account::PairOptions),
    /// List the devices of a device's profile, or revoke one of them
    Devices(account::DeviceOptions),
    /// Watch a running relay: frames, sessions and load of every shard
    Stats(stats::Options),
}

/// Where the relay's configuration is.
#[derive(Clone, Debug, Args)]
struct Relay {
    /// The relay's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The relay's data folder
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Relay {
    /// The configuration that a relay started with these would have.
    fn load(&self, environment: &[(OsString, OsString)]) -> Result<Config, ConfigError> {
        let mut arguments = vec![OsString::from("commucat-server")];
        for (flag, value) in [("--config", &self.config), ("--data", &self.data)] {
            if let Some(value) = value {
                arguments.extend([flag.into(), value.clone().into()]);
            }
        }
        config::load(arguments, environment.iter().cloned()).map(|loaded| loaded.config)
    }
}

/// Runs one command to its end.
#[must_use]
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let environment: Vec<_> = environment.into_iter().collect();
    let output = Output { json: cli.json };
    let done = match &cli.command {
        Command::Doctor(relay) => doctor::run(relay, &environment, output),
        Command::RotateKeys(options) => rotate::run(options, &environment, output),
        Command::Migrate(relay) => migrate::run(relay, &environment, output),
        Command::Pair(options) => account::pair(options, output),
        Command::Devices(options) => account::devices(options, output),
        Command::Stats(options) => stats::run(options, output),
    };
    match done {
        Ok(code) => code,
        Err(Failure(error)) => output.fail(&*error),
    }
}
