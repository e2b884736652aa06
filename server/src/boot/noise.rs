//! The Noise static key: made once, kept as hex in a file of mode 0600, never logged.

use std::path::Path;

use commucat_crypto::{Entropy, StaticKey};
use zeroize::Zeroizing;

use super::BootError;
use super::files::{FileError, create_private, read_secret};

/// Reads the key, or makes it.
///
/// # Errors
/// When the file cannot be read or made, others can read it, or it holds no key.
pub(super) fn static_key(path: &Path, entropy: &mut dyn Entropy) -> Result<StaticKey, BootError> {
    if let Some(text) = read_secret(path)? {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *bytes).map_err(|_| {
            FileError::contents(
                path,
                "should hold a key of 64 hex digits; restore it from a backup, since clients know it",
            )
        })?;
        return Ok(StaticKey::from_bytes(*bytes));
    }
    let key = StaticKey::generate(entropy);
    let mut text = Zeroizing::new(vec![b'\n'; 65]);
    // 32 bytes are 64 digits, and the last byte stays the end of the line.
    if hex::encode_to_slice(key.expose().as_ref(), &mut text[..64]).is_ok() {
        create_private(path, &text)?;
    }
    Ok(key)
}
