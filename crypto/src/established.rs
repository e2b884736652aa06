//! What a finished handshake leaves: who the peer is, the hash that names the session, and the keys for more.

use std::fmt;

use snow::{HandshakeState, TransportState};

use crate::error::NoiseError;
use crate::key::PublicKey;
use crate::pattern::{MAX_MESSAGE, MAX_PLAINTEXT, TAG_LEN};

/// A proven session. There is no other way to one than through the proof of both sides' keys.
#[derive(Debug)]
pub struct Established {
    /// The key the peer has proven to hold.
    pub remote_static: PublicKey,
    /// Names this session and no other (Noise specification, § 11.2, channel binding).
    pub handshake_hash: [u8; 32],
    /// For what travels encrypted from here on.
    pub transport: Transport,
}

impl Established {
    /// Splits a finished handshake.
    pub(crate) fn from_state(state: Box<HandshakeState>) -> Result<Self, NoiseError> {
        let remote_static = remote_static(&state).ok_or(NoiseError::Internal)?;
        let handshake_hash = handshake_hash(&state);
        let transport = Transport(Box::new(state.into_transport_mode()?));
        Ok(Self {
            remote_static,
            handshake_hash,
            transport,
        })
    }
}

/// The two keys of a session, one per direction, each message counted.
pub struct Transport(Box<TransportState>);

impl Transport {
    /// Appends the sealed form of `plaintext`, at most [`MAX_PLAINTEXT`] bytes, to `out`.
    ///
    /// # Errors
    /// [`NoiseError::TooLong`]; `out` is then as it was.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        within(plaintext.len(), MAX_PLAINTEXT)?;
        append(out, plaintext.len() + TAG_LEN, |room| {
            self.0.write_message(plaintext, room)
        })
    }

    /// Appends the content of `message` to `out`.
    ///
    /// # Errors
    /// [`NoiseError::Forged`] when it is not the peer's next message; `out` is then as it was, and the session is over.
    pub fn open(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        within(message.len(), MAX_MESSAGE)?;
        append(out, message.len(), |room| self.0.read_message(message, room))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport(..)")
    }
}

pub(crate) fn remote_static(state: &HandshakeState) -> Option<PublicKey> {
    state.get_remote_static()?.try_into().ok().map(PublicKey::from_bytes)
}

pub(crate) fn handshake_hash(state: &HandshakeState) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(state.get_handshake_hash());
    hash
}

pub(crate) fn within(len: usize, limit: usize) -> Result<(), NoiseError> {
    if len > limit {
        Err(NoiseError::TooLong { len, limit })
    } else {
        Ok(())
    }
}

/// Lets `write` use up to `room` bytes behind `out`, and keeps what it says it wrote.
pub(crate) fn append(
    out: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize, snow::Error>,
) -> Result<(), NoiseError> {
    let start = out.len();
    out.resize(start + room, 0);
    match write(&mut out[start..]) {
        Ok(written) => {
            out.truncate(start + written);
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error.into())
        }
    }
}
