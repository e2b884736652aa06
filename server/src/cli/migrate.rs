//! `migrate`: brings the store to this version without starting a relay.

use std::ffi::OsString;
use std::process::ExitCode;

use commucat_storage::embedded::EmbeddedStore;
use serde::Serialize;

use super::Relay;
use super::output::{Failure, Output};

#[derive(Debug, Serialize)]
struct Migrated {
    store: &'static str,
    version: u32,
}

pub(super) fn run(relay: &Relay, environment: &[(OsString, OsString)], output: Output) -> Result<ExitCode, Failure> {
    let config = relay.load(environment)?;
    // Opening is what migrates: old values are read as they are and written anew as they change.
    drop(EmbeddedStore::open(&config.data, config.store)?);
    let migrated = Migrated {
        store: "embedded",
        version: commucat_storage::embedded::FORMAT,
    };
    output.done(
        &format!("the embedded store is at version {}", migrated.version),
        &migrated,
    );
    Ok(ExitCode::SUCCESS)
}
