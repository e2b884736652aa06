//! `pair` and `devices`: what a device may do for its own profile, over its own session (decisions § 10).

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use commucat_client::blocking::{Client, server_info};
use commucat_client::{Config as Session, OsEntropy, StaticKey, keys};
use commucat_proto::{DeviceId, SessionToken};
use serde_json::{Value, json};

use super::output::{Failure, Output, Told};
use super::reach::Reach;
use crate::config::value;

#[derive(Debug, Args)]
struct Relay {
    #[command(flatten)]
    reach: Reach,
    /// Where device keys are kept
    #[arg(long, value_name = "DIR", default_value = "commucat-client")]
    keys: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct PairOptions {
    #[command(flatten)]
    relay: Relay,
    /// The device that asks for a code; a session it has elsewhere is replaced
    #[arg(long, required_unless_present = "claim", conflicts_with = "claim")]
    device: Option<DeviceId>,
    /// How long the code is good for; the relay's own default when left out
    #[arg(long, value_name = "DURATION", value_parser = seconds, conflicts_with = "claim")]
    ttl: Option<u64>,
    /// Use this code: makes a key, keeps it under the new device's name
    #[arg(long, value_name = "CODE")]
    claim: Option<String>,
    /// What people call the new device
    #[arg(long, value_name = "NAME", requires = "claim")]
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct DeviceOptions {
    #[command(flatten)]
    relay: Relay,
    /// The device that asks; a session it has elsewhere is replaced
    #[arg(long)]
    device: DeviceId,
    /// Revoke this one: its sessions end at once
    #[arg(long, value_name = "DEVICE")]
    revoke: Option<DeviceId>,
}

fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a duration with s, m, h or d, like 5m".to_owned();
    value::time(text).map(|time| time.as_secs().max(1)).ok_or_else(wrong)
}

pub(super) fn pair(options: &PairOptions, output: Output) -> Result<ExitCode, Failure> {
    match (&options.claim, &options.device) {
        (Some(code), _) => claim(options, code, output),
        (None, Some(device)) => offer(options, device, output),
        // clap asks for one of them.
        (None, None) => Err(Told("--device or --claim is needed".to_owned()).into()),
    }
}

fn offer(options: &PairOptions, device: &DeviceId, output: Output) -> Result<ExitCode, Failure> {
    let session = options.relay.session(device)?;
    let body = options.ttl.map_or_else(|| json!({}), |ttl| json!({ "ttl": ttl }));
    let offered = session.ask("POST", "/api/pair", Some(&body))?;
    // The seed is for clients that carry it to the new device themselves; a person needs the code alone.
    let told = json!({ "pair_code": offered["pair_code"], "expires_at": offered["expires_at"], "ttl": offered["ttl"] });
    let words = format!(
        "pairing code  {}\ngood for      {} s\non the other  commucat-cli pair --claim {} --url {}",
        text(&offered["pair_code"]),
        offered["ttl"],
        text(&offered["pair_code"]),
        options.relay.reach.url,
    );
    output.done(&words, &told);
    Ok(ExitCode::SUCCESS)
}

fn claim(options: &PairOptions, code: &str, output: Output) -> Result<ExitCode, Failure> {
    let key = StaticKey::generate(&mut OsEntropy);
    let mut body = json!({ "pair_code": code, "client_static": key.public().to_string() });
    if let Some(name) = &options.name {
        body["device_name"] = json!(name);
    }
    let paired = options
        .relay
        .reach
        .ask_json("POST", "/api/pair/claim", None, Some(&body))?;
    let device: DeviceId = text(&paired["device_id"]).parse()?;
    keys::keep(&options.relay.keys, &device, &key)?;
    let told = json!({ "device_id": paired["device_id"], "user": paired["user"] });
    let words = format!(
        "device   {device}\nprofile  {}\nkey      kept in {}",
        text(&paired["user"]["handle"]),
        options.relay.keys.display()
    );
    output.done(&words, &told);
    Ok(ExitCode::SUCCESS)
}

pub(super) fn devices(options: &DeviceOptions, output: Output) -> Result<ExitCode, Failure> {
    let session = options.relay.session(&options.device)?;
    if let Some(device) = &options.revoke {
        let body = json!({ "device_id": device.as_str() });
        session.ask("POST", "/api/devices/revoke", Some(&body))?;
        output.done(&format!("{device} is revoked"), &json!({ "revoked": device.as_str() }));
        return Ok(ExitCode::SUCCESS);
    }
    let listed = session.ask("GET", "/api/devices", None)?;
    let mut words = String::new();
    for device in listed["devices"].as_array().into_iter().flatten() {
        let current = if device["current"] == true { "  (this one)" } else { "" };
        let (name, status) = (text(&device["device_id"]), text(&device["status"]));
        let _ = writeln!(words, "{status:<8} {name}  {}{current}", text(&device["public_key"]));
    }
    output.done(words.trim_end(), &listed);
    Ok(ExitCode::SUCCESS)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// A session that is there for as long as its token is needed.
struct Asking<'a> {
    relay: &'a Relay,
    token: SessionToken,
    _client: Client,
}

impl Asking<'_> {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        self.relay.reach.ask_json(method, path, Some(self.token.expose()), body)
    }
}

impl Relay {
    /// A session of its own: one that the device has elsewhere is replaced by it.
    fn session(&self, device: &DeviceId) -> Result<Asking<'_>, Failure> {
        let key = keys::load(&self.keys, device)?;
        let (url, options) = (&self.reach.url, self.reach.options());
        let server = server_info(url, &options)?.noise_public;
        let mut client = Client::connect(url, &options, Session::new(device.clone(), key, server))?;
        let token = client.connection().session().map(|session| session.token.clone());
        Ok(Asking {
            relay: self,
            token: token.ok_or_else(|| Told("the relay gave no session".to_owned()))?,
            _client: client,
        })
    }
}
