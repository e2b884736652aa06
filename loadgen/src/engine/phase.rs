//! What the threads of a run share: the phase, one clock, and counters for the progress line.
//!
//! ```text
//!  Connecting ─► Warming ─► Measuring ─► Draining ─► Done
//! ```

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Sessions are being opened.
    Connecting,
    /// Traffic flows and is not counted.
    Warming,
    /// Traffic flows and is counted.
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

    /// Whether traffic is made.
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

/// What one thread tells the coordinator. A cache line pair of its own: counters of two threads never meet.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Gauge {
    delivered: AtomicU64,
    established: AtomicU64,
    units: AtomicU64,
    handshakes: AtomicU64,
    lost: AtomicU64,
    thread: AtomicI32,
    quiet: AtomicBool,
}

impl Gauge {
    /// The thread's number in `/proc`.
    pub(crate) fn runs_as(&self, thread: i32) {
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// So many more frames arrived, measured or not.
    pub(crate) fn delivered(&self, count: u64) {
        self.delivered.fetch_add(count, Ordering::Relaxed);
    }

    /// One more session stands.
    pub(crate) fn established(&self) {
        self.established.fetch_add(1, Ordering::Relaxed);
    }

    /// One more of what the run consists of (a pair, a group, …) is ready.
    pub(crate) fn unit(&self) {
        self.units(1);
    }

    /// So many more.
    pub(crate) fn units(&self, count: u64) {
        self.units.fetch_add(count, Ordering::Relaxed);
    }

    /// One more handshake of a newcomer.
    pub(crate) fn handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// A session ended before its time.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing of this thread is under way any more.
    pub(crate) fn is_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }
}

/// The sum over all threads at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) delivered: u64,
    pub(crate) established: u64,
    pub(crate) units: u64,
    pub(crate) handshakes: u64,
    pub(crate) lost: u64,
    /// Whether nothing is under way anywhere.
    pub(crate) quiet: bool,
}

/// Written by the coordinator (the phase) and by each thread (its gauge).
#[derive(Debug)]
pub(crate) struct Shared {
    base: Instant,
    phase: AtomicU8,
    measuring_since: AtomicU64,
    gauges: Vec<Gauge>,
}

impl Shared {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            base: Instant::now(),
            phase: AtomicU8::new(Phase::Connecting as u8),
            measuring_since: AtomicU64::new(u64::MAX),
            gauges: (0..threads).map(|_| Gauge::default()).collect(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        let phase = usize::from(self.phase.load(Ordering::Acquire));
        Phase::ALL.get(phase).copied().unwrap_or(Phase::Done)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        if phase == Phase::Measuring {
            self.measuring_since.store(self.now_ns(), Ordering::Relaxed);
        }
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// When the measurement began.
    pub(crate) fn measuring_since(&self) -> u64 {
        self.measuring_since.load(Ordering::Relaxed)
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

    /// A thread's own.
    pub(crate) fn gauge(&self, thread: usize) -> &Gauge {
        &self.gauges[thread]
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals {
            quiet: true,
            ..Totals::default()
        };
        for gauge in &self.gauges {
            totals.delivered += gauge.delivered.load(Ordering::Relaxed);
            totals.established += gauge.established.load(Ordering::Relaxed);
            totals.units += gauge.units.load(Ordering::Relaxed);
            totals.handshakes += gauge.handshakes.load(Ordering::Relaxed);
            totals.lost += gauge.lost.load(Ordering::Relaxed);
            totals.quiet &= gauge.quiet.load(Ordering::Relaxed);
        }
        totals
    }

    /// The load threads' numbers in `/proc`.
    pub(crate) fn threads(&self) -> Vec<i32> {
        self.gauges
            .iter()
            .map(|gauge| gauge.thread.load(Ordering::Relaxed))
            .collect()
    }
}
