//! `noise-transport` (decisions § 5): every byte after the handshake inside `varint(len) || Noise message`. Frames are
//! a byte stream in it: one message may hold many, one may span many.

use commucat_proto::{Stage, varint};

use crate::error::NoiseError;
use crate::established::{Transport, within};
use crate::pattern::{MAX_MESSAGE, MAX_PLAINTEXT, TAG_LEN};

/// A proven session's keys as a layer.
#[derive(Debug)]
pub struct NoiseStage(Transport);

/// Why the peer's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoiseStageError {
    /// A message is not the peer's next one.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The length before a message is no number.
    #[error("the length of a Noise message is no varint")]
    Length,
}

/// Room for the longest length before a message; a shorter one is closed up when it is known.
const PREFIX: usize = 3;

/// A unit whose content is still being written.
#[derive(Debug)]
#[must_use = "what stands behind it is not sealed yet"]
pub struct Unsealed(usize);

impl NoiseStage {
    /// The layer, from the message after the proof on.
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self(transport)
    }

    /// How many messages can still be sealed.
    #[must_use]
    pub fn seals_left(&self) -> u64 {
        self.0.seals_left()
    }

    /// The most content of one unit that is at most `room` bytes long in all; 0 when that is none.
    #[must_use]
    pub fn content_room(room: usize) -> usize {
        let with_prefix = |prefix: usize| room.saturating_sub(prefix).min((1 << (7 * prefix)) - 1);
        let message = (1..=PREFIX).map(with_prefix).fold(0, usize::max);
        message.min(MAX_MESSAGE).saturating_sub(TAG_LEN)
    }

    /// Begins a unit at the end of `out`: what is appended from here on is its content, up to [`MAX_PLAINTEXT`] bytes.
    pub fn begin(out: &mut Vec<u8>) -> Unsealed {
        out.extend_from_slice(&[0; PREFIX]);
        Unsealed(out.len())
    }

    /// Seals it where it stands. A unit without content vanishes; says whether there was one.
    ///
    /// # Errors
    /// [`NoiseError::TooLong`], [`NoiseError::Exhausted`].
    #[expect(clippy::indexing_slicing, reason = "begin left PREFIX octets in front")]
    pub fn finish(&mut self, Unsealed(start): Unsealed, out: &mut Vec<u8>) -> Result<bool, NoiseError> {
        let length = out.len() - start;
        if length == 0 {
            out.truncate(start - PREFIX);
            return Ok(false);
        }
        if let Err(error) = self.0.seal_in_place(start, out) {
            // Nothing plain stays where something sealed is expected.
            out.truncate(start - PREFIX);
            return Err(error);
        }
        let message = length + TAG_LEN;
        let (at, used) = (start - PREFIX, varint::len(message as u64));
        if used < PREFIX {
            out.copy_within(start.., at + used);
            out.truncate(at + used + message);
        }
        for (index, octet) in out[at..at + used].iter_mut().enumerate() {
            let more = if index + 1 < used { 0x80 } else { 0 };
            *octet = (message >> (7 * index)) as u8 & 0x7f | more;
        }
        Ok(true)
    }

    /// Opens the unit at the start of `outer` and appends its content to `inner`; gives how long the unit is, or nothing
    /// while it has not arrived whole.
    ///
    /// # Errors
    /// When it is not the other side's next one. A length beyond [`MAX_MESSAGE`] is refused from its own bytes.
    pub fn open_next(&mut self, outer: &[u8], inner: &mut Vec<u8>) -> Result<Option<usize>, NoiseStageError> {
        let Some((declared, prefix)) = varint::decode(outer).map_err(|varint::Overflow| NoiseStageError::Length)?
        else {
            return Ok(None);
        };
        let len = usize::try_from(declared).unwrap_or(usize::MAX);
        // Refused from its length alone, so that nobody buffers for it.
        within(len, MAX_MESSAGE)?;
        let Some(message) = outer.get(prefix..prefix + len) else {
            return Ok(None);
        };
        self.0.open(message, inner)?;
        Ok(Some(prefix + len))
    }
}

impl Stage for NoiseStage {
    type Error = NoiseStageError;

    fn seal(&mut self, inner: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseStageError> {
        for part in inner.chunks(MAX_PLAINTEXT) {
            let unit = Self::begin(out);
            out.extend_from_slice(part);
            self.finish(unit, out)?;
        }
        Ok(())
    }

    #[expect(clippy::indexing_slicing, reason = "no unit is longer than what it was opened from")]
    fn open(&mut self, outer: &[u8], inner: &mut Vec<u8>) -> Result<usize, NoiseStageError> {
        let mut used = 0;
        while let Some(length) = self.open_next(&outer[used..], inner)? {
            used += length;
        }
        Ok(used)
    }
}
