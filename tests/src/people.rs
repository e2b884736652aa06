//! Devices, and their sessions over real TLS by the client's own driver: what an honest client does, with every answer
//! checked.
//!
//! Invariant: a [`Peer`] hears every frame in the server's order 1, 2, 3 … (the client itself refuses anything else) and
//! keeps what it was not waiting for, so that no check depends on when something arrives.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use commucat_client::blocking::{Client, DriverError, Options};
use commucat_client::tls::Trust;
use commucat_client::{Config, Endpoint, HttpVersion, Incoming, OsEntropy, PublicKey, StaticKey};
use commucat_proto::control::{Ack, GroupCreate, GroupInvite, Join, Problem, Role};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, GroupId, Sequence};

use serde_json::Value;

use crate::relay::Relay;

/// Far longer than anything takes on a busy machine; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The two versions of HTTP, for tests that take long.
pub const BOTH: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];

/// Every way to a relay.
pub const WAYS: [HttpVersion; 4] = [
    HttpVersion::Http1,
    HttpVersion::Http2,
    HttpVersion::WebSocket1,
    HttpVersion::WebSocket2,
];

/// A device and its key, across its sessions.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name.
    pub id: DeviceId,
    /// Its X25519 key.
    pub key: StaticKey,
}

impl Device {
    /// A device of this name with a key of its own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            id: DeviceId::parse(name).unwrap(),
            key: StaticKey::generate(&mut OsEntropy),
        }
    }

    /// How it connects to `relay`, to be changed by those who want it otherwise.
    #[must_use]
    pub fn config(&self, relay: &Relay, http: HttpVersion) -> Config {
        Config {
            http,
            ..Config::new(self.id.clone(), self.key.clone(), server_key(relay))
        }
    }

    /// A session.
    ///
    /// # Panics
    /// When the relay refuses.
    #[must_use]
    pub fn connect(&self, relay: &Relay, http: HttpVersion) -> Peer {
        self.connect_with(relay, self.config(relay, http))
            .unwrap_or_else(|error| panic!("{} does not come in: {error}", self.id.as_str()))
    }

    /// A session, or why there is none.
    ///
    /// # Errors
    /// The driver's.
    pub fn connect_with(&self, relay: &Relay, config: Config) -> Result<Peer, DriverError> {
        let client = Client::connect(&endpoint(relay), &options(), config)?;
        Ok(Peer {
            name: self.id.clone(),
            client,
            frames: VecDeque::new(),
            presence: VecDeque::new(),
            acks: VecDeque::new(),
            ack_frames: 0,
            end: End::default(),
            over: false,
        })
    }

    /// The ERROR with which the relay refuses `config`.
    ///
    /// # Panics
    /// When it comes in, or fails otherwise.
    #[must_use]
    pub fn refused(&self, relay: &Relay, config: Config) -> Problem {
        match self.connect_with(relay, config) {
            Ok(_) => panic!("{} came in", self.id.as_str()),
            Err(DriverError::Refused { what, .. }) => match *what {
                Incoming::Problem(problem) => *problem,
                what => panic!("{what}"),
            },
            Err(error) => panic!("{error}"),
        }
    }
}

/// Several devices `NAME-0`, `NAME-1` …
#[must_use]
pub fn devices(name: &str, count: usize) -> Vec<Device> {
    (0..count)
        .map(|index| Device::new(&format!("{name}-{index}")))
        .collect()
}

/// The relay's own key, as it prints it.
#[must_use]
pub fn server_key(relay: &Relay) -> PublicKey {
    relay.noise_public().parse().unwrap()
}

/// Where it listens.
#[must_use]
pub fn endpoint(relay: &Relay) -> Endpoint {
    relay.url().parse().unwrap()
}

/// The development certificate names nobody whom a test could ask.
#[must_use]
pub fn options() -> Options {
    Options {
        trust: Trust::Insecure,
        source: None::<IpAddr>,
        timeout: PATIENCE,
    }
}

/// A frame for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// Its type.
    pub kind: FrameType,
    /// Its channel.
    pub channel: ChannelId,
    /// The server's number.
    pub sequence: Sequence,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Got {
    /// The payload of those who send text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// An acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acked {
    /// The frame's channel.
    pub channel: ChannelId,
    /// The frame's own number.
    pub sequence: Sequence,
    /// What it says beside the number.
    pub body: Option<Box<Ack>>,
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The ERROR frame, when there was one.
    pub problem: Option<Box<Problem>>,
    /// Whether the body ended as it should.
    pub clean: bool,
}

impl End {
    /// `title` and `status` of the ERROR.
    #[must_use]
    pub fn problem(&self) -> Option<(&str, u16)> {
        let problem = self.problem.as_deref()?;
        Some((&problem.title, problem.status))
    }
}

/// A session of a device.
#[derive(Debug)]
pub struct Peer {
    name: DeviceId,
    client: Client,
    frames: VecDeque<Got>,
    presence: VecDeque<Got>,
    acks: VecDeque<Acked>,
    /// ACK frames, each of which may stand for many.
    pub ack_frames: u64,
    end: End,
    over: bool,
}

impl Peer {
    /// The driver beneath.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Declares to whom frames on `channel` go.
    pub fn join<'a>(&mut self, channel: u32, members: impl IntoIterator<Item = &'a Device>) {
        self.join_as(channel, members, true);
    }

    /// The same, with the address private or not.
    pub fn join_as<'a>(&mut self, channel: u32, members: impl IntoIterator<Item = &'a Device>, relay: bool) {
        let join = Join {
            members: members.into_iter().map(|device| device.id.clone()).collect(),
            relay,
            group_id: None,
        };
        let sequence = self.client.connection().join(ChannelId::new(channel), &join).unwrap();
        self.settled(sequence);
    }

    /// Goes to a group with frames on `channel`.
    pub fn join_group(&mut self, channel: u32, group: &GroupId) {
        let sequence = self.ask_to_join_group(channel, group);
        self.settled(sequence);
    }

    /// The same, without waiting for the answer.
    pub fn ask_to_join_group(&mut self, channel: u32, group: &GroupId) -> Sequence {
        let channel = ChannelId::new(channel);
        self.client
            .connection()
            .join_group(channel, group.clone(), true)
            .unwrap()
    }

    /// Makes a group; what the relay has made of it.
    pub fn create_group(&mut self, channel: u32, create: &GroupCreate) -> Ack {
        let sequence = self
            .client
            .connection()
            .create_group(ChannelId::new(channel), create)
            .unwrap();
        self.answer_to(sequence)
    }

    /// Makes somebody a member of a group; what the relay has made of it.
    pub fn invite(&mut self, channel: u32, group: &GroupId, device: &Device, role: Role) -> Ack {
        let sequence = self.ask_to_invite(channel, group, device, role);
        self.answer_to(sequence)
    }

    /// The same, without waiting for the answer.
    pub fn ask_to_invite(&mut self, channel: u32, group: &GroupId, device: &Device, role: Role) -> Sequence {
        let invite = GroupInvite {
            group_id: group.clone(),
            device: device.id.clone(),
            role,
        };
        self.client
            .connection()
            .invite(ChannelId::new(channel), &invite)
            .unwrap()
    }

    /// The acknowledgement of this very frame, which has to be the next one and to say more than its number.
    ///
    /// # Panics
    /// When it is another.
    pub fn answer_to(&mut self, sequence: Sequence) -> Ack {
        let acked = self.acked();
        assert_eq!(acked.sequence, sequence, "{}", self.name.as_str());
        *acked.body.expect("it says more than its number")
    }

    /// Takes the route back.
    pub fn leave(&mut self, channel: u32) {
        let sequence = self.client.connection().leave(ChannelId::new(channel)).unwrap();
        self.settled(sequence);
    }

    /// Puts a MSG on its way; its acknowledgement comes later.
    pub fn send(&mut self, channel: u32, payload: impl AsRef<[u8]>) -> Sequence {
        self.client
            .send(FrameType::Msg, ChannelId::new(channel), payload.as_ref())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name.as_str()))
    }

    /// Sends a MSG and waits until the relay has promised to keep it.
    pub fn say(&mut self, channel: u32, payload: impl AsRef<[u8]>) -> Sequence {
        let sequence = self.send(channel, payload);
        self.settled(sequence);
        sequence
    }

    /// Sends a MSG under a number that it had before.
    pub fn say_again(&mut self, channel: u32, sequence: Sequence, payload: impl AsRef<[u8]>) -> Acked {
        let frame = Frame {
            kind: FrameType::Msg,
            channel: ChannelId::new(channel),
            sequence,
            payload: payload.as_ref(),
        };
        self.client.connection().resend(&frame).unwrap();
        self.acked()
    }

    /// Waits for the plain acknowledgement of this very frame, which has to be the next one.
    pub fn settled(&mut self, sequence: Sequence) {
        let acked = self.acked();
        assert_eq!((acked.sequence, acked.body), (sequence, None), "{}", self.name.as_str());
    }

    /// The next acknowledgement.
    ///
    /// # Panics
    /// When none comes.
    pub fn acked(&mut self) -> Acked {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(acked) = self.acks.pop_front() {
                return acked;
            }
            self.wait(deadline, "an acknowledgement");
        }
    }

    /// The next frame.
    ///
    /// # Panics
    /// When none comes.
    pub fn hear(&mut self) -> Got {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(got) = self.frames.pop_front() {
                return got;
            }
            self.wait(deadline, "a frame");
        }
    }

    /// Waits for a PRESENCE with this state. Two who join at the same moment may hear of each other twice.
    pub fn sees_state(&mut self, state: &str) -> Value {
        loop {
            let seen = self.sees();
            if seen["state"] == state {
                return seen;
            }
        }
    }

    /// The next PRESENCE, as JSON; those are kept apart from what devices say.
    ///
    /// # Panics
    /// When none comes.
    pub fn sees(&mut self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(got) = self.presence.pop_front() {
                let mut seen: Value = serde_json::from_slice(&got.payload).unwrap();
                assert_eq!(seen["channel"], got.channel.get());
                seen["user"].take();
                return seen;
            }
            self.wait(deadline, "PRESENCE");
        }
    }

    /// PRESENCE that was heard and not asked for yet.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.presence.len()
    }

    /// The next frame is this MSG.
    ///
    /// # Panics
    /// When it is another.
    pub fn hears(&mut self, text: &str) -> Got {
        let got = self.hear();
        assert_eq!(
            (got.kind, got.text().as_str()),
            (FrameType::Msg, text),
            "{}",
            self.name.as_str()
        );
        got
    }

    /// What is there already, or comes within `moment`, without waiting for more: a frame when there is one.
    pub fn overhear(&mut self, moment: Duration) -> Option<Got> {
        if self.frames.is_empty() && !self.over {
            self.step(moment);
        }
        self.frames.pop_front()
    }

    /// What is there already, or comes within `moment`: an acknowledgement when there is one.
    pub fn glance(&mut self, moment: Duration) -> Option<Acked> {
        if self.acks.is_empty() && !self.over {
            self.step(moment);
        }
        self.acks.pop_front()
    }

    /// Frames that were heard and not asked for yet.
    #[must_use]
    pub fn unheard(&self) -> usize {
        self.frames.len()
    }

    /// Whether the relay, or the network, has ended this session.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Ends our side, and waits for the other; what still came is given.
    pub fn bye(mut self) -> Vec<Got> {
        self.client.close().unwrap();
        let (rest, end) = self.ends();
        assert_eq!(
            end,
            End {
                problem: None,
                clean: true
            }
        );
        rest
    }

    /// Waits for the end; gives what came before it and was not asked for.
    ///
    /// # Panics
    /// When there is none.
    pub fn ends(mut self) -> (Vec<Got>, End) {
        let deadline = Instant::now() + PATIENCE;
        while !self.over {
            self.wait(deadline, "the end");
        }
        (self.frames.into(), self.end)
    }

    fn wait(&mut self, deadline: Instant, what: &str) {
        let left = deadline.saturating_duration_since(Instant::now());
        let name = self.name.as_str();
        assert!(!left.is_zero(), "{name} has waited in vain for {what}");
        assert!(
            !self.over,
            "{name} waited for {what}, and the session ended: {:?}",
            self.end
        );
        self.step(left);
    }

    /// Takes what is there already, or comes within `moment`, to be asked for later: no more than `most` events.
    pub fn take_in(&mut self, moment: Duration, most: usize) {
        let mut moment = moment;
        for _ in 0..most {
            if self.over || !self.step(moment) {
                return;
            }
            moment = Duration::ZERO;
        }
    }

    /// Takes one event; whether there was one. A socket that breaks is an end like another: relays are killed here.
    fn step(&mut self, moment: Duration) -> bool {
        match self.client.recv(moment) {
            Ok(None) => return false,
            Ok(Some(Incoming::Frame {
                kind,
                channel,
                sequence,
                payload,
            })) => {
                let queue = match kind {
                    FrameType::Presence => &mut self.presence,
                    _ => &mut self.frames,
                };
                queue.push_back(Got {
                    kind,
                    channel,
                    sequence,
                    payload,
                });
            }
            Ok(Some(Incoming::Acknowledged {
                channel,
                from,
                to,
                body,
            })) => {
                let ranges = self
                    .client
                    .connection()
                    .session()
                    .is_some_and(|session| session.has("ack-range"));
                assert!(ranges || from == to, "ack-range was not asked for");
                self.ack_frames += 1;
                for number in from.get()..=to.get() {
                    self.acks.push_back(Acked {
                        channel,
                        sequence: Sequence::new(number),
                        body: body.clone(),
                    });
                }
            }
            Ok(Some(Incoming::Problem(problem))) => self.end.problem = Some(problem),
            Ok(Some(Incoming::Ended { clean })) => {
                self.end.clean = clean;
                self.over = true;
            }
            Ok(Some(what @ (Incoming::Ready | Incoming::Refused { .. }))) => panic!("{}: {what}", self.name.as_str()),
            Err(DriverError::Io { .. }) => self.over = true,
            Err(error) => panic!("{}: {error}", self.name.as_str()),
        }
        true
    }
}
