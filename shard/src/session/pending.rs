//! A session's frames that are routed but not yet settled for every recipient: what an ACK waits for.
//!
//! Invariant: a frame leaves the list only when every recipient has it queued or durably stored, or has been refused;
//! so an ACK that is made from a removed entry never lies (decisions § 3).

use std::collections::VecDeque;
use std::sync::Arc;

use commucat_proto::{ChannelId, DeviceId, Sequence};

use crate::mesh::message::Refusal;
use crate::session::calls::Said;

#[derive(Debug)]
pub(crate) struct Unacked {
    pub(crate) sequence: Sequence,
    pub(crate) channel: ChannelId,
    remaining: u32,
    cost: usize,
    pub(crate) refused: Vec<(DeviceId, Refusal)>,
    /// Of a call: went by its route, and its ACK says more.
    pub(crate) said: Option<Arc<Said>>,
}

#[derive(Debug, Default)]
pub(crate) struct Pending {
    first: u32,
    list: VecDeque<Unacked>,
    cost: usize,
    waiting: usize,
}

impl Pending {
    /// The ordinal the next `push` will have: receipts name it.
    pub(crate) fn next_ordinal(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "bounded by unacked_frames")]
        self.first.wrapping_add(self.list.len() as u32)
    }

    /// A frame that `remaining` recipients are not settled for. One that waits for nobody only keeps its place, in front of
    /// or behind one of the same run that does.
    pub(crate) fn push(
        &mut self,
        sequence: Sequence,
        channel: ChannelId,
        remaining: u32,
        cost: usize,
        refused: Vec<(DeviceId, Refusal)>,
        said: Option<Arc<Said>>,
    ) {
        self.cost += cost;
        self.waiting += usize::from(remaining > 0);
        self.list.push_back(Unacked {
            sequence,
            channel,
            remaining,
            cost,
            refused,
            said,
        });
    }

    /// So many recipients are settled. Gives the frame, with its cost, when they were the last.
    pub(crate) fn settle(
        &mut self,
        ordinal: u32,
        count: u32,
        refused: Option<(DeviceId, Refusal)>,
    ) -> Option<(Unacked, usize)> {
        let index = ordinal.wrapping_sub(self.first) as usize;
        let entry = self.list.get_mut(index)?;
        entry.refused.extend(refused);
        assert!(count <= entry.remaining, "a recipient was settled twice");
        entry.remaining -= count;
        if entry.remaining > 0 {
            return None;
        }
        let done = Unacked {
            sequence: entry.sequence,
            channel: entry.channel,
            remaining: 0,
            cost: entry.cost,
            refused: std::mem::take(&mut entry.refused),
            said: entry.said.take(),
        };
        self.cost -= done.cost;
        self.waiting -= 1;
        while self.list.front().is_some_and(|entry| entry.remaining == 0) {
            self.list.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        if self.list.is_empty() && self.list.capacity() > 64 {
            self.list = VecDeque::new();
        }
        let cost = done.cost;
        Some((done, cost))
    }

    /// Whether this very frame still waits.
    pub(crate) fn contains(&self, sequence: Sequence) -> bool {
        self.list
            .binary_search_by_key(&sequence, |entry| entry.sequence)
            .is_ok_and(|index| self.list[index].remaining > 0)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Places in the list, settled ones behind an unsettled front included.
    pub(crate) fn places(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn cost(&self) -> usize {
        self.cost
    }
}
