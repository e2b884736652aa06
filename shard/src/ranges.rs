//! `ack-range` (decisions § 3): the acknowledgements of one turn, one frame per run of a channel's sequences.
//!
//! Invariant: a range covers nothing that was not acknowledged: it grows only by the very next number. Called by the
//! outbox, which writes what has gathered when it is filled, and before any other control frame.

use commucat_proto::control::Ack;
use commucat_proto::{ChannelId, Sequence};
use smallvec::SmallVec;

/// Channels whose runs are open at once; one more and the oldest is written.
const OPEN: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) channel: ChannelId,
    from: Sequence,
    to: Sequence,
}

/// Runs that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Ranges(SmallVec<[Run; 1]>);

impl Ranges {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more acknowledgement. Gives a run that has to be written now.
    pub(crate) fn push(&mut self, channel: ChannelId, sequence: Sequence) -> Option<Run> {
        let open = self.0.iter_mut().find(|run| run.channel == channel);
        if let Some(run) = open {
            if run.to.get().checked_add(1) == Some(sequence.get()) {
                run.to = sequence;
                return None;
            }
            let closed = *run;
            (run.from, run.to) = (sequence, sequence);
            return Some(closed);
        }
        let oldest = (self.0.len() == OPEN).then(|| self.0.remove(0));
        self.0.push(Run {
            channel,
            from: sequence,
            to: sequence,
        });
        oldest
    }

    /// Everything, in the order in which it began.
    pub(crate) fn take(&mut self) -> SmallVec<[Run; 1]> {
        std::mem::take(&mut self.0)
    }
}

impl Run {
    /// The payload of its ACK: a lone sequence needs no range.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self.from == self.to {
            Ack::write_plain(self.to, out);
        } else {
            Ack::write_range(self.from, self.to, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(runs: impl IntoIterator<Item = Run>) -> Vec<String> {
        let text = |run: Run| {
            let mut out = Vec::new();
            run.write(&mut out);
            format!("{}{}", run.channel.get(), String::from_utf8(out).unwrap())
        };
        runs.into_iter().map(text).collect()
    }

    fn push(ranges: &mut Ranges, channel: u32, sequence: u32) -> Option<Run> {
        ranges.push(ChannelId::new(channel), Sequence::new(sequence))
    }

    #[test]
    fn a_run_grows_by_the_next_number_and_by_no_other() {
        let mut ranges = Ranges::default();
        assert!((3..=5).all(|number| push(&mut ranges, 1, number).is_none()));
        assert_eq!(written(push(&mut ranges, 1, 7)), ["1{\"ack\":5,\"from\":3}"]);
        assert_eq!(written(push(&mut ranges, 1, 7)), ["1{\"ack\":7}"]);
        assert_eq!(written(ranges.take()), ["1{\"ack\":7}"]);
        assert!(ranges.is_empty());
    }

    #[test]
    fn channels_do_not_meet_and_the_oldest_goes_when_there_are_too_many() {
        let mut ranges = Ranges::default();
        for channel in 1..=8 {
            assert!(push(&mut ranges, channel, channel).is_none());
        }
        assert_eq!(written(push(&mut ranges, 9, 9)), ["1{\"ack\":1}"]);
        assert_eq!(ranges.take().len(), 8);
    }
}
