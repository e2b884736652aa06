//! The scalars of control payloads: bounded text, and bytes that travel as hex.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits::{MAX_HANDSHAKE_HEX, MAX_TEXT};

/// A text of at most 256 bytes (decisions § 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

/// The text exceeds its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text of {len} bytes exceeds {limit}", limit = MAX_TEXT)]
pub struct TextTooLong {
    /// Its length.
    pub len: usize,
}

impl Text {
    /// The text, when it is short enough.
    ///
    /// # Errors
    /// [`TextTooLong`]
    pub fn new(text: impl Into<String>) -> Result<Self, TextTooLong> {
        let text = text.into();
        match text.len() {
            0..=MAX_TEXT => Ok(Self(text)),
            len => Err(TextTooLong { len }),
        }
    }

    /// A text of our own; longer ones are cut.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(MAX_TEXT)].to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("a string", |text| {
            // Measured before it is copied.
            match text.len() {
                0..=MAX_TEXT => Ok(Self(text.to_owned())),
                len => Err(TextTooLong { len }.to_string()),
            }
        }))
    }
}

/// 32 bytes as 64 hex digits: keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HexKey(pub [u8; 32]);

impl fmt::Debug for HexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexKey({})", hex::encode(self.0))
    }
}

impl Serialize for HexKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for HexKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("64 hex digits", |text| {
            let mut bytes = [0; 32];
            match hex::decode_to_slice(text, &mut bytes) {
                Ok(()) => Ok(Self(bytes)),
                Err(_) => Err("a key is 64 hex digits".to_owned()),
            }
        }))
    }
}

/// Bytes of a Noise message as hex.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexBytes({} bytes)", self.0.len())
    }
}

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("hex digits", |text| {
            if text.len() > MAX_HANDSHAKE_HEX {
                return Err(format!("{} hex digits exceed {MAX_HANDSHAKE_HEX}", text.len()));
            }
            hex::decode(text).map(Self).map_err(|error| format!("no hex: {error}"))
        }))
    }
}

/// Reads a scalar from a string, borrowed or not; the first member says what is expected.
pub(crate) struct FromText<T>(pub(crate) &'static str, pub(crate) fn(&str) -> Result<T, String>);

impl<T> de::Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.1(text).map_err(E::custom)
    }
}
