//! How a shard goes to sleep without missing what is queued for it, and how others avoid ringing one that is awake.
//!
//! A ring costs its sender about a microsecond and a system call, and a push into a queue costs nanoseconds, so nobody
//! rings a shard that will look at its queues anyway. The promise, checked under every interleaving by
//! `tests/doorbell_loom.rs`: when something is pushed before or while a shard goes to sleep, either the shard sees it
//! when it looks once more, or exactly one pusher is told to ring.
//!
//! The sleeper: [`Doorbell::announce`], look at every queue once more, then sleep (or not), then [`Doorbell::awake`].
//! The pusher: push, then [`Doorbell::must_ring`].

use super::atomics::{AtomicBool, Ordering, fence};

/// One shard's sleep flag. It stands on a cache line of its own: pushers read it once per batch, and a neighbour's
/// writes would make each of those reads a miss.
#[derive(Debug)]
#[repr(align(128))]
pub struct Doorbell {
    asleep: AtomicBool,
}

impl Doorbell {
    /// The bell of a shard that is awake.
    #[must_use]
    pub fn new() -> Self {
        Self {
            asleep: AtomicBool::new(false),
        }
    }

    /// Says that this shard is about to sleep. Whoever calls this looks at its queues once more before it sleeps.
    pub fn announce(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `must_ring`. One of the two comes first in the total order of such fences: either
        // the pusher's load sees the flag, or the look that follows here sees the push.
        fence(Ordering::SeqCst);
    }

    /// Says that this shard is awake again. A ring that is already on its way is only a turn too many.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Called after a push: whether the caller is the one who has to wake the shard.
    #[must_use]
    pub fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        // The load keeps the line shared while the shard is busy; only a pusher that finds it asleep writes.
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed)
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}
