//! Deadlines. A heap with at most one live entry per owner: an owner that is armed is never pushed again, and decides
//! when its entry fires whether anything is really due. So frames that straddle reads cost no heap work.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Now;
use crate::input::ConnId;
use crate::mesh::message::{DeviceKey, GroupKey, TunnelId};

/// Who wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Conn(ConnId),
    Tunnel(TunnelId),
    Home(DeviceKey),
    Group(GroupKey),
    Calls,
    Presence,
    Names,
    Slim,
    Drain,
}

/// The shard's deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Now, Owner)>>,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Now, owner: Owner) {
        self.heap.push(Reverse((at, owner)));
    }

    pub(crate) fn next(&self) -> Option<Now> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next owner whose time has come.
    pub(crate) fn due(&mut self, now: Now) -> Option<Owner> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, owner))| owner)
    }
}
