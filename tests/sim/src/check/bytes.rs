//! What a shard holds stays within its limits at every moment, and is nothing when nobody is there.

use commucat_shard::counters::Gauges;
use commucat_shard::limits::Limits;

use super::Violation;

/// What a queued frame costs besides its payload, and what a control frame takes; generous, since the limits are about
/// the order of magnitude that an attacker can reach.
const OVERHEAD: usize = 128;
const CONTROL: usize = 1_024;

/// The checker. It looks at gauges and not at facts.
pub(crate) struct Bytes {
    limits: Limits,
    /// The largest frame that anybody sends: a queue may exceed its limit by one frame.
    frame: usize,
    /// The largest roster.
    roster: usize,
}

impl Bytes {
    pub(crate) fn new(limits: &Limits, frame: usize, roster: usize) -> Self {
        Self {
            limits: limits.clone(),
            frame: frame + OVERHEAD,
            roster,
        }
    }

    /// Live frames stop at the limit, or at one of any size; a page of a replay, asked for when there was room, comes on top.
    fn bulk(&self) -> usize {
        let limits = &self.limits;
        2 * limits.outbox_bytes.max(self.frame) + limits.replay_rows * OVERHEAD
    }

    fn media(&self) -> usize {
        self.limits.media_bytes.max(self.frame)
    }

    fn outbox(&self) -> usize {
        let control = self.limits.control_bytes + (self.limits.unacked_frames + 4) * CONTROL;
        self.bulk() + self.media() + control
    }

    pub(crate) fn look(&self, shard: u16, gauges: &Gauges) -> Result<(), Violation> {
        let limits = &self.limits;
        let bounds = [
            ("connections", gauges.connections, limits.connections as usize),
            ("outbox_max", gauges.outbox_max, self.outbox()),
            ("bulk_max", gauges.bulk_max, self.bulk()),
            ("media_max", gauges.media_max, self.media()),
            ("outbox_bytes", gauges.outbox_bytes, gauges.tunnels * self.outbox()),
            ("unacked", gauges.unacked, gauges.tunnels * limits.unacked_frames),
            (
                "inflight_bytes",
                gauges.inflight_bytes,
                limits.inflight_bytes + (gauges.tunnels + 1) * self.frame * self.roster,
            ),
            ("unparsed_bytes", gauges.unparsed_bytes, limits.shard_unparsed_bytes),
        ];
        for (name, value, bound) in bounds {
            if value > bound {
                let text = format!("shard {shard}: {name} is {value}, above {bound}: {gauges:?}");
                return Err(Violation::new("bytes", text));
            }
        }
        Ok(())
    }

    pub(crate) fn empty(&self, shard: u16, gauges: &Gauges) -> Result<(), Violation> {
        if *gauges == Gauges::default() {
            return Ok(());
        }
        Err(Violation::new(
            "bytes",
            format!("shard {shard} still holds something when everybody is gone: {gauges:?}"),
        ))
    }
}
