//! The server's side of a handshake: each step consumes the one before, and only the last has a session to give.
//!
//! HELLO → [`ResponderHello`] → AUTH → [`ResponderAwait`] → AUTH → [`Established`]. Every step takes bytes of a
//! stranger and refuses them with an error, whatever they are.

use std::fmt;

use snow::HandshakeState;

use crate::entropy::Entropy;
use crate::error::NoiseError;
use crate::established::{Established, append, handshake_hash, remote_static, within};
use crate::key::{PublicKey, StaticKey};
use crate::pattern::{MAX_MESSAGE, Pattern, TAG_LEN};

/// Message 2 is the server's ephemeral key and a sealed payload.
const MESSAGE_2_OVERHEAD: usize = 32 + TAG_LEN;

/// Where a server begins.
#[derive(Debug)]
pub struct Responder;

impl Responder {
    /// Takes HELLO's `handshake`. The payload of message 1 is not looked at: nothing in it is fresh.
    ///
    /// # Errors
    /// [`NoiseError`], when the message was not made for this key and prologue.
    pub fn read_hello(
        pattern: Pattern,
        key: &StaticKey,
        prologue: &[u8],
        message: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<ResponderHello, NoiseError> {
        within(message.len(), MAX_MESSAGE)?;
        let mut state = pattern.responder(key, prologue, entropy)?;
        append(&mut Vec::new(), message.len(), |room| state.read_message(message, room))?;
        Ok(ResponderHello { pattern, state })
    }
}

/// HELLO has been read.
pub struct ResponderHello {
    pattern: Pattern,
    state: Box<HandshakeState>,
}

impl ResponderHello {
    /// The key that message 1 carries (IK), so that a stranger can be refused before AUTH. It may be a replay: nobody
    /// has proven anything yet but that the key once spoke to this server.
    #[must_use]
    pub fn proven_static(&self) -> Option<PublicKey> {
        remote_static(&self.state)
    }

    /// Appends AUTH's `handshake`, message 2 with `payload` encrypted in it, to `out`.
    ///
    /// # Errors
    /// [`NoiseError::TooLong`] for a payload that no message has room for.
    pub fn write_auth(mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<ResponderAwait, NoiseError> {
        within(payload.len(), MAX_MESSAGE - MESSAGE_2_OVERHEAD)?;
        append(out, payload.len() + MESSAGE_2_OVERHEAD, |room| {
            self.state.write_message(payload, room)
        })?;
        let handshake_hash = handshake_hash(&self.state);
        let proof = match self.pattern {
            Pattern::Xk => Proof::Message3(self.state),
            Pattern::Ik => Proof::FirstTransport(Established::from_state(self.state)?),
        };
        Ok(ResponderAwait { handshake_hash, proof })
    }
}

/// AUTH has been written; the client's proof is awaited.
pub struct ResponderAwait {
    handshake_hash: [u8; 32],
    proof: Proof,
}

/// What proves that the client is there, now, with its key.
enum Proof {
    Message3(Box<HandshakeState>),
    /// Only someone who could read message 2 has the key for this; a replayed message 1 does not help.
    FirstTransport(Established),
}

impl ResponderAwait {
    /// The handshake hash after message 2.
    #[must_use]
    pub const fn handshake_hash(&self) -> [u8; 32] {
        self.handshake_hash
    }

    /// Takes the `handshake` of the client's AUTH: XK's message 3, or IK's first transport message, which is empty.
    ///
    /// # Errors
    /// [`NoiseError`], when it proves nothing.
    pub fn finish(self, message: &[u8]) -> Result<Established, NoiseError> {
        within(message.len(), MAX_MESSAGE)?;
        match self.proof {
            Proof::Message3(mut state) => {
                append(&mut Vec::new(), message.len(), |room| state.read_message(message, room))?;
                Established::from_state(state)
            }
            Proof::FirstTransport(mut session) => {
                let mut content = Vec::new();
                session.transport.open(message, &mut content)?;
                match content.len() {
                    0 => Ok(session),
                    len => Err(NoiseError::ProofNotEmpty { len }),
                }
            }
        }
    }
}

impl fmt::Debug for ResponderHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponderHello({}, ..)", self.pattern.name())
    }
}

impl fmt::Debug for ResponderAwait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponderAwait(..)")
    }
}
