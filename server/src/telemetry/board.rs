//! All shards' latest snapshots, collected when somebody asks.
//!
//! Invariant: shards are asked, and sleeping ones woken, at most once in `FRESH`, however many ask; whoever comes sooner
//! is given what was collected. A shard that does not answer in time keeps its last snapshot, whose age everybody can see.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::snapshot::{Publisher, Slot, Snapshot};
use crate::rest::desk::Wake;

/// For this long, numbers are good for the next who asks.
const FRESH: Duration = Duration::from_millis(250);
/// A shard that has not answered by then is in trouble, and the others' numbers are wanted the more.
const PATIENCE: Duration = Duration::from_secs(1);

/// The shards' numbers, by shard; a shard that never answered is missing.
pub type Collected = Arc<[(usize, Arc<Snapshot>)]>;

/// Collects.
pub struct Board {
    slots: Box<[Arc<Slot>]>,
    wakes: OnceLock<Box<[Wake]>>,
    last: Mutex<Option<(Instant, Collected)>>,
    started: SystemTime,
}

impl Board {
    /// For so many shards, which start now.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        Self {
            slots: (0..shards).map(|_| Arc::new(Slot::new())).collect(),
            wakes: OnceLock::new(),
            last: Mutex::new(None),
            started: SystemTime::now(),
        }
    }

    /// The end of one shard, for its thread.
    ///
    /// # Panics
    /// When there is no such shard.
    #[must_use]
    pub fn publisher(&self, shard: usize) -> Publisher {
        Publisher::new(Arc::clone(&self.slots[shard]))
    }

    /// How to wake each shard. Said once, before anybody asks.
    pub fn wake_by(&self, wakes: Vec<Wake>) {
        let first = self.wakes.set(wakes.into()).is_ok();
        debug_assert!(first, "shards are started once");
    }

    /// When the process began to serve.
    #[must_use]
    pub fn started(&self) -> Duration {
        self.started.duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.slots.len()
    }

    /// The numbers of now, or of a moment ago.
    pub async fn collect(&self) -> Collected {
        // Whoever waits here is given what the one before has collected.
        let mut last = self.last.lock().await;
        if let Some((at, collected)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(collected);
        }
        for (slot, wake) in self.slots.iter().zip(self.wakes.get().into_iter().flatten()) {
            slot.ask();
            wake();
        }
        let deadline = Instant::now() + PATIENCE;
        let mut collected = Vec::with_capacity(self.slots.len());
        for (shard, slot) in self.slots.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, slot.answer()).await {
                Ok(snapshot) => collected.push((shard, Arc::new(snapshot))),
                Err(_) => {
                    tracing::warn!(shard, "a shard does not tell its numbers");
                    let before = last.iter().flat_map(|(_, collected)| collected.iter());
                    collected.extend(before.filter(|(id, _)| *id == shard).cloned());
                }
            }
        }
        let collected: Collected = collected.into();
        *last = Some((Instant::now(), Arc::clone(&collected)));
        collected
    }
}
