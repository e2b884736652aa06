//! What the handshake established.

use commucat_crypto::PublicKey;
use commucat_proto::SessionToken;
use commucat_proto::control::UserProfile;

/// An established session.
#[derive(Debug)]
pub struct Session {
    /// The bearer token of the REST API.
    pub token: SessionToken,
    /// The device's profile, as the relay has it.
    pub user: UserProfile,
    /// The negotiated version.
    pub version: u16,
    /// The capabilities that both sides have.
    pub capabilities: Vec<String>,
    /// The relay's static key, proven.
    pub server: PublicKey,
    /// Names this session for channel binding.
    pub handshake_hash: [u8; 32],
}

impl Session {
    /// Whether the relay accepted `capability`. What it did not accept must not be used (CCP-1, Feature Flags).
    #[must_use]
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|accepted| accepted == capability)
    }
}
