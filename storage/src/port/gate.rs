//! Who may still submit, and what is not answered yet: how the pool ends without losing a request.
//!
//! The promise, checked under every interleaving by `tests/port_loom.rs`: once the gate is shut and found idle, no
//! submission is in the queue or about to be pushed. The shard's thread enters, pushes; the pool's answers, leaves.

use super::atomics::{AtomicBool, AtomicUsize, Ordering, fence};

#[derive(Default)]
pub(crate) struct Gate {
    /// Taken from the shard and not answered yet, one that is being pushed included.
    in_flight: AtomicUsize,
    /// Nothing more is taken.
    shut: AtomicBool,
}

impl Gate {
    /// Before a push. False when the gate is shut: nothing may be pushed.
    pub(crate) fn enter(&self) -> bool {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `shut`: either this sees that the gate is shut, or whoever shut it sees the count.
        fence(Ordering::SeqCst);
        let open = !self.shut.load(Ordering::Relaxed);
        if !open {
            self.leave();
        }
        open
    }

    /// After an answer was queued.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Whether everything that was taken is answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }
}
