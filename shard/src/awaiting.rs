//! `delivery-ack` (decisions § 3): the numbers of what a client was sent and has not acknowledged.
//!
//! Invariant: one number for each of the outbox's records in flight, in their order, and so never falling. A record that
//! was passed over has the number of the one before it. Called by `outbox` alone.

use std::collections::VecDeque;
use std::ops::Range;

use commucat_proto::Sequence;

/// What an idle session keeps room for.
const KEEP: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Awaiting {
    sequences: VecDeque<Sequence>,
    /// The kernel has some of it, or may have.
    pub(crate) with_kernel: bool,
}

impl Awaiting {
    /// A frame has left whole.
    pub(crate) fn left(&mut self, sequence: Sequence) {
        self.sequences.push_back(sequence);
        self.with_kernel = true;
    }

    /// A frame that nobody wants was passed over, after this number.
    pub(crate) fn passed(&mut self, sequence: Sequence) {
        self.sequences.push_back(sequence);
    }

    /// The first is done with.
    pub(crate) fn arrived(&mut self) {
        self.sequences.pop_front();
    }

    /// The places of these numbers.
    pub(crate) fn within(&self, from: Sequence, to: Sequence) -> Range<usize> {
        let start = self.sequences.partition_point(|sequence| *sequence < from);
        let end = self.sequences.partition_point(|sequence| *sequence <= to);
        start..end.max(start)
    }

    pub(crate) fn slim(&mut self) {
        if self.sequences.is_empty() && self.sequences.capacity() > KEEP {
            self.sequences = VecDeque::new();
        }
    }
}
