//! A ready session: JOIN, LEAVE, and the opaque frames that this server exists for.
//!
//! An opaque frame is never parsed, and costs no allocation on its way to recipients on this shard.

use std::sync::Arc;

use bytes::Bytes;
use commucat_proto::control::{self, Ack, Text, UserProfile};
use commucat_proto::limits::{MAX_CONTROL_PAYLOAD, MAX_RELAYED_PAYLOAD};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, Sequence, Title};
use commucat_storage::api::Wall;

use crate::Shard;
use crate::delivery::{Delivery, Mode};
use crate::directory::Namer;
use crate::keys::ChannelMap;
use crate::lane::SHARE_FROM;
use crate::mesh::message::{DeviceKey, Epoch, Receipt, Refusal, Targets};
use crate::outbox::{KEEP, Opaque};
use crate::presence::ONLINE;
use crate::route::{Cores, Leg, Plan, Route};
use crate::run;
use crate::session::agreed::Agreed;
use crate::session::calls::SessionCalls;
use crate::session::group::Asking;
use crate::session::naming::Questions;
use crate::session::pending::{Pending, Unacked};
use crate::session::{Next, State};
use crate::slices::Taking;
use crate::tunnel::{Stall, Tunnel};

/// What the names of one ACK may take, so that it stays a legal control payload.
const NAMES_PER_ACK: usize = MAX_CONTROL_PAYLOAD - 1024;

/// What a recipient whose frame is on its way costs beside the payload: its place in messages and queues.
pub(crate) const RECIPIENT: usize = 64;

/// What a ready session has.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) device: DeviceId,
    pub(crate) key: DeviceKey,
    pub(crate) epoch: Epoch,
    pub(crate) delivery: Delivery,
    pub(crate) routes: ChannelMap<Route>,
    /// Members over all routes but those of groups.
    pub(crate) members: usize,
    /// Channels it has left: nothing more reaches it there until it joins again.
    pub(crate) left: Vec<ChannelId>,
    pub(crate) pending: Pending,
    /// Calls it takes part in; nearly always none.
    pub(crate) calls: Option<Box<SessionCalls>>,
    pub(crate) profile: Arc<UserProfile>,
    /// What it last said of itself; `online` until then.
    pub(crate) presence: Text,
    pub(crate) agreed: Agreed,
    /// A JOIN of which only some names are taken up.
    pub(crate) taking: Option<Box<Taking>>,
    /// Its JOIN waits for a turn.
    pub(crate) in_line: bool,
    /// What it has asked of a group's home.
    pub(crate) asking: Option<Box<Asking>>,
    /// Once it has spoken openly: what is asked of who names it.
    pub(crate) questions: Option<Box<Questions>>,
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
            calls: None,
            profile,
            presence: Text::cut(ONLINE),
            agreed: Agreed::default(),
            taking: None,
            in_line: false,
            asking: None,
            questions: None,
        }
    }

    /// Whether a storable frame on this channel is simply queued, if there is room.
    #[inline]
    pub(crate) fn hears_live(&self, channel: ChannelId) -> bool {
        self.delivery.mode == Mode::Live && !self.left.contains(&channel)
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
            FrameType::VoiceFrame | FrameType::VideoFrame => self.media(tunnel, frame),
            kind if kind.is_opaque() => self.route(tunnel, frame),
            FrameType::CallOffer | FrameType::CallAnswer | FrameType::CallEnd | FrameType::CallStats => {
                self.call_frame(tunnel, frame)
            }
            FrameType::Join => self.join(tunnel, frame),
            FrameType::Leave => self.leave(tunnel, frame),
            FrameType::Ack => self.client_ack(tunnel, frame),
            FrameType::Presence => self.client_presence(tunnel, frame),
            FrameType::GroupCreate => self.group_create(tunnel, frame),
            FrameType::GroupInvite => self.group_invite(tunnel, frame),
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
        if frame.kind == FrameType::Ack || ready.pending.contains(frame.sequence) {
            return;
        }
        if !self.acknowledge_call_again(tunnel, frame) {
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

    /// Whether a frame cannot be taken before others are settled.
    #[inline]
    pub(crate) fn short_of_room(&mut self, tunnel: &Tunnel, length: usize) -> Option<Next> {
        let limits = &self.config.limits;
        let State::Ready(ready) = &tunnel.state else {
            return Some(Next::End);
        };
        let waits = ready.pending.places() >= limits.unacked_frames
            || (ready.pending.cost() > 0 && ready.pending.cost() + length > limits.unacked_bytes);
        if waits || (self.inflight > limits.inflight_bytes && ready.pending.waiting() > 0) {
            return Some(Next::Wait(Stall::Unacked));
        }
        if self.inflight > limits.inflight_bytes {
            self.short_of_credit.push(tunnel.id);
            return Some(Next::Wait(Stall::Unacked));
        }
        None
    }

    pub(crate) fn route(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if let Some(wait) = self.short_of_room(tunnel, frame.payload.len()) {
            return wait;
        }
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let Some(route) = ready.routes.get_mut(&frame.channel) else {
            let detail = format!("channel {} has not been joined", frame.channel.get());
            return self.fail(tunnel, Title::NotJoined, &detail);
        };
        if route.is_dirty(&self.groups) && ready.calls.as_ref().is_some_and(|calls| calls.under_way(None)) {
            return Next::Wait(Stall::Route);
        }
        if route.named().is_some() && ready.questions.as_mut().is_some_and(|questions| questions.wait()) {
            return Next::Wait(Stall::Route);
        }
        let cores = Cores {
            own: self.config.id,
            count: self.config.shards,
        };
        if !route.ready(&mut self.groups, &self.directory, cores) {
            return Next::Wait(Stall::Route);
        }
        if frame.payload.len() > MAX_RELAYED_PAYLOAD {
            let refused = self.all_too_large(route.recipients(&self.groups), ready.key);
            self.acknowledge_with(tunnel, frame.channel, frame.sequence, refused);
            return Next::Go;
        }
        if run::is_crowd(route.plan_mut(&mut self.groups)) && run::is_for_runs(frame) {
            return Next::Run;
        }
        let receipt = Receipt {
            shard: self.config.id,
            tunnel: tunnel.id,
            ordinal: ready.pending.next_ordinal(),
        };
        let sender = route.group().map(|_| ready.key);
        let refused = unreached(route.foreign(&self.groups));
        let plan = std::mem::take(route.plan_mut(&mut self.groups));
        let mut unsettled = self.spread(receipt, frame, &plan, sender, KEEP);
        *route.plan_mut(&mut self.groups) = plan;
        if let Some(named) = route.named_mut().filter(|named| !named.is_empty()) {
            let plan = std::mem::take(named.plan_mut());
            unsettled += self.spread(receipt, frame, &plan, None, KEEP);
            *named.plan_mut() = plan;
        }
        if unsettled > 0 {
            route.outstanding += 1;
            let cost = (frame.payload.len() + RECIPIENT) * unsettled as usize;
            ready
                .pending
                .push(frame.sequence, frame.channel, unsettled, cost, refused, None);
            self.inflight += cost;
        } else {
            self.acknowledge_all_but(tunnel, frame.channel, frame.sequence, refused);
        }
        Next::Go
    }

    /// Every recipient is settled; these by a refusal.
    #[inline]
    pub(crate) fn acknowledge_all_but(
        &mut self,
        tunnel: &mut Tunnel,
        channel: ChannelId,
        sequence: Sequence,
        refused: Vec<(DeviceId, Refusal)>,
    ) {
        if refused.is_empty() {
            self.acknowledge(tunnel, channel, sequence);
        } else {
            self.acknowledge_with(tunnel, channel, sequence, refused);
        }
    }

    /// Sends one frame to all its recipients but the `sender` of a group: at most one message per shard. Gives how many
    /// are not settled yet.
    pub(crate) fn spread(
        &mut self,
        receipt: Receipt,
        frame: Frame<'_>,
        plan: &Plan,
        sender: Option<DeviceKey>,
        keep_until: Wall,
    ) -> u32 {
        let large = frame.payload.len() >= SHARE_FROM;
        let alone = || {
            matches!(
                plan.as_slice(),
                [] | [Leg {
                    targets: Targets::One(_),
                    ..
                }]
            )
        };
        let shared = (large && !alone()).then(|| Bytes::copy_from_slice(frame.payload));
        let opaque = Opaque {
            kind: frame.kind,
            channel: frame.channel,
            payload: frame.payload,
            shared: shared.as_ref(),
            keep_until,
        };
        let mut unsettled = 0;
        for Leg {
            shard,
            by_lane,
            targets,
        } in plan
        {
            if *by_lane {
                unsettled += u32::try_from(targets.as_slice().len()).unwrap_or(u32::MAX);
                self.push_deliver(*shard, receipt, opaque, targets.without(sender), false);
                continue;
            }
            for target in targets.as_slice() {
                let key = target.key;
                if sender == Some(key) {
                    continue;
                }
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

    /// The session that a frame was said for has ended. Its word that a call is over may not have been kept for somebody who
    /// is away: whoever comes back to ring or answer then hears that the call is none, so it is counted and not tried again.
    fn settled_for_nobody(&mut self, receipt: Receipt, why: Option<Refusal>) {
        let lost = matches!(why, Some(Refusal::InboxFull | Refusal::StoreUnavailable));
        self.counters.call_ends_lost += u64::from(lost && receipt.ordinal == Receipt::SYNTHESIZED);
    }

    /// Recipients of a frame are settled: the last of them makes the ACK.
    pub(crate) fn settled(&mut self, receipt: Receipt, count: u32, refused: Option<(DeviceKey, Refusal)>) {
        let why = refused.map(|(_, why)| why);
        let refused = refused.and_then(|(key, why)| Some((self.directory.get(key)?.device.clone(), why)));
        let Some(mut tunnel) = self.tunnels.take(receipt.tunnel) else {
            return self.settled_for_nobody(receipt, why);
        };
        if let State::Ready(ready) = &mut tunnel.state
            && let Some((done, cost)) = ready.pending.settle(receipt.ordinal, count, refused)
        {
            if let Some(said) = &done.said {
                let done = ready.calls.as_mut().and_then(|calls| calls.settled(said));
                if let Some((names, channel)) = done {
                    self.unname(&names, Namer::Route(receipt.tunnel, channel));
                }
            } else if let Some(route) = ready.routes.get_mut(&done.channel) {
                route.outstanding -= 1;
            }
            self.free_inflight(cost);
            let Unacked {
                sequence,
                channel,
                refused,
                said,
                ..
            } = done;
            if let Some(said) = said {
                self.acknowledge_call_with(&mut tunnel, channel, sequence, &said, refused);
            } else {
                self.acknowledge_all_but(&mut tunnel, channel, sequence, refused);
            }
            if tunnel.stalled.is_some() {
                self.wakes.push(tunnel.id);
            }
        } else {
            self.settled_for_nobody(receipt, why);
        }
        self.touch_if_draining(&mut tunnel);
        self.tunnels.put(tunnel);
    }

    pub(crate) fn all_too_large(
        &self,
        recipients: impl Iterator<Item = DeviceKey>,
        sender: DeviceKey,
    ) -> Vec<(DeviceId, Refusal)> {
        let others = recipients.filter(|key| *key != sender);
        let known = others.filter_map(|key| self.directory.get(key));
        known.map(|peer| (peer.device.clone(), Refusal::TooLarge)).collect()
    }

    /// ACKs that name whom the frame could not be kept for (decisions § 3): more than one if they are too many for one.
    fn acknowledge_with(
        &mut self,
        tunnel: &mut Tunnel,
        channel: ChannelId,
        sequence: Sequence,
        refused: Vec<(DeviceId, Refusal)>,
    ) {
        self.counters.refused += refused.len() as u64;
        let reason = refused.iter().map(|(_, why)| *why).max().map_or("", Refusal::reason);
        let mut names = refused.into_iter().map(|(device, _)| device).peekable();
        while names.peek().is_some() {
            let mut ack = Ack {
                reason: Some(Text::cut(reason)),
                ..Ack::of(sequence)
            };
            let mut room = NAMES_PER_ACK;
            // A character is two bytes at most where JSON escapes it.
            while let Some(device) = names.next_if(|device| 2 * device.as_str().len() + 3 <= room) {
                room -= 2 * device.as_str().len() + 3;
                ack.rejected.push(device);
            }
            self.acknowledge_more(tunnel, channel, &ack);
        }
    }

    /// A client's ACK. With `delivery-ack` it ends the waiting for what it names (decisions § 3); without, the server
    /// relies on nothing in it, and it must still be an ACK. `from` counts where `ack-range` was agreed on.
    fn client_ack(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        let (to, from) = match Ack::read_plain(frame.payload) {
            Some(sequence) => (Some(sequence), None),
            None => match control::parse::<Ack>(frame.payload, &mut self.scratch) {
                Ok(ack) => (ack.ack, ack.from),
                Err(diagnostic) => {
                    self.refuse(tunnel, &diagnostic);
                    return Next::End;
                }
            },
        };
        let State::Ready(ready) = &tunnel.state else {
            return Next::End;
        };
        let (key, agreed) = (ready.key, ready.agreed);
        let Some(to) = to.filter(|_| agreed.delivery_ack) else {
            return Next::Go;
        };
        let from = from.filter(|_| agreed.ack_range).unwrap_or(to);
        if from > to {
            return self.fail(tunnel, Title::InvalidControlPayload, "an ACK whose range is empty");
        }
        if let Some(row) = tunnel.outbox.acknowledged(frame.channel, from, to) {
            self.rows_arrived(key, row);
        }
        self.note_fat(tunnel);
        self.fetch_for(tunnel);
        Next::Go
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
        self.forget_asking(id, &ready);
        if ready.questions.is_some() {
            self.falls_silent(ready.key, None);
        }
        if let Some(taking) = ready.taking {
            let taken: Vec<DeviceKey> = taking.roster.local.iter().map(|(key, _)| *key).collect();
            self.unname(&taken, Namer::Route(id, taking.channel));
        }
        for (channel, route) in ready.routes {
            self.release_route(id, channel, &route);
        }
    }
}

/// Recipients in other domains, as an ACK names them.
#[inline]
pub(crate) fn unreached(foreign: &[DeviceId]) -> Vec<(DeviceId, Refusal)> {
    if foreign.is_empty() {
        return Vec::new();
    }
    let unreached = |device: &DeviceId| (device.clone(), Refusal::Federation);
    foreign.iter().map(unreached).collect()
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
            Self::Expired => "expired",
        }
    }
}
