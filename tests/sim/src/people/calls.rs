//! People who call each other: they offer, answer, decline, speak, hang up, or do none of that.

use std::collections::{BTreeMap, BTreeSet};

use commucat_proto::FrameType;
use serde_json::Value;

use super::{People, Session};
use crate::check::Violation;
use crate::fact::Fact;
use crate::ground::Ground;
use crate::ids::{self, DeviceNo, SessionNo};

/// What a session makes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// We have offered it, and nobody has accepted yet.
    Offered,
    /// Somebody has offered it to us.
    Rings,
    /// We take part, and so does somebody else.
    Talks,
    /// It has ended, or we have ended it.
    Over,
}

#[derive(Clone, Debug)]
struct Call {
    channel: u32,
    stand: Stand,
    /// Everybody of the offer, the caller first.
    people: Vec<DeviceNo>,
    /// The others who take part, as far as we have heard.
    with: BTreeSet<DeviceNo>,
}

/// The calls of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls {
    list: BTreeMap<String, Call>,
    offered: u32,
    /// An offer was answered; it may have expired.
    pub(crate) late_answer: bool,
}

impl Calls {
    /// Whether the channel is that of a call that goes on.
    pub(crate) fn carried_by(&self, channel: u32) -> bool {
        let carries = |call: &Call| call.channel == channel && matches!(call.stand, Stand::Offered | Stand::Talks);
        self.list.values().any(carries)
    }

    /// Whether media on the channel may be taken for those of a call, be it one that has ended.
    pub(crate) fn met(&self, channel: u32) -> bool {
        self.list.values().any(|call| call.channel == channel)
    }

    fn going_on(&self) -> usize {
        let open = |call: &&Call| matches!(call.stand, Stand::Offered | Stand::Talks);
        self.list.values().filter(open).count()
    }

    /// A frame has come.
    pub(crate) fn hear(&mut self, kind: FrameType, channel: u32, payload: &[u8]) {
        let Ok(said) = serde_json::from_slice::<Value>(payload) else {
            return;
        };
        let Some(id) = said["call_id"].as_str() else { return };
        match kind {
            FrameType::CallOffer => {
                let named = |name: &Value| name.as_str().and_then(DeviceNo::from_name);
                let to = said["to"].as_array().into_iter().flatten();
                let people = named(&said["from"]).into_iter().chain(to.filter_map(named)).collect();
                self.list.entry(id.to_owned()).or_insert(Call {
                    channel,
                    stand: Stand::Rings,
                    people,
                    with: BTreeSet::new(),
                });
            }
            FrameType::CallAnswer => {
                if let Some(call) = self.list.get_mut(id)
                    && let Some(by) = said["by"].as_u64()
                {
                    call.answered(DeviceNo(by as u16), said["accept"] == true);
                }
            }
            FrameType::CallEnd => {
                if let Some(call) = self.list.get_mut(id) {
                    call.stand = Stand::Over;
                }
            }
            _ => {}
        }
    }
}

impl Call {
    fn answered(&mut self, by: DeviceNo, accept: bool) {
        if accept {
            self.with.insert(by);
            if self.stand == Stand::Offered {
                self.stand = Stand::Talks;
            }
        } else {
            self.people.retain(|one| *one != by);
            if self.people.len() < 2 {
                self.stand = Stand::Over;
            }
        }
    }
}

impl People {
    /// Something about some call.
    pub(super) fn call(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get(&no) else {
            return Ok(());
        };
        let open = |(_, call): &(&String, &Call)| call.stand != Stand::Over;
        let calls: Vec<(String, Call)> = session
            .calls
            .list
            .iter()
            .filter(open)
            .map(|(id, call)| (id.clone(), call.clone()))
            .collect();
        if calls.is_empty() || self.dice.below(4) == 0 {
            return self.offer(no, ground);
        }
        let (id, call) = self.dice.pick(&calls).clone();
        match call.stand {
            Stand::Rings => self.answer(no, &id, &call, ground),
            Stand::Offered | Stand::Talks => match self.dice.weighted(&[70, 10, 12]) {
                0 => {
                    for _ in 0..1 + self.dice.skewed(4) {
                        self.speak(no, &id, &call, ground)?;
                    }
                    Ok(())
                }
                1 => {
                    let members = "\"direction\":\"send\"";
                    self.signal(no, FrameType::CallStats, &id, &call, members, ground)
                }
                _ => {
                    self.stand(no, &id, Stand::Over);
                    self.signal(no, FrameType::CallEnd, &id, &call, "\"reason\":\"hangup\"", ground)
                }
            },
            Stand::Over => Ok(()),
        }
    }

    fn stand(&mut self, no: SessionNo, id: &str, stand: Stand) {
        let session = self.sessions.get_mut(&no);
        if let Some(call) = session.and_then(|session| session.calls.list.get_mut(id)) {
            call.stand = stand;
        }
    }

    fn offer(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let devices = self.persons.len() as u64;
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let channel = 1 + self.dice.below(u64::from(ground.weather.channels)) as u32;
        let own = session.device;
        if session.calls.carried_by(channel) || session.calls.going_on() >= ground.weather.limits.session_calls {
            return Ok(());
        }
        let mut people = vec![own];
        for _ in 0..1 + self.dice.below(2) {
            let called = DeviceNo(self.dice.below(devices) as u16);
            if !people.contains(&called) {
                people.push(called);
            }
        }
        if people.len() < 2 {
            return Ok(());
        }
        session.calls.offered += 1;
        let id = format!("call-{}-{}", no.0, session.calls.offered);
        let call = Call {
            channel,
            stand: Stand::Offered,
            people,
            with: BTreeSet::new(),
        };
        session.calls.list.insert(id.clone(), call.clone());
        let to: Vec<String> = call.people[1..].iter().map(|device| device.name()).collect();
        let members = format!("\"from\":\"{}\",\"to\":{}", own.name(), serde_json::json!(to));
        self.signal(no, FrameType::CallOffer, &id, &call, &members, ground)
    }

    fn answer(&mut self, no: SessionNo, id: &str, call: &Call, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let by = session.device.0;
        let room = session.calls.going_on() < ground.weather.limits.session_calls;
        let free = room && !session.calls.carried_by(call.channel);
        let choice = self.dice.weighted(&[if free { 60 } else { 0 }, 20, 5, 10]);
        if choice == 3 {
            self.stand(no, id, Stand::Over);
            return Ok(());
        }
        session.calls.late_answer = true;
        ground.fact(&Fact::Wavers { session: no })?;
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        if choice == 0 {
            let caller = call.people.first().copied();
            if let Some(known) = session.calls.list.get_mut(id) {
                known.stand = Stand::Talks;
                known.with.extend(caller);
            }
            let members = format!("\"accept\":true,\"by\":{by}");
            return self.signal(no, FrameType::CallAnswer, id, call, &members, ground);
        }
        self.stand(no, id, Stand::Over);
        if choice == 1 {
            let members = format!("\"accept\":false,\"reason\":\"busy\",\"by\":{by}");
            self.signal(no, FrameType::CallAnswer, id, call, &members, ground)
        } else {
            self.signal(no, FrameType::CallEnd, id, call, "\"reason\":\"failure\"", ground)
        }
    }

    fn signal(
        &mut self,
        no: SessionNo,
        kind: FrameType,
        id: &str,
        call: &Call,
        members: &str,
        ground: &mut Ground,
    ) -> Result<(), Violation> {
        let object = format!("{{\"call_id\":\"{id}\",{members}");
        self.say_of(no, kind, id, call, |key| ids::mark_json(key, kind, object), ground)
    }

    fn speak(&mut self, no: SessionNo, id: &str, call: &Call, ground: &mut Ground) -> Result<(), Violation> {
        let kind = *self.dice.pick(&[FrameType::VoiceFrame, FrameType::VideoFrame]);
        let len = self.dice.skewed(ground.weather.payload as u64) as usize;
        self.say_of(no, kind, id, call, |key| ids::mark(key, kind, len), ground)
    }

    fn say_of(
        &mut self,
        no: SessionNo,
        kind: FrameType,
        id: &str,
        call: &Call,
        payload: impl FnOnce(ids::FrameKey) -> Vec<u8>,
        ground: &mut Ground,
    ) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let (key, ..) = session.next_key(call.channel);
        let Some(sequence) = session.client.say(kind, call.channel, &payload(key)) else {
            return Ok(());
        };
        session.waiting.insert(sequence, kind.name());
        let own = session.device;
        let roster: Vec<DeviceNo> = call.people.iter().copied().filter(|one| *one != own).collect();
        ground.fact(&Fact::OfCall {
            key,
            call: id,
            people: &call.people,
        })?;
        if matches!(kind, FrameType::CallOffer | FrameType::CallAnswer) {
            ground.fact(&Fact::Speaks {
                session: no,
                channel: call.channel,
                sequence,
            })?;
        }
        ground.fact(&Fact::Said {
            key,
            kind,
            sequence,
            roster: &roster,
        })
    }

    /// A call that a session takes for alive while somebody whom it has heard in it is not there any more. Asked at rest.
    pub(super) fn unended(&self, session: &Session) -> Option<String> {
        let talks = session.calls.list.iter().filter(|(_, call)| call.stand == Stand::Talks);
        for (id, call) in talks {
            for other in call.with.iter().filter(|other| !self.is_hostile(**other)) {
                let theirs = self.sessions.values().filter(|theirs| theirs.device == *other);
                let there = |theirs: &Session| {
                    let known = theirs.calls.list.get(id);
                    known.is_some_and(|call| matches!(call.stand, Stand::Talks | Stand::Offered))
                };
                if !theirs.into_iter().any(there) {
                    let (no, device) = (session.no, session.device);
                    return Some(format!("{no} of {device} never heard that {other} has left {id}"));
                }
            }
        }
        None
    }

    fn is_hostile(&self, device: DeviceNo) -> bool {
        let person = self.persons.get(usize::from(device.0));
        person.is_none_or(|person| person.hostile)
    }
}
