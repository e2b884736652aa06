//! The people: each has a device with its own key, a temper, and zero, one or (when it dials twice) more connections.
//!
//! Everything they do goes through the real client, but for what hostile ones write between its bytes.

mod act;
mod calls;
mod client;
mod confirm;
mod groups;
mod hostile;
mod open;
mod session;

use std::collections::BTreeMap;

use commucat_crypto::{PublicKey, StaticKey};

use self::client::{Client, News, WAYS};
use self::groups::{Deed, Groups};
pub(crate) use self::session::Session;
use crate::agenda::Event;
use crate::check::Violation;
use crate::dice::Dice;
use crate::fact::{Body, Fact};
use crate::ground::Ground;
use crate::ids::{self, DeviceNo, FrameKey, SessionNo};

/// When a person tries again after nobody listened.
const CLOSED_US: u64 = 500_000;

/// One person.
pub(crate) struct Person {
    key: StaticKey,
    hostile: bool,
    /// Its connections, oldest first.
    sessions: Vec<SessionNo>,
    /// An act is planned.
    planned: bool,
    /// Somebody has asked for its device to be revoked.
    may_be_revoked: bool,
    /// It has been told that it is.
    revoked: bool,
}

/// What people are allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Anything.
    Lively,
    /// Connect and listen.
    Listening,
    /// The same for every second person; the others stay away.
    HalfListening,
    /// Leave.
    Leaving,
}

/// All of them.
pub(crate) struct People {
    seed: u64,
    server: PublicKey,
    shards: u16,
    persons: Vec<Person>,
    sessions: BTreeMap<SessionNo, Session>,
    groups: Groups,
    dialled: u32,
    /// Nothing that is kept for somebody can be refused or lapse: the end of a call always arrives.
    ends_arrive: bool,
    pub(crate) mood: Mood,
    dice: Dice,
}

impl People {
    pub(crate) fn new(seed: u64, shards: u16, server: PublicKey, ground: &mut Ground) -> Self {
        let mut dice = Dice::new(seed, "people", 0);
        let (devices, hostile) = (ground.weather.devices, ground.weather.hostile);
        let persons = (0..devices)
            .map(|no| Person {
                key: StaticKey::generate(&mut Dice::new(seed, "device key", u64::from(no))),
                hostile: no >= devices - hostile.min(devices - 2),
                sessions: Vec::new(),
                planned: true,
                may_be_revoked: false,
                revoked: false,
            })
            .collect();
        for no in 0..devices {
            ground
                .agenda
                .plan(dice.skewed(ground.weather.away_us), Event::Person(DeviceNo(no)));
        }
        Self {
            seed,
            server,
            shards,
            persons,
            sessions: BTreeMap::new(),
            groups: Groups::default(),
            dialled: 0,
            ends_arrive: ground.weather.keeps_everything(),
            mood: Mood::Lively,
            dice,
        }
    }

    /// Somebody has asked for this device to be revoked.
    pub(crate) fn may_be_revoked(&mut self, device: DeviceNo) {
        self.person(device).may_be_revoked = true;
    }

    fn person(&mut self, device: DeviceNo) -> &mut Person {
        &mut self.persons[usize::from(device.0)]
    }

    fn plan(&mut self, device: DeviceNo, within: u64, ground: &mut Ground) {
        let delay = self.dice.skewed(within);
        let person = self.person(device);
        if !person.planned {
            person.planned = true;
            ground.agenda.plan(delay, Event::Person(device));
        }
    }

    /// Everybody gets a new mood, and a moment to act on it.
    pub(crate) fn all_become(&mut self, mood: Mood, ground: &mut Ground) {
        self.mood = mood;
        for no in 0..self.persons.len() as u16 {
            self.plan(DeviceNo(no), 1_000, ground);
        }
        for session in self.sessions.values_mut() {
            if session.stalled_until > ground.agenda.now() {
                session.stalled_until = 0;
                ground.agenda.plan(0, Event::Read(session.no));
            }
        }
    }

    /// A device connects to whichever shard its connection falls to.
    fn dial(&mut self, device: DeviceNo, ground: &mut Ground) -> Result<(), Violation> {
        let no = SessionNo(self.dialled);
        self.dialled += 1;
        let shard = self.dice.below(u64::from(self.shards)) as u16;
        let entropy = Dice::new(self.seed, "client", u64::from(no.0));
        let http = *self.dice.pick(&WAYS);
        let by_hand = self.dice.below(2) == 0;
        let server = self.server;
        let person = self.person(device);
        person.sessions.push(no);
        let hostile = person.hostile;
        let client = Client::new(device, &person.key, server, http, by_hand, entropy)
            .map_err(|error| Violation::new("client", error))?;
        self.sessions
            .insert(no, Session::new(no, device, client, http, by_hand));
        ground.fact(&Fact::Dialled {
            session: no,
            device,
            hostile,
        })?;
        ground.ring.dial(no, shard, http, &ground.weather, &mut ground.agenda);
        self.transmit(no, ground);
        Ok(())
    }

    /// What the client owes the wire goes there.
    fn transmit(&mut self, no: SessionNo, ground: &mut Ground) {
        let Some(session) = self.sessions.get_mut(&no) else {
            return;
        };
        let mut out = Vec::new();
        session.client.transmit(&mut out);
        if !out.is_empty() {
            ground.ring.write(no, &out, &ground.weather, &mut ground.agenda);
        }
    }

    /// The client reads, unless it has stopped reading for a while.
    pub(crate) fn read(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let now = ground.agenda.now();
        if session.stalled_until <= now && self.dice.happens(ground.weather.stall) {
            session.stalled_until = now + self.dice.between(1, ground.weather.stall_us);
        }
        if session.stalled_until > now {
            let wait = session.stalled_until - now;
            ground.ring.stalled(no, wait, &mut ground.agenda);
            return Ok(());
        }
        let pipe = ground.weather.pipe;
        let most = if self.dice.below(4) != 0 {
            pipe
        } else {
            1 + self.dice.skewed(pipe as u64) as usize
        };
        let (bytes, over) = ground.ring.read(no, most, &ground.weather, &mut ground.agenda);
        ground.trace.event(now, "read", &[u64::from(no.0)], &bytes);
        if !bytes.is_empty() {
            self.hear(no, &bytes, ground)?;
            self.transmit(no, ground);
        }
        if over {
            self.over(no, ground);
        }
        Ok(())
    }

    /// What came is read twice: by the client, and by a tap that checks the client.
    fn hear(&mut self, no: SessionNo, bytes: &[u8], ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let frames = session
            .tap
            .read(bytes)
            .map_err(|error| Violation::new("wire", format!("{no}: {error}")))?;
        let mut marked = Vec::new();
        for frame in &frames {
            ground.fact(&Fact::Heard { session: no, frame })?;
            if let Body::Marked { key, .. } = frame.body {
                marked.push(key);
            }
        }
        let news = session.client.receive(bytes);
        self.confirm_heard(no, &news, ground)?;
        let understood = self.understand(no, news, ground)?;
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        session.brought.extend(marked);
        session.understood.extend(understood);
        while let (Some(brought), Some(understood)) = (session.brought.front(), session.understood.front()) {
            if brought != understood && !session.tampered {
                let text = format!("{no}: the wire brought {brought} and the client gave {understood}");
                return Err(Violation::new("client", text));
            }
            session.brought.pop_front();
            session.understood.pop_front();
        }
        Ok(())
    }

    fn understand(&mut self, no: SessionNo, news: Vec<News>, ground: &mut Ground) -> Result<Vec<FrameKey>, Violation> {
        let mut keys = Vec::new();
        for item in news {
            let Some(session) = self.sessions.get_mut(&no) else {
                break;
            };
            match item {
                News::Ready => {
                    session.ready = true;
                    let device = session.device;
                    self.plan(device, ground.weather.think_us, ground);
                }
                News::Ack { number, whole } => {
                    session.waiting.remove(&number);
                    // Who writes bytes of its own cannot tell what the relay has acknowledged.
                    let certain = whole && !session.tampered;
                    if let Some(deed) = session.deeds.remove(&number).filter(|_| certain) {
                        match deed {
                            Deed::Enter(channel) => session.entered(channel, number),
                            deed => self.groups.done(deed),
                        }
                    }
                }
                News::Frame {
                    kind, channel, payload, ..
                } => {
                    session.calls.hear(kind, channel, &payload);
                    if let Some((key, _)) = ids::unmark(&payload) {
                        keys.push(key);
                        self.becomes_aware(no, key);
                    }
                }
                News::Refused(problem) => self.refused(no, &problem, ground)?,
                News::Ended => {
                    // The tunnel is over; a client has no other use for the connection.
                    session.finished = true;
                    ground.ring.finish(no, &ground.weather, &mut ground.agenda);
                }
            }
        }
        Ok(keys)
    }

    /// An ERROR, or what the client makes of the end.
    fn refused(&mut self, no: SessionNo, problem: &str, ground: &mut Ground) -> Result<(), Violation> {
        ground.note(|| format!("{no} refused: {problem}"));
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        session.finished = true;
        ground.ring.finish(no, &ground.weather, &mut ground.agenda);
        let person = &mut self.persons[usize::from(session.device.0)];
        person.revoked |= person.may_be_revoked && problem.starts_with("Device Revoked (403)");
        // Whatever else it hears: it may have been on its way out already.
        if person.revoked {
            return Ok(());
        }
        let hostile = person.hostile;
        let expected = session.trespasses && problem.starts_with("Not A Member (403)");
        let late = session.calls.late_answer && problem.starts_with("Not A Participant (403)");
        if hostile || session.tampered || expected || late || client::excusable(problem) {
            return Ok(());
        }
        Err(Violation::new(
            "people",
            format!("{no} did nothing wrong and was told {problem:?}"),
        ))
    }

    /// The connection is over for the client.
    fn over(&mut self, no: SessionNo, ground: &mut Ground) {
        ground.ring.hang_up(no, &ground.weather, &mut ground.agenda);
        let Some(session) = self.sessions.remove(&no) else {
            return;
        };
        ground.note(|| format!("{no} is over"));
        let person = self.person(session.device);
        person.sessions.retain(|other| *other != no);
        if self.awake(session.device) {
            self.plan(session.device, ground.weather.away_us, ground);
        }
    }

    /// Nobody listens: the person tries again after a while.
    pub(crate) fn turned_away(&mut self, no: SessionNo, ground: &mut Ground) {
        let Some(session) = self.sessions.remove(&no) else {
            return;
        };
        let person = self.person(session.device);
        person.sessions.retain(|other| *other != no);
        if !std::mem::replace(&mut person.planned, true) {
            ground.agenda.plan(CLOSED_US, Event::Person(session.device));
        }
    }

    /// The network breaks a connection.
    pub(crate) fn cut(&mut self, no: SessionNo, ground: &mut Ground) {
        ground.note(|| format!("{no} is cut"));
        self.over(no, ground);
    }

    /// The relay died: every connection breaks.
    pub(crate) fn relay_died(&mut self, sessions: &[SessionNo], ground: &mut Ground) {
        for no in sessions {
            self.over(*no, ground);
        }
    }

    /// What a tap on this session's wire has to know.
    pub(crate) fn hello(&self, no: SessionNo) -> Option<commucat_crypto::InitiatorHello> {
        self.sessions.get(&no)?.secrets.hello()
    }

    /// Whether the device wants to be connected.
    fn awake(&self, device: DeviceNo) -> bool {
        let revoked = self.persons[usize::from(device.0)].revoked;
        match self.mood {
            // Who was revoked goes on knocking.
            Mood::Lively => true,
            Mood::Listening => !revoked,
            Mood::HalfListening => !revoked && device.0.is_multiple_of(2),
            Mood::Leaving => false,
        }
    }

    /// Whether the device has a ready connection.
    pub(crate) fn listens(&self, device: DeviceNo) -> bool {
        let person = self.persons.get(usize::from(device.0));
        let sessions = person.into_iter().flat_map(|person| &person.sessions);
        sessions.filter_map(|no| self.sessions.get(no)).any(Session::open)
    }

    /// Connections that people still have.
    pub(crate) fn connected(&self) -> usize {
        self.sessions.len()
    }

    /// What does not add up when nothing moves any more and everybody listens.
    pub(crate) fn unfinished(&self) -> Option<String> {
        for (no, person) in self.persons.iter().enumerate().filter(|(_, person)| !person.hostile) {
            if !self.awake(DeviceNo(no as u16)) {
                continue;
            }
            let [only] = person.sessions[..] else {
                return Some(format!("device-{no} has the connections {:?}", person.sessions));
            };
            let Some(session) = self.sessions.get(&only) else {
                continue;
            };
            if !session.ready {
                return Some(format!("{only} of device-{no} never became ready"));
            }
            if self.ends_arrive
                && let Some(what) = self.unended(session)
            {
                return Some(what);
            }
            if let Some((number, what)) = session.waiting.first_key_value() {
                return Some(format!("{only} of device-{no} waits for the ACK of {what} {number}"));
            }
        }
        None
    }
}
