//! The device authority's Ed25519 seed: made once, kept as hex in a file of mode 0600, never logged.

use std::path::Path;

use commucat_crypto::Entropy;
use zeroize::Zeroizing;

use super::BootError;
use super::files::{FileError, create_private, read_secret};

/// Reads the seed, or makes it.
///
/// # Errors
/// When the file cannot be read or made, others can read it, or it holds no seed.
pub(super) fn seed(path: &Path, entropy: &mut dyn Entropy) -> Result<Zeroizing<[u8; 32]>, BootError> {
    let mut seed = Zeroizing::new([0; 32]);
    if let Some(text) = read_secret(path)? {
        hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| {
            FileError::contents(
                path,
                "should hold a seed of 64 hex digits; restore it from a backup, since devices have certificates by it",
            )
        })?;
        return Ok(seed);
    }
    entropy.fill(&mut *seed);
    let mut text = Zeroizing::new(vec![b'\n'; 65]);
    // 32 bytes are 64 digits, and the last byte stays the end of the line.
    if hex::encode_to_slice(seed.as_slice(), &mut text[..64]).is_ok() {
        create_private(path, &text)?;
    }
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::boot::entropy::SystemEntropy;

    #[test]
    fn a_seed_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device-ca.key");
        let mut entropy = SystemEntropy::new().unwrap();
        let first = seed(&path, &mut entropy).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*seed(&path, &mut entropy).unwrap(), *first);
        std::fs::write(&path, "no seed").unwrap();
        let message = seed(&path, &mut entropy).unwrap_err().to_string();
        assert!(message.contains("64 hex digits"), "{message}");
    }
}
