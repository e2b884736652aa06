//! What senders were promised and what recipients heard, across connections and lives of the relay.
//!
//! Invariants it checks: nobody hears a message on one connection twice or out of its sender's order; what is heard for
//! the first time stands in its sender's order, whatever connection it comes by; and at the end everything that was
//! acknowledged has been heard. Only a new connection may repeat.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Promised and not heard, by recipient.
    owed: BTreeMap<usize, usize>,
}

#[derive(Debug, Default)]
struct Book {
    acked: BTreeSet<u32>,
    heard: BTreeSet<u32>,
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
        let mut books = self.books();
        let book = books.ways.entry((from, to)).or_default();
        assert!(book.acked.insert(number), "message {number} was acknowledged twice");
        let owed = usize::from(!book.heard.contains(&number));
        books.promised += 1;
        *books.owed.entry(to).or_default() += owed;
    }

    /// How many messages it has promised to keep.
    #[must_use]
    pub fn promised(&self) -> usize {
        self.books().promised
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
            let owed = usize::from(book.acked.contains(&number));
            *books.owed.entry(to).or_default() -= owed;
        } else {
            hearing.repeated += 1;
        }
    }

    /// How many promised messages this recipient has not heard.
    #[must_use]
    pub fn owed(&self, to: usize) -> usize {
        self.books().owed.get(&to).copied().unwrap_or(0)
    }

    /// Everything that was promised has been heard.
    ///
    /// # Panics
    /// When something has not.
    pub fn settle(&self) {
        let books = self.books();
        for ((from, to), book) in &books.ways {
            let lost: Vec<_> = book.acked.difference(&book.heard).collect();
            assert!(
                lost.is_empty(),
                "{to} never heard {lost:?} of {from}, which were acknowledged"
            );
        }
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
