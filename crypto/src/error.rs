//! Why a handshake or a sealed message is refused.

/// What went wrong. The text may go into a log; to a stranger a server says no more than "Handshake Failed".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseError {
    /// Longer than a Noise message may be.
    #[error("{len} bytes exceed the {limit} that a Noise message has room for")]
    TooLong {
        /// How long it is.
        len: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Too short for what it has to hold.
    #[error("the Noise message is too short")]
    TooShort,
    /// Not sealed by the peer, for this session, at this place: a wrong key, a wrong prologue, a changed byte, a replay.
    #[error("the Noise message does not authenticate")]
    Forged,
    /// A public key of low order: the shared secret would be known to everybody.
    #[error("a public key of the peer leads to no secret")]
    WeakKey,
    /// IK's proof has to be empty (decisions § 4).
    #[error("the proof carries {len} bytes instead of none")]
    ProofNotEmpty {
        /// What it carries.
        len: usize,
    },
    /// As many messages as one key may seal.
    #[error("the session has sealed all the messages its keys allow")]
    Exhausted,
    /// The state machine was driven in a way that the types of this crate exclude.
    #[error("the Noise state machine refused a legal step")]
    Internal,
}

impl From<snow::Error> for NoiseError {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Input => Self::TooShort,
            snow::Error::Decrypt => Self::Forged,
            snow::Error::Dh => Self::WeakKey,
            snow::Error::State(snow::error::StateProblem::Exhausted) => Self::Exhausted,
            _ => Self::Internal,
        }
    }
}
