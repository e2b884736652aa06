//! Configuration: what can be set, where it comes from, what is wrong with it.
//!
//! `keys` is the one list of keys; the file, the environment, the flags, `--check` and the README's reference are all
//! made from it. Invariant: a [`Config`] that left [`load`] has every value within its range and passes
//! [`Config::validate`]. Called by `main`.

mod error;
mod keys;
mod sources;
pub mod table;
pub mod value;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use commucat_shard::config::Policy;
use commucat_shard::limits::Limits;
use commucat_storage::embedded::Options;
use commucat_storage::postgres;

use crate::rest::limit::RateLimits;
use crate::rest::pairing::PairingOptions;
pub use error::{ConfigError, Place, Problem};
pub use keys::SHARDS;
pub use sources::{Loaded, command, load};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// Which store the relay keeps its things in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// The data folder.
    Embedded,
    /// PostgreSQL, and Redis for presence.
    Postgres,
}

/// Everything that can be set. `Config::default()` is what runs without any configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The TLS listener.
    pub listen: SocketAddr,
    /// The plain listener for a TLS-terminating proxy on this host.
    pub plain_listen: Option<SocketAddr>,
    /// Whether the plain listener may bind other addresses than loopback.
    pub plain_anywhere: bool,
    /// Keys, certificate and the embedded store.
    pub data: PathBuf,
    /// Shards, one thread and core each; 0 for every core.
    pub shards: u16,
    /// This server's name: `device@domain` is a local device.
    pub domain: String,
    /// How log lines look.
    pub log: LogFormat,
    /// Which log lines there are.
    pub log_filter: String,
    /// The operator's certificate chain instead of the development one.
    pub tls_certificate: Option<PathBuf>,
    /// Its key.
    pub tls_private_key: Option<PathBuf>,
    /// The Noise prologue.
    pub noise_prologue: String,
    /// Who may come in.
    pub policy: Policy,
    /// The bounds of each shard.
    pub limits: Limits,
    /// Which store is used.
    pub store_kind: StoreKind,
    /// The embedded store, with the bounds of each inbox.
    pub store: Options,
    /// PostgreSQL and Redis; its bounds of an inbox are those of `store`.
    pub servers: postgres::Options,
    /// Whether the server brings PostgreSQL's schema to its own version when it starts.
    pub migrate: bool,
    /// Pairing codes and device certificates.
    pub pairing: PairingOptions,
    /// How often anybody may call.
    pub rest: RateLimits,
    /// REST calls of one shard that may wait for the pool.
    pub rest_calls: usize,
    /// Event streams of one shard.
    pub rest_streams: usize,
    /// Where the operator's token stands.
    pub admin_token_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8443)),
            plain_listen: None,
            plain_anywhere: false,
            data: PathBuf::from("commucat-data"),
            shards: 0,
            domain: "localhost".to_owned(),
            log: LogFormat::Text,
            log_filter: "info".to_owned(),
            tls_certificate: None,
            tls_private_key: None,
            noise_prologue: "commucat".to_owned(),
            policy: Policy::default(),
            limits: Limits::default(),
            store_kind: StoreKind::Embedded,
            store: Options::default(),
            servers: postgres::Options::default(),
            migrate: true,
            pairing: PairingOptions::default(),
            rest: RateLimits::default(),
            rest_calls: 256,
            rest_streams: 64,
            admin_token_file: None,
        }
    }
}

impl Config {
    /// What no single value shows: settings that do not fit together.
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |key: &'static str, message: String, allowed: &str| {
            problems.push(Problem {
                place: Place::Together,
                key: key.to_owned(),
                message,
                allowed: allowed.to_owned(),
            });
        };
        if let Some(plain) = self.plain_listen
            && !plain.ip().is_loopback()
            && !self.plain_anywhere
        {
            wrong(
                "plain_listen",
                format!("{plain} is not a loopback address, and what passes there is not encrypted"),
                "an address like 127.0.0.1:8080, or `plain_anywhere = true` when the network in between is trusted",
            );
        }
        if self.tls_certificate.is_some() != self.tls_private_key.is_some() {
            wrong(
                "tls.certificate",
                "a certificate needs its private key".to_owned(),
                "`tls.certificate` and `tls.private_key` together, or neither",
            );
        }
        if self.store_kind == StoreKind::Postgres {
            for (key, address) in [
                ("store.postgres_url", &self.servers.postgres),
                ("store.redis_url", &self.servers.redis),
            ] {
                if address.is_empty() {
                    wrong(
                        key,
                        "the store `postgres` needs both of its servers".to_owned(),
                        "the URL of a server, or `store.kind = \"embedded\"`",
                    );
                }
            }
        }
        let limits = &self.limits;
        if limits.frame.control_payload > limits.frame.frame_len {
            wrong(
                "limits.control_payload",
                "a control payload stands inside a frame".to_owned(),
                "at most `limits.frame_len`",
            );
        }
        // A frame that arrives in pieces is put together there; one that cannot fit would wait until its time is up.
        if limits.unparsed_bytes <= limits.frame.frame_len {
            wrong(
                "limits.unparsed_bytes",
                "a frame of the largest size would never fit".to_owned(),
                "more than `limits.frame_len`",
            );
        }
        if self.pairing.ttl > self.pairing.ttl_max {
            wrong(
                "pairing_ttl",
                "nobody could ask for so long".to_owned(),
                "at most `pairing_ttl_max`",
            );
        }
        problems
    }
}
