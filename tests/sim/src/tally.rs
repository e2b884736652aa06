//! What a run has come across. A fault that never meets the path it was made for proves nothing, so a test adds these up
//! over many seeds and wants none of them to be zero.

use std::collections::BTreeMap;

use commucat_shard::counters::{Counters, Drop};

/// What the simulated people do not make happen: their ACKs are read.
const UNREACHED: [&str; 1] = ["control_full"];

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn add(&mut self, name: &'static str, count: u64) {
        *self.0.entry(name).or_default() += count;
    }

    /// A shard's whole life.
    pub(crate) fn shard(&mut self, counters: &Counters) {
        let names = [
            ("sessions ready", counters.ready),
            ("handshakes failed", counters.handshakes_failed),
            ("sessions replaced", counters.replaced),
            ("sessions revoked", counters.revoked),
            ("sessions ended by ERROR", counters.errors),
            ("connections malformed", counters.malformed),
            ("timeouts", counters.timeouts),
            ("frames delivered", counters.delivered),
            ("frames spilled", counters.spilled),
            ("queues overflowed", counters.overflows),
            ("frames stored", counters.appended),
            ("frames refused", counters.refused),
            ("rows replayed", counters.replayed),
            ("calls", counters.calls),
            ("offers expired", counters.calls_expired),
            ("calls ended for somebody gone", counters.calls_failed),
            ("senders stalled", counters.stalls),
            ("groups opened", counters.groups_opened),
            ("open channels entered", counters.open_joins),
            ("speakers of open channels named", counters.open_named),
            ("members added to open groups", counters.members_added),
            ("groups denied", counters.groups_denied),
        ];
        for (name, count) in names {
            self.add(name, count);
        }
        for (reason, count) in Drop::ALL.iter().zip(counters.dropped) {
            self.add(reason.name(), count);
        }
    }

    /// Adds another run's counts.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            self.add(name, *count);
        }
    }

    /// Paths that no run came across, but for those that none can.
    pub fn unmet(&self) -> impl Iterator<Item = &'static str> {
        let unmet = self
            .counts()
            .filter(|(name, count)| *count == 0 && !UNREACHED.contains(name));
        unmet.map(|(name, _)| name)
    }

    /// All counts, by name.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}
