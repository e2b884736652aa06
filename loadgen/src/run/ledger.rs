//! The books of one direction of one pair: what was sent, what has arrived, what was acknowledged. No socket.
//!
//! Invariant: `arrived + rejected <= sent`; `measured_in_flight` counts those among the rest that were measured.

use std::collections::VecDeque;

use commucat_proto::Sequence;

use super::payload::{Message, Stamp};
use super::shared::Moment;
use super::tally::Tally;

/// What is remembered of a frame until its ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Measured { at_ns: u64 },
    Unmeasured,
    Acknowledged,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    message: Message,
    sent: u64,
    arrived: u64,
    rejected: u64,
    expected: u64,
    measured_in_flight: u64,
    /// The frames from `oldest` on, in the order of their sequences.
    unacknowledged: VecDeque<Sent>,
    oldest: Option<Sequence>,
}

impl Ledger {
    /// For messages of `length` bytes that only `tag` has.
    pub(crate) fn new(length: usize, tag: u64) -> Self {
        Self {
            message: Message::new(length, tag),
            sent: 0,
            arrived: 0,
            rejected: 0,
            expected: 0,
            measured_in_flight: 0,
            unacknowledged: VecDeque::new(),
            oldest: None,
        }
    }

    /// How many were sent: the counter of the next one.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Messages that neither arrived nor were rejected.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.arrived + self.rejected)
    }

    /// The next message, stamped; [`Ledger::entered`] follows when it was sent.
    pub(crate) fn next(&mut self, sent_ns: u64, measuring: bool) -> &[u8] {
        let stamp = Stamp {
            counter: self.sent,
            sent_ns,
            measured: measuring,
        };
        self.message.stamped(stamp)
    }

    /// The message of [`Ledger::next`] was sent under this sequence, which is one above the last one's.
    pub(crate) fn entered(&mut self, sequence: Sequence, sent_ns: u64, moment: &Moment, tally: &mut Tally) {
        self.oldest.get_or_insert(sequence);
        self.sent += 1;
        self.unacknowledged.push_back(if moment.measuring {
            self.measured_in_flight += 1;
            tally.sent += 1;
            Sent::Measured { at_ns: sent_ns }
        } else {
            Sent::Unmeasured
        });
    }

    /// A frame reached the recipient.
    pub(crate) fn arrive(&mut self, payload: &[u8], now_ns: u64, tally: &mut Tally) {
        let Some(stamp) = self.message.read(payload) else {
            tally.corrupt += 1;
            return;
        };
        if stamp.counter < self.expected {
            tally.disordered += 1;
            return;
        }
        // What was skipped is still owed: if it comes later it is out of order, if never, lost.
        self.expected = stamp.counter + 1;
        self.arrived += 1;
        if stamp.measured {
            self.measured_in_flight = self.measured_in_flight.saturating_sub(1);
            tally.arrived(now_ns.saturating_sub(stamp.sent_ns));
        }
    }

    /// The relay acknowledged `from..=to`, or rejected the recipient.
    pub(crate) fn acknowledge(&mut self, from: Sequence, to: Sequence, rejected: bool, now_ns: u64, tally: &mut Tally) {
        let Some(mut oldest) = self.oldest else { return };
        for sequence in from.max(oldest).get()..=to.get() {
            let index = (sequence - oldest.get()) as usize;
            let Some(slot) = self.unacknowledged.get_mut(index) else {
                break;
            };
            match std::mem::replace(slot, Sent::Acknowledged) {
                Sent::Measured { at_ns } => tally.acknowledged(now_ns.saturating_sub(at_ns)),
                Sent::Unmeasured => {}
                Sent::Acknowledged => continue,
            }
            self.rejected += u64::from(rejected);
            tally.rejected += u64::from(rejected);
        }
        while self.unacknowledged.front() == Some(&Sent::Acknowledged) {
            self.unacknowledged.pop_front();
            let Some(next) = oldest.next() else { break };
            oldest = next;
        }
        self.oldest = Some(oldest);
    }

    /// What was sent outside the measurement and never arrived.
    pub(crate) fn lost_unmeasured(&self) -> u64 {
        self.sent
            .saturating_sub(self.arrived)
            .saturating_sub(self.measured_in_flight)
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::Sequence;

    use super::{Ledger, Moment, Tally};

    /// A ledger with `count` messages sent at 100, 101, … ns under sequences from 4 on, the first `unmeasured` in warm-up;
    /// and the messages.
    fn sent(count: u64, unmeasured: u64) -> (Ledger, Tally, Vec<Vec<u8>>) {
        let (mut ledger, mut tally, mut messages) = (Ledger::new(40, 9), Tally::new(), Vec::new());
        for index in 0..count {
            let moment = Moment {
                now_ns: 100 + index,
                measuring: index >= unmeasured,
            };
            messages.push(ledger.next(moment.now_ns, moment.measuring).to_vec());
            let sequence = Sequence::new(4 + u32::try_from(index).expect("few"));
            ledger.entered(sequence, moment.now_ns, &moment, &mut tally);
        }
        (ledger, tally, messages)
    }

    fn sequences(from: u32, to: u32) -> (Sequence, Sequence) {
        (Sequence::new(from), Sequence::new(to))
    }

    #[test]
    fn what_arrives_in_order_is_delivered_and_only_the_measured_is_timed() {
        let (mut ledger, mut tally, messages) = sent(5, 2);
        for message in &messages {
            ledger.arrive(message, 1_100, &mut tally);
        }
        assert_eq!((tally.sent, tally.delivered, ledger.in_flight()), (3, 3, 0));
        assert_eq!((tally.delivery.min(), tally.delivery.max()), (996, 998));
        tally.lost_unmeasured = ledger.lost_unmeasured();
        assert!(tally.is_clean());
    }

    #[test]
    fn a_gap_is_a_loss_and_what_fills_it_too_late_is_disorder() {
        let (mut ledger, mut tally, messages) = sent(4, 1);
        for index in [0, 3, 2] {
            ledger.arrive(&messages[index], 200, &mut tally);
        }
        assert_eq!((tally.delivered, tally.disordered, tally.lost()), (1, 1, 2));
        assert_eq!((ledger.in_flight(), ledger.lost_unmeasured()), (2, 0));
        assert!(!tally.is_clean());
    }

    #[test]
    fn a_message_of_the_warm_up_that_never_arrives_is_lost_too() {
        let (mut ledger, mut tally, messages) = sent(3, 2);
        for index in [1, 2] {
            ledger.arrive(&messages[index], 200, &mut tally);
        }
        tally.lost_unmeasured = ledger.lost_unmeasured();
        assert_eq!((tally.sent, tally.delivered, tally.lost()), (1, 1, 1));
        assert!(!tally.is_clean());
    }

    #[test]
    fn twice_is_disorder_and_somebody_elses_is_corrupt() {
        let (mut ledger, mut tally, messages) = sent(1, 0);
        for _ in 0..2 {
            ledger.arrive(&messages[0], 200, &mut tally);
        }
        ledger.arrive(b"short", 200, &mut tally);
        assert_eq!((tally.delivered, tally.disordered, tally.corrupt), (1, 1, 1));
    }

    #[test]
    fn acks_are_timed_once_in_any_order_and_ranges_end_where_sending_did() {
        let (mut ledger, mut tally, _) = sent(6, 1);
        for (from, to) in [(6, 6), (1, 5), (6, 6), (8, 99)] {
            let (from, to) = sequences(from, to);
            ledger.acknowledge(from, to, false, 300, &mut tally);
        }
        assert_eq!(
            (
                tally.acknowledged.len(),
                tally.acknowledged.max(),
                tally.acknowledged.min()
            ),
            (4, 199, 195)
        );
        let (from, to) = sequences(7, 7);
        ledger.acknowledge(from, to, false, 300, &mut tally);
        assert_eq!((tally.acknowledged.len(), ledger.unacknowledged.len()), (5, 0));
    }

    #[test]
    fn a_rejection_leaves_room_in_the_window_and_is_a_loss() {
        let (mut ledger, mut tally, _) = sent(2, 0);
        let (from, to) = sequences(4, 4);
        ledger.acknowledge(from, to, true, 300, &mut tally);
        ledger.acknowledge(from, to, true, 300, &mut tally);
        assert_eq!((ledger.in_flight(), tally.rejected, tally.lost()), (1, 1, 2));
    }
}
