//! Presence in Redis (CCP-1, Presence Metadata): one key per device, `presence:{device_id}`, that ends by itself.
//!
//! Nothing else depends on it: while Redis is gone every request here is answered `Unavailable` at once, counted, and
//! everything else goes on.

mod document;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, TlsCertificates};

use crate::api::{PresenceRequest, Reply, StoreError};
use crate::limits::PRESENCE_TIMEOUT_MS;
use crate::remote::{Address, Dial, Dialed, Link, read_authorities};

const TIMEOUT: Duration = Duration::from_millis(PRESENCE_TIMEOUT_MS);

/// The presence table in Redis. Connects by itself, and again when the connection is lost.
pub struct Presence {
    link: Link<Dialer>,
    /// Requests that were not carried out since the last note in the log.
    missed: AtomicU64,
}

impl Presence {
    /// Presence at `address`; nothing is connected yet. `authority` vouches for a `rediss://` server, or the system does.
    ///
    /// # Errors
    /// What is wrong with the address or the authority.
    pub fn new(address: &Address, authority: Option<&PathBuf>) -> Result<Self, String> {
        let dialer = Dialer::new(address, authority.map(PathBuf::as_path))?;
        Ok(Self {
            link: Link::new(Arc::new(dialer), TIMEOUT, true),
            missed: AtomicU64::new(0),
        })
    }

    /// Carries out requests in their order.
    pub async fn execute(&self, requests: &[&PresenceRequest]) -> Vec<Result<Reply, StoreError>> {
        if requests.is_empty() {
            return Vec::new();
        }
        match self.ask(requests).await {
            Ok(answers) => answers,
            Err(why) => {
                self.missed.fetch_add(requests.len() as u64, Ordering::Relaxed);
                let refused = || Err(StoreError::Unavailable(format!("presence: {why}")));
                requests.iter().map(|_| refused()).collect()
            }
        }
    }

    /// Says in the log what was missed, once Redis is back. Called by upkeep.
    pub fn report(&self) {
        if self.missed.load(Ordering::Relaxed) > 0 && self.link.up().is_some() {
            let missed = self.missed.swap(0, Ordering::Relaxed);
            tracing::info!(missed, "presence requests were not carried out while Redis was gone");
        }
    }

    async fn ask(&self, requests: &[&PresenceRequest]) -> Result<Vec<Result<Reply, StoreError>>, String> {
        let session = self.link.session().await?;
        let mut connection = MultiplexedConnection::clone(&session);
        let pipeline = commands(requests);
        let values: Vec<Option<Vec<Option<Vec<u8>>>>> = if pipeline.is_empty() {
            Vec::new()
        } else {
            let asked = tokio::time::timeout(TIMEOUT, pipeline.query_async(&mut connection));
            let outcome = asked
                .await
                .map_err(|_| "Redis does not answer".to_owned())
                .and_then(|outcome| outcome.map_err(|error| error.to_string()));
            outcome.inspect_err(|_| self.link.give_up(&session))?
        };
        let mut found = values.into_iter();
        Ok(requests
            .iter()
            .map(|request| match request {
                PresenceRequest::Set(_) => Ok(Reply::Done),
                PresenceRequest::Get { devices, .. } if devices.is_empty() => Ok(Reply::Presence(Vec::new())),
                PresenceRequest::Get { now, .. } => {
                    let entries = found.next().flatten().unwrap_or_default().into_iter().flatten();
                    let entries = entries.filter_map(|json| document::read(&json));
                    Ok(Reply::Presence(
                        entries.filter(|entry| entry.expires_at > *now).collect(),
                    ))
                }
            })
            .collect())
    }
}

/// Whether Redis at `address` lets this server in.
///
/// # Errors
/// Why not.
pub async fn check(address: &Address, authority: Option<&PathBuf>) -> Result<(), String> {
    let dialer = Dialer::new(address, authority.map(PathBuf::as_path))?;
    dialer.dial().await.map(drop)
}

/// Everything as one pipeline; only the reads have a value.
fn commands(requests: &[&PresenceRequest]) -> Pipeline {
    let mut pipeline = redis::pipe();
    for request in requests {
        match request {
            PresenceRequest::Set(entries) => {
                for entry in entries {
                    let Some(json) = document::write(entry) else { continue };
                    // At least 1: Redis takes no expiry of 0, and 1 is long ago.
                    let until = entry.expires_at.0.clamp(1, document::LAST_MS);
                    let set = pipeline.cmd("SET").arg(document::key(&entry.device)).arg(json);
                    set.arg("PXAT").arg(until).ignore();
                }
            }
            PresenceRequest::Get { devices, .. } if devices.is_empty() => {}
            PresenceRequest::Get { devices, .. } => {
                let keys: Vec<String> = devices.iter().map(document::key).collect();
                pipeline.cmd("MGET").arg(keys);
            }
        }
    }
    pipeline
}

struct Dialer {
    client: Client,
}

impl Dialer {
    fn new(address: &Address, authority: Option<&Path>) -> Result<Self, String> {
        // The library takes the process's provider: the same as everywhere else, unless somebody has chosen one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let root_cert = authority.map(read_authorities).transpose()?;
        // Its error may name the URL.
        let unusable = |_| format!("{address} is no address of a Redis server");
        let client = if address.expose().starts_with("rediss://") {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert,
            };
            Client::build_with_tls(address.expose(), certificates).map_err(unusable)?
        } else {
            Client::open(address.expose()).map_err(unusable)?
        };
        Ok(Self { client })
    }
}

impl Dial for Dialer {
    type Session = MultiplexedConnection;

    fn name(&self) -> &'static str {
        "Redis"
    }

    async fn dial(&self) -> Result<Dialed<MultiplexedConnection>, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let session = tokio::time::timeout(2 * TIMEOUT, connecting)
            .await
            .map_err(|_| "no answer".to_owned())?
            .map_err(|error| error.to_string())?;
        Ok(Dialed {
            ended: Box::pin(ended(session.clone())),
            session,
        })
    }
}

/// The library says that a connection has ended to those who use it: somebody has to.
async fn ended(mut connection: MultiplexedConnection) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ping: Result<(), _> = redis::cmd("PING").query_async(&mut connection).await;
        if ping.is_err() {
            return;
        }
    }
}
