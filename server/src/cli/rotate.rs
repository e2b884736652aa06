//! `rotate-keys`: a new Noise key, the old one working on for a while; a new federation seed (CCP-1, Compliance & Known
//! Limitations: long-term secrets are the operator's to rotate).

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use super::Relay;
use super::output::{Failure, Output};
use crate::boot::entropy::SystemEntropy;
use crate::boot::{federation, noise};
use crate::config::value;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    relay: Relay,
    /// Which keys
    #[arg(long, value_enum, default_value = "noise")]
    keys: Which,
    /// How long the old Noise key works on; the federation seed changes at once, since peers hold its public half
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration)]
    grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    Noise,
    Federation,
    All,
}

fn duration(text: &str) -> Result<Duration, String> {
    value::time(text).ok_or_else(|| "a duration with ms, s, m, h or d, like 7d".to_owned())
}

#[derive(Debug, Default, Serialize)]
struct Rotated {
    #[serde(skip_serializing_if = "Option::is_none")]
    noise_public: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_noise_public: Option<String>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    federation_public: Option<String>,
}

pub(super) fn run(
    options: &Options,
    environment: &[(OsString, OsString)],
    output: Output,
) -> Result<ExitCode, Failure> {
    let config = options.relay.load(environment)?;
    let mut entropy = SystemEntropy::new()?;
    let (mut rotated, mut words) = (Rotated::default(), Vec::new());
    if options.keys != Which::Federation {
        let rotation = noise::rotate(&config.data, options.grace, &mut entropy)?;
        let until = rotation.until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let previous = rotation.keys.previous.map(|(key, _)| key.public().to_string());
        words.push(format!("noise key        {}", rotation.keys.current.public()));
        if let Some(previous) = &previous {
            words.push(format!("the one before   {previous}, works until {until} (Unix time)"));
        }
        rotated.noise_public = Some(rotation.keys.current.public().to_string());
        rotated.previous_noise_public = previous;
        rotated.previous_until = Some(until);
    }
    if options.keys != Which::Noise {
        let public = federation::rotate(&config.data, &mut entropy)?;
        words.push(format!("federation key   {public}: give it to the peers"));
        rotated.federation_public = Some(public);
    }
    words.push(
        "A running relay takes the Noise key over at SIGHUP (systemctl reload), without losing a session.".to_owned(),
    );
    output.done(&words.join("\n"), &rotated);
    Ok(ExitCode::SUCCESS)
}
