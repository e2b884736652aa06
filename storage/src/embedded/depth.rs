//! How much all inboxes hold together, without a counter on the disk that every append would have to write.
//!
//! The inboxes are counted once after opening, in the order of their keys, a bounded number at a time: the first at
//! opening, the rest by upkeep. What changes meanwhile counts at once when its inbox has been counted, and is found when
//! it has not. Invariant: the totals are those of the inboxes up to and including `counted`, exactly.

use std::ops::Bound;

use commucat_proto::DeviceId;

use super::error::Fault;
use super::inbox::Inbox;
use super::keys;
use super::tables::Tables;
use crate::api::{Reply, RowId};

/// What an inbox, or all of them, hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) rows: u64,
    /// Of payload.
    pub(super) bytes: u64,
}

/// The totals.
#[derive(Debug)]
pub(super) struct Depth {
    total: Held,
    counted: Counted,
}

#[derive(Debug, PartialEq, Eq)]
enum Counted {
    /// Inboxes up to and including this one; `None` before the first.
    UpTo(Option<DeviceId>),
    All,
}

impl Depth {
    pub(super) fn new() -> Self {
        Self {
            total: Held::default(),
            counted: Counted::UpTo(None),
        }
    }

    pub(super) fn reply(&self) -> Reply {
        Reply::Depth {
            rows: self.total.rows,
            bytes: self.total.bytes,
        }
    }

    /// An inbox held something else before.
    pub(super) fn change(&mut self, device: &DeviceId, before: Held, now: Held) {
        let counted = match &self.counted {
            Counted::All => true,
            // Inboxes lie in the table in the order of their devices' names: a zero byte follows each.
            Counted::UpTo(last) => last.as_ref().is_some_and(|last| device <= last),
        };
        if counted {
            let total = &mut self.total;
            total.rows = (total.rows + now.rows).saturating_sub(before.rows);
            total.bytes = (total.bytes + now.bytes).saturating_sub(before.bytes);
        }
    }

    /// Counts up to `max` more inboxes. Nothing may be staged.
    pub(super) fn count(&mut self, tables: &Tables, max: usize) -> Result<(), fjall::Error> {
        for _ in 0..max {
            let Counted::UpTo(last) = &self.counted else {
                return Ok(());
            };
            let Some(device) = next_inbox(tables, last.as_ref())? else {
                self.counted = Counted::All;
                return Ok(());
            };
            match Inbox::counters(tables, &device) {
                Ok(inbox) => {
                    let held = inbox.held();
                    self.total.rows += held.rows;
                    self.total.bytes += held.bytes;
                }
                Err(Fault::Engine(error)) => return Err(error),
                Err(fault) => tracing::warn!(%device, %fault, "an inbox could not be counted"),
            }
            self.counted = Counted::UpTo(Some(device));
        }
        Ok(())
    }
}

/// The first inbox after `last` that has rows in the table.
fn next_inbox(tables: &Tables, last: Option<&DeviceId>) -> Result<Option<DeviceId>, fjall::Error> {
    let start = match last {
        Some(device) => Bound::Excluded(keys::row(device, RowId(u64::MAX))),
        None => Bound::Unbounded,
    };
    for guard in tables.relay_queue.range((start, Bound::Unbounded)) {
        let key = guard.key()?;
        match keys::inbox_of(&key) {
            Some(device) => return Ok(Some(device)),
            None => tracing::warn!(?key, "a key of the relay queue names no inbox"),
        }
    }
    Ok(None)
}
