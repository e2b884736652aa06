//! One shard's numbers at one moment, and how they leave its thread: when they are asked for, and not before.
//!
//! Invariant: what this costs a shard that nobody asks is one load per turn. A shard that is asked walks its sessions
//! `SLOTS` per turn, copies its counters once and pushes them into a queue of one; it never waits, and takes no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use commucat_ring::RingCounters;
use commucat_shard::Shard;
use commucat_shard::counters::{Counters, Gauges};
use commucat_shard::histogram::Histogram;
use commucat_shard::survey::Survey;
use crossbeam_queue::ArrayQueue;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// Sessions looked at in one turn: some 10 µs.
const SLOTS: usize = 512;

/// A shard's numbers.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When they were taken.
    pub taken: Instant,
    /// What the engine has done.
    pub shard: Counters,
    /// What its ring has done.
    pub ring: RingCounters,
    /// What it holds.
    pub held: Gauges,
    /// What waits at its doors.
    pub queues: Queues,
    /// How long its turns took, the wait at their end left out.
    pub turns: Histogram,
    /// Processor time of its thread, in the kernel and outside.
    pub cpu: Duration,
}

/// What waits at a shard's doors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queues {
    /// Batches that did not fit into the lanes to other shards.
    pub lane_overflow: usize,
    /// Requests that the store has.
    pub store_requests: usize,
    /// Their bytes.
    pub store_bytes: usize,
    /// REST calls that the router has.
    pub rest_calls: usize,
    /// REST answers in parts that are not complete.
    pub rest_streams: usize,
    /// Sockets that the ring holds.
    pub sockets: usize,
}

/// Where a shard's snapshot is asked for and left. On a cache line of its own: the shard reads it in every turn.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Slot {
    asked: AtomicU64,
    latest: ArrayQueue<Snapshot>,
    left: Notify,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            asked: AtomicU64::new(0),
            latest: ArrayQueue::new(1),
            left: Notify::new(),
        }
    }

    /// Asks. Whoever does wakes the shard afterwards.
    pub(super) fn ask(&self) {
        // What was left behind by one who gave up waiting is old.
        let _ = self.latest.pop();
        self.asked.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits for the answer.
    pub(super) async fn answer(&self) -> Snapshot {
        loop {
            if let Some(snapshot) = self.latest.pop() {
                return snapshot;
            }
            self.left.notified().await;
        }
    }
}

/// The shard's end. Its thread calls it once per turn.
#[derive(Debug)]
pub struct Publisher {
    slot: Arc<Slot>,
    answered: u64,
    /// Begun, and for which asking.
    survey: Option<(u64, Survey)>,
}

impl Publisher {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            answered: 0,
            survey: None,
        }
    }

    /// Whether somebody waits: the look before a sleep, and once per turn.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.slot.asked.load(Ordering::SeqCst) != self.answered
    }

    /// Goes on with the answer; `fill` gives what only the loop knows, once the sessions have been walked.
    pub fn go_on(&mut self, shard: &Shard, fill: impl FnOnce(Gauges) -> Snapshot) {
        let asked = self.slot.asked.load(Ordering::SeqCst);
        let (asked, survey) = self.survey.get_or_insert((asked, Survey::default()));
        if let Some(held) = shard.survey(survey, SLOTS) {
            self.answered = *asked;
            self.survey = None;
            self.slot.latest.force_push(fill(held));
            self.slot.left.notify_one();
        }
    }
}

/// Processor time that the calling thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}
