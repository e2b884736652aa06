//! What a metric is, and what all of them are read from. They themselves stand in `metrics`.

use std::sync::Arc;
use std::time::Duration;

use commucat_shard::histogram::Histogram;
use serde::Serialize;

use super::snapshot::Snapshot;

/// What a page of metrics is made from.
pub struct View<'a> {
    /// By shard.
    pub shards: &'a [(usize, Arc<Snapshot>)],
    /// When the process began, since the Unix epoch.
    pub started: Duration,
    /// When the store says so.
    pub inboxes: Option<Inboxes>,
}

/// What is kept for those who are away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Inboxes {
    /// Frames in all inboxes.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// The counters of the specification (CCP-1, Security Telemetry), as they stand in `/api/security-stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SecuritySnapshot {
    /// Noise handshakes that led to a session.
    pub noise_handshakes: u64,
    /// Those of them that were hybrid. None before `pq-hybrid` is built.
    pub pq_handshakes: u64,
    /// RaptorQ segments produced. None before `fec-multipath` is built.
    pub fec_packets: u64,
    /// Sessions over more than one path. None before `fec-multipath` is built.
    pub multipath_sessions: u64,
    /// Paths that those sessions used, on average; 0 when there was none.
    pub average_paths: f64,
    /// Attempts to deflect a censor. None before pluggable transports are built.
    pub censorship_deflections: u64,
}

impl View<'_> {
    /// The counters of the specification.
    #[must_use]
    pub fn security(&self) -> SecuritySnapshot {
        SecuritySnapshot {
            noise_handshakes: self.shards.iter().map(|(_, snapshot)| snapshot.shard.ready).sum(),
            ..SecuritySnapshot::default()
        }
    }
}

/// One metric family.
pub struct Metric {
    /// Without the suffixes that its samples have.
    pub name: &'static str,
    /// The name's last part when it is one of OpenMetrics' units, else empty.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// The counters it is read from, `shard.NAME` or `ring.NAME`, for the test that none is forgotten.
    pub fields: &'static [&'static str],
}

/// Where a metric comes from.
#[derive(Clone, Copy)]
pub enum Source {
    /// Only grows; one number per shard.
    Counter(fn(&Snapshot) -> f64),
    /// Goes up and down; one number per shard.
    Gauge(fn(&Snapshot) -> f64),
    /// Only grows; numbers per shard and a second label.
    CounterBy(&'static str, fn(&Snapshot) -> Vec<(&'static str, u64)>),
    /// Durations per shard.
    Histogram(fn(&Snapshot) -> &Histogram),
    /// Only grows; of the whole process.
    Total(fn(&View<'_>) -> u64),
    /// Goes up and down; of the whole process. Left out when it is not known.
    Now(fn(&View<'_>) -> Option<f64>),
    /// A fact in a label.
    Info(&'static str, &'static str),
}

impl Source {
    /// OpenMetrics' name of the type.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Counter(_) | Self::CounterBy(..) | Self::Total(_) => "counter",
            Self::Gauge(_) | Self::Now(_) => "gauge",
            Self::Histogram(_) => "histogram",
            Self::Info(..) => "info",
        }
    }

    pub(super) const fn suffix(&self) -> &'static str {
        match self {
            Self::Counter(_) | Self::CounterBy(..) | Self::Total(_) => "_total",
            Self::Info(..) => "_info",
            _ => "",
        }
    }
}
