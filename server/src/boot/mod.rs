//! What must exist before the first connection: the data folder, certificate, keys.
//!
//! Called once by `run`; on a second start everything is found and nothing is made.

pub mod admin;
pub mod entropy;
pub mod federation;
mod files;
pub mod noise;
mod seed;
pub mod store;
pub mod tls;

use std::sync::Arc;

use commucat_shard::config::NoiseKeys;
use commucat_storage::embedded::OpenError;
use commucat_storage::postgres;
use rustls::ServerConfig;
use zeroize::Zeroizing;

pub use files::FileError;

use crate::config::Config;
use crate::rest::operator::token::AdminToken;
use entropy::SystemEntropy;
use store::AnyStore;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Certificate and key.
    #[error("the TLS certificate and key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The development certificate.
    #[error("the development certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The other store.
    #[error(transparent)]
    Servers(#[from] postgres::OpenError),
    /// A thread's worth of runtime, for the start.
    #[error("the system gives no event queue: {0}")]
    Runtime(std::io::Error),
    /// Randomness.
    #[error("the system gives no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
}

/// What a boot gives.
pub struct Booted {
    /// Settings of TLS connections.
    pub tls: Arc<ServerConfig>,
    /// The operator's token, when one is configured.
    pub admin: Option<AdminToken>,
    /// The Noise static keys.
    pub noise: NoiseKeys,
    /// The Ed25519 seed of the device authority.
    pub device_ca: Zeroizing<[u8; 32]>,
    /// The key of this server's events to its peers, hex.
    pub federation_public: String,
    /// What outlives the process.
    pub store: AnyStore,
}

/// Finds or makes everything.
///
/// # Errors
/// When something is missing that cannot be made, or is there and must not be used.
pub fn boot(config: &Config) -> Result<Booted, BootError> {
    files::private_folder(&config.data)?;
    // First, because the embedded one is locked: a second server on the same folder ends here, before it touches a key.
    let store = store::open(config)?;
    let mut entropy = SystemEntropy::new()?;
    let noise = noise::static_keys(&config.data, &mut entropy)?;
    let device_ca = seed::read_or_make(
        &config.data.join("device-ca.key"),
        "devices have certificates by it",
        &mut entropy,
    )?;
    let federation_public = federation::public_key(&config.data, &mut entropy)?;
    let tls = tls::server_config(config)?;
    let admin = admin::token(config)?;
    Ok(Booted {
        tls,
        noise,
        device_ca,
        federation_public,
        admin,
        store,
    })
}
