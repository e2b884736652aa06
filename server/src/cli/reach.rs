//! A relay that is asked over REST: where it is, and whom to believe.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use commucat_client::Endpoint;
use commucat_client::blocking::{Answer, Call, Options, call};
use commucat_client::tls::Trust;
use serde_json::Value;

use super::output::{Failure, Told};

/// For a connection and its answer together.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Reach {
    /// The relay's address
    #[arg(long, default_value = "https://localhost:8443")]
    pub(super) url: Endpoint,
    /// Trust the certificates in this PEM file
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Trust any certificate: for a development relay only
    #[arg(long)]
    insecure: bool,
}

impl Reach {
    pub(super) fn options(&self) -> Options {
        Options {
            trust: Trust::choose(&self.url, self.ca.as_deref(), self.insecure),
            source: None,
            timeout: TIMEOUT,
        }
    }

    /// One call that has to be answered with 200.
    pub(super) fn ask(&self, asked: &Call<'_>) -> Result<Answer, Failure> {
        let answer = call(&self.url, &self.options(), asked)?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let detail = problem["detail"].as_str().unwrap_or("no more was said");
        Err(Told(format!("{} was answered with {}: {detail}", asked.path, answer.status)).into())
    }

    /// The same, for JSON.
    pub(super) fn ask_json(
        &self,
        method: &str,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string);
        let asked = Call {
            method,
            path,
            bearer,
            body: body.as_deref().map(str::as_bytes),
        };
        Ok(serde_json::from_slice(&self.ask(&asked)?.body)?)
    }
}
