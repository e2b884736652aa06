//! 32 secret bytes as hex in a file of mode 0600: made once, never logged. The form of every key that this server keeps.

use std::path::Path;

use commucat_crypto::Entropy;
use zeroize::Zeroizing;

use super::BootError;
use super::files::{FileError, create_private, read_secret};

/// The bytes.
pub(super) type Seed = Zeroizing<[u8; 32]>;

/// Reads the seed, when there is one. `known` tells who would notice if it were another.
///
/// # Errors
/// When the file cannot be read, others can read it, or it holds no seed.
pub(super) fn read(path: &Path, known: &str) -> Result<Option<Seed>, BootError> {
    match read_secret(path)? {
        Some(text) => Ok(Some(parse(path, &text, known)?)),
        None => Ok(None),
    }
}

/// Reads the seed, or makes it.
///
/// # Errors
/// As `read`, and when the file cannot be made.
pub(super) fn read_or_make(path: &Path, known: &str, entropy: &mut dyn Entropy) -> Result<Seed, BootError> {
    if let Some(seed) = read(path, known)? {
        return Ok(seed);
    }
    let seed = fresh(entropy);
    create_private(path, &text(&seed))?;
    Ok(seed)
}

/// A new one, in no file yet.
pub(super) fn fresh(entropy: &mut dyn Entropy) -> Seed {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed);
    seed
}

/// From the text of a file.
///
/// # Errors
/// When it is something else.
pub(super) fn parse(path: &Path, text: &str, known: &str) -> Result<Seed, FileError> {
    let mut seed = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| {
        FileError::contents(
            path,
            format!("should hold 64 hex digits; restore it from a backup, since {known}"),
        )
    })?;
    Ok(seed)
}

/// For a file: 64 digits and the end of the line.
pub(super) fn text(seed: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(vec![b'\n'; 65]);
    let encoded = hex::encode_to_slice(seed, &mut text[..64]);
    debug_assert!(encoded.is_ok(), "32 bytes are 64 digits");
    text
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
        let mut seed = || read_or_make(&path, "somebody knows it", &mut entropy);
        let first = seed().unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*seed().unwrap(), *first);
        std::fs::write(&path, "no seed").unwrap();
        let message = seed().unwrap_err().to_string();
        assert!(message.contains("64 hex digits"), "{message}");
    }
}
