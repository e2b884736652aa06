//! What this shard has asked of the store, and what to do with each answer.
//!
//! Invariant: every ticket has exactly one entry until its completion, so nothing is answered twice or forgotten.

use std::collections::HashMap;

use commucat_storage::api::{Completion, Request, Submission, Ticket};

use crate::Shard;
use crate::mesh::message::{DeviceKey, Epoch, Receipt, TunnelId};

/// What a completion is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    /// A HELLO that waits for what the store knows of its device.
    Lookup(TunnelId),
    /// A proven device that waits for its record.
    Record(TunnelId),
    /// A proven device that somebody else has founded meanwhile, perhaps itself.
    Recheck(TunnelId),
    /// A session whose token is to be kept.
    Open(TunnelId),
    /// A frame, or frames owed, for an absent device.
    Append {
        device: DeviceKey,
        receipt: Option<Receipt>,
    },
    /// Rows for an attached device.
    Read { device: DeviceKey, epoch: Epoch },
    /// What was said of who is there: said again soon enough, if it was lost.
    Presence,
    /// Nobody.
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct StoreDesk {
    next: u64,
    waiting: HashMap<Ticket, Waiting>,
}

impl StoreDesk {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Shard {
    pub(crate) fn ask_store(&mut self, request: Request, waiting: Waiting) {
        self.store.next += 1;
        let ticket = Ticket(self.store.next);
        self.store.waiting.insert(ticket, waiting);
        self.fx.store.push(Submission { ticket, request });
    }

    pub(crate) fn stored(&mut self, completion: Completion) {
        let Completion { ticket, outcome } = completion;
        match self.store.waiting.remove(&ticket) {
            Some(Waiting::Lookup(tunnel)) => self.looked_up(tunnel, outcome),
            Some(Waiting::Record(tunnel)) => self.recorded(tunnel, &outcome),
            Some(Waiting::Recheck(tunnel)) => self.rechecked(tunnel, outcome),
            Some(Waiting::Open(tunnel)) => self.opened(tunnel, &outcome),
            Some(Waiting::Append { device, receipt }) => self.home_appended(device, receipt, &outcome),
            Some(Waiting::Read { device, epoch }) => self.home_read(device, epoch, outcome),
            Some(Waiting::Presence) => self.counters.presence_lost += u64::from(outcome.is_err()),
            Some(Waiting::Nothing) => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "delivered rows could not be deleted; they may be replayed once more");
                }
            }
            None => tracing::error!(ticket = ticket.0, "the store answered a question nobody asked"),
        }
    }
}
