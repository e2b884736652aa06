//! How a thread that is no shard sees that the mesh is at rest: what each shard has sent and handled.
//!
//! The promise, checked under every interleaving by `tests/tally_loom.rs`: when [`is_quiet`] says so, there was a moment
//! during that call at which no batch was between two shards. It rests on three rules: a batch counts as sent before it is
//! pushed; as handled only after what its handling sends is counted as sent; and `is_quiet` reads what was handled first.

use super::atomics::{AtomicU64, Ordering};

/// What one shard has sent and handled so far. Written by that shard alone, so on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Tally {
    sent: AtomicU64,
    handled: AtomicU64,
}

impl Tally {
    /// One batch is about to be pushed. One writer: no read-modify-write is needed.
    pub(crate) fn sends(&self) {
        self.sent.store(self.sent.load(Ordering::Relaxed) + 1, Ordering::SeqCst);
    }

    /// So many batches, and what came of them is counted as sent.
    pub(crate) fn has_handled(&self, count: u64) {
        let handled = self.handled.load(Ordering::Relaxed) + count;
        self.handled.store(handled, Ordering::SeqCst);
    }
}

/// How many batches were ever sent.
pub(crate) fn sent(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.sent.load(Ordering::SeqCst)).sum()
}

/// Whether, at one moment during this call, no batch was between two shards.
pub(crate) fn is_quiet(tallies: &[Tally]) -> bool {
    let handled: u64 = tallies.iter().map(|tally| tally.handled.load(Ordering::SeqCst)).sum();
    handled == sent(tallies)
}
