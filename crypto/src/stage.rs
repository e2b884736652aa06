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

impl NoiseStage {
    /// The layer, from the message after the proof on.
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self(transport)
    }
}

impl Stage for NoiseStage {
    type Error = NoiseStageError;

    fn seal(&mut self, inner: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseStageError> {
        for part in inner.chunks(MAX_PLAINTEXT) {
            varint::encode((part.len() + TAG_LEN) as u64, out);
            self.0.seal(part, out)?;
        }
        Ok(())
    }

    fn open(&mut self, outer: &[u8], inner: &mut Vec<u8>) -> Result<usize, NoiseStageError> {
        let mut rest = outer;
        while let Some((declared, prefix)) = varint::decode(rest).map_err(|varint::Overflow| NoiseStageError::Length)? {
            let len = usize::try_from(declared).unwrap_or(usize::MAX);
            // Refused from its length alone, so that nobody buffers for it.
            within(len, MAX_MESSAGE)?;
            let Some(message) = rest[prefix..].get(..len) else {
                break;
            };
            self.0.open(message, inner)?;
            rest = &rest[prefix + len..];
        }
        Ok(outer.len() - rest.len())
    }
}
