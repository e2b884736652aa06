//! Two clients on one pure shard: no socket, no clock, no TLS. Alice sends, Bob receives, turn after turn, each turn
//! with the inputs that the core loop would give. In a fan there are many Bobs.
//!
//! Invariant: what the shard does happens in `receive`, `flush`, `sent` and `credit`, and only there once the pair
//! stands; so a counter around these counts the relay and not the clients.

use std::net::SocketAddr;

use commucat_client::{Config, Connection, Event, HttpVersion, StaticKey};
use commucat_crypto::{DEFAULT_PROLOGUE, Entropy};
use commucat_proto::control::Join;
use commucat_proto::{ChannelId, DeviceId, FrameType};
use commucat_shard::Shard;
use commucat_shard::clock::{Moment, Now, Wall};
use commucat_shard::config::{NoiseKeys, Policy, ShardConfig};
use commucat_shard::counters::Counters;
use commucat_shard::effect::Effects;
use commucat_shard::input::{ConnId, Input, Listener};
use commucat_shard::limits::Limits;
use commucat_shard::mesh::message::ShardId;

use crate::regions::{region_credit, region_flush, region_receive, region_sent};
use crate::store;

/// Between two turns.
const TURN_MICROS: u64 = 50;
/// Handshakes of two sessions take fewer.
const MAX_ROUNDS: usize = 64;
const CHANNEL: ChannelId = ChannelId::new(1);

/// Bytes that are the same in every run.
#[derive(Debug)]
pub struct Repeatable(pub u64);

impl Entropy for Repeatable {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            // SplitMix64.
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = mixed.to_le_bytes()[7];
        }
    }
}

/// One client and its socket.
#[derive(Debug)]
struct End {
    conn: ConnId,
    client: Connection,
    /// What it has sent and the shard has not received.
    wire: Vec<u8>,
    frames: u64,
    acknowledged: u64,
}

impl End {
    fn take_events(&mut self) {
        while let Some(event) = self.client.next_event().expect("the relay keeps to the protocol") {
            match event {
                Event::Frame(_) => self.frames += 1,
                Event::Acknowledged { from, to, .. } => {
                    self.acknowledged += u64::from(to.get() - from.get()) + 1;
                }
                Event::Ready(_) => {}
                other => panic!("a session that does nothing wrong: {other:?}"),
            }
        }
    }
}

/// What the sender hears of its frames (decisions § 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// One ACK for each.
    Each,
    /// One for all of a turn: `ack-range`.
    Ranges,
}

/// Whether the work of a turn passes through the measured functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// It does.
    Yes,
    /// It goes around them: warming up.
    No,
}

/// See the module.
pub struct Pair {
    shard: Shard,
    at: Moment,
    effects: Effects,
    alice: End,
    bobs: Vec<End>,
    payload: Vec<u8>,
    /// Sends that have reached their client; the shard does not know yet.
    taken: Vec<(ConnId, Vec<u8>)>,
    sent: u64,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("sent", &self.sent).finish_non_exhaustive()
    }
}

impl Pair {
    /// Two sessions that are ready, and Alice's route to Bob.
    ///
    /// # Panics
    /// When the relay does not let them in.
    #[must_use]
    pub fn new(http: HttpVersion, acks: Acks, payload: usize) -> Self {
        Self::fan(http, acks, payload, 1)
    }

    /// The same with so many recipients on Alice's channel.
    ///
    /// # Panics
    /// As [`Pair::new`].
    #[must_use]
    pub fn fan(http: HttpVersion, acks: Acks, payload: usize, recipients: u32) -> Self {
        let noise_key = StaticKey::generate(&mut Repeatable(1));
        let client = |name: &str, seed: u64| {
            let device = DeviceId::parse(name).expect("a name");
            let key = StaticKey::generate(&mut Repeatable(seed));
            let mut config = Config::new(device, key, noise_key.public());
            config.http = http;
            if acks == Acks::Ranges {
                config.capabilities.push("ack-range".to_owned());
            }
            config.secure = false;
            config.authority = "relay.example".to_owned();
            Connection::new(config, &mut Repeatable(seed + 100)).expect("a usable key")
        };
        let end = |slot, name: &str| End {
            conn: ConnId { slot, generation: 0 },
            client: client(name, 1_000 + u64::from(slot)),
            wire: Vec::new(),
            frames: 0,
            acknowledged: 0,
        };
        let mut pair = Self {
            alice: end(0, "alice"),
            bobs: (1..=recipients).map(|slot| end(slot, &bob(slot))).collect(),
            shard: Shard::new(shard_config(noise_key), Box::new(Repeatable(4))),
            at: Moment {
                now: Now(1_000_000),
                wall: Wall(1_800_000_000_000),
            },
            effects: Effects::default(),
            payload: vec![0x5a; payload],
            taken: Vec::new(),
            sent: 0,
        };
        pair.establish();
        pair
    }

    /// Alice says so many messages; nothing happens in the shard yet.
    ///
    /// # Panics
    /// When her session has ended.
    pub fn write(&mut self, frames: usize) {
        for _ in 0..frames {
            self.alice
                .client
                .send(FrameType::Msg, CHANNEL, &self.payload)
                .expect("a ready session");
        }
        self.sent += frames as u64;
        self.alice.client.transmit(&mut self.alice.wire);
    }

    /// The shard receives what Alice has written, in one piece.
    pub fn receive(&mut self, measured: Measured) {
        let (conn, bytes) = (self.alice.conn, self.alice.wire.as_mut_slice());
        match measured {
            Measured::Yes => region_receive(&mut self.shard, self.at, conn, bytes, &mut self.effects),
            Measured::No => {
                self.shard
                    .handle(self.at, Input::Received { conn, bytes }, &mut self.effects);
            }
        }
        self.alice.wire.clear();
    }

    /// The turn ends.
    pub fn flush(&mut self, measured: Measured) {
        match measured {
            Measured::Yes => region_flush(&mut self.shard, self.at, &mut self.effects),
            Measured::No => self.shard.flush(self.at, &mut self.effects),
        }
    }

    /// The clients read what was sent to them, and say what they have to.
    pub fn read(&mut self) {
        for (conn, buffer) in self.effects.sends.drain(..) {
            let end = match conn.slot as usize {
                0 => &mut self.alice,
                slot => &mut self.bobs[slot - 1],
            };
            end.client.receive(&buffer);
            end.take_events();
            end.client.transmit(&mut end.wire);
            self.taken.push((conn, buffer));
        }
    }

    /// The kernel has taken the sends.
    pub fn sent(&mut self, measured: Measured) {
        for (conn, buffer) in self.taken.drain(..) {
            match measured {
                Measured::Yes => region_sent(&mut self.shard, self.at, conn, buffer, &mut self.effects),
                Measured::No => self
                    .shard
                    .handle(self.at, Input::Sent { conn, buffer }, &mut self.effects),
            }
        }
    }

    /// The shard receives what the clients had to say besides messages.
    pub fn credit(&mut self, measured: Measured) {
        for end in std::iter::once(&mut self.alice).chain(&mut self.bobs) {
            if end.wire.is_empty() {
                continue;
            }
            let (conn, bytes) = (end.conn, end.wire.as_mut_slice());
            match measured {
                Measured::Yes => region_credit(&mut self.shard, self.at, conn, bytes, &mut self.effects),
                Measured::No => self
                    .shard
                    .handle(self.at, Input::Received { conn, bytes }, &mut self.effects),
            }
            end.wire.clear();
        }
    }

    /// One turn of `frames` messages, from Alice's bytes to the shard's knowing that Bob's and her own were sent.
    pub fn turn(&mut self, frames: usize, measured: Measured) {
        self.write(frames);
        self.receive(measured);
        self.flush(measured);
        self.read();
        self.sent(measured);
        self.credit(measured);
        self.pass();
    }

    /// Time passes, and the shard's timers with it.
    pub fn pass(&mut self) {
        self.rest(TURN_MICROS);
    }

    /// So many microseconds pass without a word.
    pub fn rest(&mut self, micros: u64) {
        self.at.now.0 += micros;
        if self.shard.deadline().is_some_and(|deadline| deadline <= self.at.now) {
            self.shard.handle(self.at, Input::Expired, &mut self.effects);
        }
    }

    /// The shard's own count.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.shard.counters()
    }

    /// Everything sent has been delivered and acknowledged.
    ///
    /// # Panics
    /// When it has not: then what was measured was something else.
    pub fn check(&self) {
        for bob in &self.bobs {
            assert_eq!(bob.frames, self.sent, "Bob has every message");
        }
        assert_eq!(
            self.alice.acknowledged,
            self.sent + 1,
            "Alice has every ACK, JOIN's too"
        );
    }

    fn establish(&mut self) {
        for conn in std::iter::once(&self.alice).chain(&self.bobs).map(|end| end.conn) {
            let peer = SocketAddr::from(([127, 0, 0, 1], 50_000));
            let listener = Listener::Plain;
            let accepted = Input::Accepted { conn, peer, listener };
            self.shard.handle(self.at, accepted, &mut self.effects);
        }
        self.until(|pair| {
            let mut ends = std::iter::once(&pair.alice).chain(&pair.bobs);
            ends.all(|end| end.client.is_ready())
        });
        let member = |end: &End| DeviceId::parse(&bob(end.conn.slot)).expect("a name");
        let join = Join {
            members: self.bobs.iter().map(member).collect(),
            ..Join::default()
        };
        self.alice.client.join(CHANNEL, &join).expect("a ready session");
        self.until(|pair| pair.alice.acknowledged == 1);
    }

    /// Turns until something is so.
    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..MAX_ROUNDS {
            for end in std::iter::once(&mut self.alice).chain(&mut self.bobs) {
                end.client.transmit(&mut end.wire);
            }
            self.credit(Measured::No);
            while !self.effects.store.is_empty() {
                for submission in std::mem::take(&mut self.effects.store) {
                    let completion = store::answer(&submission);
                    self.shard.handle(self.at, Input::Stored(completion), &mut self.effects);
                }
            }
            self.flush(Measured::No);
            self.read();
            self.sent(Measured::No);
            self.pass();
            if done(self) {
                return;
            }
        }
        panic!("the sessions are not ready after {MAX_ROUNDS} rounds");
    }
}

fn bob(slot: u32) -> String {
    format!("bob-{slot}")
}

/// A shard that stands alone, without TLS, under the limits of a relay that nobody has configured.
#[must_use]
pub fn shard_config(noise_key: StaticKey) -> ShardConfig {
    ShardConfig {
        id: ShardId(0),
        shards: 1,
        tls: None,
        noise: NoiseKeys::only(noise_key),
        prologue: DEFAULT_PROLOGUE.into(),
        domain: "relay.example".into(),
        device_ca: None,
        hash_key: [7; 32],
        policy: Policy::default(),
        limits: Limits::default(),
    }
}
