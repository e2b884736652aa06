//! The end of the count from the server to a client (CCP-1, Sequence Numbers; decisions § 3).
//!
//! Four thousand million frames do not pass a socket in a test's time, so the count of one outbox is set forward. Only tests
//! can do that: nothing in a configuration, and nothing that a client says, moves it but a frame that leaves.

use std::net::SocketAddr;

use commucat_crypto::{DEFAULT_PROLOGUE, Entropy, Initiator, Pattern, StaticKey};
use commucat_proto::frame::{self, Parsed};
use commucat_proto::{ChannelId, Frame, FrameLimits, FrameType, Sequence};
use commucat_storage::api::{Completion, Reply, Request};

use crate::Shard;
use crate::clock::{Moment, Now, Wall};
use crate::config::{NoiseKeys, Policy, ShardConfig};
use crate::effect::Effects;
use crate::input::{ConnId, Input, Listener};
use crate::limits::Limits;
use crate::mesh::message::{ShardId, TunnelId};
use crate::session::State;

const CHANNEL: ChannelId = ChannelId::new(7);
const CONN: ConnId = ConnId { slot: 0, generation: 0 };
const HEAD: &[u8] = b"POST /connect HTTP/1.1\r\nhost: relay\r\ntransfer-encoding: chunked\r\n\r\n";

#[derive(Debug)]
struct Repeatable(u64);

impl Entropy for Repeatable {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *byte = self.0.to_le_bytes()[7];
        }
    }
}

/// One shard without lanes, a store that knows nobody, and one client over HTTP/1.1.
struct World {
    shard: Shard,
    at: Moment,
    sent: u32,
    /// Bodies of the server's chunks.
    body: Vec<u8>,
    closed: bool,
}

impl World {
    fn new(noise: &StaticKey) -> Self {
        let config = ShardConfig {
            id: ShardId(0),
            shards: 1,
            tls: None,
            noise: NoiseKeys::only(noise.clone()),
            device_ca: None,
            prologue: DEFAULT_PROLOGUE.into(),
            domain: "relay.example".into(),
            hash_key: [7; 32],
            policy: Policy::default(),
            limits: Limits::default(),
        };
        let at = Moment {
            now: Now(1_000_000),
            wall: Wall(1_800_000_000_000),
        };
        let mut world = Self {
            shard: Shard::new(config, Box::new(Repeatable(1))),
            at,
            sent: 0,
            body: Vec::new(),
            closed: false,
        };
        world.input(Input::Accepted {
            conn: CONN,
            peer: SocketAddr::from(([127, 0, 0, 1], 50_000)),
            listener: Listener::Plain,
        });
        world.receive(HEAD);
        world
    }

    fn input(&mut self, input: Input<'_>) {
        let mut effects = Effects::default();
        self.shard.handle(self.at, input, &mut effects);
        self.carry_out(effects);
        loop {
            let mut effects = Effects::default();
            self.shard.flush(self.at, &mut effects);
            if effects.sends.is_empty() && effects.store.is_empty() && effects.mesh.is_empty() {
                self.closed |= !effects.closes.is_empty();
                return;
            }
            self.carry_out(effects);
        }
    }

    fn carry_out(&mut self, effects: Effects) {
        self.closed |= !effects.closes.is_empty();
        for (_, buffer) in effects.sends {
            self.read_chunks(&buffer);
            self.input(Input::Sent { conn: CONN, buffer });
        }
        for submission in effects.store {
            let reply = match submission.request {
                Request::Lookup { .. } => Reply::Found {
                    device: None,
                    user: None,
                    handle_taken: false,
                },
                Request::ReadInbox { .. } => Reply::Rows {
                    rows: Vec::new(),
                    more: false,
                },
                _ => Reply::Done,
            };
            self.input(Input::Stored(Completion {
                ticket: submission.ticket,
                outcome: Ok(reply),
            }));
        }
    }

    /// What is in a send, past the head: each of them holds whole chunks.
    fn read_chunks(&mut self, mut wire: &[u8]) {
        if wire.starts_with(b"HTTP/1.1") {
            let end = wire.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            wire = &wire[end + 4..];
        }
        while !wire.is_empty() {
            let end = wire.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&wire[..end]).unwrap(), 16).unwrap();
            self.body.extend_from_slice(&wire[end + 2..end + 2 + size]);
            wire = &wire[end + 2 + size + 2..];
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.input(Input::Received {
            conn: CONN,
            bytes: &mut bytes,
        });
    }

    fn say(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8]) {
        self.sent += 1;
        let mut bytes = Vec::new();
        let frame = Frame {
            kind,
            channel,
            sequence: Sequence::new(self.sent),
            payload,
        };
        frame::encode(&frame, &mut bytes);
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat();
        self.receive(&chunk);
    }

    /// The frames that have come since.
    fn heard(&mut self) -> Vec<(FrameType, u32, String)> {
        let (body, mut at, mut frames) = (std::mem::take(&mut self.body), 0, Vec::new());
        while let Parsed::Frame { frame, consumed } = frame::parse(&body[at..], &FrameLimits::default()).unwrap() {
            at += consumed;
            let text = String::from_utf8_lossy(frame.payload).into_owned();
            frames.push((frame.kind, frame.sequence.get(), text));
        }
        assert_eq!(at, body.len(), "half a frame");
        frames
    }

    fn outbox_counts_from(&mut self, last: u32) {
        let id = TunnelId { slot: 0, generation: 0 };
        let tunnel = self.shard.tunnels.get_mut(id).unwrap();
        assert!(matches!(tunnel.state, State::Ready(_)));
        tunnel.outbox.count_from(last);
    }
}

#[test]
fn after_the_last_number_but_one_the_server_says_sequence_exhausted_and_closes() {
    let (noise, key) = (
        StaticKey::generate(&mut Repeatable(2)),
        StaticKey::generate(&mut Repeatable(3)),
    );
    let mut world = World::new(&noise);
    let (hello, message) =
        Initiator::start(Pattern::Xk, &key, noise.public(), DEFAULT_PROLOGUE, &mut Repeatable(4)).unwrap();
    let payload = format!(
        r#"{{"pattern":"XK","device_id":"ada","client_static":"{}","handshake":"{}","supported_versions":[1]}}"#,
        key.public(),
        hex(&message)
    );
    world.say(FrameType::Hello, ChannelId::ZERO, payload.as_bytes());
    let heard = world.heard();
    let [(FrameType::Auth, 1, auth)] = &heard[..] else {
        panic!("{heard:?}")
    };
    let (_, rest) = auth.split_once(r#""handshake":""#).unwrap();
    let (ready, _) = hello.read_auth(&unhex(rest.split('"').next().unwrap())).unwrap();
    let proof = format!(r#"{{"handshake":"{}"}}"#, hex(&ready.proof().unwrap().0));
    world.say(FrameType::Auth, ChannelId::ZERO, proof.as_bytes());
    assert!(matches!(&world.heard()[..], [(FrameType::Ack, 2, _)]));

    world.outbox_counts_from(u32::MAX - 3);
    world.say(FrameType::Join, CHANNEL, br#"{"members":["bob"],"relay":true}"#);
    world.say(FrameType::Presence, ChannelId::ZERO, b"{}");
    let heard = world.heard();
    let numbers: Vec<_> = heard.iter().map(|(kind, number, _)| (*kind, *number)).collect();
    assert_eq!(
        numbers,
        [(FrameType::Ack, u32::MAX - 2), (FrameType::Ack, u32::MAX - 1)],
        "{heard:?}"
    );
    assert!(!world.closed, "a count that is nearly over is still good");
    // The next one would be the last: that is the ERROR's.
    world.say(FrameType::Presence, ChannelId::ZERO, b"{}");
    let heard = world.heard();
    let [(FrameType::Error, u32::MAX, problem)] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert!(
        problem.contains(r#""title":"Sequence Exhausted""#) && problem.contains(r#""status":409"#),
        "{problem}"
    );
    world.say(FrameType::Presence, ChannelId::ZERO, b"{}");
    assert_eq!(world.heard(), [], "nothing has a number after it");
    assert!(world.closed);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}
