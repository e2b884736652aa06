//! `noise-transport` (decisions § 5), by hand: what is on the wire, and what the relay makes of bytes that nobody sealed.

use std::time::Duration;

use commucat_client::{HttpVersion, Pattern};
use commucat_crypto::{MAX_MESSAGE, NoiseStage};
use commucat_proto::Stage as Layer;
use commucat_tests::people::{BOTH, Device};
use commucat_tests::relay::Relay;
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Tunnel, title};
use commucat_tests::wire::{self, Seen, frame, kind};
use serde_json::{Value, json};

const CHANNEL: u64 = 5;
const PRESENCE: u8 = 0x08;

/// A tunnel after step 3.
struct Sealed {
    tunnel: Tunnel,
    stage: NoiseStage,
    outer: Vec<u8>,
    body: Vec<u8>,
    /// How long each message was.
    messages: Vec<usize>,
}

impl Sealed {
    /// The handshake; `more` is sealed and sent with step 3, in the same write.
    fn open(relay: &Relay, device: &Device, http: HttpVersion, pattern: Pattern, more: &[u8]) -> Self {
        let mut tunnel = Tunnel::open(relay, http);
        let offer = |hello: &mut Value| hello["capabilities"] = json!(["noise-transport"]);
        let hello = tunnel.hello(relay, device, pattern, offer);
        let (ready, _, auth) = tunnel.auth(hello);
        assert_eq!(auth["accepted_capabilities"], json!(["noise-transport"]));
        let (proof, established) = ready.proof().unwrap();
        let mut stage = NoiseStage::new(established.transport);
        let step = json!({ "handshake": hex::encode(proof) }).to_string();
        let mut bytes = frame(kind::AUTH, 0, tunnel.number(), step);
        stage.seal(more, &mut bytes).unwrap();
        tunnel.send(&bytes);
        Self {
            tunnel,
            stage,
            outer: Vec::new(),
            body: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn ready(relay: &Relay, device: &Device, http: HttpVersion) -> Self {
        let mut sealed = Self::open(relay, device, http, Pattern::Xk, &[]);
        sealed.is_ready();
        sealed
    }

    fn is_ready(&mut self) {
        let seen = self.hear();
        let ack: Value = serde_json::from_slice(&seen.payload).unwrap();
        assert_eq!((seen.kind, seen.channel, seen.sequence), (kind::ACK, 0, 2));
        assert_eq!(ack["handshake"], "ok");
    }

    fn seal(&mut self, frames: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.stage.seal(frames, &mut out).unwrap();
        out
    }

    /// Seals and sends frames.
    fn say(&mut self, frames: &[u8]) {
        let bytes = self.seal(frames);
        self.tunnel.send(&bytes);
    }

    fn join(&mut self, member: &Device) -> Vec<u8> {
        let members = json!({ "members": [member.id.as_str()], "relay": true }).to_string();
        frame(kind::JOIN, CHANNEL, self.tunnel.number(), members)
    }

    fn hear(&mut self) -> Seen {
        loop {
            if let Some(seen) = wire::take(&mut self.body) {
                return seen;
            }
            let Some(length) = self.stage.open_next(&self.outer, &mut self.body).unwrap() else {
                let more = self.tunnel.pour().expect("the body goes on");
                self.outer.extend(more);
                continue;
            };
            self.outer.drain(..length);
            self.messages.push(length);
        }
    }

    /// The one ERROR at the end, sealed like everything else.
    fn error(mut self) -> (String, u64) {
        let seen = self.hear();
        assert_eq!((seen.kind, seen.channel), (kind::ERROR, 0), "{seen:?}");
        assert!(self.outer.is_empty() && self.body.is_empty());
        assert_eq!(self.tunnel.pour(), None, "something follows the ERROR");
        title(&serde_json::from_slice(&seen.payload).unwrap())
    }
}

#[test]
fn what_comes_in_one_write_with_step_3_is_opened_and_the_ready_ack_is_sealed() {
    let stage = Stage::new("");
    for pattern in [Pattern::Xk, Pattern::Ik] {
        for http in BOTH {
            let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{pattern:?}-{http:?}")));
            let _there = bob.connect(&stage, http);
            let members = json!({ "members": [bob.id.as_str()], "relay": true }).to_string();
            let frames = [
                frame(kind::JOIN, CHANNEL, 3, members),
                frame(kind::MSG, CHANNEL, 4, "x"),
            ]
            .concat();
            let mut sealed = Sealed::open(&stage, &ada, http, pattern, &frames);
            sealed.is_ready();
            for number in [3, 4] {
                let seen = sealed.hear();
                let text = String::from_utf8(seen.payload).unwrap();
                assert_eq!((seen.kind, text), (kind::ACK, format!("{{\"ack\":{number}}}")));
            }
        }
    }
    stage.end();
}

#[test]
fn frames_are_found_wherever_messages_and_writes_are_cut() {
    let stage = Stage::new("");
    for http in BOTH {
        let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{http:?}")));
        let mut to = bob.connect(&stage, http);
        let mut from = Sealed::ready(&stage, &ada, http);
        let join = from.join(&bob);
        from.say(&join);
        from.hear();
        let frames: Vec<u8> = (0..40)
            .flat_map(|number| frame(kind::MSG, CHANNEL, from.tunnel.number(), format!("number {number}")))
            .collect();
        // Messages of 1, 2, 3 … bytes of content, empty ones between them, in writes of 1, 8, 15 … bytes.
        let (mut rest, mut bytes, mut size) = (frames.as_slice(), Vec::new(), 0);
        while !rest.is_empty() {
            size += 1;
            let (now, later) = rest.split_at(size.min(rest.len()));
            let mut out = from.seal(now);
            bytes.append(&mut out);
            rest = later;
        }
        let (mut rest, mut size) = (bytes.as_slice(), 1);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            from.tunnel.send(now);
            rest = later;
            size = (size + 7) % 90 + 1;
        }
        for number in 0..40 {
            to.hears(&format!("number {number}"));
        }
        for _ in 0..40 {
            assert_eq!(from.hear().kind, kind::ACK);
        }
    }
    stage.end();
}

#[test]
fn many_frames_leave_in_few_messages() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let mut to = Sealed::ready(&stage, &bob, HttpVersion::Http1);
    let mut from = Sealed::ready(&stage, &ada, HttpVersion::Http1);
    let join = from.join(&bob);
    from.say(&join);
    from.hear();
    let frames: Vec<u8> = (0..1000)
        .flat_map(|_| frame(kind::MSG, CHANNEL, from.tunnel.number(), [7; 200]))
        .collect();
    from.say(&frames);
    let before = to.messages.len();
    for _ in 0..1000 {
        assert_eq!(to.hear().payload, [7; 200]);
    }
    let messages = to.messages.len() - before;
    assert!(messages < 300, "{messages} messages for 1000 frames");
    assert!(to.messages.iter().all(|length| *length <= 3 + MAX_MESSAGE));
    stage.end();
}

#[test]
fn a_message_that_is_forged_repeated_or_too_long_ends_the_session_with_a_sealed_error() {
    let stage = Stage::new("");
    for http in BOTH {
        let device = Device::new(&format!("ada-{http:?}"));
        let forged = ("IntegrityCheckFailed".to_owned(), 400);
        let too_large = ("Frame Too Large".to_owned(), 413);
        let overflow = ("Varint Overflow".to_owned(), 400);
        type Spoil = fn(Vec<u8>) -> Vec<u8>;
        let cases: [(Spoil, &(String, u64)); 8] = [
            (
                |mut sealed| {
                    sealed[5] ^= 1;
                    sealed
                },
                &forged,
            ),
            (
                |mut sealed| {
                    *sealed.last_mut().unwrap() ^= 0x80;
                    sealed
                },
                &forged,
            ),
            // The same message again: the first is taken, the second is not.
            (|sealed| sealed.repeat(2), &forged),
            // Shorter than its tag.
            (|_| vec![0], &forged),
            (|_| [&[15][..], &[1; 15]].concat(), &forged),
            // In plain.
            (|_| frame(kind::MSG, CHANNEL, 9, [1; 40]), &forged),
            (|_| vec![0x80, 0x80, 0x04], &too_large),
            (|_| vec![0xff; 10], &overflow),
        ];
        for (at, (spoil, expected)) in cases.into_iter().enumerate() {
            let mut sealed = Sealed::ready(&stage, &device, http);
            let number = sealed.tunnel.number();
            let bytes = sealed.seal(&frame(PRESENCE, 0, number, r#"{"entity":"x","state":"busy"}"#));
            sealed.tunnel.send(&spoil(bytes));
            if at == 2 {
                assert_eq!(sealed.hear().kind, kind::ACK);
            }
            assert_eq!(sealed.error(), *expected, "case {at} over {http:?}");
        }
    }
    stage.end();
}

#[test]
fn frames_before_a_forged_message_are_routed() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let mut to = bob.connect(&stage, HttpVersion::Http2);
    let mut from = Sealed::ready(&stage, &ada, HttpVersion::Http1);
    // Without waiting for the ACK of JOIN: what follows waits inside the relay, and the forgery behind it.
    let join = from.join(&bob);
    let number = from.tunnel.number();
    let frames = [join, frame(kind::MSG, CHANNEL, number, "whole")].concat();
    let mut bytes = from.seal(&frames);
    let number = from.tunnel.number();
    let mut forged = from.seal(&frame(kind::MSG, CHANNEL, number, "forged"));
    forged[3] ^= 1;
    bytes.append(&mut forged);
    from.tunnel.send(&bytes);
    to.hears("whole");
    loop {
        let seen = from.hear();
        if seen.kind == kind::ERROR {
            break;
        }
        assert_eq!(seen.kind, kind::ACK);
    }
    assert!(to.bye().is_empty());
    stage.end();
}

#[test]
fn half_a_message_has_the_time_of_half_a_frame_and_a_silent_session_has_all_the_time() {
    let stage = Stage::new("[limits]\nframe_timeout = \"1s\"\n");
    for http in BOTH {
        let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{http:?}")));
        let mut silent = Sealed::ready(&stage, &ada, http);
        assert!(silent.tunnel.stays_silent(Duration::from_secs(2)));
        let mut slow = Sealed::ready(&stage, &bob, http);
        let number = slow.tunnel.number();
        let bytes = slow.seal(&frame(PRESENCE, 0, number, r#"{"entity":"x","state":"busy"}"#));
        slow.tunnel.send(&bytes[..bytes.len() - 1]);
        assert_eq!(slow.error(), ("Frame Timeout".to_owned(), 408));
    }
    stage.end();
}
