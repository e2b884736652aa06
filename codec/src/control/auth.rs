//! AUTH in both directions, what travels encrypted inside it, and the ACK that opens the tunnel (CCP-1, Handshake,
//! steps 2 and 3).

use serde::{Deserialize, Serialize};

use crate::control::json::objects;
use crate::control::text::{HexBytes, HexKey, Text};
use crate::control::user::UserProfile;
use crate::ids::SessionToken;

/// The server's AUTH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Auth {
    /// The REST API's bearer token.
    pub session: SessionToken,
    /// Noise message 2.
    pub handshake: HexBytes,
    /// The server's X25519 key.
    pub server_static: HexKey,
    /// The version both will speak.
    pub protocol_version: u16,
    /// All versions of the server.
    pub supported_versions: Vec<u16>,
    /// Who the device is.
    pub user: UserProfile,
    /// Always false: a device that needs pairing gets ERROR `PairingRequired` instead.
    pub pairing_required: bool,
    /// Of HELLO's capabilities, those in force on this connection.
    #[serde(default)]
    pub accepted_capabilities: Vec<Text>,
}

/// The payload encrypted inside Noise message 2: the same values as in AUTH (decisions § 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct AuthSecret {
    /// As in AUTH.
    pub session: SessionToken,
    /// As in AUTH.
    pub user: UserProfile,
}

/// The client's AUTH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct AuthProof {
    /// XK: Noise message 3. IK: the first transport message, empty.
    pub handshake: HexBytes,
}

/// The ACK after which the tunnel routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Ready {
    /// `ok`
    pub handshake: Text,
    /// Always false.
    pub pairing_required: bool,
    /// As in AUTH.
    pub user: UserProfile,
}

objects!(Auth, AuthSecret, AuthProof, Ready);

impl Ready {
    /// The tunnel of `user` is open.
    #[must_use]
    pub fn new(user: UserProfile) -> Self {
        Self {
            handshake: Text::cut("ok"),
            pairing_required: false,
            user,
        }
    }
}
