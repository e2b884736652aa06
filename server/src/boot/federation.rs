//! The federation seed: 32 bytes whose Ed25519 key signs what this server says to its peers (CCP-1, Federation). Made at
//! the first start, kept as hex in `federation.key` of mode 0600.

use std::path::{Path, PathBuf};

use commucat_crypto::Entropy;
use commucat_crypto::zkp::device_keys;

use super::files::replace_private;
use super::{BootError, seed};

/// Who would notice if it were another.
const KNOWN: &str = "peers know its key";

fn path(data: &Path) -> PathBuf {
    data.join("federation.key")
}

/// Reads the seed, or makes it; gives the public key, hex, which peers are told.
///
/// # Errors
/// When the file cannot be read or made, others can read it, or it holds no seed.
pub(super) fn public_key(data: &Path, entropy: &mut dyn Entropy) -> Result<String, BootError> {
    Ok(public(&*seed::read_or_make(&path(data), KNOWN, entropy)?))
}

/// Makes a new seed the one to use; gives its public key, hex.
///
/// # Errors
/// When there is one that is not a seed, or the file cannot be written.
pub fn rotate(data: &Path, entropy: &mut dyn Entropy) -> Result<String, BootError> {
    seed::read(&path(data), KNOWN)?;
    let fresh = seed::fresh(entropy);
    replace_private(&path(data), &seed::text(&fresh))?;
    Ok(public(&fresh))
}

/// The public key, hex, when there is a seed.
///
/// # Errors
/// When the file cannot be read, others can read it, or it holds no seed.
pub fn known(data: &Path) -> Result<Option<String>, BootError> {
    Ok(seed::read(&path(data), KNOWN)?.map(|seed| public(&seed)))
}

fn public(seed: &[u8; 32]) -> String {
    hex::encode(device_keys(seed).1)
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
