//! What the threads of a run share: the phase, one clock, and counters for the progress line.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Sessions are being opened.
    Connecting,
    /// Messages flow and are not counted.
    Warming,
    /// Messages flow and are counted.
    Measuring,
    /// Nothing new is sent; what is under way arrives.
    Draining,
    /// The threads report.
    Done,
}

impl Phase {
    const ALL: [Self; 5] = [
        Self::Connecting,
        Self::Warming,
        Self::Measuring,
        Self::Draining,
        Self::Done,
    ];

    /// Whether messages are sent.
    pub(crate) fn sends(self) -> bool {
        matches!(self, Self::Warming | Self::Measuring)
    }
}

/// One reading of the clock and of the phase, for a whole batch of messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now_ns: u64,
    pub(crate) measuring: bool,
}

/// Written by the coordinator (the phase) and by each thread (its counters).
#[derive(Debug)]
pub(crate) struct Shared {
    base: Instant,
    phase: AtomicU8,
    ready: AtomicU64,
    delivered: AtomicU64,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            base: Instant::now(),
            phase: AtomicU8::new(Phase::Connecting as u8),
            ready: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        let phase = usize::from(self.phase.load(Ordering::Relaxed));
        Phase::ALL.get(phase).copied().unwrap_or(Phase::Done)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            now_ns: self.now_ns(),
            measuring: self.phase() == Phase::Measuring,
        }
    }

    /// One more pair is established.
    pub(crate) fn pair_ready(&self) {
        self.ready.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ready(&self) -> u64 {
        self.ready.load(Ordering::Relaxed)
    }

    /// So many more messages arrived, measured or not.
    pub(crate) fn count_delivered(&self, count: u64) {
        self.delivered.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }
}
