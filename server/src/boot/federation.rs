//! The federation seed: 32 bytes whose Ed25519 key signs what this server says to its peers (CCP-1, Federation). Made at
//! the first start, kept as hex in `federation.key` of mode 0600.

use std::path::{Path, PathBuf};

use commucat_crypto::Entropy;
use commucat_crypto::zkp::device_keys;
use zeroize::Zeroizing;

use super::BootError;
use super::files::{FileError, create_private, read_secret, replace_private};

fn path(data: &Path) -> PathBuf {
    data.join("federation.key")
}

/// Reads the seed, or makes it; gives the public key, hex, which peers are told.
///
/// # Errors
/// When the file cannot be read or made, others can read it, or it holds no seed.
pub(super) fn public_key(data: &Path, entropy: &mut dyn Entropy) -> Result<String, BootError> {
    match read(data)? {
        Some(seed) => Ok(public(&seed)),
        None => {
            let seed = fresh(entropy);
            create_private(&path(data), &text(&seed))?;
            Ok(public(&seed))
        }
    }
}

/// Makes a new seed the one to use; gives its public key, hex.
///
/// # Errors
/// When there is one that is not a seed, or the file cannot be written.
pub fn rotate(data: &Path, entropy: &mut dyn Entropy) -> Result<String, BootError> {
    read(data)?;
    let seed = fresh(entropy);
    replace_private(&path(data), &text(&seed))?;
    Ok(public(&seed))
}

/// The public key, hex, when there is a seed.
///
/// # Errors
/// When the file cannot be read, others can read it, or it holds no seed.
pub fn known(data: &Path) -> Result<Option<String>, BootError> {
    Ok(read(data)?.map(|seed| public(&seed)))
}

fn read(data: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, BootError> {
    let path = path(data);
    let Some(text) = read_secret(&path)? else {
        return Ok(None);
    };
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| {
        FileError::contents(
            &path,
            "should hold a seed of 64 hex digits; restore it from a backup, since peers know its key",
        )
    })?;
    Ok(Some(seed))
}

fn fresh(entropy: &mut dyn Entropy) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed);
    seed
}

fn public(seed: &[u8; 32]) -> String {
    hex::encode(device_keys(seed).1)
}

fn text(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(vec![b'\n'; 65]);
    let encoded = hex::encode_to_slice(seed, &mut text[..64]);
    debug_assert!(encoded.is_ok(), "32 bytes are 64 digits");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::entropy::SystemEntropy;

    #[test]
    fn a_seed_is_made_once_and_changes_only_when_it_is_rotated() {
        let data = tempfile::tempdir().unwrap();
        let mut entropy = SystemEntropy::new().unwrap();
        assert_eq!(known(data.path()).unwrap(), None);
        let first = public_key(data.path(), &mut entropy).unwrap();
        assert_eq!(public_key(data.path(), &mut entropy).unwrap(), first);
        let second = rotate(data.path(), &mut entropy).unwrap();
        assert_ne!(second, first);
        assert_eq!(known(data.path()).unwrap(), Some(second));
    }
}
