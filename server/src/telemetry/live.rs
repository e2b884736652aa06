//! A sample a second for those who watch the operator's page, made once for all of them, and only while somebody watches.
//!
//! Rates are over the last second, percentiles over the last ten, sums over the last minute, or since the first watcher
//! came when that is less.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use commucat_shard::counters::Drop;
use commucat_shard::histogram::Histogram;
use serde::Serialize;
use tokio::sync::watch;

use super::board::{Board, Collected};
use super::catalogue::Inboxes;
use super::snapshot::Snapshot;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// The clock that ticks every second is not exact.
const SLACK: Duration = Duration::from_millis(500);
/// Percentiles of fewer would be those of single events.
const PERCENTILES: Duration = Duration::from_secs(10);
/// What is recent.
const RECENT: Duration = Duration::from_secs(60);

/// A line of samples that anybody may watch.
pub struct Live {
    samples: watch::Sender<Option<Bytes>>,
    running: AtomicBool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            samples: watch::Sender::new(None),
            running: AtomicBool::new(false),
        }
    }
}

/// One sample, as the page's script reads it. Durations are microseconds, rates are per second.
#[derive(Debug, Serialize)]
struct Sample {
    /// Milliseconds since the Unix epoch.
    at: u64,
    started: u64,
    version: &'static str,
    connections: u64,
    devices: u64,
    frames_in: u64,
    frames_out: u64,
    rates: Option<Rates>,
    turn: Spread,
    store: Spread,
    /// Seconds that the percentiles cover.
    percentiles_over: f64,
    cores: Vec<Core>,
    inbox: Option<Inboxes>,
    queues: Queues,
    counts: Vec<Count>,
    /// Seconds that `recent` covers.
    recent_over: f64,
}

#[derive(Debug, Serialize)]
struct Rates {
    frames_in: f64,
    frames_out: f64,
    bytes_in: f64,
    bytes_out: f64,
}

#[derive(Debug, Serialize)]
struct Spread {
    count: u64,
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Core {
    shard: usize,
    /// Share of a core's time; nothing before the second sample.
    load: Option<f64>,
    connections: usize,
    turns_per_second: Option<f64>,
    /// Milliseconds since it last told its numbers.
    age: u64,
}

#[derive(Debug, Serialize)]
struct Queues {
    outbox_bytes: usize,
    outbox_fullest: usize,
    inflight_bytes: usize,
    lane_batches: usize,
    store_requests: usize,
    rest_calls: usize,
}

#[derive(Debug, Serialize)]
struct Count {
    name: &'static str,
    total: u64,
    recent: u64,
}

impl Live {
    /// Watches; what the receiver holds first is the last sample, or nothing yet. `inbox` is asked with every sample.
    pub fn watch<F>(
        self: &Arc<Self>,
        board: &Arc<Board>,
        inbox: impl Fn() -> F + Send + Sync + 'static,
    ) -> watch::Receiver<Option<Bytes>>
    where
        F: Future<Output = Option<Inboxes>> + Send + 'static,
    {
        let watcher = self.samples.subscribe();
        if !self.running.swap(true, Ordering::SeqCst) {
            tokio::spawn(Arc::clone(self).run(Arc::clone(board), inbox));
        }
        watcher
    }

    async fn run<F>(self: Arc<Self>, board: Arc<Board>, inbox: impl Fn() -> F + Send)
    where
        F: Future<Output = Option<Inboxes>> + Send + 'static,
    {
        let mut history = VecDeque::new();
        let mut clock = tokio::time::interval(EVERY);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            if self.samples.receiver_count() == 0 {
                self.samples.send_replace(None);
                self.running.store(false, Ordering::SeqCst);
                // Whoever came in between has seen it running.
                let came = self.samples.receiver_count() > 0;
                if !came || self.running.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
            let (inbox, collected) = (inbox().await, board.collect().await);
            let now = Instant::now();
            while history.front().is_some_and(|(at, _)| now - *at > RECENT + SLACK) {
                history.pop_front();
            }
            let sample = Sample::new(&board, inbox, &collected, now, &history);
            history.push_back((now, collected));
            match serde_json::to_vec(&sample) {
                Ok(json) => drop(self.samples.send_replace(Some(event(&json)))),
                Err(error) => tracing::error!(%error, "a sample cannot be written"),
            }
        }
    }
}

/// As an event stream has it.
fn event(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}

type History = VecDeque<(Instant, Collected)>;

impl Sample {
    fn new(board: &Board, inbox: Option<Inboxes>, now: &Collected, at: Instant, history: &History) -> Self {
        let sum = |read: fn(&Snapshot) -> u64| now.iter().map(|(_, snapshot)| read(snapshot)).sum::<u64>();
        let hold = |read: fn(&Snapshot) -> usize| now.iter().map(|(_, snapshot)| read(snapshot)).sum::<usize>();
        let short = history.iter().find(|(then, _)| at - *then <= PERCENTILES + SLACK);
        let long = history.front();
        let over = |past: Option<&(Instant, Collected)>| past.map_or(0.0, |(then, _)| (at - *then).as_secs_f64());
        Self {
            at: millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            started: millis(board.started()),
            version: env!("CARGO_PKG_VERSION"),
            connections: hold(|snapshot| snapshot.held.connections) as u64,
            devices: hold(|snapshot| snapshot.held.attached) as u64,
            frames_in: sum(frames_in),
            frames_out: sum(frames_out),
            rates: history.back().map(|past| Rates::new(past, now, at)),
            turn: Spread::new(short, now, |snapshot| &snapshot.turns),
            store: Spread::new(short, now, |snapshot| &snapshot.shard.store_latency),
            percentiles_over: over(short),
            cores: now
                .iter()
                .map(|(shard, snapshot)| Core::new(*shard, snapshot, history.back()))
                .collect(),
            inbox,
            queues: Queues {
                outbox_bytes: hold(|snapshot| snapshot.held.outbox_bytes),
                outbox_fullest: now
                    .iter()
                    .map(|(_, snapshot)| snapshot.held.outbox_max)
                    .max()
                    .unwrap_or(0),
                inflight_bytes: hold(|snapshot| snapshot.held.inflight_bytes),
                lane_batches: hold(|snapshot| snapshot.queues.lane_overflow),
                store_requests: hold(|snapshot| snapshot.queues.store_requests),
                rest_calls: hold(|snapshot| snapshot.queues.rest_calls),
            },
            counts: COUNTS
                .iter()
                .map(|(name, read)| {
                    let total = sum(*read);
                    let before = long.map_or(total, |(_, past)| past.iter().map(|(_, snapshot)| read(snapshot)).sum());
                    Count {
                        name,
                        total,
                        recent: total.saturating_sub(before),
                    }
                })
                .collect(),
            recent_over: over(long),
        }
    }
}

type Read = fn(&Snapshot) -> u64;

/// What an operator wants to be zero, in the order in which the page shows it.
const COUNTS: &[(&str, Read)] = &[
    ("spilled", |snapshot| snapshot.shard.spilled),
    ("refused", |snapshot| snapshot.shard.refused),
    ("media_overflow", |snapshot| {
        snapshot.shard.dropped[Drop::MediaOverflow as usize]
    }),
    ("media_behind", |snapshot| {
        snapshot.shard.dropped[Drop::MediaBehind as usize]
    }),
    ("media_away", |snapshot| {
        snapshot.shard.dropped[Drop::MediaAway as usize]
    }),
    ("left", |snapshot| snapshot.shard.dropped[Drop::Left as usize]),
    ("control_full", |snapshot| {
        snapshot.shard.dropped[Drop::ControlFull as usize]
    }),
    ("stalls", |snapshot| snapshot.shard.stalls),
    ("handshakes_failed", |snapshot| snapshot.shard.handshakes_failed),
    ("session_errors", |snapshot| snapshot.shard.errors),
    ("malformed", |snapshot| snapshot.shard.malformed),
    ("timeouts", |snapshot| snapshot.shard.timeouts),
    ("store_full", |snapshot| snapshot.shard.store_full),
    ("store_failed", |snapshot| snapshot.shard.store_failed),
    ("buffers_empty", |snapshot| snapshot.ring.enobufs),
];

fn frames_in(snapshot: &Snapshot) -> u64 {
    snapshot.shard.frames_in.iter().sum()
}

fn frames_out(snapshot: &Snapshot) -> u64 {
    snapshot.shard.frames_out.iter().sum()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The same shard in an earlier collection.
fn earlier(past: &Collected, shard: usize) -> Option<&Arc<Snapshot>> {
    past.iter().find(|(id, _)| *id == shard).map(|(_, snapshot)| snapshot)
}

/// What grew, and how fast; nothing when there is nothing to divide by.
fn rate(now: f64, before: f64, over: Duration) -> Option<f64> {
    (over > Duration::ZERO).then(|| (now - before).max(0.0) / over.as_secs_f64())
}

impl Rates {
    fn new((then, past): &(Instant, Collected), now: &Collected, at: Instant) -> Self {
        let per_second = |read: fn(&Snapshot) -> u64| {
            let sum = |all: &Collected| all.iter().map(|(_, snapshot)| read(snapshot)).sum::<u64>() as f64;
            rate(sum(now), sum(past), at - *then).unwrap_or(0.0)
        };
        Self {
            frames_in: per_second(frames_in),
            frames_out: per_second(frames_out),
            bytes_in: per_second(|snapshot| snapshot.ring.received_bytes),
            bytes_out: per_second(|snapshot| snapshot.ring.sent_bytes),
        }
    }
}

impl Spread {
    fn new(past: Option<&(Instant, Collected)>, now: &Collected, read: fn(&Snapshot) -> &Histogram) -> Self {
        let mut all = Histogram::default();
        for (shard, snapshot) in now.iter() {
            match past.and_then(|(_, past)| earlier(past, *shard)) {
                Some(past) => all.add(&read(snapshot).since(read(past))),
                None => all.add(read(snapshot)),
            }
        }
        Self {
            count: all.count(),
            p50: all.quantile(0.5),
            p90: all.quantile(0.9),
            p99: all.quantile(0.99),
        }
    }
}

impl Core {
    fn new(shard: usize, snapshot: &Snapshot, past: Option<&(Instant, Collected)>) -> Self {
        let past = past.and_then(|(_, past)| earlier(past, shard));
        let since = |read: fn(&Snapshot) -> f64| {
            let past = past?;
            rate(
                read(snapshot),
                read(past),
                snapshot.taken.saturating_duration_since(past.taken),
            )
        };
        Self {
            shard,
            load: since(|snapshot| snapshot.cpu.as_secs_f64()).map(|load| load.min(1.0)),
            connections: snapshot.held.connections,
            turns_per_second: since(|snapshot| snapshot.turns.count() as f64),
            age: millis(snapshot.taken.elapsed()),
        }
    }
}
