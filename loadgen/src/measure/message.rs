//! What a message says: enough to know, on arrival, that it is the next one of its sender, whole, and when it was sent.
//!
//! ```text
//!  0       8        16    24
//!  counter sent_ns  tag   filler, the same in every message of a flow
//! ```
//!
//! The top bit of `counter` marks messages sent while measuring.

/// The smallest message.
pub(crate) const HEADER: usize = 24;

const MEASURED: u64 = 1 << 63;

/// A message as its recipient reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) counter: u64,
    pub(crate) sent_ns: u64,
    pub(crate) measured: bool,
}

/// The message of a flow, into which each stamp is written, or against which what arrives is compared.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A message of `length` bytes, at least [`HEADER`], that only `tag` has.
    pub(crate) fn new(length: usize, tag: u64) -> Self {
        let mut bytes = vec![0; length.max(HEADER)];
        bytes[16..HEADER].copy_from_slice(&tag.to_le_bytes());
        for (index, byte) in bytes[HEADER..].iter_mut().enumerate() {
            *byte = (tag.rotate_left((index % 64) as u32) & 0xff) as u8;
        }
        Self { bytes }
    }

    /// The bytes to send.
    pub(crate) fn stamped(&mut self, stamp: Stamp) -> &[u8] {
        let counter = stamp.counter | if stamp.measured { MEASURED } else { 0 };
        self.bytes[..8].copy_from_slice(&counter.to_le_bytes());
        self.bytes[8..16].copy_from_slice(&stamp.sent_ns.to_le_bytes());
        &self.bytes
    }

    /// The stamp of a message that arrived; `None` when it is not of this flow, or not whole.
    pub(crate) fn read(&self, payload: &[u8]) -> Option<Stamp> {
        if payload.len() != self.bytes.len() || payload[16..] != self.bytes[16..] {
            return None;
        }
        let counter = u64::from_le_bytes(*payload.first_chunk()?);
        let sent_ns = u64::from_le_bytes(*payload[8..].first_chunk()?);
        Some(Stamp {
            counter: counter & !MEASURED,
            sent_ns,
            measured: counter & MEASURED != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Message, Stamp};

    #[test]
    fn a_stamp_comes_back_and_nothing_else_passes_for_it() {
        let stamp = Stamp {
            counter: 7,
            sent_ns: 123_456,
            measured: true,
        };
        for length in [24, 25, 64, 4096] {
            let (mut ours, other) = (Message::new(length, 0x1234_5678), Message::new(length, 0x1234_5679));
            let sent = ours.stamped(stamp).to_vec();
            assert_eq!(sent.len(), length);
            assert_eq!(ours.read(&sent), Some(stamp));
            assert_eq!(other.read(&sent), None, "another flow's");
            assert_eq!(ours.read(&sent[1..]), None, "cut");
            let mut changed = sent.clone();
            changed[length - 1] ^= 1;
            assert_eq!(ours.read(&changed), None, "changed");
        }
    }
}
