//! The Noise static keys: made once, kept as hex in files of mode 0600, never logged.
//!
//! `noise.key` is the one to use. After a rotation (`commucat-cli rotate-keys`) `noise.previous.key` holds the one before
//! and the moment until which it works as well, on one line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commucat_crypto::{Entropy, StaticKey};
use commucat_shard::config::NoiseKeys;
use commucat_storage::api::Wall;
use zeroize::Zeroizing;

use super::files::{FileError, create_private, read_secret, replace_private};
use super::{BootError, seed};

/// Who would notice if it were another.
const KNOWN: &str = "clients know it";

fn current_path(data: &Path) -> PathBuf {
    data.join("noise.key")
}

fn previous_path(data: &Path) -> PathBuf {
    data.join("noise.previous.key")
}

/// Reads the keys, and makes the first one.
///
/// # Errors
/// When a file cannot be read or made, others can read it, or it holds no key.
pub(super) fn static_keys(data: &Path, entropy: &mut dyn Entropy) -> Result<NoiseKeys, BootError> {
    if read_secret(&current_path(data))?.is_none() {
        create_private(&current_path(data), &key_text(&StaticKey::generate(entropy)))?;
    }
    rotated(data)
}

/// Reads the keys of a data folder that has them.
///
/// # Errors
/// When a file cannot be read, others can read it, or it holds no key.
pub fn rotated(data: &Path) -> Result<NoiseKeys, BootError> {
    let path = current_path(data);
    let current = seed::read(&path, KNOWN)?.ok_or_else(|| FileError::contents(&path, "there is no Noise key yet"))?;
    let current = Arc::new(StaticKey::from_bytes(*current));
    let path = previous_path(data);
    let previous = match read_secret(&path)? {
        Some(text) => {
            let (key, until) = text.trim().split_once(' ').ok_or_else(|| no_end(&path))?;
            let until = until.parse::<u64>().map_err(|_| no_end(&path))?;
            let key = StaticKey::from_bytes(*seed::parse(&path, key, KNOWN)?);
            Some((Arc::new(key), Wall(until.saturating_mul(1000))))
        }
        None => None,
    };
    Ok(NoiseKeys { current, previous })
}

/// What a rotation has come to.
#[derive(Debug)]
pub struct Rotation {
    /// The keys from now on.
    pub keys: NoiseKeys,
    /// Until when the one before works.
    pub until: SystemTime,
}

/// Makes a new key the one to use, and lets the one before work for `grace`. A key from before that ends now: only one
/// may be on its way out.
///
/// The previous key is written first: a crash in between leaves a key that works, twice.
///
/// # Errors
/// As `rotated`, and when a file cannot be written.
pub fn rotate(data: &Path, grace: Duration, entropy: &mut dyn Entropy) -> Result<Rotation, BootError> {
    let keys = rotated(data)?;
    let until = SystemTime::now() + grace;
    let seconds = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut line = Zeroizing::new(key_text(&keys.current)[..64].to_vec());
    line.extend_from_slice(format!(" {seconds}\n").as_bytes());
    replace_private(&previous_path(data), &line)?;
    replace_private(&current_path(data), &key_text(&StaticKey::generate(entropy)))?;
    Ok(Rotation {
        keys: rotated(data)?,
        until,
    })
}

fn key_text(key: &StaticKey) -> Zeroizing<Vec<u8>> {
    seed::text(&key.expose())
}

fn no_end(path: &Path) -> FileError {
    FileError::contents(
        path,
        "should hold a key of 64 hex digits, and the Unix time at which it ends",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::entropy::SystemEntropy;

    fn at(moment: SystemTime) -> Wall {
        Wall(u64::try_from(moment.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
    }

    #[test]
    fn a_rotated_key_works_until_its_grace_is_over() {
        let data = tempfile::tempdir().unwrap();
        let mut entropy = SystemEntropy::new().unwrap();
        let first = static_keys(data.path(), &mut entropy).unwrap();
        assert!(first.previous.is_none());
        let now = SystemTime::now();
        let rotation = rotate(data.path(), Duration::from_secs(60), &mut entropy).unwrap();
        let again = static_keys(data.path(), &mut entropy).unwrap();
        assert_eq!(again.current.public(), rotation.keys.current.public());
        assert_ne!(again.current.public(), first.current.public());
        let works = |moment| {
            again
                .valid(at(moment))
                .any(|key| key.public() == first.current.public())
        };
        assert!(works(now) && works(now + Duration::from_secs(58)));
        assert!(!works(now + Duration::from_secs(62)));
    }

    #[test]
    fn only_one_key_is_on_its_way_out() {
        let data = tempfile::tempdir().unwrap();
        let mut entropy = SystemEntropy::new().unwrap();
        let first = static_keys(data.path(), &mut entropy).unwrap().current.public();
        let second = rotate(data.path(), Duration::from_secs(60), &mut entropy).unwrap();
        let third = rotate(data.path(), Duration::from_secs(60), &mut entropy).unwrap();
        let valid: Vec<_> = third
            .keys
            .valid(at(SystemTime::now()))
            .map(|key| key.public())
            .collect();
        assert_eq!(valid, [third.keys.current.public(), second.keys.current.public()]);
        assert!(!valid.contains(&first));
    }

    #[test]
    fn a_damaged_key_is_never_replaced() {
        let data = tempfile::tempdir().unwrap();
        let mut entropy = SystemEntropy::new().unwrap();
        create_private(&current_path(data.path()), b"not a key\n").unwrap();
        assert!(static_keys(data.path(), &mut entropy).is_err());
        assert!(rotate(data.path(), Duration::from_secs(60), &mut entropy).is_err());
        assert_eq!(std::fs::read(current_path(data.path())).unwrap(), b"not a key\n");
    }
}
