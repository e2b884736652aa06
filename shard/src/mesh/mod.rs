//! Between the shards: what they say (`message`), how a turn collects it (`outgoing`), and the lanes and the bell that
//! the core loop carries it with.

pub mod call;
pub mod doorbell;
pub mod group;
pub mod lanes;
pub mod message;
pub mod naming;
pub(crate) mod outgoing;
mod tally;

/// What the bell and the tallies are made of: here the machine's, in their model tests loom's.
mod atomics {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}
