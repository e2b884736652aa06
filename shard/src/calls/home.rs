//! The home's side of the lanes: questions come in, answers and news go out.

use commucat_proto::DeviceId;

use super::{Asker, Notices, Part, Participant};
use crate::Shard;
use crate::keys::device_key;
use crate::mesh::call::{Ask, CallKey, CallMessage};
use crate::mesh::message::{DeviceKey, Message, ShardId, TunnelId};
use crate::timer::Owner;

impl Shard {
    pub(crate) fn call_message(&mut self, from: ShardId, message: &CallMessage) {
        match message {
            CallMessage::Ask { call, tunnel, by, ask } => self.home_call(*call, (from, *tunnel), by, ask),
            CallMessage::Say { call, tunnel, verdict } => self.call_judged(*tunnel, *call, verdict),
            CallMessage::Without { call, tunnel, gone } => self.call_without(*tunnel, *call, gone),
            CallMessage::Over { call, tunnel } => self.call_over(*tunnel, *call),
            CallMessage::Leave { call, tunnel, by } => self.home_call_left(*call, (from, *tunnel), *by),
            CallMessage::Left {
                call,
                tunnel,
                others,
                until,
            } => self.call_left(*tunnel, *call, others, *until),
        }
    }

    fn home_call(&mut self, call: CallKey, seat: (ShardId, TunnelId), by: &DeviceId, ask: &Ask) {
        let hash_key = &self.config.hash_key;
        let asker = Asker {
            device: by,
            key: device_key(hash_key, by),
            seat,
            due: match ask {
                Ask::Offer { until, .. } if *until > self.at.wall => self.at.until(*until),
                // One that is over before it begins says more about a clock than about patience. It is not kept for
                // anybody, and those who are there may answer.
                _ => self.at.now + self.config.limits.call_offer_ttl,
            },
            linger_until: self.at.now + self.config.limits.call_linger,
        };
        let people = || participants(&asker, ask, hash_key);
        let mut notices = Notices::new();
        let verdict = self.calls.ask(call, &asker, ask, people, &mut notices);
        self.tell_calls(notices);
        let (shard, tunnel) = seat;
        self.push_call(shard, CallMessage::Say { call, tunnel, verdict });
        self.arm_calls();
    }

    fn home_call_left(&mut self, call: CallKey, seat: (ShardId, TunnelId), by: DeviceKey) {
        let linger_until = self.at.now + self.config.limits.call_linger;
        let mut notices = Notices::new();
        let (others, until) = self.calls.leave(call, by, seat, linger_until, &mut notices);
        self.tell_calls(notices);
        let (shard, tunnel) = seat;
        self.push_call(
            shard,
            CallMessage::Left {
                call,
                tunnel,
                others,
                until,
            },
        );
        self.arm_calls();
    }

    /// A deadline of some call at home here has come.
    pub(crate) fn calls_expired(&mut self) {
        self.calls.armed = None;
        let linger_until = self.at.now + self.config.limits.call_linger;
        let mut notices = Notices::new();
        self.counters.calls_expired += self.calls.expire(self.at.now, linger_until, &mut notices);
        self.tell_calls(notices);
        self.arm_calls();
    }

    fn arm_calls(&mut self) {
        if let Some(due) = self.calls.next()
            && self.calls.armed.is_none_or(|armed| armed > due)
        {
            self.calls.armed = Some(due);
            self.timers.arm(due, Owner::Calls);
        }
    }

    fn tell_calls(&mut self, notices: Notices) {
        for (shard, message) in notices {
            self.push_call(shard, message);
        }
    }

    pub(crate) fn push_call(&mut self, to: ShardId, message: CallMessage) {
        self.mesh.push(to, Message::Call(Box::new(message)));
    }
}

/// Who takes part in the call of a first offer.
fn participants(asker: &Asker<'_>, ask: &Ask, hash_key: &[u8; 32]) -> Vec<Participant> {
    let Ask::Offer { to, .. } = ask else {
        return Vec::new();
    };
    let caller = Participant {
        device: asker.device.clone(),
        key: asker.key,
        part: Part::Caller,
        seat: Some(asker.seat),
    };
    let called = to.iter().map(|device| Participant {
        device: device.clone(),
        key: device_key(hash_key, device),
        part: Part::Ringing,
        seat: None,
    });
    std::iter::once(caller).chain(called).collect()
}
