//! What the sessions of a shard hold together, counted a few at a time, so that no turn is longer for it.
//!
//! Sums over all sessions are kept nowhere: keeping them would cost every frame. A survey walks the table instead, so
//! many slots per call; sessions that move meanwhile make it inexact by what they moved.

use crate::Shard;
use crate::counters::Gauges;

/// A walk that has begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survey {
    next: usize,
    outbox_bytes: usize,
    outbox_max: usize,
    bulk_max: usize,
    media_max: usize,
    unacked: usize,
}

impl Shard {
    /// Goes on with a survey for at most `slots` slots of the table; gives what is held once all have been seen.
    #[must_use]
    pub fn survey(&self, survey: &mut Survey, slots: usize) -> Option<Gauges> {
        let end = survey.next.saturating_add(slots);
        for tunnel in self.tunnels.between(survey.next, end) {
            let bytes = tunnel.outbox.bytes();
            survey.outbox_bytes += bytes;
            survey.outbox_max = survey.outbox_max.max(bytes);
            survey.bulk_max = survey.bulk_max.max(tunnel.outbox.bulk_bytes());
            survey.media_max = survey.media_max.max(tunnel.outbox.media_bytes());
            survey.unacked += tunnel.state.unacked();
        }
        survey.next = end;
        (end >= self.tunnels.slots()).then(|| Gauges {
            connections: self.conns.len(),
            tunnels: self.tunnels.len(),
            attached: self.attached.len(),
            outbox_bytes: survey.outbox_bytes,
            outbox_max: survey.outbox_max,
            bulk_max: survey.bulk_max,
            media_max: survey.media_max,
            inflight_bytes: self.inflight,
            unacked: survey.unacked,
            unparsed_bytes: self.unparsed,
            peers: self.directory.len(),
            homes: self.homes.len(),
            groups: self.groups.len(),
            group_members: self.groups.members(),
            group_homes: self.group_homes.len() + self.open_homes.len(),
            store_waiting: self.store.len(),
            calls: self.calls.open(),
            calls_lingering: self.calls.lingering(),
            calls_left: self.left_calls.len(),
        })
    }

    /// What is held right now. Walks all sessions at once: for checks.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.survey(&mut Survey::default(), usize::MAX).unwrap_or_default()
    }
}
