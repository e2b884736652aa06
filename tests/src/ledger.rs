//! What senders were promised and what recipients heard, across connections and lives of the relay.
//!
//! Invariants it checks: nobody hears a message on one connection twice or out of its sender's order; what is heard for
//! the first time stands in its sender's order, whatever connection it comes by; and at the end everything that was
//! acknowledged has been heard. Only a new connection may repeat.
//!
//! An acknowledgement promises one of two things (decisions § 3): the message is stored, or it is in the send queue of its
//! recipient's live connection. A relay that is killed takes its queues with it, so of what it had acknowledged for somebody
//! connected the newest may be gone: [`Ledger::promise_queued`] says so, and such a gap at the end of a life is counted apart,
//! as cut off. Before anything that was heard of the same life it is a loss like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::people::Got;

/// From whom to whom; both are indices that the test chooses.
type Way = (usize, usize);

/// All books.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    ways: BTreeMap<Way, Book>,
    promised: usize,
    heard: usize,
    repeated: usize,
    /// The number at which each sender has begun each life of the relay.
    lives: BTreeMap<usize, BTreeSet<u32>>,
    /// Promised to be stored and not heard, by recipient.
    owed: BTreeMap<usize, usize>,
}

#[derive(Debug, Default)]
struct Book {
    acked: BTreeMap<u32, Promise>,
    heard: BTreeSet<u32>,
}

/// What an acknowledgement has promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    /// It will be heard.
    Kept,
    /// It will be heard unless the relay is killed before.
    Queued,
}

/// What has become of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Acknowledged, counted for each recipient.
    pub acknowledged: usize,
    /// Heard for the first time, acknowledged or not.
    pub delivered: usize,
    /// Heard again, on a later connection.
    pub duplicates: usize,
    /// Acknowledged for a live connection whose queue a kill has taken.
    pub cut_off: usize,
    /// Acknowledged and never heard.
    pub lost: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            delivered,
            duplicates,
            cut_off,
            lost,
        } = self;
        write!(
            f,
            "{acknowledged} acknowledged, {delivered} delivered, {duplicates} duplicates, {cut_off} cut off in a killed \
             relay's queues, {lost} lost"
        )
    }
}

/// What one connection of a recipient has heard: the last number from each sender.
#[derive(Debug)]
pub struct Hearing {
    to: usize,
    last: BTreeMap<usize, u32>,
    repeated: usize,
}

impl Hearing {
    /// A new connection of this recipient.
    #[must_use]
    pub fn of(to: usize) -> Self {
        Self {
            to,
            last: BTreeMap::new(),
            repeated: 0,
        }
    }

    /// How many of its messages an earlier connection had heard already.
    #[must_use]
    pub const fn repeated(&self) -> usize {
        self.repeated
    }
}

/// A message that says from whom it is, and which.
#[must_use]
pub fn message(from: usize, number: u32, length: usize) -> Vec<u8> {
    let mut text = format!("{from} {number} ").into_bytes();
    // Its padding depends on both, so that a mixture of two messages is neither.
    let fill = b'a' + ((from as u32 * 7 + number) % 26) as u8;
    text.resize(text.len().max(length), fill);
    text
}

fn read(got: &Got) -> (usize, u32) {
    let text = got.text();
    let mut words = text.splitn(3, ' ');
    let from = words.next().and_then(|word| word.parse().ok());
    let number = words.next().and_then(|word| word.parse().ok());
    let (Some(from), Some(number)) = (from, number) else {
        panic!("no message of ours: {text:?}");
    };
    assert!(
        got.payload == message(from, number, got.payload.len()),
        "message {number} of {from} was changed"
    );
    (from, number)
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The relay has promised to keep this message.
    pub fn promise(&self, from: usize, to: usize, number: u32) {
        self.write(from, to, number, Promise::Kept);
    }

    /// The relay has put this message into the queue of a live connection, or stored it, in a life that a kill will end.
    pub fn promise_queued(&self, from: usize, to: usize, number: u32) {
        self.write(from, to, number, Promise::Queued);
    }

    /// Messages of this sender from this number on are for a new life of the relay.
    pub fn new_life(&self, from: usize, number: u32) {
        self.books().lives.entry(from).or_default().insert(number);
    }

    fn write(&self, from: usize, to: usize, number: u32, promise: Promise) {
        let mut books = self.books();
        let book = books.ways.entry((from, to)).or_default();
        let before = book.acked.insert(number, promise);
        assert!(before.is_none(), "message {number} was acknowledged twice");
        let owed = promise == Promise::Kept && !book.heard.contains(&number);
        books.promised += 1;
        *books.owed.entry(to).or_default() += usize::from(owed);
    }

    /// How many messages it has promised to keep.
    #[must_use]
    pub fn promised(&self) -> usize {
        self.books().promised
    }

    /// How many messages have been heard for the first time.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.books().heard
    }

    /// A recipient has heard a message.
    ///
    /// # Panics
    /// When it comes twice on one connection, or out of order.
    pub fn hear(&self, hearing: &mut Hearing, got: &Got) {
        let (from, number) = read(got);
        let (to, last) = (hearing.to, hearing.last.insert(from, number).unwrap_or(0));
        assert!(
            number > last,
            "{to} heard {number} of {from} after {last}, on one connection"
        );
        let mut books = self.books();
        let book = books.ways.entry((from, to)).or_default();
        let latest = book.heard.last().copied().unwrap_or(0);
        if book.heard.insert(number) {
            assert!(
                number > latest,
                "{to} heard {number} of {from} for the first time after {latest}"
            );
            let owed = book.acked.get(&number) == Some(&Promise::Kept);
            books.heard += 1;
            *books.owed.entry(to).or_default() -= usize::from(owed);
        } else {
            hearing.repeated += 1;
            books.repeated += 1;
        }
    }

    /// How many promised messages this recipient has not heard.
    #[must_use]
    pub fn owed(&self, to: usize) -> usize {
        self.books().owed.get(&to).copied().unwrap_or(0)
    }

    /// What has become of all messages, once nobody has anything to hear any more.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let books = self.books();
        let mut tally = Tally {
            acknowledged: books.promised,
            delivered: books.heard,
            duplicates: books.repeated,
            ..Tally::default()
        };
        for ((from, _), book) in &books.ways {
            let (lost, cut_off) = book.missing(books.lives.get(from));
            tally.cut_off += cut_off;
            tally.lost += lost.len();
        }
        tally
    }

    /// Everything that was promised has been heard.
    ///
    /// # Panics
    /// When something has not.
    pub fn settle(&self) -> Tally {
        let books = self.books();
        for ((from, to), book) in &books.ways {
            let (lost, _) = book.missing(books.lives.get(from));
            assert!(
                lost.is_empty(),
                "{to} never heard {lost:?} of {from}, which were acknowledged"
            );
        }
        drop(books);
        self.tally()
    }
}

impl Book {
    /// What was promised and not heard: the lost ones, and how many a kill has cut off behind everything that was heard of
    /// that life.
    fn missing(&self, lives: Option<&BTreeSet<u32>>) -> (Vec<u32>, usize) {
        let (mut lost, mut cut_off) = (Vec::new(), 0);
        for (&number, promise) in self.acked.iter().filter(|(number, _)| !self.heard.contains(number)) {
            let next_life = lives.and_then(|lives| lives.range(number + 1..).next());
            let is_last = self
                .heard
                .range(number..*next_life.unwrap_or(&u32::MAX))
                .next()
                .is_none();
            if *promise == Promise::Queued && is_last {
                cut_off += 1;
            } else {
                lost.push(number);
            }
        }
        (lost, cut_off)
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::{ChannelId, FrameType, Sequence};

    use super::*;

    fn got(from: usize, number: u32) -> Got {
        Got {
            kind: FrameType::Msg,
            channel: ChannelId::ZERO,
            sequence: Sequence::ZERO,
            payload: message(from, number, 20),
        }
    }

    fn hear(ledger: &Ledger, hearings: &mut [Hearing], told: &[(usize, u32)]) {
        for (connection, number) in told {
            ledger.hear(&mut hearings[*connection], &got(1, *number));
        }
    }

    /// What is heard on which connection of one recipient, the four messages of one sender being acknowledged.
    fn story(told: &[(usize, u32)]) -> bool {
        std::panic::catch_unwind(|| {
            let (ledger, mut hearings) = (Ledger::default(), [Hearing::of(2), Hearing::of(2)]);
            (1..=4).for_each(|number| ledger.promise(1, 2, number));
            hear(&ledger, &mut hearings, told);
            ledger.settle();
        })
        .is_ok()
    }

    /// Messages that three lives have acknowledged for somebody connected, 1 to 3, 4 to 6 and 7 to 9, and those of them
    /// that were heard; gives the lost and the cut off.
    fn lives(heard: &[u32]) -> (usize, usize) {
        let (ledger, mut hearing) = (Ledger::default(), Hearing::of(2));
        [1, 4, 7].iter().for_each(|first| ledger.new_life(1, *first));
        (1..=9).for_each(|number| ledger.promise_queued(1, 2, number));
        heard
            .iter()
            .for_each(|number| ledger.hear(&mut hearing, &got(1, *number)));
        let tally = ledger.tally();
        assert_eq!((tally.acknowledged, tally.delivered), (9, heard.len()));
        (tally.lost, tally.cut_off)
    }

    #[test]
    fn a_kill_may_cut_off_the_end_of_a_life_and_nothing_before_what_was_heard_of_it() {
        assert_eq!(lives(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), (0, 0));
        assert_eq!(lives(&[1, 2, 4, 7, 8]), (0, 4));
        assert_eq!(lives(&[7, 8, 9]), (0, 6));
        assert_eq!(lives(&[1, 3, 4, 5, 6, 9]), (3, 0));
        assert_eq!(lives(&[2, 6, 8]), (4, 2));
        assert_eq!(lives(&[3, 4, 5]), (2, 4));
    }

    #[test]
    fn only_a_new_connection_may_repeat_and_nothing_may_be_lost_or_overtake() {
        assert!(story(&[(0, 1), (0, 2), (0, 3), (0, 4)]));
        assert!(story(&[(0, 1), (0, 2), (1, 2), (1, 3), (1, 4)]));
        assert!(
            story(&[(0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]),
            "unacknowledged ones may come"
        );
        assert!(!story(&[(0, 1), (0, 2), (0, 2), (0, 3), (0, 4)]));
        assert!(!story(&[(0, 1), (0, 3), (0, 2), (0, 4)]));
        assert!(!story(&[(0, 1), (0, 3), (1, 2), (1, 4)]));
        assert!(!story(&[(0, 1), (0, 2), (0, 4)]));
    }
}
