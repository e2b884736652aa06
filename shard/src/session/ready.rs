//! A ready session: JOIN, LEAVE, and the opaque frames that this server exists for.
//!
//! An opaque frame is never parsed, and costs no allocation on its way to recipients on this shard.

use std::sync::Arc;

use bytes::Bytes;
use commucat_proto::control::{self, Ack, Text, UserProfile};
use commucat_proto::limits::MAX_RELAYED_PAYLOAD;
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, Sequence, Title};

use crate::Shard;
use crate::delivery::Delivery;
use crate::keys::ChannelMap;
use crate::lane::SHARE_FROM;
use crate::mesh::message::{DeviceKey, Epoch, Message, Receipt, Refusal, Targets};
use crate::outbox::Opaque;
use crate::presence::ONLINE;
use crate::route::{Plan, Route};
use crate::session::agreed::Agreed;
use crate::session::pending::{Pending, Unacked};
use crate::session::{Next, State};
use crate::tunnel::{Stall, Tunnel};

/// What a ready session has.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) device: DeviceId,
    pub(crate) key: DeviceKey,
    pub(crate) epoch: Epoch,
    pub(crate) delivery: Delivery,
    pub(crate) routes: ChannelMap<Route>,
    /// Members over all routes.
    pub(crate) members: usize,
    /// Channels it has left: nothing more reaches it there until it joins again.
    pub(crate) left: Vec<ChannelId>,
    pub(crate) pending: Pending,
    pub(crate) profile: Arc<UserProfile>,
    /// What it last said of itself; `online` until then.
    pub(crate) presence: Text,
    pub(crate) agreed: Agreed,
}

impl Ready {
    pub(crate) fn new(device: DeviceId, key: DeviceKey, epoch: Epoch, profile: Arc<UserProfile>) -> Self {
        Self {
            device,
            key,
            epoch,
            delivery: Delivery::begin(),
            routes: ChannelMap::default(),
            members: 0,
            left: Vec::new(),
            pending: Pending::default(),
            profile,
            presence: Text::cut(ONLINE),
            agreed: Agreed::default(),
        }
    }
}

impl Shard {
    pub(crate) fn ready_frame(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if tunnel.outbox.control_over(&self.config.limits) {
            return Next::Wait(Stall::Control);
        }
        if tunnel.last_sequence.is_some_and(|last| frame.sequence <= last) {
            self.resent(tunnel, frame);
            return Next::Go;
        }
        let next = match frame.kind {
            kind if kind.is_opaque() => self.route(tunnel, frame),
            FrameType::Join => self.join(tunnel, frame),
            FrameType::Leave => self.leave(tunnel, frame),
            FrameType::Ack => self.client_ack(tunnel, frame),
            FrameType::Presence => self.client_presence(tunnel, frame),
            FrameType::Error => {
                // Receipt of an ERROR is fatal for the stream, for us too.
                self.end(tunnel);
                Next::End
            }
            kind => {
                let detail = format!("{} is not served", kind.name());
                self.fail(tunnel, Title::UnexpectedFrame, &detail)
            }
        };
        if next == Next::Go {
            self.counters.frame_in(frame.kind);
            tunnel.last_sequence = Some(frame.sequence);
        }
        next
    }

    /// A sequence at or below the highest seen: acknowledged again, not routed again (decisions § 3). One whose
    /// recipients are not settled yet is acknowledged when they are.
    fn resent(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) {
        let State::Ready(ready) = &tunnel.state else { return };
        if frame.kind != FrameType::Ack && !ready.pending.contains(frame.sequence) {
            self.acknowledge(tunnel, frame.channel, frame.sequence);
        }
    }

    pub(crate) fn acknowledge(&mut self, tunnel: &mut Tunnel, channel: ChannelId, sequence: Sequence) {
        if matches!(&tunnel.state, State::Ready(ready) if ready.agreed.ack_range) {
            tunnel.outbox.push_ack(channel, sequence);
            self.touch(tunnel);
            return;
        }
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        Ack::write_plain(sequence, &mut payload);
        tunnel.outbox.push_control(FrameType::Ack, channel, &payload);
        self.scratch = payload;
        self.touch(tunnel);
    }

    fn route(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        let limits = &self.config.limits;
        let inflight = self.inflight;
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let Some(route) = ready.routes.get_mut(&frame.channel) else {
            let detail = format!("channel {} has not been joined", frame.channel.get());
            return self.fail(tunnel, Title::NotJoined, &detail);
        };
        let waits = ready.pending.places() >= limits.unacked_frames
            || (ready.pending.cost() > 0 && ready.pending.cost() + frame.payload.len() > limits.unacked_bytes);
        if waits || (inflight > limits.inflight_bytes && ready.pending.waiting() > 0) {
            return Next::Wait(Stall::Unacked);
        }
        if inflight > limits.inflight_bytes {
            self.short_of_credit.push(tunnel.id);
            return Next::Wait(Stall::Unacked);
        }
        if !route.ready(&self.directory, self.config.shards) {
            return Next::Wait(Stall::Route);
        }
        if frame.payload.len() > MAX_RELAYED_PAYLOAD {
            let name = |key: &DeviceKey| {
                self.directory
                    .get(*key)
                    .map(|peer| (peer.device.clone(), Refusal::TooLarge))
            };
            let refused = route.members.iter().filter_map(name).collect();
            self.acknowledge_with(tunnel, frame.channel, frame.sequence, refused);
            return Next::Go;
        }
        let ordinal = ready.pending.next_ordinal();
        let receipt = Receipt {
            shard: self.config.id,
            tunnel: tunnel.id,
            ordinal,
        };
        let plan = std::mem::take(route.plan_mut());
        let refused: Vec<_> = route
            .foreign
            .iter()
            .map(|device| (device.clone(), Refusal::Federation))
            .collect();
        let unsettled = self.spread(receipt, frame, &plan);
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        if let Some(route) = ready.routes.get_mut(&frame.channel) {
            *route.plan_mut() = plan;
            if unsettled > 0 {
                route.outstanding += 1;
            }
        }
        if unsettled > 0 {
            let cost = frame.payload.len() * unsettled as usize;
            ready
                .pending
                .push(frame.sequence, frame.channel, unsettled, cost, refused);
            self.inflight += cost;
        } else if refused.is_empty() {
            self.acknowledge(tunnel, frame.channel, frame.sequence);
        } else {
            self.acknowledge_with(tunnel, frame.channel, frame.sequence, refused);
        }
        Next::Go
    }

    /// Sends one frame to all its recipients: at most one message per shard. Gives how many are not settled yet.
    fn spread(&mut self, receipt: Receipt, frame: Frame<'_>, plan: &Plan) -> u32 {
        let own = self.config.id;
        let alone = matches!(plan.as_slice(), [] | [(_, Targets::One(_))]);
        let shared = (!alone && frame.payload.len() >= SHARE_FROM).then(|| Bytes::copy_from_slice(frame.payload));
        let opaque = Opaque {
            kind: frame.kind,
            channel: frame.channel,
            payload: frame.payload,
            shared: shared.as_ref(),
        };
        let mut unsettled = 0;
        for (shard, targets) in plan {
            if *shard != own {
                unsettled += u32::try_from(targets.as_slice().len()).unwrap_or(u32::MAX);
                let payload = self.mesh.payload(*shard, opaque);
                let (kind, channel, targets) = (frame.kind, frame.channel, targets.clone());
                let message = Message::Deliver {
                    receipt,
                    kind,
                    channel,
                    sent_on: false,
                    targets,
                    payload,
                };
                self.mesh.push(*shard, message);
                continue;
            }
            for target in targets.as_slice() {
                let key = target.key;
                match self.attached_as(*target) {
                    Some(tunnel) if self.offer(key, tunnel, receipt, opaque) => {}
                    Some(_) => unsettled += 1,
                    None => {
                        // By way of the lane to its home, even when that is here: it may not overtake what is in it.
                        unsettled += 1;
                        let home = (key.home(self.config.shards), Epoch::default());
                        self.forward(home, key, receipt, opaque, false);
                    }
                }
            }
        }
        unsettled
    }

    /// Recipients of a frame are settled: the last of them makes the ACK.
    pub(crate) fn settled(&mut self, receipt: Receipt, count: u32, refused: Option<(DeviceKey, Refusal)>) {
        let refused = refused.and_then(|(key, why)| Some((self.directory.get(key)?.device.clone(), why)));
        let Some(mut tunnel) = self.tunnels.take(receipt.tunnel) else {
            return;
        };
        if let State::Ready(ready) = &mut tunnel.state
            && let Some((done, cost)) = ready.pending.settle(receipt.ordinal, count, refused)
        {
            if let Some(route) = ready.routes.get_mut(&done.channel) {
                route.outstanding -= 1;
            }
            self.free_inflight(cost);
            let Unacked {
                sequence,
                channel,
                refused,
                ..
            } = done;
            if refused.is_empty() {
                self.acknowledge(&mut tunnel, channel, sequence);
            } else {
                self.acknowledge_with(&mut tunnel, channel, sequence, refused);
            }
            if tunnel.stalled.is_some() {
                self.wakes.push(tunnel.id);
            }
        }
        self.touch_if_draining(&mut tunnel);
        self.tunnels.put(tunnel);
    }

    /// An ACK that names whom the frame could not be kept for (decisions § 3).
    fn acknowledge_with(
        &mut self,
        tunnel: &mut Tunnel,
        channel: ChannelId,
        sequence: Sequence,
        refused: Vec<(DeviceId, Refusal)>,
    ) {
        self.counters.refused += refused.len() as u64;
        let reason = refused.iter().map(|(_, why)| *why).max().map_or("", Refusal::reason);
        let rejected = refused.into_iter().map(|(device, _)| device).collect();
        let mut payload = Vec::new();
        control::write(
            &Ack {
                rejected,
                reason: Some(Text::cut(reason)),
                ..Ack::of(sequence)
            },
            &mut payload,
        );
        tunnel.outbox.push_control(FrameType::Ack, channel, &payload);
        self.touch(tunnel);
    }

    /// Without `delivery-ack` a client's ACK tells the server nothing it relies on; it must still be one.
    fn client_ack(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        match control::parse::<Ack>(frame.payload, &mut self.scratch) {
            Ok(_) => Next::Go,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                Next::End
            }
        }
    }

    /// Less is on its way: senders that waited for that go on.
    fn free_inflight(&mut self, cost: usize) {
        self.inflight -= cost;
        if self.inflight <= self.config.limits.inflight_bytes / 2 {
            self.wakes.append(&mut self.short_of_credit);
        }
    }

    /// The routes of a session that has ended.
    pub(crate) fn forget_routes(&mut self, id: crate::mesh::message::TunnelId, ready: Ready) {
        self.free_inflight(ready.pending.cost());
        for (channel, route) in ready.routes {
            self.unname(&route.members, (id, channel));
        }
    }
}

impl Refusal {
    /// The word an ACK's `reason` has for it.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InboxFull => "inbox full",
            Self::StoreUnavailable => "store unavailable",
            Self::TooLarge => "too large",
            Self::Federation => "federation unavailable",
        }
    }
}
