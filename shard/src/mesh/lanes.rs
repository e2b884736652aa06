//! The lanes: one bounded single-producer queue of batches for each ordered pair of shards.
//!
//! Invariants: a lane is first in, first out, through its overflow too; a batch given to [`Endpoint::send`] is received
//! exactly once while both shards live. The core loop owns one [`Endpoint`] per shard and drives it once a turn:
//! `receive`, then `send` for each batch of the turn's effects, then `ring`. A shard never sees a lane.
//!
//! A full lane keeps its batches with the sender, in order, and each turn tries again: the receiver's turn is what
//! makes room, and what one shard may have on its way to another is bounded by its own budgets, not by this queue.

use std::collections::VecDeque;
use std::sync::Arc;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::doorbell::Doorbell;
use super::message::{Batch, ShardId};
use super::tally::{self, Tally};

/// Batches a lane holds before they wait with the sender. A shard gives each other shard one batch per turn, so this is
/// how many turns a receiver may lag before the sender's heap is touched; an empty slot costs 48 bytes.
pub const LANE_BATCHES: usize = 256;

/// What all endpoints of one process share.
#[derive(Debug)]
struct Shared {
    bells: Box<[Doorbell]>,
    tallies: Box<[Tally]>,
}

/// The mesh as seen by a thread that is no shard: whom to wake, and whether anything is on its way.
#[derive(Clone, Debug)]
pub struct Watch(Arc<Shared>);

impl Watch {
    /// How many batches were ever sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        tally::sent(&self.0.tallies)
    }

    /// Whether, at one moment during this call, no batch was between two shards: everything that had been handled
    /// before it is all that had been sent after it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        tally::is_quiet(&self.0.tallies)
    }

    /// The bell of a shard, for a thread that queues something else for it.
    #[must_use]
    pub fn bell(&self, shard: ShardId) -> &Doorbell {
        &self.0.bells[usize::from(shard.0)]
    }
}

/// The sending end of a lane.
#[derive(Debug)]
struct Outgoing {
    to: ShardId,
    lane: Producer<Batch>,
    /// Waits for room; while it holds anything, everything goes through it.
    overflow: VecDeque<Batch>,
    /// Pushed to since the last `ring`.
    touched: bool,
}

impl Outgoing {
    fn refill(&mut self) {
        while let Some(batch) = self.overflow.pop_front() {
            if let Err(PushError::Full(batch)) = self.lane.push(batch) {
                self.overflow.push_front(batch);
                return;
            }
            self.touched = true;
        }
    }
}

/// One shard's ends of all its lanes.
#[derive(Debug)]
pub struct Endpoint {
    id: ShardId,
    /// By id, our own left out.
    outgoing: Vec<Outgoing>,
    incoming: Vec<(ShardId, Consumer<Batch>)>,
    /// Received in this turn; counted as handled once the turn's own batches are.
    handling: u64,
    shared: Arc<Shared>,
}

/// The lanes between `shards` shards, each holding `batches`: one endpoint per shard, in the order of ids.
#[must_use]
pub fn lanes(shards: u16, batches: usize) -> Vec<Endpoint> {
    let shared = Arc::new(Shared {
        bells: (0..shards).map(|_| Doorbell::new()).collect(),
        tallies: (0..shards).map(|_| Tally::default()).collect(),
    });
    let mut endpoints: Vec<Endpoint> = (0..shards)
        .map(|id| Endpoint {
            id: ShardId(id),
            outgoing: Vec::new(),
            incoming: Vec::new(),
            handling: 0,
            shared: Arc::clone(&shared),
        })
        .collect();
    for from in 0..shards {
        for to in (0..shards).filter(|to| *to != from) {
            let (lane, end) = RingBuffer::new(batches);
            let outgoing = Outgoing {
                to: ShardId(to),
                lane,
                overflow: VecDeque::new(),
                touched: false,
            };
            endpoints[usize::from(from)].outgoing.push(outgoing);
            endpoints[usize::from(to)].incoming.push((ShardId(from), end));
        }
    }
    endpoints
}

impl Endpoint {
    /// Whose ends these are.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// This shard's own bell.
    #[must_use]
    pub fn bell(&self) -> &Doorbell {
        &self.shared.bells[usize::from(self.id.0)]
    }

    /// A view for other threads.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.shared))
    }

    /// Takes what the lanes hold now, in each lane's order; what arrives meanwhile waits for the next turn, so that a
    /// busy neighbour cannot keep this shard from its own sockets. Says how many batches that were.
    pub fn receive(&mut self, mut handle: impl FnMut(ShardId, Batch)) -> usize {
        let mut count = 0;
        for (from, lane) in &mut self.incoming {
            for _ in 0..lane.slots() {
                let Ok(batch) = lane.pop() else { break };
                handle(*from, batch);
                count += 1;
            }
        }
        self.handling += count as u64;
        count
    }

    /// Queues a batch. Nobody is woken before [`Endpoint::ring`].
    ///
    /// # Panics
    /// When a shard sends to itself or to a shard that does not exist: its state is broken.
    pub fn send(&mut self, to: ShardId, batch: Batch) {
        assert!(to != self.id, "shard {} sends to itself", to.0);
        let out = &mut self.outgoing[usize::from(to.0) - usize::from(to.0 > self.id.0)];
        debug_assert_eq!(out.to, to);
        self.shared.tallies[usize::from(self.id.0)].sends();
        out.overflow.push_back(batch);
        out.refill();
    }

    /// Ends a turn: tries again what did not fit, and gives `wake` every shard that has something new and sleeps.
    pub fn ring(&mut self, mut wake: impl FnMut(ShardId)) {
        for out in &mut self.outgoing {
            out.refill();
            if std::mem::take(&mut out.touched) && self.shared.bells[usize::from(out.to.0)].must_ring() {
                wake(out.to);
            }
        }
        let handling = std::mem::take(&mut self.handling);
        if handling > 0 {
            self.shared.tallies[usize::from(self.id.0)].has_handled(handling);
        }
    }

    /// Whether a batch waits in one of our lanes: the look before a sleep.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.incoming.iter().any(|(_, lane)| !lane.is_empty())
    }

    /// Batches that wait here for room.
    #[must_use]
    pub fn overflow(&self) -> usize {
        self.outgoing.iter().map(|out| out.overflow.len()).sum()
    }

    /// Whether batches wait here for room. Their receiver does not know of them, so the sender must not sleep long.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.outgoing.iter().any(|out| !out.overflow.is_empty())
    }
}
