//! Open channels: people join a number and name nobody.

use super::People;
use super::groups::Deed;
use crate::check::Violation;
use crate::fact::Fact;
use crate::ground::Ground;
use crate::ids::{DeviceNo, FrameKey, SessionNo};

impl People {
    /// A JOIN that names nobody, or only its sender.
    pub(super) fn join_open(&mut self, no: SessionNo, channel: u32, ground: &mut Ground) -> Result<(), Violation> {
        let Some(device) = self.sessions.get(&no).map(|session| session.device) else {
            return Ok(());
        };
        let names = match self.dice.below(2) {
            0 => vec![self.dice_name(device)],
            _ => Vec::new(),
        };
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let Some(sequence) = session.client.join(channel, &names) else {
            return Ok(());
        };
        session.waiting.insert(sequence, "JOIN of an open channel");
        session.deeds.insert(sequence, Deed::Enter(channel));
        session.enter_open(channel, sequence);
        ground.fact(&Fact::Opened { device, channel })?;
        ground.fact(&Fact::Joined {
            session: no,
            channel,
            sequence,
        })
    }

    /// A session has got a frame of another one: what it says openly from now on is for that one, too, if that has joined
    /// the number with a roster that names it.
    pub(super) fn becomes_aware(&mut self, no: SessionNo, key: FrameKey) {
        let Some(device) = self.sessions.get(&no).map(|session| session.device) else {
            return;
        };
        let speaker = self.sessions.get(&key.session);
        let join = speaker.and_then(|speaker| speaker.names(device, key));
        let heard = speaker
            .map(|speaker| (key.channel, speaker.device))
            .filter(|(_, other)| *other != device);
        if let Some(session) = self.sessions.get_mut(&no) {
            session.heard = heard.or(session.heard);
            session.aware.extend(join.map(|join| (key.channel, key.session, join)));
        }
    }

    /// A frame is about to be said in an open channel: to whom it certainly goes. A device that has dialled twice may be
    /// losing the session that is there.
    pub(super) fn speak_openly(
        &mut self,
        key: FrameKey,
        device: DeviceNo,
        ground: &mut Ground,
    ) -> Result<Vec<DeviceNo>, Violation> {
        let alone = |device: DeviceNo| self.persons[usize::from(device.0)].sessions.len() == 1;
        let there = self.sessions.values().filter(|session| session.is_in(key.channel));
        let speaker = self.sessions.get(&key.session).filter(|it| it.is_in(key.channel));
        let aware = speaker.into_iter().flat_map(|session| &session.aware);
        let name_it = aware.filter_map(|(channel, no, join)| {
            let session = self.sessions.get(no)?;
            (*channel == key.channel && session.holds(*channel, *join)).then_some(session)
        });
        let sessions: Vec<(DeviceNo, SessionNo)> = there
            .chain(name_it)
            .map(|session| (session.device, session.no))
            .filter(|(other, _)| *other != device && alone(*other))
            .collect();
        ground.fact(&Fact::Openly {
            key,
            sessions: &sessions,
        })?;
        Ok(sessions.into_iter().map(|(device, _)| device).collect())
    }
}
