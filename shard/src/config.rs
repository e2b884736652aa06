//! What a shard is told once, at its birth. Called by the server's boot and by the simulator.

use std::sync::Arc;
use std::time::Duration;

use commucat_crypto::StaticKey;
use commucat_storage::api::Wall;
use rustls::ServerConfig;

use crate::limits::Limits;
use crate::mesh::message::ShardId;

/// One shard's settings; everything but `id` is the same for all shards of a process.
#[derive(Clone)]
pub struct ShardConfig {
    /// Which of the shards this is.
    pub id: ShardId,
    /// How many there are, at least 1.
    pub shards: u16,
    /// For connections of the TLS listener; without it they are closed.
    pub tls: Option<Arc<ServerConfig>>,
    /// The Noise static keys at the start; `Command::Keys` changes them.
    pub noise: NoiseKeys,
    /// The Noise prologue, `commucat` by default.
    pub prologue: Arc<[u8]>,
    /// This server's domain: `device@domain` is a local device.
    pub domain: Arc<str>,
    /// Ed25519 public key of the device authority, when there is one: a `device_certificate` in HELLO must be its.
    pub device_ca: Option<[u8; 32]>,
    /// Keys the hash of device ids; secret, random per process, the same for all its shards.
    pub hash_key: [u8; 32],
    /// Who may come in.
    pub policy: Policy,
    /// The bounds.
    pub limits: Limits,
}

/// The Noise static keys that this server answers to. After a rotation both work until clients have learned of the new
/// one; each is told the key that it has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoiseKeys {
    /// The one to use.
    pub current: Arc<StaticKey>,
    /// The one before, and when it ends.
    pub previous: Option<(Arc<StaticKey>, Wall)>,
}

impl NoiseKeys {
    /// A key that was never rotated.
    #[must_use]
    pub fn only(key: StaticKey) -> Self {
        Self {
            current: Arc::new(key),
            previous: None,
        }
    }

    /// Those that work at this moment, the one to use first.
    pub fn valid(&self, at: Wall) -> impl Iterator<Item = &Arc<StaticKey>> {
        let previous = self.previous.as_ref().filter(|(_, until)| at < *until);
        std::iter::once(&self.current).chain(previous.map(|(key, _)| key))
    }
}

/// Who may come in (decisions § 4).
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Whether an unknown device may found a new profile by itself.
    pub auto_approve_devices: bool,
    /// Devices a profile may gain without a pairing code; its founder counts.
    pub max_auto_devices_per_user: u32,
    /// Whether a JOIN may name nobody (decisions § 6).
    pub open_channels: bool,
    /// How long the `session` of AUTH is good as a bearer token.
    pub session_ttl: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            auto_approve_devices: true,
            max_auto_devices_per_user: 1,
            open_channels: true,
            session_ttl: Duration::from_secs(24 * 3600),
        }
    }
}
