//! Who talks to the shard: honest people, whose client is the real one, and the stranger, who has the same client and more.

use std::collections::BTreeSet;

use commucat_client::{Acks, Config, Connection, Event, HttpVersion, Pattern};
use commucat_proto::control::Join;
use commucat_proto::{ChannelId, DeviceId, FrameType};

use crate::bed::{Bed, DOMAIN, key};
use crate::dice::Dice;
use crate::frame::encoded;
use crate::input::cut;

/// The channel of one honest person to the other.
const TOGETHER: ChannelId = ChannelId::new(1);
/// The channel of an honest person to the stranger.
const STRANGER: ChannelId = ChannelId::new(2);

/// The device with this number.
pub(super) fn device(number: usize) -> DeviceId {
    DeviceId::parse(&format!("dev-{number}")).expect("a good name")
}

fn config(number: usize, http: HttpVersion) -> Config {
    let mut config = Config::new(device(number), key(number).clone(), key(0).public());
    config.http = http;
    config.authority = DOMAIN.to_owned();
    config.secure = false;
    config
}

/// Somebody of whom every word must arrive.
pub(super) struct Honest {
    number: usize,
    peer: usize,
    client: Connection,
    wire: usize,
    spoken: u64,
    heard: Vec<u64>,
    /// Sequences without an ACK, on the channel to the other.
    open: BTreeSet<u32>,
}

impl Honest {
    pub(super) fn new(bed: &mut Bed, number: usize, peer: usize, http: HttpVersion) -> Self {
        let client = Connection::new(config(number, http), &mut Dice::new(number as u64)).expect("a good key");
        let mut person = Self {
            number,
            peer,
            client,
            wire: bed.accept(),
            spoken: 0,
            heard: Vec::new(),
            open: BTreeSet::new(),
        };
        person.listen(bed);
        assert!(person.client.is_ready());
        person
    }

    /// Opens both channels.
    pub(super) fn join(&mut self, bed: &mut Bed) {
        for (channel, member) in [(TOGETHER, self.peer), (STRANGER, 1)] {
            let join = Join {
                members: vec![device(member)],
                relay: true,
                ..Join::default()
            };
            let sequence = self.client.join(channel, &join).expect("ready");
            self.open.insert(sequence.get());
        }
        self.listen(bed);
    }

    /// The word with this number: nobody guesses it.
    fn word(speaker: usize, number: u64) -> Vec<u8> {
        let mut dice = Dice::new(speaker as u64 ^ 0xa5a5_5a5a_dead_beef);
        let secret = dice.draw() ^ number.rotate_left(32);
        [secret.to_be_bytes(), dice.draw().to_be_bytes()].concat()
    }

    /// Says the next word to the other.
    pub(super) fn speak(&mut self, bed: &mut Bed) {
        let word = Self::word(self.number, self.spoken);
        self.spoken += 1;
        let sequence = self.client.send(FrameType::Msg, TOGETHER, &word).expect("ready");
        self.open.insert(sequence.get());
        self.listen(bed);
    }

    /// Says something to the stranger; what becomes of it is the stranger's doing.
    pub(super) fn say_to_stranger(&mut self, bed: &mut Bed, payload: &[u8]) {
        self.client.send(FrameType::Msg, STRANGER, payload).expect("ready");
        self.listen(bed);
    }

    /// Reads and answers until there is nothing left.
    pub(super) fn listen(&mut self, bed: &mut Bed) {
        loop {
            let mut out = Vec::new();
            self.client.transmit(&mut out);
            bed.write(self.wire, [&out[..]]);
            let read = bed.read(self.wire);
            if read.is_empty() {
                return;
            }
            self.client.receive(&read);
            while let Some(event) = self.client.next_event().expect("the relay keeps to the protocol") {
                match event {
                    Event::Ready(_) => {}
                    Event::Acknowledged {
                        channel,
                        from,
                        to,
                        body,
                    } if channel == TOGETHER => {
                        let whole = body.is_none_or(|body| body.rejected.is_empty());
                        assert!(whole, "a word was refused");
                        self.open.retain(|sequence| !(from.get()..=to.get()).contains(sequence));
                    }
                    Event::Acknowledged { from, to, .. } => {
                        self.open.retain(|sequence| !(from.get()..=to.get()).contains(sequence));
                    }
                    Event::Frame(frame) => {
                        let next = self.heard.len() as u64;
                        let is_word = (0..=next).rev().find(|n| frame.payload == Self::word(self.peer, *n));
                        self.heard.extend(is_word);
                    }
                    other => panic!("{} did nothing wrong, and: {other:?}", self.number),
                }
            }
        }
    }

    /// All that the other has said has come, once and in order, and all that was said has been acknowledged.
    pub(super) fn has_heard_all(&self, other: &Self) {
        assert!(
            self.heard.iter().copied().eq(0..other.spoken),
            "{:?} of {}",
            self.heard,
            other.spoken
        );
        assert!(self.open.is_empty(), "without an ACK: {:?}", self.open);
    }
}

/// Somebody who has a key, and may do anything.
pub(super) struct Stranger {
    client: Connection,
    wire: usize,
    rhythm: u8,
    sequence: u32,
    confused: bool,
}

impl Stranger {
    pub(super) fn new(bed: &mut Bed, http: HttpVersion, setup: u8) -> Self {
        let mut config = config(1, http);
        config.pattern = if setup & 4 == 0 { Pattern::Xk } else { Pattern::Ik };
        config.acks = Acks::ByHand;
        config.capabilities = ["ack-range", "delivery-ack", "noise-transport"]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| setup >> (bit + 3) & 1 == 1)
            .map(|(_, name)| name.to_owned())
            .collect();
        let client = Connection::new(config, &mut Dice::new(u64::from(setup))).expect("a good key");
        let mut stranger = Self {
            client,
            wire: bed.accept(),
            rhythm: setup >> 6,
            sequence: 0,
            confused: false,
        };
        stranger.listen(bed);
        stranger
    }

    /// Its connection.
    pub(super) fn on(&self) -> usize {
        self.wire
    }

    fn put(&self, bed: &mut Bed, bytes: &[u8]) {
        if bed.is_closed(self.wire) {
            return;
        }
        match self.rhythm {
            0 => bed.write(self.wire, [bytes]),
            rhythm => bed.write(self.wire, cut(bytes, rhythm * 7)),
        }
    }

    /// Bytes under everything.
    pub(super) fn wire(&mut self, bed: &mut Bed, bytes: &[u8]) {
        self.put(bed, bytes);
    }

    /// Bytes in place of frames.
    pub(super) fn tunnel(&mut self, bed: &mut Bed, bytes: &[u8]) {
        self.client.inject(bytes);
        self.listen(bed);
    }

    /// Bytes in place of Noise messages.
    pub(super) fn unsealed(&mut self, bed: &mut Bed, bytes: &[u8]) {
        self.client.inject_unsealed(bytes);
        self.listen(bed);
    }

    /// A frame in its turn.
    pub(super) fn frame(&mut self, bed: &mut Bed, kind: FrameType, channel: u32, payload: &[u8]) {
        self.sequence = self.sequence.max(self.client.last_sent().get()).saturating_add(1);
        self.tunnel(bed, &encoded(kind, channel, self.sequence, payload));
    }

    /// A frame with a number of its own.
    pub(super) fn numbered(&mut self, bed: &mut Bed, kind: FrameType, channel: u32, sequence: u32, payload: &[u8]) {
        self.sequence = self.sequence.max(sequence);
        self.tunnel(bed, &encoded(kind, channel, sequence, payload));
    }

    /// Its client does what a client does, for as long as it understands.
    pub(super) fn listen(&mut self, bed: &mut Bed) {
        loop {
            let mut out = Vec::new();
            self.client.transmit(&mut out);
            self.put(bed, &out);
            let read = bed.read(self.wire);
            if read.is_empty() {
                return;
            }
            if !self.confused {
                self.client.receive(&read);
                while !self.confused {
                    match self.client.next_event() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => self.confused = true,
                    }
                }
            }
        }
    }
}
