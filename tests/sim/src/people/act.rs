//! What a person does when its moment comes.

use commucat_proto::FrameType;

use super::session::Spoken;
use super::{Mood, People};
use crate::check::Violation;
use crate::fact::Fact;
use crate::ground::Ground;
use crate::ids::{self, DOMAIN, DeviceNo, SessionNo};

/// Devices that never say hello, for rosters.
const GHOSTS: u16 = 2;
/// A person that has so many bytes on the way waits.
const PATIENCE: usize = 256 << 10;

/// A domain that this relay does not reach.
const ELSEWHERE: &str = "elsewhere.example";

/// The frames people say, and how often.
const KINDS: [(FrameType, u32); 6] = [
    (FrameType::Msg, 60),
    (FrameType::KeyUpdate, 8),
    (FrameType::GroupEvent, 8),
    (FrameType::Typing, 10),
    (FrameType::VoiceFrame, 10),
    (FrameType::VideoFrame, 4),
];

impl People {
    /// A person's moment.
    pub(crate) fn act(&mut self, device: DeviceNo, ground: &mut Ground) -> Result<(), Violation> {
        self.person(device).planned = false;
        match self.mood {
            Mood::Lively => self.live(device, ground),
            Mood::Listening | Mood::HalfListening if !self.awake(device) => self.leave_relay(device, ground),
            Mood::Listening | Mood::HalfListening => self.listen(device, ground),
            Mood::Leaving => self.leave_relay(device, ground),
        }
    }

    fn live(&mut self, device: DeviceNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(no) = self.person(device).sessions.last().copied() else {
            self.dial(device, ground)?;
            self.plan(device, ground.weather.away_us.max(1_000_000), ground);
            return Ok(());
        };
        if self.dice.happens(ground.weather.duplicate) {
            self.dial(device, ground)?;
        } else if self.sessions.get(&no).is_some_and(super::Session::open) {
            self.use_session(device, no, ground)?;
        }
        self.plan(device, ground.weather.think_us, ground);
        Ok(())
    }

    fn use_session(&mut self, device: DeviceNo, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        if self.person(device).hostile && self.dice.below(4) == 0 {
            self.misbehave(no, ground);
            return ground.fact(&Fact::Wavers { session: no });
        }
        if self.dice.happens(ground.weather.goodbye) {
            return self.goodbye(no, ground);
        }
        if ground.ring.unread(no) > PATIENCE {
            return Ok(());
        }
        if self.dice.below(4) == 0 {
            self.confirm_some(no, ground)?;
        }
        match self.dice.weighted(&[80, 10, 2, ground.weather.gather, 12, 4]) {
            0 => {
                for _ in 0..1 + self.dice.skewed(ground.weather.burst) {
                    self.say(no, ground)?;
                }
            }
            1 => self.join(no, ground)?,
            2 => self.leave(no, ground)?,
            3 => self.gather(no, ground)?,
            4 => self.call(no, ground)?,
            _ => self.say_again(no, ground)?,
        }
        self.transmit(no, ground);
        Ok(())
    }

    /// A frame on a channel that is joined; the first act on a session is always a JOIN.
    fn say(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let joined = session.joined();
        if joined.is_empty() {
            return self.join(no, ground);
        }
        let channel = *self.dice.pick(&joined);
        let weights = KINDS.map(|(_, weight)| weight);
        let (mut kind, _) = KINDS[self.dice.weighted(&weights)];
        if matches!(kind, FrameType::VoiceFrame | FrameType::VideoFrame) && session.calls.met(channel) {
            kind = FrameType::Typing;
        }
        let len = if self.dice.happens(ground.weather.huge) {
            self.dice.below(ground.weather.huge_len as u64)
        } else {
            self.dice.skewed(ground.weather.payload as u64)
        };
        let (key, mut roster, group) = session.next_key(channel);
        let device = session.device;
        let payload = ids::mark(key, kind, len as usize);
        let Some(sequence) = session.client.say(kind, channel, &payload) else {
            return Ok(());
        };
        session.spoken.push(Spoken {
            key,
            kind,
            sequence,
            len: payload.len(),
        });
        session.waiting.insert(sequence, kind.name());
        if session.channels.get(&channel).is_some_and(|known| known.open.is_some()) {
            roster = self.speak_openly(key, device, ground)?;
        } else if let Some(group) = group {
            roster = self.groups.roster(group, device);
            ground.fact(&Fact::Addressed { key, group })?;
        }
        ground.fact(&Fact::Said {
            key,
            kind,
            sequence,
            roster: &roster,
        })
    }

    /// A JOIN, new or with another roster; somebody else is always in it. Some do it to answer whom they have heard.
    fn join(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let devices = self.persons.len() as u16;
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let channel = 1 + self.dice.below(u64::from(ground.weather.channels)) as u32;
        if self.dice.happens(ground.weather.openly) {
            return self.join_open(no, channel, ground);
        }
        let own = session.device;
        if let Some((channel, speaker)) = session.heard.filter(|_| self.dice.happens(ground.weather.openly)) {
            return self.join_members(no, channel, &[speaker], ground);
        }
        let mut members: Vec<DeviceNo> = Vec::new();
        let wanted = 1 + self.dice.skewed(u64::from(devices)) as usize;
        while members.iter().filter(|member| **member != own).count() < wanted.min(usize::from(devices) - 1) {
            let pool = u64::from(devices + if self.dice.below(10) == 0 { GHOSTS } else { 0 });
            let member = DeviceNo(self.dice.below(pool) as u16);
            if !members.contains(&member) {
                members.push(member);
            }
        }
        self.join_members(no, channel, &members, ground)
    }

    fn join_members(
        &mut self,
        no: SessionNo,
        channel: u32,
        members: &[DeviceNo],
        ground: &mut Ground,
    ) -> Result<(), Violation> {
        let mut names: Vec<String> = members.iter().map(|member| self.dice_name(*member)).collect();
        if self.dice.below(20) == 0 {
            names.push(format!("device-0@{ELSEWHERE}"));
        }
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let Some(sequence) = session.client.join(channel, &names) else {
            return Ok(());
        };
        session.waiting.insert(sequence, "JOIN");
        let known = session.channels.entry(channel).or_default();
        known.join();
        (known.group, known.open) = (None, None);
        let own = session.device;
        known.roster = members.iter().copied().filter(|member| *member != own).collect();
        let speakers = known.roster.clone();
        ground.fact(&Fact::Naming {
            device: own,
            channel,
            speakers: &speakers,
        })?;
        ground.fact(&Fact::Joined {
            session: no,
            channel,
            sequence,
        })
    }

    /// A device has two names: the plain one, and the one with this server's domain.
    pub(super) fn dice_name(&mut self, device: DeviceNo) -> String {
        let domain = if self.dice.below(8) == 0 {
            format!("@{DOMAIN}")
        } else {
            String::new()
        };
        format!("{}{domain}", device.name())
    }

    fn leave(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let joined = session.joined();
        if joined.is_empty() {
            return Ok(());
        }
        let channel = *self.dice.pick(&joined);
        if session.calls.carried_by(channel) {
            return Ok(());
        }
        let Some(sequence) = session.client.leave(channel) else {
            return Ok(());
        };
        session.waiting.insert(sequence, "LEAVE");
        if let Some(known) = session.channels.get_mut(&channel) {
            known.joined = false;
        }
        ground.fact(&Fact::Left {
            session: no,
            channel,
            sequence,
        })
    }

    /// An idempotent envelope: the same frame under the sequence it had.
    fn say_again(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        if session.spoken.is_empty() {
            return Ok(());
        }
        let back = self.dice.skewed(session.spoken.len() as u64 - 1) as usize;
        let spoken = session.spoken[session.spoken.len() - 1 - back].clone();
        let payload = ids::mark(spoken.key, spoken.kind, spoken.len);
        let sequence = spoken.sequence;
        session
            .client
            .say_again(spoken.kind, spoken.key.channel, sequence, &payload);
        session.waiting.insert(sequence, "a repeated frame");
        ground.fact(&Fact::Resent {
            session: no,
            channel: spoken.key.channel,
            sequence,
        })
    }

    /// Leaves: politely, or by breaking the connection.
    fn goodbye(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        if self.dice.below(2) == 0 {
            self.cut(no, ground);
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        session.finished = true;
        session.client.finish();
        ground.fact(&Fact::Wavers { session: no })?;
        self.transmit(no, ground);
        if self.dice.below(2) == 0 {
            ground.ring.finish(no, &ground.weather, &mut ground.agenda);
        }
        Ok(())
    }

    /// Healing: whoever is away comes back and listens, hostile ones go.
    fn listen(&mut self, device: DeviceNo, ground: &mut Ground) -> Result<(), Violation> {
        if self.person(device).hostile {
            return self.leave_relay(device, ground);
        }
        if self.person(device).sessions.is_empty() {
            self.dial(device, ground)?;
        }
        for no in self.person(device).sessions.clone() {
            self.confirm_all(no, ground)?;
            self.transmit(no, ground);
        }
        Ok(())
    }

    fn leave_relay(&mut self, device: DeviceNo, ground: &mut Ground) -> Result<(), Violation> {
        for no in self.person(device).sessions.clone() {
            self.goodbye(no, ground)?;
        }
        if self.person(device).hostile {
            for no in self.person(device).sessions.clone() {
                self.cut(no, ground);
            }
        }
        Ok(())
    }

    /// Everybody says one thing more: whoever is stuck is found.
    pub(crate) fn all_speak(&mut self, ground: &mut Ground) -> Result<(), Violation> {
        let everybody: Vec<SessionNo> = self.sessions.keys().copied().collect();
        for no in everybody {
            if self.sessions.get(&no).is_some_and(super::Session::open) {
                self.join(no, ground)?;
                self.say(no, ground)?;
                self.join_own_group(no, ground)?;
                self.say(no, ground)?;
                self.transmit(no, ground);
            }
        }
        Ok(())
    }
}
