//! Along the route of a call: media, and the control frames that the home has let pass.

use std::sync::Arc;

use commucat_proto::control::{self, Ack, Text};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, Sequence};
use commucat_storage::api::Wall;

use super::Said;
use crate::Shard;
use crate::counters::Drop;
use crate::mesh::message::{Receipt, Refusal};
use crate::outbox::KEEP;
use crate::route::Cores;
use crate::session::{Next, State};
use crate::tunnel::{Stall, Tunnel};

impl Shard {
    /// VOICE_FRAME and VIDEO_FRAME of a session that takes part in calls.
    pub(crate) fn media(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        let now = self.at.now;
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let Some(calls) = &mut ready.calls else {
            return self.route(tunnel, frame);
        };
        let Some(at) = calls.carried_by(frame.channel) else {
            return self.route(tunnel, frame);
        };
        let entry = &mut calls.list[at];
        match entry.over {
            None => self.send_on_call(tunnel, frame, at, None, KEEP),
            Some(over) if over.holds(now) => {
                let said = Arc::clone(&entry.said);
                self.counters.drop_frame(Drop::CallOver);
                self.acknowledge_call(tunnel, frame, &said);
                Next::Go
            }
            Some(_) => {
                entry.carries = false;
                self.route(tunnel, frame)
            }
        }
    }

    /// Sends a frame to the other participants. Its ACK says `ack`, or what the media of the call have in common.
    pub(super) fn send_on_call(
        &mut self,
        tunnel: &mut Tunnel,
        frame: Frame<'_>,
        at: usize,
        ack: Option<&Ack>,
        keep_until: Wall,
    ) -> Next {
        if let Some(wait) = self.short_of_room(tunnel, frame.payload.len()) {
            return wait;
        }
        let cores = Cores {
            own: self.config.id,
            count: self.config.shards,
        };
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let Some(calls) = &mut ready.calls else {
            return Next::End;
        };
        if calls.list[at].route.is_dirty(&self.groups) {
            let joined = ready.routes.get(&frame.channel);
            let under_way = joined.is_some_and(|route| route.outstanding > 0);
            if under_way || calls.under_way(Some(calls.list[at].serial)) {
                return Next::Wait(Stall::Route);
            }
        }
        let entry = &mut calls.list[at];
        if !entry.route.ready(&mut self.groups, &self.directory, cores) {
            return Next::Wait(Stall::Route);
        }
        let said = match ack {
            Some(ack) => Arc::new(Said::new(entry.serial, ack.clone())),
            None => Arc::clone(&entry.said),
        };
        if frame.payload.len() > commucat_proto::limits::MAX_RELAYED_PAYLOAD {
            let refused = self.all_too_large(entry.route.own_members().iter().copied(), ready.key);
            self.acknowledge_call_with(tunnel, frame.channel, frame.sequence, &said, refused);
            return Next::Go;
        }
        entry.heard = true;
        let foreign = entry.route.foreign(&self.groups).iter();
        let refused: Vec<_> = foreign.map(|device| (device.clone(), Refusal::Federation)).collect();
        let plan = std::mem::take(entry.route.plan_mut(&mut self.groups));
        let receipt = Receipt {
            shard: cores.own,
            tunnel: tunnel.id,
            ordinal: ready.pending.next_ordinal(),
        };
        let unsettled = self.spread(receipt, frame, &plan, None, keep_until);
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        if let Some(calls) = &mut ready.calls {
            let route = &mut calls.list[at].route;
            *route.plan_mut(&mut self.groups) = plan;
            route.outstanding += u32::from(unsettled > 0);
        }
        if unsettled > 0 {
            let cost = frame.payload.len() * unsettled as usize;
            let (sequence, channel) = (frame.sequence, frame.channel);
            ready
                .pending
                .push(sequence, channel, unsettled, cost, refused, Some(said));
            self.inflight += cost;
        } else {
            self.acknowledge_call_with(tunnel, frame.channel, frame.sequence, &said, refused);
        }
        Next::Go
    }

    pub(super) fn acknowledge_call(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>, said: &Said) {
        self.acknowledge_call_with(tunnel, frame.channel, frame.sequence, said, Vec::new());
    }

    /// The ACK of a frame of a call: its number and `call_id`, and what else the frame had (decisions § 3). One member
    /// cannot say both why the frame was sent and why it could not be kept; the latter is news.
    pub(crate) fn acknowledge_call_with(
        &mut self,
        tunnel: &mut Tunnel,
        channel: ChannelId,
        sequence: Sequence,
        said: &Said,
        refused: Vec<(DeviceId, Refusal)>,
    ) {
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        if refused.is_empty() {
            Ack::write_before(sequence, &said.tail, &mut payload);
        } else {
            self.counters.refused += refused.len() as u64;
            let reason = refused.iter().map(|(_, why)| *why).max().map_or("", Refusal::reason);
            let ack = Ack {
                ack: Some(sequence),
                rejected: refused.into_iter().map(|(device, _)| device).collect(),
                reason: Some(Text::cut(reason)),
                ..said.ack.clone()
            };
            control::write(&ack, &mut payload);
        }
        tunnel.outbox.push_control(FrameType::Ack, channel, &payload);
        self.scratch = payload;
        self.touch(tunnel);
    }
}
