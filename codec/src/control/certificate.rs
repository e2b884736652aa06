//! The device certificate (decisions § 4): which key a device of a user has, by the word of the server's device authority.
//!
//! Handed out by `POST /api/pair/claim`, and sent back in HELLO by clients that keep it. `commucat_crypto::certificate`
//! signs and verifies it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::control::json::{objects, write};
use crate::control::text::{FromText, HexKey, Text};
use crate::ids::{DeviceId, UserId};

/// Flat JSON; the order of its members is that of the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct DeviceCertificate {
    /// Unique per authority; below 2^53, so that every JSON reader keeps it.
    pub serial: u64,
    /// Whose device it is.
    pub user_id: UserId,
    /// The device.
    pub device_id: DeviceId,
    /// Its Ed25519 key where the server made it, else the X25519 key that the device brought.
    pub public_key: HexKey,
    /// The domain of the server that signed.
    pub issuer: Text,
    /// Unix seconds.
    pub issued_at: u64,
    /// Unix seconds: worth nothing from then on.
    pub expires_at: u64,
    /// Ed25519 over [`DeviceCertificate::signed_bytes`].
    pub signature: HexSignature,
}

objects!(DeviceCertificate);

/// The members that are signed.
#[derive(Serialize)]
struct Signed<'a> {
    serial: u64,
    user_id: &'a UserId,
    device_id: &'a DeviceId,
    public_key: &'a HexKey,
    issuer: &'a Text,
    issued_at: u64,
    expires_at: u64,
}

impl DeviceCertificate {
    /// The compact JSON of the first seven members, in their order.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(
            &Signed {
                serial: self.serial,
                user_id: &self.user_id,
                device_id: &self.device_id,
                public_key: &self.public_key,
                issuer: &self.issuer,
                issued_at: self.issued_at,
                expires_at: self.expires_at,
            },
            &mut bytes,
        );
        bytes
    }
}

/// 64 bytes as 128 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexSignature(pub [u8; 64]);

impl fmt::Debug for HexSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HexSignature({})", hex::encode(self.0))
    }
}

impl Serialize for HexSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for HexSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(FromText("128 hex digits", |text| {
            let mut bytes = [0; 64];
            match hex::decode_to_slice(text, &mut bytes) {
                Ok(()) => Ok(Self(bytes)),
                Err(_) => Err("a signature is 128 hex digits".to_owned()),
            }
        }))
    }
}
