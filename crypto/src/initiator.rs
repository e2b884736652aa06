//! The client's side of a handshake: each step consumes the one before.
//!
//! [`Initiator::start`] → HELLO → [`InitiatorHello`] → AUTH → [`InitiatorReady`] → AUTH → [`Established`].

use std::fmt;

use snow::HandshakeState;

use crate::entropy::Entropy;
use crate::error::NoiseError;
use crate::established::{Established, append, handshake_hash, within};
use crate::key::{KEY_LEN, PublicKey, StaticKey};
use crate::pattern::{MAX_MESSAGE, Pattern, TAG_LEN};

/// No handshake message has more in front of its payload: two keys and a tag each for one of them and the payload.
const MAX_OVERHEAD: usize = 2 * KEY_LEN + 2 * TAG_LEN;

/// Where a client begins.
#[derive(Debug)]
pub struct Initiator;

impl Initiator {
    /// Message 1, for HELLO's `handshake`.
    ///
    /// # Errors
    /// [`NoiseError::WeakKey`], when `server` is no usable key.
    pub fn start(
        pattern: Pattern,
        key: &StaticKey,
        server: PublicKey,
        prologue: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(InitiatorHello, Vec<u8>), NoiseError> {
        Self::start_with(pattern, key, server, prologue, entropy, &[])
    }

    /// [`Initiator::start`] with a payload, which CCP-1 does not use and the public test vectors do.
    pub(crate) fn start_with(
        pattern: Pattern,
        key: &StaticKey,
        server: PublicKey,
        prologue: &[u8],
        entropy: &mut dyn Entropy,
        payload: &[u8],
    ) -> Result<(InitiatorHello, Vec<u8>), NoiseError> {
        let mut state = pattern.initiator(key, &server, prologue, entropy)?;
        let message = write(&mut state, payload)?;
        Ok((InitiatorHello { pattern, state }, message))
    }
}

/// HELLO is on its way.
pub struct InitiatorHello {
    pattern: Pattern,
    state: Box<HandshakeState>,
}

impl InitiatorHello {
    /// Takes AUTH's `handshake`, and gives the payload that was encrypted in it.
    ///
    /// # Errors
    /// [`NoiseError`], when it was not written by the server that HELLO was meant for.
    pub fn read_auth(mut self, message: &[u8]) -> Result<(InitiatorReady, Vec<u8>), NoiseError> {
        within(message.len(), MAX_MESSAGE)?;
        let mut payload = Vec::new();
        append(&mut payload, message.len(), |room| {
            self.state.read_message(message, room)
        })?;
        let ready = InitiatorReady {
            pattern: self.pattern,
            state: self.state,
        };
        Ok((ready, payload))
    }
}

/// The server has proven itself; the client's own proof is due.
pub struct InitiatorReady {
    pattern: Pattern,
    state: Box<HandshakeState>,
}

impl InitiatorReady {
    /// The handshake hash after message 2.
    #[must_use]
    pub fn handshake_hash(&self) -> [u8; 32] {
        handshake_hash(&self.state)
    }

    /// What stands in `handshake` of the client's AUTH, and the session.
    ///
    /// # Errors
    /// None that a peer can cause.
    pub fn proof(self) -> Result<(Vec<u8>, Established), NoiseError> {
        self.proof_with(&[])
    }

    /// [`InitiatorReady::proof`] with a payload, which CCP-1 does not use and the public test vectors do.
    pub(crate) fn proof_with(mut self, payload: &[u8]) -> Result<(Vec<u8>, Established), NoiseError> {
        match self.pattern {
            Pattern::Xk => {
                let message = write(&mut self.state, payload)?;
                Ok((message, Established::from_state(self.state)?))
            }
            Pattern::Ik => {
                let mut session = Established::from_state(self.state)?;
                let mut message = Vec::new();
                session.transport.seal(payload, &mut message)?;
                Ok((message, session))
            }
        }
    }
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, NoiseError> {
    let mut message = Vec::new();
    append(&mut message, payload.len() + MAX_OVERHEAD, |room| {
        state.write_message(payload, room)
    })?;
    Ok(message)
}

impl fmt::Debug for InitiatorHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitiatorHello({}, ..)", self.pattern.name())
    }
}

impl fmt::Debug for InitiatorReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitiatorReady({}, ..)", self.pattern.name())
    }
}
