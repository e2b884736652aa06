//! The Noise keys as clients are told of them: the one to use, and those that work. A rotation changes them while the
//! relay runs.

use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use commucat_shard::config::NoiseKeys;
use commucat_storage::api::Wall;
use serde::{Serialize, Serializer};

/// Two members of `/api/server-info`: `noise_public` and `noise_keys`.
#[derive(Debug)]
pub struct NoiseInfo(RwLock<NoiseKeys>);

#[derive(Serialize)]
struct Members {
    noise_public: String,
    /// The one to use first.
    noise_keys: Vec<String>,
}

impl NoiseInfo {
    /// Of these keys.
    #[must_use]
    pub const fn new(keys: NoiseKeys) -> Self {
        Self(RwLock::new(keys))
    }

    /// From now on of these.
    pub fn set(&self, keys: NoiseKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// The key to use, hex.
    #[must_use]
    pub fn public(&self) -> String {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.current.public().to_string()
    }
}

impl Serialize for NoiseInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let members = Members {
            noise_public: keys.current.public().to_string(),
            noise_keys: keys.valid(now).map(|key| key.public().to_string()).collect(),
        };
        drop(keys);
        members.serialize(serializer)
    }
}
