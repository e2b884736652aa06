//! HELLO, the first frame of every tunnel (CCP-1, Handshake, step 1).

use serde::{Deserialize, Serialize};

use crate::control::certificate::DeviceCertificate;
use crate::control::json::objects;
use crate::control::text::{HexBytes, HexKey, Text};
use crate::control::user::UserClaim;
use crate::ids::DeviceId;

/// The client introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Hello {
    /// The Noise pattern, `XK` or `IK`.
    pub pattern: Text,
    /// Who speaks.
    pub device_id: DeviceId,
    /// Its X25519 key; must be the one that Noise proves.
    pub client_static: HexKey,
    /// Noise message 1.
    pub handshake: HexBytes,
    /// The one version of a client from before `supported_versions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<u64>,
    /// All versions of the client; see [`negotiate`](crate::control::negotiate).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supported_versions: Option<Vec<u64>>,
    /// The profile it belongs to, or wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserClaim>,
    /// What it can do beyond the base protocol; unknown ones are no error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Text>,
    /// An Ed25519 key that existing clients send; never required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_public: Option<HexKey>,
    /// A proof of `device_public`'s secret; never required, but one that is present must verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zkp: Option<Zkp>,
    /// The certificate of a paired device; never required, but one that is present must verify.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_certificate: Option<DeviceCertificate>,
}

/// A Schnorr proof over the HELLO (decisions § 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Zkp {
    /// A compressed Edwards point.
    pub commitment: HexKey,
    /// A scalar.
    pub response: HexKey,
}

objects!(Hello, Zkp);
