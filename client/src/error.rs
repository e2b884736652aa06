//! What ends a session on our side. What the relay says (an ERROR frame, a refusal) is an event, not one of these.

use commucat_crypto::{NoiseError, NoiseStageError};
use commucat_proto::{Diagnostic, FrameType, Sequence};

use crate::http::HttpError;
use crate::tls::TlsError;

/// Why the client gave up, or would not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's HTTP is broken.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The server sent bytes that are no frame, or a control payload that cannot be read.
    #[error("the server sent a bad frame ({title}): {0}", title = .0.title())]
    Wire(#[from] Diagnostic),
    /// The server did not prove the key that was expected of it.
    #[error("the Noise handshake failed: {0}; is the server key right?")]
    Noise(#[from] NoiseError),
    /// What came inside `noise-transport` was not sealed by the server, or no more can be sealed.
    #[error("noise-transport failed: {0}")]
    Sealed(#[from] NoiseStageError),
    /// AUTH contradicts itself, or what was asked for.
    #[error("the server's AUTH is not acceptable: {0}")]
    Auth(&'static str),
    /// The server counts 1, 2, 3 … per connection (decisions § 3).
    #[error("the server's frame has sequence {got} where {expected} was due")]
    Sequence {
        /// Its place.
        expected: Sequence,
        /// What it carried.
        got: Sequence,
    },
    /// A frame that has no place at this point of the session.
    #[error("the server sent {kind} {when}")]
    Unexpected {
        /// What came.
        kind: FrameType,
        /// When.
        when: &'static str,
    },
    /// The caller wants to send before the session is established or after its end.
    #[error("the session is not established")]
    NotReady,
    /// All 32-bit sequences are used; the tunnel has to be established anew.
    #[error("this connection has used all its sequence numbers; connect again")]
    SequenceExhausted,
    /// The caller's payload exceeds the limit for its frame type.
    #[error("a {kind} payload of {length} bytes is larger than the {limit} allowed")]
    TooLarge {
        /// Of which frame.
        kind: FrameType,
        /// How long it is.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
}
