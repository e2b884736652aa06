//! What one thread counted.

use hdrhistogram::Histogram;

/// Latencies beyond this are recorded as this.
const LONGEST_NS: u64 = 60_000_000_000;

/// Counters and latencies of one thread; merged at the end.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Sent while measuring.
    pub(crate) sent: u64,
    /// Of those, arrived.
    pub(crate) delivered: u64,
    /// Sent outside the measurement and never arrived.
    pub(crate) lost_unmeasured: u64,
    /// Arrived before an earlier one of the same sender, or twice.
    pub(crate) disordered: u64,
    /// Arrived and are not what was sent.
    pub(crate) corrupt: u64,
    /// Rejected by the relay in its ACK.
    pub(crate) rejected: u64,
    /// Sessions that ended before the run did.
    pub(crate) disconnected: u64,
    /// Why the first of them ended.
    pub(crate) first_loss: Option<String>,
    /// Sender to recipient, nanoseconds.
    pub(crate) delivery: Histogram<u64>,
    /// Sender to the relay's ACK, nanoseconds.
    pub(crate) acknowledged: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            sent: 0,
            delivered: 0,
            lost_unmeasured: 0,
            disordered: 0,
            corrupt: 0,
            rejected: 0,
            disconnected: 0,
            first_loss: None,
            delivery: histogram(),
            acknowledged: histogram(),
        }
    }

    /// A measured message arrived.
    pub(crate) fn arrived(&mut self, latency_ns: u64) {
        self.delivered += 1;
        self.delivery.saturating_record(latency_ns.clamp(1, LONGEST_NS));
    }

    /// A measured message was acknowledged.
    pub(crate) fn acknowledged(&mut self, latency_ns: u64) {
        self.acknowledged.saturating_record(latency_ns.clamp(1, LONGEST_NS));
    }

    /// Adds another thread's.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.lost_unmeasured += other.lost_unmeasured;
        self.disordered += other.disordered;
        self.corrupt += other.corrupt;
        self.rejected += other.rejected;
        self.disconnected += other.disconnected;
        if self.first_loss.is_none() {
            self.first_loss.clone_from(&other.first_loss);
        }
        for (into, from) in [
            (&mut self.delivery, &other.delivery),
            (&mut self.acknowledged, &other.acknowledged),
        ] {
            // Both have the same bounds, so there is nothing to refuse.
            let _ = into.add(from);
        }
    }

    /// Every message arrived, once, in order, as it was sent.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost() == 0 && self.disordered == 0 && self.corrupt == 0 && self.disconnected == 0
    }

    /// Messages that never arrived.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.delivered) + self.lost_unmeasured
    }
}

fn histogram() -> Histogram<u64> {
    // Three digits: the bounds are constants that the crate accepts.
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("1..=60 s at 3 digits is a valid range")
}
