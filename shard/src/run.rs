//! Runs: frames of one sender that follow each other to the same crowd are handed out recipient by recipient instead of
//! frame by frame, so that a thousand sessions are fetched from memory once and not once for each frame.
//!
//! Invariants: each recipient is offered the frames of a run in their order; a frame of a run is settled, refused and
//! acknowledged as it would be alone. What cannot be queued at once takes the way of single frames (see `delivery`).
//! A run is cut where the bounds on what is unacknowledged might not hold if no recipient took any of it at once.
//!
//! Called by `session` when the sender is here, and for a batch of the mesh when it is not.

use commucat_proto::limits::MAX_RELAYED_PAYLOAD;
use commucat_proto::{Frame, Parsed, frame};
use smallvec::SmallVec;

use crate::mesh::message::{Batch, Deliver, DeviceKey, Epoch, Message, Receipt, Target, Targets, TunnelId};
use crate::outbox::{KEEP, Opaque};
use crate::route::{Leg, Plan};
use crate::session::State;
use crate::session::ready::{RECIPIENT, unreached};
use crate::tunnel::Tunnel;
use crate::{Shard, lane};

/// Frames of one run.
const RUN: usize = 32;
/// Recipients on one shard from which on a run is worth its bookkeeping.
const CROWD: usize = 2;
const _: () = assert!(
    lane::SHARE_FROM <= MAX_RELAYED_PAYLOAD,
    "a frame of a run is not too large to be relayed"
);

/// A frame of a run.
#[derive(Clone, Copy, Debug)]
struct Offered<'a> {
    receipt: Receipt,
    frame: Opaque<'a>,
}

type Run<'a> = SmallVec<[Offered<'a>; RUN]>;

/// For each frame of a run, how many recipients it is not settled for.
type Unsettled = [u32; RUN];

/// Whether frames that take this plan are worth gathering.
#[inline]
pub(crate) fn is_crowd(plan: &Plan) -> bool {
    plan.iter()
        .any(|leg| !leg.by_lane && leg.targets.as_slice().len() >= CROWD)
}

/// How many of the messages at the front are one run.
#[inline]
pub(crate) fn run_of(messages: &[Message]) -> usize {
    match messages {
        [Message::Deliver(first), rest @ ..] if first.targets.as_slice().len() >= CROWD => {
            let alike = rest.iter().take(RUN - 1);
            1 + alike
                .take_while(|next| matches!(next, Message::Deliver(next) if follows(first, next)))
                .count()
        }
        _ => 1,
    }
}

/// Whether both are frames of one sender on one channel to the same recipients, to be queued or stored.
fn follows(first: &Deliver, next: &Deliver) -> bool {
    let way = |deliver: &Deliver| {
        let Receipt { shard, tunnel, .. } = deliver.receipt;
        (
            shard,
            tunnel,
            deliver.channel,
            deliver.sent_on,
            deliver.targets.sender(),
        )
    };
    first.kind.is_storable()
        && next.kind.is_storable()
        && way(first) == way(next)
        && std::ptr::eq(first.targets.as_slice(), next.targets.as_slice())
}

impl Shard {
    /// The frames at the front of `bytes`, the first of which may go now and goes to a crowd. Gives how many bytes they
    /// were.
    pub(crate) fn take_run(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) -> usize {
        let (frames, used) = self.gather(tunnel, bytes);
        assert!(used > 0, "the first frame of a run has been looked at");
        self.route_run(tunnel, &frames);
        for frame in &frames {
            self.counters.frame_in(frame.kind);
            tunnel.last_sequence = Some(frame.sequence);
        }
        used
    }

    fn gather<'a>(&self, tunnel: &Tunnel, bytes: &'a [u8]) -> (SmallVec<[Frame<'a>; RUN]>, usize) {
        let limits = &self.config.limits;
        let (mut run, mut used): (SmallVec<[Frame<'a>; RUN]>, usize) = (SmallVec::new(), 0);
        let State::Ready(ready) = &tunnel.state else {
            return (run, used);
        };
        let (mut recipients, mut cost) = (0, 0);
        while run.len() < RUN
            && let Ok(Parsed::Frame { frame, consumed }) = frame::parse(&bytes[used..], &limits.frame)
        {
            if run.is_empty() {
                let Some(route) = ready.routes.get(&frame.channel) else {
                    break;
                };
                recipients = route.recipients(&self.groups).count();
            }
            cost += (frame.payload.len() + RECIPIENT) * recipients;
            let fits = ready.pending.places() + run.len() < limits.unacked_frames
                && ready.pending.cost() + cost <= limits.unacked_bytes
                && self.inflight + cost <= limits.inflight_bytes;
            let goes_on = |last: &Frame<'_>| {
                is_for_runs(frame) && frame.channel == last.channel && frame.sequence > last.sequence && fits
            };
            if !run.last().is_none_or(goes_on) {
                break;
            }
            run.push(frame);
            used += consumed;
        }
        (run, used)
    }

    /// As `route` does for one frame.
    fn route_run(&mut self, tunnel: &mut Tunnel, frames: &[Frame<'_>]) {
        let id = tunnel.id;
        let State::Ready(ready) = &mut tunnel.state else { return };
        let Some(route) = ready.routes.get_mut(&frames[0].channel) else {
            return;
        };
        let first = ready.pending.next_ordinal();
        let mut run = Run::new();
        for (frame, ordinal) in frames.iter().zip(0..) {
            let receipt = Receipt {
                shard: self.config.id,
                tunnel: id,
                ordinal: first.wrapping_add(ordinal),
            };
            let frame = Opaque {
                kind: frame.kind,
                channel: frame.channel,
                payload: frame.payload,
                shared: None,
                keep_until: KEEP,
            };
            run.push(Offered { receipt, frame });
        }
        let mut unsettled = [0; RUN];
        let sender = route.group().map(|_| ready.key);
        let foreign = unreached(route.foreign(&self.groups));
        let plan = std::mem::take(route.plan_mut(&mut self.groups));
        self.spread_run(&run, &plan, sender, &mut unsettled);
        *route.plan_mut(&mut self.groups) = plan;
        if let Some(named) = route.named_mut().filter(|named| !named.is_empty()) {
            let plan = std::mem::take(named.plan_mut());
            self.spread_run(&run, &plan, None, &mut unsettled);
            *named.plan_mut() = plan;
        }
        let waits = unsettled.iter().any(|count| *count > 0);
        for (frame, count) in frames.iter().zip(unsettled) {
            // Receipts count places: where one frame of the run waits, all have theirs.
            if waits {
                let cost = (frame.payload.len() + RECIPIENT) * count as usize;
                let refused = if count > 0 { foreign.clone() } else { Vec::new() };
                ready
                    .pending
                    .push(frame.sequence, frame.channel, count, cost, refused, None);
                route.outstanding += u32::from(count > 0);
                self.inflight += cost;
            }
        }
        for (frame, count) in frames.iter().zip(unsettled) {
            if count == 0 {
                self.acknowledge_all_but(tunnel, frame.channel, frame.sequence, foreign.clone());
            }
        }
    }

    fn spread_run(&mut self, run: &[Offered<'_>], plan: &Plan, sender: Option<DeviceKey>, unsettled: &mut Unsettled) {
        for Leg {
            shard,
            by_lane,
            targets,
        } in plan
        {
            if *by_lane {
                for (Offered { receipt, frame }, unsettled) in run.iter().zip(&mut *unsettled) {
                    *unsettled += count(targets);
                    self.push_deliver(*shard, *receipt, *frame, targets.without(sender), false);
                }
                continue;
            }
            for target in targets.as_slice().iter().filter(|target| sender != Some(target.key)) {
                if let Some(tunnel) = self.attached_as(*target) {
                    self.offer_run(*target, tunnel, run, unsettled);
                    continue;
                }
                // By way of the lane to its home, even when that is here: it may not overtake what is in it.
                let home = (target.key.home(self.config.shards), Epoch::default());
                for (Offered { receipt, frame }, unsettled) in run.iter().zip(&mut *unsettled) {
                    *unsettled += 1;
                    self.forward(home, target.key, *receipt, *frame, false);
                }
            }
        }
    }

    /// As `deliver` does for one frame, for messages that are one run.
    pub(crate) fn deliver_run<'a>(&mut self, messages: &'a [Message], batch: &'a Batch) {
        let [Message::Deliver(Deliver { targets, sent_on, .. }), ..] = messages else {
            return;
        };
        let offered = |message: &'a Message| match message {
            Message::Deliver(deliver) => Some(Offered {
                receipt: deliver.receipt,
                frame: deliver.frame(batch),
            }),
            _ => None,
        };
        let run: Run<'_> = messages.iter().filter_map(offered).collect();
        let mut unsettled = [0; RUN];
        let others = |target: &&Target| targets.sender() != Some(target.key);
        for target in targets.as_slice().iter().filter(others) {
            if let Some(tunnel) = self.attached_as(*target) {
                self.offer_run(*target, tunnel, &run, &mut unsettled);
                continue;
            }
            for (Offered { receipt, frame }, unsettled) in run.iter().zip(&mut unsettled) {
                *unsettled += 1;
                self.deliver_away(target.key, *receipt, *frame, *sent_on);
            }
        }
        for (Offered { receipt, .. }, unsettled) in run.iter().zip(unsettled) {
            self.settle(*receipt, count(targets) - unsettled, None);
        }
    }

    fn offer_run(&mut self, target: Target, id: TunnelId, run: &[Offered<'_>], unsettled: &mut Unsettled) {
        let queued = self.queue_run(id, run);
        for (Offered { receipt, frame }, unsettled) in run.iter().zip(unsettled).skip(queued) {
            if !self.offer(target.key, id, *receipt, *frame) {
                *unsettled += 1;
            }
        }
    }

    /// The usual case, in which a live session has room: says of how many frames at the front that was so.
    fn queue_run(&mut self, id: TunnelId, run: &[Offered<'_>]) -> usize {
        let Some(tunnel) = self.tunnels.get_mut(id) else {
            return 0;
        };
        let State::Ready(ready) = &tunnel.state else { return 0 };
        if !ready.hears_live(run[0].frame.channel) {
            return 0;
        }
        let frames = run.iter().map(|offered| offered.frame);
        let queued = tunnel.outbox.offer_run(frames, &self.config.limits);
        self.counters.delivered += queued as u64;
        if queued > 0 && !std::mem::replace(&mut tunnel.dirty, true) {
            self.dirty.push(id);
        }
        queued
    }
}

fn count(targets: &Targets) -> u32 {
    u32::try_from(targets.as_slice().len()).unwrap_or(u32::MAX)
}

/// Whether a frame may stand in a run at all.
#[inline]
pub(crate) fn is_for_runs(frame: Frame<'_>) -> bool {
    frame.kind.is_opaque() && frame.kind.is_storable() && frame.payload.len() < lane::SHARE_FROM
}
