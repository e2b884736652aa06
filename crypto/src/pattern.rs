//! The two handshakes of CCP-1 and what both sides have to agree on before the first byte.

use snow::HandshakeState;
use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifierList, HandshakePattern, HashChoice,
    NoiseParams,
};

use crate::entropy::Entropy;
use crate::error::NoiseError;
use crate::key::{PublicKey, StaticKey};
use crate::primitives::Primitives;

/// The prologue of a server that configures none (decisions § 4).
pub const DEFAULT_PROLOGUE: &[u8] = b"commucat";

/// The longest Noise message, tag included (Noise specification, § 3).
pub const MAX_MESSAGE: usize = 65_535;

/// What a sealed message has over its content.
pub const TAG_LEN: usize = 16;

/// The most a transport message can carry.
pub const MAX_PLAINTEXT: usize = MAX_MESSAGE - TAG_LEN;

/// `Noise_*_25519_ChaChaPoly_BLAKE2s`, HELLO's `pattern`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Three messages; the client's key travels in the third, seen by nobody else.
    Xk,
    /// Two messages and a proof: the first can be replayed, so nothing is real before the proof (decisions § 4).
    Ik,
}

impl Pattern {
    /// The pattern that HELLO names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "XK" => Some(Self::Xk),
            "IK" => Some(Self::Ik),
            _ => None,
        }
    }

    /// Its name in HELLO.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xk => "XK",
            Self::Ik => "IK",
        }
    }

    fn params(self) -> NoiseParams {
        let pattern = match self {
            Self::Xk => HandshakePattern::XK,
            Self::Ik => HandshakePattern::IK,
        };
        NoiseParams::new(
            format!("Noise_{}_25519_ChaChaPoly_BLAKE2s", self.name()),
            BaseChoice::Noise,
            HandshakeChoice {
                pattern,
                modifiers: HandshakeModifierList { list: Vec::new() },
            },
            DHChoice::Curve25519,
            CipherChoice::ChaChaPoly,
            HashChoice::Blake2s,
        )
    }

    pub(crate) fn initiator(
        self,
        own: &StaticKey,
        server: &PublicKey,
        prologue: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Box<HandshakeState>, NoiseError> {
        let state = self
            .builder(own, entropy)
            .local_private_key(own.secret_bytes())?
            .remote_public_key(server.as_bytes())?
            .prologue(prologue)?
            .build_initiator()?;
        Ok(Box::new(state))
    }

    pub(crate) fn responder(
        self,
        own: &StaticKey,
        prologue: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Box<HandshakeState>, NoiseError> {
        let state = self
            .builder(own, entropy)
            .local_private_key(own.secret_bytes())?
            .prologue(prologue)?
            .build_responder()?;
        Ok(Box::new(state))
    }

    fn builder<'a>(self, own: &StaticKey, entropy: &mut dyn Entropy) -> snow::Builder<'a> {
        snow::Builder::with_resolver(self.params(), Box::new(Primitives::new(own, entropy)))
    }
}
