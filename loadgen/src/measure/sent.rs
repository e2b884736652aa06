//! The books of one sender: what it sent to how many, and what the relay has acknowledged.
//!
//! Invariant: sequences in `unacknowledged` rise; its front is not acknowledged.

use std::collections::VecDeque;

use commucat_proto::Sequence;

use super::message::{Message, Stamp};
use super::tally::Class;
use crate::engine::phase::Moment;

/// The relay has acknowledged it, and earlier ones not yet.
const ACKNOWLEDGED: u64 = 0;
/// It was sent outside the measurement.
const UNMEASURED: u64 = u64::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sent {
    message: Message,
    recipients: u64,
    sent: u64,
    /// Deliveries that the relay said it would not make.
    rejected: u64,
    /// Sequence, and when it was sent or due.
    unacknowledged: VecDeque<(Sequence, u64)>,
}

impl Sent {
    /// For messages like this one to so many.
    pub(crate) fn new(message: Message, recipients: u64) -> Self {
        Self {
            message,
            recipients,
            sent: 0,
            rejected: 0,
            unacknowledged: VecDeque::new(),
        }
    }

    /// How many were sent: the counter of the next one.
    pub(crate) fn count(&self) -> u64 {
        self.sent
    }

    /// Deliveries that are owed for what was sent.
    pub(crate) fn owed(&self) -> u64 {
        (self.sent * self.recipients).saturating_sub(self.rejected)
    }

    /// To how many each goes.
    pub(crate) fn recipients(&self) -> u64 {
        self.recipients
    }

    /// What the relay has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.unacknowledged.len() as u64
    }

    /// The next message, stamped; [`Sent::entered`] follows when it was sent.
    pub(crate) fn next(&mut self, due_ns: u64, measuring: bool) -> &[u8] {
        let stamp = Stamp {
            counter: self.sent,
            sent_ns: due_ns,
            measured: measuring,
        };
        self.message.stamped(stamp)
    }

    /// The message of [`Sent::next`] was sent under this sequence.
    pub(crate) fn entered(&mut self, sequence: Sequence, due_ns: u64, moment: &Moment, class: &mut Class) {
        self.sent += 1;
        class.owed_in_all += self.recipients;
        let at_ns = if moment.measuring {
            class.sent += 1;
            class.owed += self.recipients;
            due_ns.clamp(ACKNOWLEDGED + 1, UNMEASURED - 1)
        } else {
            UNMEASURED
        };
        self.unacknowledged.push_back((sequence, at_ns));
    }

    /// The relay acknowledged `from..=to`, and would not deliver each of these to `rejected` recipients.
    pub(crate) fn acknowledge(&mut self, from: Sequence, to: Sequence, rejected: u64, now_ns: u64, class: &mut Class) {
        // In order, as nearly always.
        while let Some(&(sequence, at_ns)) = self.unacknowledged.front() {
            if at_ns != ACKNOWLEDGED && (sequence < from || sequence > to) {
                break;
            }
            self.unacknowledged.pop_front();
            self.settle(at_ns, rejected, now_ns, class);
        }
        let start = self.unacknowledged.partition_point(|(sequence, _)| *sequence < from);
        for index in start..self.unacknowledged.len() {
            let entry = &mut self.unacknowledged[index];
            if entry.0 > to {
                break;
            }
            let at_ns = std::mem::replace(&mut entry.1, ACKNOWLEDGED);
            self.settle(at_ns, rejected, now_ns, class);
        }
    }

    fn settle(&mut self, at_ns: u64, rejected: u64, now_ns: u64, class: &mut Class) {
        if at_ns == ACKNOWLEDGED {
            return;
        }
        if at_ns != UNMEASURED {
            class.acknowledged(at_ns, now_ns);
        }
        let rejected = rejected.min(self.recipients);
        self.rejected += rejected;
        class.rejected += rejected;
        class.owed_in_all -= rejected;
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::Sequence;

    use super::{Class, Message, Moment, Sent};

    /// `count` messages sent at 100, 101, … ns under every other sequence from 4 on, the first `unmeasured` in warm-up.
    fn sent(count: u32, unmeasured: u32, recipients: u64) -> (Sent, Class) {
        let (mut book, mut class) = (Sent::new(Message::new(40, 9), recipients), Class::new(None));
        for index in 0..count {
            let now_ns = 100 + u64::from(index);
            let moment = Moment {
                now_ns,
                measuring: index >= unmeasured,
            };
            book.next(now_ns, moment.measuring);
            book.entered(Sequence::new(4 + 2 * index), now_ns, &moment, &mut class);
        }
        (book, class)
    }

    fn acknowledge(book: &mut Sent, class: &mut Class, from: u32, to: u32, rejected: u64) {
        book.acknowledge(Sequence::new(from), Sequence::new(to), rejected, 300, class);
    }

    #[test]
    fn acks_are_timed_once_in_any_order_and_ranges_end_where_sending_did() {
        let (mut book, mut class) = sent(6, 1, 1);
        for (from, to) in [(8, 8), (1, 7), (8, 8), (12, 12)] {
            acknowledge(&mut book, &mut class, from, to, 0);
        }
        let timed = &class.acknowledged;
        assert_eq!((timed.len(), timed.max(), timed.min()), (3, 199, 196));
        assert_eq!(
            book.unacknowledged(),
            3,
            "10 and 14 are open, and 12 is kept between them"
        );
        acknowledge(&mut book, &mut class, 10, 10, 0);
        assert_eq!((class.acknowledged.len(), book.unacknowledged()), (4, 1));
        acknowledge(&mut book, &mut class, 1, 99, 0);
        assert_eq!((class.acknowledged.len(), book.unacknowledged()), (5, 0));
    }

    #[test]
    fn what_was_sent_is_owed_to_every_recipient_but_the_rejected() {
        let (mut book, mut class) = sent(4, 1, 10);
        assert_eq!(
            (book.owed(), class.owed_in_all, class.owed, class.sent),
            (40, 40, 30, 3)
        );
        acknowledge(&mut book, &mut class, 4, 4, 2);
        acknowledge(&mut book, &mut class, 4, 4, 2);
        assert_eq!((book.owed(), class.owed_in_all, class.rejected), (38, 38, 2));
    }
}
