//! Wakes one sleeper, only when it sleeps: the pool for submissions, a shard for completions.
//!
//! The promise, checked under every interleaving by `tests/port_loom.rs`: when something is queued before or while the
//! sleeper lies down, either it sees that when it looks once more, or exactly one caller of [`Bell::must_ring`] is told
//! to wake it.

use super::atomics::{AtomicBool, Ordering, fence};

pub(crate) struct Bell {
    asleep: AtomicBool,
}

impl Bell {
    pub(crate) fn new(asleep: bool) -> Self {
        Self {
            asleep: AtomicBool::new(asleep),
        }
    }

    /// After something was queued: whether the caller has to wake the sleeper.
    pub(crate) fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed)
    }

    /// The sleeper's first half: after it, look at the queues once more, then sleep or [`Bell::stay`].
    pub(crate) fn lie_down(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `must_ring`: either that sees the flag, or the look that follows sees what was queued.
        fence(Ordering::SeqCst);
    }

    /// It does not sleep after all, or has woken.
    pub(crate) fn stay(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}
