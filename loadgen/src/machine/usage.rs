//! How busy threads were between two moments: whether the relay was measured, or the load generator, or the machine.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::process::{ThreadTime, resident_bytes, thread_times};

/// A process at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    at: Instant,
    threads: Vec<ThreadTime>,
}

impl Reading {
    /// Of process `pid`, now; none, when it cannot be looked at.
    pub(crate) fn take(pid: u32) -> Option<Self> {
        Some(Self {
            threads: thread_times(pid)?,
            at: Instant::now(),
        })
    }
}

/// What one thread did with its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) thread: String,
    /// On a core, of the time that passed: 1 is a whole core.
    pub(crate) busy: f64,
    /// Ready to run, and no core to run on.
    pub(crate) waiting: f64,
    /// Processor time in seconds.
    pub(crate) cpu_seconds: f64,
    #[serde(skip)]
    pub(crate) id: i32,
}

/// A process between two moments.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Usage {
    pub(crate) threads: Vec<Share>,
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: Option<u64>,
}

impl Usage {
    /// What happened since `before`.
    pub(crate) fn since(before: &Reading, pid: u32) -> Option<Self> {
        let after = Reading::take(pid)?;
        Some(Self {
            resident_bytes: resident_bytes(pid),
            ..Self::between(before, &after)
        })
    }

    fn between(before: &Reading, after: &Reading) -> Self {
        let wall = (after.at - before.at).as_secs_f64().max(1e-9);
        let mut threads: Vec<Share> = after
            .threads
            .iter()
            .map(|thread| {
                let start = before.threads.iter().find(|earlier| earlier.id == thread.id);
                let since =
                    |now: Duration, then: Option<Duration>| now.saturating_sub(then.unwrap_or_default()).as_secs_f64();
                let cpu_seconds = since(thread.busy, start.map(|start| start.busy));
                Share {
                    thread: thread.name.clone(),
                    busy: cpu_seconds / wall,
                    waiting: since(thread.waiting, start.map(|start| start.waiting)) / wall,
                    cpu_seconds,
                    id: thread.id,
                }
            })
            .collect();
        threads.sort_by(|one, other| other.busy.total_cmp(&one.busy));
        Self {
            cpu_seconds: threads.iter().map(|thread| thread.cpu_seconds).sum(),
            threads,
            resident_bytes: None,
        }
    }

    /// Only these threads of it.
    pub(crate) fn of_threads(mut self, ids: &[i32]) -> Self {
        self.threads.retain(|thread| ids.contains(&thread.id));
        self
    }

    /// The busiest thread.
    pub(crate) fn busiest(&self) -> Option<&Share> {
        self.threads.first()
    }

    /// The largest share of time that a thread waited for a core.
    pub(crate) fn waiting(&self) -> f64 {
        self.threads.iter().map(|thread| thread.waiting).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Reading, ThreadTime, Usage};

    fn reading(at: Instant, threads: &[(i32, u64, u64)]) -> Reading {
        let threads = threads.iter().map(|&(id, busy, waiting)| ThreadTime {
            id,
            name: format!("thread-{id}"),
            busy: Duration::from_millis(busy),
            waiting: Duration::from_millis(waiting),
        });
        Reading {
            at,
            threads: threads.collect(),
        }
    }

    #[test]
    fn shares_are_of_the_time_that_passed_and_new_threads_count_from_nothing() {
        let start = Instant::now();
        let before = reading(start, &[(1, 100, 0), (2, 50, 50)]);
        let after = reading(
            start + Duration::from_secs(2),
            &[(1, 600, 200), (2, 1_050, 50), (3, 20, 0)],
        );
        let usage = Usage::between(&before, &after);
        let shares: Vec<_> = usage
            .threads
            .iter()
            .map(|share| (share.id, (share.busy * 100.0).round(), (share.waiting * 100.0).round()))
            .collect();
        assert_eq!(shares, [(2, 50.0, 0.0), (1, 25.0, 10.0), (3, 1.0, 0.0)]);
        assert!((usage.cpu_seconds - 1.52).abs() < 1e-9 && (usage.waiting() - 0.1).abs() < 1e-9);
        assert_eq!(usage.of_threads(&[1]).busiest().map(|share| share.id), Some(1));
    }

    #[test]
    fn this_process_was_busy_for_some_time_or_none() {
        let before = Reading::take(std::process::id()).expect("this process");
        let usage = Usage::since(&before, std::process::id()).expect("this process");
        assert!(usage.cpu_seconds >= 0.0 && usage.resident_bytes.is_some());
        assert!(Reading::take(u32::MAX).is_none());
    }
}
