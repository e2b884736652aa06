//! What the main thread tells the shards' threads, and what they tell it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use commucat_shard::mesh::lanes::Watch;
use commucat_shard::mesh::message::ShardId;

/// Where the process is in its life. It only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Serving.
    Serving = 0,
    /// Accepting nothing, flushing what is owed.
    Draining = 1,
    /// Leaving the loop.
    Stopping = 2,
}

/// Shared by the main thread, which moves the phase, and the shards' threads, which say when they have nothing left.
#[derive(Debug)]
pub struct Control {
    phase: AtomicU8,
    /// By shard. Means something only while draining.
    quiet: Box<[AtomicBool]>,
}

impl Control {
    /// For so many shards.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        Self {
            phase: AtomicU8::new(0),
            quiet: (0..shards).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Moves on. The caller wakes every shard afterwards.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
    }

    /// Where the process is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    /// A shard says at the end of a turn whether it holds anything that is not finished.
    pub(super) fn set_quiet(&self, shard: ShardId, quiet: bool) {
        self.quiet[usize::from(shard.0)].store(quiet, Ordering::SeqCst);
    }

    /// Whether every shard was quiet and nothing was between two of them, all at one moment.
    ///
    /// A quiet shard acts again only when a batch reaches it. No batch was on its way when this began and none was sent
    /// until it ended, so what the flags said in between, one after the other, was true at once.
    #[must_use]
    pub fn is_over(&self, mesh: &Watch) -> bool {
        let sent = mesh.sent();
        mesh.is_empty()
            && self.quiet.iter().all(|quiet| quiet.load(Ordering::SeqCst))
            && mesh.sent() == sent
            && mesh.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use commucat_shard::mesh::lanes::lanes;
    use commucat_shard::mesh::message::Batch;

    use super::*;

    #[test]
    fn phases_only_move_forward() {
        let control = Control::new(1);
        assert_eq!(control.phase(), Phase::Serving);
        control.enter(Phase::Stopping);
        control.enter(Phase::Draining);
        assert_eq!(control.phase(), Phase::Stopping);
    }

    #[test]
    fn it_is_over_when_all_are_quiet_and_no_batch_is_on_its_way() {
        let mut ends = lanes(2, 4);
        let (mesh, control) = (ends[0].watch(), Control::new(2));
        assert!(!control.is_over(&mesh));
        control.set_quiet(ShardId(0), true);
        assert!(!control.is_over(&mesh));
        control.set_quiet(ShardId(1), true);
        assert!(control.is_over(&mesh));
        ends[0].send(ShardId(1), Batch::default());
        assert!(!control.is_over(&mesh));
        ends[1].receive(|_, _| {});
        assert!(!control.is_over(&mesh), "its turn has not ended");
        ends[1].ring(|_| {});
        assert!(control.is_over(&mesh));
    }
}
