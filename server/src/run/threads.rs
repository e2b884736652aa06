//! The shards' threads: born together, woken from outside, joined at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use commucat_ring::{RingHandle, Waker};
use commucat_shard::mesh::lanes::Watch;
use commucat_shard::mesh::message::ShardId;

use super::{Event, RunError};
use crate::core_loop::{self, CoreError, Go, Ready, Report, Seed};

/// All of them.
pub(super) struct Threads {
    by_shard: Vec<Thread>,
}

struct Thread {
    ready: Ready,
    go: Sender<Go>,
    handle: JoinHandle<Option<Report>>,
}

/// Starts one thread per seed and waits until every ring stands. When one cannot, the others end too.
pub(super) fn spawn(seeds: Vec<Seed>, events: Sender<Event>) -> Result<Threads, RunError> {
    let mut starting = Vec::new();
    for seed in seeds {
        let shard = seed.config.id;
        let (tell, told) = channel();
        let (go, gone) = channel();
        let events = events.clone();
        let handle = std::thread::Builder::new()
            .name(format!("shard-{}", shard.0))
            .spawn(move || {
                let _abort = AbortOnPanic;
                match core_loop::run(seed, &tell, &gone) {
                    Ok(report) => report,
                    Err(error) => {
                        // Nobody listens when the process is ending anyway.
                        let _ = events.send(Event::Broken(shard, error));
                        None
                    }
                }
            })
            .map_err(RunError::system("start a shard's thread"))?;
        starting.push((shard, told, go, handle));
    }
    let mut by_shard = Vec::new();
    for (shard, told, go, handle) in starting {
        let ready = match told.recv() {
            Ok(Ok(ready)) => ready,
            Ok(Err(error)) => return Err(RunError::Core { shard, error }),
            Err(_) => {
                return Err(RunError::Core {
                    shard,
                    error: CoreError::Silent,
                });
            }
        };
        by_shard.push(Thread { ready, go, handle });
    }
    Ok(Threads { by_shard })
}

impl Threads {
    /// For each other's bells.
    pub(super) fn rings(&self) -> Vec<RingHandle> {
        self.by_shard.iter().map(|thread| thread.ready.handle.clone()).collect()
    }

    /// What wakes a shard for those who queue something for it: nothing, as long as it is awake.
    pub(super) fn wake(&self, shard: ShardId, mesh: Watch) -> Arc<dyn Fn() + Send + Sync> {
        let waker: Waker = self.by_shard[usize::from(shard.0)].ready.waker.clone();
        Arc::new(move || {
            if mesh.bell(shard).must_ring() {
                waker.wake();
            }
        })
    }

    /// Lets the loops begin.
    pub(super) fn go(&mut self, words: Vec<Go>) {
        for (thread, word) in self.by_shard.iter().zip(words) {
            // A thread that is gone has said why in an event.
            let _ = thread.go.send(word);
        }
    }

    /// Makes every shard look at the phase.
    pub(super) fn wake_all(&self) {
        for thread in &self.by_shard {
            thread.ready.waker.wake();
        }
    }

    /// Waits for the end of all of them.
    pub(super) fn join(self) -> BTreeMap<ShardId, Report> {
        let mut reports = BTreeMap::new();
        for (index, thread) in self.by_shard.into_iter().enumerate() {
            drop(thread.go);
            let Ok(id) = u16::try_from(index) else { continue };
            if let Ok(Some(report)) = thread.handle.join() {
                reports.insert(ShardId(id), report);
            }
        }
        reports
    }
}

/// A shard whose own state is broken must not serve on, and its neighbours rely on it: the process ends. A release
/// aborts on every panic; this makes a debug build do the same here.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
