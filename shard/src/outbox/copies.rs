//! How a queue goes to the inbox: all at once when it is full, and when its session ends. What has begun to leave by then is
//! stored as well and stays here; when its row comes back it is known by its likeness.
//!
//! Invariants: copies come back in the order in which they were given, and arrive in it: if some have arrived, those are the
//! first; `unclaimed` is how many of them stand in bulk without a row.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use commucat_storage::api::RowId;

use super::{Opaque, Outbox};

impl Outbox {
    /// Gives every live storable frame that is not known to have arrived, in order. Marks those that have begun to leave,
    /// and returns their likenesses.
    fn give_back(&mut self, mut each: impl FnMut(Opaque<'_>)) -> VecDeque<u64> {
        let begun = self.begun();
        let mut likenesses = VecDeque::new();
        for index in 0..self.bulk.len() {
            let mut copied = false;
            self.bulk.with(index, |record, frame| {
                if record.row.is_none() && !record.skipped && !record.arrived {
                    copied = index < begun;
                    if copied {
                        likenesses.push_back(likeness(frame));
                    }
                    each(frame);
                }
            });
            self.bulk.set_copied(index, copied);
        }
        likenesses
    }

    /// The queue is full: everything live goes to the inbox, so that what is stored from now on stands behind it. What
    /// has begun to leave is stored as well, and `copied` is set: its rows come first in the next replay.
    pub(crate) fn spill(&mut self, each: impl FnMut(Opaque<'_>)) {
        self.copied = self.give_back(each);
        (self.unclaimed, self.unclaimed_from) = (self.copied.len(), 0);
        // Stored rows stand before everything live, and the home will not send them again.
        let rows = (0..self.bulk.len()).take_while(|at| self.bulk.get(*at).is_some_and(|record| record.row.is_some()));
        let keep = rows.count().max(self.begun());
        self.bulk.truncate(keep);
        self.cut_media();
    }

    /// A replayed row: queued, or recognised as a frame that has begun to leave already. Says whether it has arrived.
    pub(crate) fn push_row(&mut self, frame: Opaque<'_>, row: RowId, left: bool) -> bool {
        if !self.copied.is_empty() {
            // Copies whose rows have expired in the inbox are missing: those before the one that matches, or all.
            let like = likeness(frame);
            let expired = self.copied.iter().position(|copy| *copy == like);
            for _ in 0..expired.unwrap_or(self.copied.len()) {
                self.claim_copy(RowId::default());
            }
            if expired.is_some() {
                return self.claim_copy(row);
            }
        }
        let at = self.bulk.len();
        self.push_bulk(frame, Some(row));
        if left {
            self.bulk.skip(frame.channel, at);
        }
        false
    }

    /// Gives the first copy its row; says whether its frame has arrived already.
    fn claim_copy(&mut self, row: RowId) -> bool {
        // They arrive in order: if some have, those are the first.
        let arrived = self.unclaimed < self.copied.len();
        self.copied.pop_front();
        if !arrived {
            while self
                .bulk
                .get(self.unclaimed_from)
                .is_some_and(|record| !record.is_unclaimed())
            {
                self.unclaimed_from += 1;
            }
            self.bulk.set_row(self.unclaimed_from, row);
            self.unclaimed = self.unclaimed.saturating_sub(1);
        }
        arrived
    }

    /// The session is over: gives what must still be stored, in order, and keeps only what the peer must still see,
    /// the rest of a frame that was begun, and control. `live` says that bulk is not in the inbox yet.
    pub(crate) fn residue(&mut self, live: bool, mut each: impl FnMut(Opaque<'_>)) {
        self.give_back(|frame| {
            if live {
                each(frame);
            }
        });
        let begun = self.begun();
        self.bulk.truncate(begun);
        self.cut_media();
        self.take_held(each);
    }
}

/// Tells copies of frames apart when they come back as rows.
fn likeness(frame: Opaque<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (frame.kind.code(), frame.channel.get(), frame.payload).hash(&mut hasher);
    hasher.finish()
}
