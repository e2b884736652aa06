//! What a finished handshake leaves: who the peer is, the hash that names the session, and the keys for more.

use std::fmt;

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use snow::HandshakeState;
use zeroize::Zeroizing;

use crate::error::NoiseError;
use crate::key::{KEY_LEN, PublicKey};
use crate::pattern::{MAX_MESSAGE, MAX_PLAINTEXT, TAG_LEN};
use crate::primitives::nonce;

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
    pub(crate) fn from_state(mut state: Box<HandshakeState>) -> Result<Self, NoiseError> {
        if !state.is_handshake_finished() {
            return Err(NoiseError::Internal);
        }
        let remote_static = remote_static(&state).ok_or(NoiseError::Internal)?;
        let handshake_hash = handshake_hash(&state);
        let (initiators, responders) = state.dangerously_get_raw_split();
        let (initiators, responders) = (Zeroizing::new(initiators), Zeroizing::new(responders));
        let transport = if state.is_initiator() {
            Transport::new(&initiators, &responders)
        } else {
            Transport::new(&responders, &initiators)
        };
        Ok(Self {
            remote_static,
            handshake_hash,
            transport,
        })
    }
}

/// The two keys of a session, one per direction, each message counted (Noise specification, § 5.1).
///
/// The state machine's own transport mode writes into a second buffer; this one seals where the content stands.
pub struct Transport(Box<Keys>);

/// Behind a pointer, so that moving a session leaves no copy of its keys.
struct Keys {
    sending: Counted,
    receiving: Counted,
}

/// A key, and the number of the next message under it. The last number, 2^64-1, is never used.
struct Counted {
    key: Zeroizing<[u8; KEY_LEN]>,
    next: u64,
}

impl Counted {
    fn new(key: &[u8; KEY_LEN]) -> Self {
        Self {
            key: Zeroizing::new(*key),
            next: 0,
        }
    }

    fn left(&self) -> u64 {
        u64::MAX - self.next
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.key).into())
    }
}

impl Transport {
    fn new(sending: &[u8; KEY_LEN], receiving: &[u8; KEY_LEN]) -> Self {
        Self(Box::new(Keys {
            sending: Counted::new(sending),
            receiving: Counted::new(receiving),
        }))
    }

    /// How many messages can still be sealed.
    #[must_use]
    pub fn seals_left(&self) -> u64 {
        self.0.sending.left()
    }

    /// Appends the sealed form of `plaintext`, at most [`MAX_PLAINTEXT`] bytes, to `out`.
    ///
    /// # Errors
    /// [`NoiseError::TooLong`], [`NoiseError::Exhausted`]; `out` is then as it was.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        within(plaintext.len(), MAX_PLAINTEXT)?;
        let start = out.len();
        out.extend_from_slice(plaintext);
        self.seal_in_place(start, out).inspect_err(|_| out.truncate(start))
    }

    /// Seals what stands in `out` from `start` on, where it stands; the tag follows it.
    ///
    /// # Errors
    /// As [`Transport::seal`].
    pub fn seal_in_place(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), NoiseError> {
        let content = out.get_mut(start..).ok_or(NoiseError::Internal)?;
        within(content.len(), MAX_PLAINTEXT)?;
        let sending = &mut self.0.sending;
        if sending.left() == 0 {
            return Err(NoiseError::Exhausted);
        }
        let tag = sending
            .cipher()
            .encrypt_in_place_detached(&nonce(sending.next), &[], content)
            .map_err(|_| NoiseError::Internal)?;
        out.extend_from_slice(&tag);
        sending.next += 1;
        Ok(())
    }

    /// Appends the content of `message` to `out`.
    ///
    /// # Errors
    /// [`NoiseError::Forged`] when it is not the peer's next message; `out` is then as it was, and the session is over.
    #[expect(clippy::indexing_slicing, reason = "start was the length before it grew")]
    pub fn open(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        within(message.len(), MAX_MESSAGE)?;
        let receiving = &mut self.0.receiving;
        if receiving.left() == 0 {
            return Err(NoiseError::Exhausted);
        }
        let (content, tag) = message.split_last_chunk::<TAG_LEN>().ok_or(NoiseError::Forged)?;
        let start = out.len();
        out.extend_from_slice(content);
        let opened =
            receiving
                .cipher()
                .decrypt_in_place_detached(&nonce(receiving.next), &[], &mut out[start..], tag.into());
        if opened.is_err() {
            out.truncate(start);
            return Err(NoiseError::Forged);
        }
        receiving.next += 1;
        Ok(())
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
#[expect(clippy::indexing_slicing, reason = "start was the length before it grew")]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sides, of which the first has so many messages left.
    fn sides(left: u64) -> (Transport, Transport) {
        let mut near_its_end = Transport::new(&[1; 32], &[2; 32]);
        let mut far = Transport::new(&[2; 32], &[1; 32]);
        near_its_end.0.sending.next = u64::MAX - left;
        far.0.receiving.next = u64::MAX - left;
        (near_its_end, far)
    }

    #[test]
    fn the_last_number_seals_and_opens_nothing() {
        let (mut one, mut other) = sides(1);
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        assert_eq!(one.seals_left(), 1);
        one.seal(b"last", &mut sealed).unwrap();
        other.open(&sealed, &mut opened).unwrap();
        assert_eq!(opened, b"last");
        let before = sealed.clone();
        assert_eq!(one.seals_left(), 0);
        assert_eq!(one.seal(b"more", &mut sealed), Err(NoiseError::Exhausted));
        assert_eq!(sealed, before);
        assert_eq!(other.open(&sealed, &mut opened), Err(NoiseError::Exhausted));
        assert_eq!(opened, b"last");
    }
}
