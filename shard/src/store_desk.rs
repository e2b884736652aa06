//! What this shard has asked of the store, and what to do with each answer.
//!
//! Invariant: every ticket has exactly one entry until its completion, so nothing is answered twice or forgotten.

use std::collections::{HashMap, VecDeque};

use commucat_storage::api::{Completion, Reply, Request, StoreError, Submission, Ticket};

use crate::Shard;
use crate::clock::Now;
use crate::limits::Limits;
use crate::mesh::message::{DeviceKey, Epoch, GroupKey, Receipt, TunnelId};

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
    /// A frame, or frames owed, for an absent device; and how many bytes they are.
    Append {
        device: DeviceKey,
        receipt: Option<Receipt>,
        bytes: usize,
    },
    /// Rows for an attached device.
    Read { device: DeviceKey, epoch: Epoch },
    /// What the home of a group waits for.
    Group(GroupKey),
    /// What was said of who is there: said again soon enough, if it was lost.
    Presence,
    /// Nobody.
    Nothing,
}

#[derive(Debug, Default)]
pub(crate) struct StoreDesk {
    next: u64,
    /// With the moment at which each was asked.
    waiting: HashMap<Ticket, (Waiting, Now)>,
    /// Appends among them, and their bytes.
    appends: usize,
    append_bytes: usize,
    /// Devices with frames to append that wait until there are fewer.
    held_back: VecDeque<DeviceKey>,
}

impl StoreDesk {
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether frames for absent devices should wait here rather than be turned away by a full port: one frame for a
    /// large group whose members are away is thousands of appends at once. What waits counts against its senders'
    /// budgets.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        self.appends >= limits.appends || self.append_bytes >= limits.append_bytes
    }

    /// The device's turn comes when there is room again.
    pub(crate) fn hold_back(&mut self, device: DeviceKey) {
        self.held_back.push_back(device);
    }
}

impl Shard {
    pub(crate) fn ask_store(&mut self, request: Request, waiting: Waiting) {
        self.store.next += 1;
        let ticket = Ticket(self.store.next);
        if let Waiting::Append { bytes, .. } = waiting {
            self.store.appends += 1;
            self.store.append_bytes += bytes;
        }
        self.store.waiting.insert(ticket, (waiting, self.at.now));
        self.fx.store.push(Submission { ticket, request });
    }

    pub(crate) fn stored(&mut self, completion: Completion) {
        let Completion { ticket, outcome } = completion;
        let waiting = self.store.waiting.remove(&ticket).map(|(waiting, since)| {
            self.count_stored(&outcome, since);
            waiting
        });
        match waiting {
            Some(Waiting::Lookup(tunnel)) => self.looked_up(tunnel, outcome),
            Some(Waiting::Record(tunnel)) => self.recorded(tunnel, &outcome),
            Some(Waiting::Recheck(tunnel)) => self.rechecked(tunnel, outcome),
            Some(Waiting::Open(tunnel)) => self.opened(tunnel, &outcome),
            Some(Waiting::Append { device, receipt, bytes }) => {
                self.store.appends -= 1;
                self.store.append_bytes -= bytes;
                self.home_appended(device, receipt, &outcome);
                self.append_held_back();
            }
            Some(Waiting::Read { device, epoch }) => self.home_read(device, epoch, outcome),
            Some(Waiting::Group(group)) => self.group_stored(group, outcome),
            Some(Waiting::Presence) => match outcome {
                Ok(Reply::Displaced(count)) => self.counters.presence_displaced += count,
                outcome => self.counters.presence_lost += u64::from(outcome.is_err()),
            },
            Some(Waiting::Nothing) => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "delivered rows could not be deleted; they may be replayed once more");
                }
            }
            None => tracing::error!(ticket = ticket.0, "the store answered a question nobody asked"),
        }
    }
    fn append_held_back(&mut self) {
        while !self.store.is_full(&self.config.limits)
            && let Some(device) = self.store.held_back.pop_front()
        {
            self.home_append_on(device);
        }
    }

    fn count_stored(&mut self, outcome: &Result<Reply, StoreError>, since: Now) {
        match outcome {
            // It was never asked.
            Err(StoreError::PortFull) => self.counters.store_full += 1,
            outcome => {
                self.counters.store_failed += u64::from(matches!(outcome, Err(StoreError::Unavailable(_))));
                let micros = self.at.now.0.saturating_sub(since.0);
                self.counters.store_latency.record(micros);
            }
        }
    }
}
