//! How a session's part in a call ends: the home says so, or the session itself is over.

use std::collections::HashMap;
use std::sync::Arc;

use commucat_proto::control::{self, CallEnd};
use commucat_proto::{CallId, ChannelId, DeviceId, Frame, FrameType, Sequence};
use commucat_storage::api::Wall;
use smallvec::SmallVec;

use crate::Shard;
use crate::directory::Namer;
use crate::keys::device_key;
use crate::mesh::call::{CallKey, CallMessage, Verdict};
use crate::mesh::message::{DeviceKey, Receipt, Targets, TunnelId};
use crate::route::{Cores, Leg, Plan, plan_of};
use crate::session::State;
use crate::session::calls::Over;
use crate::session::ready::Ready;
use crate::session::roster::local_name;
use crate::tunnel::Tunnel;

/// A call whose session has ended.
#[derive(Debug)]
pub(crate) struct LeftCall {
    id: CallId,
    channel: ChannelId,
    /// The way its frames took: the end takes the same one, so that it overtakes none of them.
    plan: Plan,
    /// Nobody has heard of it.
    mute: bool,
    /// Whom the directory knows by it, under the channel `named`, until the end has been said.
    names: SmallVec<[DeviceKey; 1]>,
    named: ChannelId,
}

/// All of them, by session and call, until their homes have answered.
pub(crate) type LeftCalls = HashMap<(TunnelId, CallKey), LeftCall>;

impl Shard {
    /// The home's answer to a frame that waits.
    pub(crate) fn call_judged(&mut self, id: TunnelId, call: CallKey, verdict: &Verdict) {
        if let Some(tunnel) = self.tunnels.get_mut(id)
            && let State::Ready(ready) = &mut tunnel.state
            && let Some(calls) = &mut ready.calls
            && let Some(asking) = calls.asking.as_mut().filter(|asking| asking.call == call)
        {
            if asking.opens && matches!(verdict, Verdict::Go { .. }) {
                self.counters.calls += 1;
            }
            asking.verdict = Some(verdict.clone());
            self.wakes.push(id);
        } else if let Verdict::Go {
            others,
            until,
            last: true,
        } = verdict
        {
            // The session ended before it could say that the call has: nobody else knows.
            self.call_left(id, call, others, *until);
        }
    }

    /// These take no part in a call any more.
    pub(crate) fn call_without(&mut self, id: TunnelId, call: CallKey, gone: &[DeviceKey]) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Ready(ready) = &mut tunnel.state
            && let Some(calls) = &mut ready.calls
        {
            let hash_key = &self.config.hash_key;
            if let Some(asking) = calls.asking.as_mut().filter(|asking| asking.call == call)
                && let Some(Verdict::Go { others, .. }) = &mut asking.verdict
            {
                let stays = |device: &&DeviceId| !gone.contains(&device_key(hash_key, device));
                *others = others.iter().filter(stays).cloned().collect();
            }
            if let Some(at) = calls.find_open(call) {
                calls.list[at].route.retain(
                    |key| !gone.contains(key),
                    |device| !gone.contains(&device_key(hash_key, device)),
                );
            }
        }
        self.tunnels.put(tunnel);
    }

    /// A call is over.
    pub(crate) fn call_over(&mut self, id: TunnelId, call: CallKey) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        let mut open = None;
        if let State::Ready(ready) = &mut tunnel.state
            && let Some(calls) = &mut ready.calls
        {
            if let Some(asking) = calls.asking.as_mut().filter(|asking| asking.call == call)
                && let Some(Verdict::Go { others, .. }) = &asking.verdict
            {
                // What waits was allowed before the end, and would be heard after it.
                let others = Arc::clone(others);
                asking.verdict = Some(if asking.opens {
                    Verdict::Late { others }
                } else {
                    Verdict::Quiet
                });
            }
            open = calls.find_open(call);
        }
        if let Some(at) = open {
            self.end_call(&mut tunnel, at, false);
        }
        self.tunnels.put(tunnel);
    }

    /// The session takes no part in it any more; what crosses the end is still recognised. `own`: the client says so.
    pub(super) fn end_call(&mut self, tunnel: &mut Tunnel, at: usize, own: bool) {
        let until = self.at.now + self.config.limits.call_linger;
        if let State::Ready(ready) = &mut tunnel.state
            && let Some(calls) = &mut ready.calls
            && let Some(entry) = calls.list.get_mut(at)
        {
            entry.over = Some(Over { until, own });
            entry.route.refill(SmallVec::new(), Vec::new());
            if let Some((names, channel)) = entry.done_with() {
                self.unname(&names, Namer::Route(tunnel.id, channel));
            }
        }
    }

    /// The session is over, and so are the calls it takes part in: their homes say who must hear of it.
    pub(crate) fn leave_calls(&mut self, id: TunnelId, ready: &mut Ready) {
        let Some(calls) = ready.calls.take() else { return };
        let mut left: Vec<(CallKey, LeftCall)> = Vec::new();
        for mut entry in calls.list {
            if entry.over.is_some() {
                self.unname(&entry.names, Namer::Route(id, entry.named));
            } else {
                let call = LeftCall {
                    plan: std::mem::take(entry.route.plan_mut(&mut self.groups)),
                    mute: !entry.heard,
                    names: std::mem::take(&mut entry.names),
                    named: entry.named,
                    id: entry.id,
                    channel: entry.channel,
                };
                left.push((entry.key, call));
            }
        }
        let mut unsaid = None;
        if let Some(asking) = calls.asking {
            if left.iter().all(|(key, _)| *key != asking.call) {
                let call = LeftCall {
                    id: asking.id,
                    channel: asking.channel,
                    plan: Plan::new(),
                    mute: asking.opens,
                    names: SmallVec::new(),
                    named: asking.channel,
                };
                left.push((asking.call, call));
            }
            unsaid = asking.verdict.map(|verdict| (asking.call, verdict));
        }
        for (key, call) in left {
            self.left_calls.insert((id, key), call);
            let message = CallMessage::Leave {
                call: key,
                tunnel: id,
                by: ready.key,
            };
            self.push_call(key.home(self.config.shards), message);
        }
        if let Some((key, verdict)) = unsaid {
            self.call_judged(id, key, &verdict);
        }
    }

    /// The home's answer: these must hear that a participant is gone, perhaps nobody. They hear CALL_END in its name.
    pub(crate) fn call_left(&mut self, id: TunnelId, key: CallKey, others: &[DeviceId], keep_until: Wall) {
        let Some(mut call) = self.left_calls.remove(&(id, key)) else {
            return;
        };
        let names = std::mem::take(&mut call.names);
        let named = Namer::Route(id, call.named);
        if !others.is_empty() && !call.mute {
            self.say_failure(id, call, others, keep_until);
        }
        // Behind it on each lane: a home that nobody asks for any more forgets who is away, and whom to keep it for.
        self.unname(&names, named);
    }

    fn say_failure(&mut self, id: TunnelId, call: LeftCall, others: &[DeviceId], keep_until: Wall) {
        let (domain, hash_key) = (&self.config.domain, &self.config.hash_key);
        let local = others.iter().filter_map(|device| local_name(device, domain));
        let members: Vec<DeviceKey> = local.map(|device| device_key(hash_key, &device)).collect();
        let plan = if call.plan.is_empty() {
            let cores = Cores {
                own: self.config.id,
                count: self.config.shards,
            };
            plan_of(&members, &self.directory, cores)
        } else {
            only(call.plan, &members)
        };
        let mut payload = Vec::new();
        control::write(&CallEnd::synthesized(call.id), &mut payload);
        let frame = Frame {
            kind: FrameType::CallEnd,
            channel: call.channel,
            sequence: Sequence::ZERO,
            payload: &payload,
        };
        let receipt = Receipt {
            shard: self.config.id,
            tunnel: id,
            ordinal: Receipt::SYNTHESIZED,
        };
        self.counters.calls_failed += 1;
        self.spread(receipt, frame, &plan, None, keep_until);
    }
}

/// The part of a plan that leads to these.
fn only(plan: Plan, members: &[DeviceKey]) -> Plan {
    plan.into_iter()
        .filter_map(|leg| {
            let targets = leg.targets.as_slice().iter();
            let kept: Arc<[_]> = targets
                .filter(|target| members.contains(&target.key))
                .copied()
                .collect();
            (!kept.is_empty()).then_some(Leg {
                targets: Targets::Many(kept),
                ..leg
            })
        })
        .collect()
}
