//! The session against a fake relay over HTTP/1.1, in memory, cut at random places.

use crate::relay::{ChunkedServer, Fault, Relay, Seeded, config};
use commucat_client::{Acks, ClientError, Config, Connection, Incoming, Pattern};
use commucat_crypto::{NoiseError, NoiseStageError};
use commucat_proto::control::{Join, Text};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, Sequence, Title};

const CHANNEL: ChannelId = ChannelId::new(7);

/// A client and a fake relay with a wire of random cuts between them.
struct Pair {
    client: Connection,
    relay: Relay,
    server: ChunkedServer,
    to_client: Vec<u8>,
    cuts: Seeded,
}

impl Pair {
    fn new(seed: u64, fault: Fault, change: impl FnOnce(&mut Config)) -> Self {
        let relay = Relay::new(seed, fault);
        let mut config = config(&relay, seed + 1);
        change(&mut config);
        let client = Connection::new(config, &mut Seeded::new(seed + 2)).expect("a usable key");
        Self {
            client,
            relay,
            server: ChunkedServer::default(),
            to_client: Vec::new(),
            cuts: Seeded::new(seed + 3),
        }
    }

    /// Carries bytes both ways until nothing moves; gives what the client reported.
    fn run(&mut self) -> Result<Vec<Incoming>, ClientError> {
        let mut events = Vec::new();
        loop {
            let mut wire = Vec::new();
            self.client.transmit(&mut wire);
            let moved = !wire.is_empty();
            for piece in self.cut(&wire) {
                let (body, answer) = self.server.receive(&piece);
                self.to_client.extend(answer);
                let reply = self.relay.body(&body);
                self.to_client.extend(ChunkedServer::chunk(&reply));
            }
            let wire = std::mem::take(&mut self.to_client);
            for piece in self.cut(&wire) {
                self.client.receive(&piece);
                while let Some(event) = self.client.next_event()? {
                    events.push(event.into());
                }
            }
            while let Some(event) = self.client.next_event()? {
                events.push(event.into());
            }
            if !moved && wire.is_empty() {
                return Ok(events);
            }
        }
    }

    fn cut(&mut self, mut wire: &[u8]) -> Vec<Vec<u8>> {
        let longest = 1 + self.cuts.below(2000);
        let mut pieces = Vec::new();
        while !wire.is_empty() {
            let length = (1 + self.cuts.below(longest)).min(wire.len());
            pieces.push(wire[..length].to_vec());
            wire = &wire[length..];
        }
        pieces
    }
}

fn established(seed: u64, change: impl FnOnce(&mut Config)) -> Pair {
    let mut pair = Pair::new(seed, Fault::None, change);
    let events = pair.run().expect("the handshake succeeds");
    assert!(matches!(events.as_slice(), [Incoming::Ready]), "{events:?}");
    assert!(pair.client.is_ready());
    pair
}

#[test]
fn both_patterns_establish_a_session_wherever_the_wire_is_cut() {
    for seed in 0..60 {
        let pair = established(seed, |config| {
            config.pattern = if seed % 2 == 0 { Pattern::Xk } else { Pattern::Ik };
            config.eager = seed % 3 == 0;
            config.capabilities = vec!["noise".to_owned(), "ack-range".to_owned()];
        });
        let session = pair.client.session().expect("established");
        assert_eq!(session.user.id.as_str(), "user-1");
        assert_eq!(session.token.expose(), "07".repeat(32));
        assert_eq!(session.server, pair.relay.public());
        assert!(session.has("ack-range") && !session.has("delivery-ack"));
    }
}

#[test]
fn hello_waits_for_the_200_unless_told_to_be_eager() {
    for (eager, expected) in [(false, false), (true, true)] {
        let mut pair = Pair::new(5, Fault::None, |config| config.eager = eager);
        let mut wire = Vec::new();
        pair.client.transmit(&mut wire);
        let text = String::from_utf8_lossy(&wire);
        assert_eq!(text.contains("device_id"), expected);
    }
}

#[test]
fn frames_come_back_whole_numbered_and_acknowledged() {
    for seed in 0..40 {
        let mut pair = established(seed, |_| {});
        let members = vec![DeviceId::parse("bob").expect("valid")];
        pair.client
            .join(
                CHANNEL,
                &Join {
                    members,
                    ..Join::default()
                },
            )
            .expect("ready");
        let mut sizes = Seeded::new(seed);
        let payloads: Vec<Vec<u8>> = (0..20_u8)
            .map(|index| vec![index; sizes.below(if index == 9 { 70_000 } else { 300 })])
            .collect();
        for payload in &payloads {
            pair.client.send(FrameType::Msg, CHANNEL, payload).expect("ready");
        }
        let (mut echoed, mut acknowledged) = (Vec::new(), Vec::new());
        for event in pair.run().expect("no error") {
            match event {
                Incoming::Frame {
                    kind: FrameType::Msg,
                    channel: CHANNEL,
                    payload,
                    ..
                } => echoed.push(payload),
                Incoming::Acknowledged {
                    channel: CHANNEL,
                    from,
                    to,
                    body: None,
                } if from == to => {
                    acknowledged.push(to.get());
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(echoed, payloads);
        // HELLO and AUTH were 1 and 2, JOIN is 3.
        assert_eq!(acknowledged, (3..24).collect::<Vec<u32>>());
    }
}

#[test]
fn nothing_can_be_sent_before_the_final_ack() {
    let mut pair = Pair::new(1, Fault::None, |_| {});
    assert!(matches!(
        pair.client.send(FrameType::Msg, CHANNEL, b"x"),
        Err(ClientError::NotReady)
    ));
}

#[test]
fn a_payload_beyond_its_limit_is_refused_before_it_is_queued() {
    let mut pair = established(2, |_| {});
    let long = vec![b' '; 300_000];
    let refused = pair.client.send(FrameType::Presence, CHANNEL, &long);
    assert!(matches!(
        refused,
        Err(ClientError::TooLarge {
            kind: FrameType::Presence,
            ..
        })
    ));
    assert!(pair.client.send(FrameType::Msg, CHANNEL, &long).is_ok());
    let refused = pair.client.send(FrameType::Msg, CHANNEL, &vec![0; 16 << 20]);
    assert!(matches!(
        refused,
        Err(ClientError::TooLarge {
            kind: FrameType::Msg,
            ..
        })
    ));
}

#[test]
fn a_resent_frame_keeps_its_sequence_and_an_unsent_one_cannot_be_resent() {
    let mut pair = established(3, |_| {});
    let sequence = pair.client.send(FrameType::Msg, CHANNEL, b"once").expect("ready");
    let frame = Frame {
        kind: FrameType::Msg,
        channel: CHANNEL,
        sequence,
        payload: b"once",
    };
    pair.client.resend(&frame).expect("sent before");
    let next = Frame {
        sequence: Sequence::new(sequence.get() + 1),
        ..frame
    };
    assert!(matches!(pair.client.resend(&next), Err(ClientError::NotReady)));
    pair.run().expect("no error");
    let sent: Vec<u32> = pair
        .relay
        .seen
        .iter()
        .filter(|seen| seen.0 == FrameType::Msg)
        .map(|seen| seen.1)
        .collect();
    assert_eq!(sent, [3, 3]);
}

#[test]
fn an_auth_that_contradicts_itself_ends_the_session() {
    for (fault, expected) in [
        (Fault::OtherServerStatic, "server_static"),
        (Fault::OtherSession, "session differs"),
        (Fault::OtherUser, "user differs"),
        (Fault::UnofferedVersion, "protocol_version"),
        (Fault::UnofferedCapability, "accepted_capabilities"),
        (Fault::NotOk, "final ACK"),
    ] {
        let mut pair = Pair::new(9, fault, |_| {});
        let error = pair.run().expect_err("a contradiction").to_string();
        assert!(error.contains(expected), "{fault:?}: {error}");
        assert!(pair.client.next_event().expect("reported once").is_none());
        assert!(!pair.client.is_ready());
    }
}

#[test]
fn a_capability_that_changes_every_byte_is_not_taken_on_by_accident() {
    let mut pair = Pair::new(9, Fault::None, |config| {
        config.capabilities = vec!["adaptive-obf".to_owned()]
    });
    let error = pair.run().expect_err("the fake accepts everything").to_string();
    assert!(error.contains("does not speak"), "{error}");
}

#[test]
fn an_auth_that_the_expected_key_did_not_write_is_found_out() {
    for pattern in [Pattern::Xk, Pattern::Ik] {
        let mut pair = Pair::new(4, Fault::Forges, |config| config.pattern = pattern);
        assert!(matches!(pair.run(), Err(ClientError::Noise(NoiseError::Forged))));
    }
}

#[test]
fn an_error_frame_is_reported_and_nothing_but_the_end_follows() {
    let mut pair = Pair::new(6, Fault::RefusesHello, |_| {});
    let events = pair.run().expect("an ERROR frame is an event");
    let [Incoming::Problem(problem)] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(problem.known(), Some(Title::HandshakeFailed));
    assert!(pair.server.ended, "our side ends too");
    pair.to_client.extend(ChunkedServer::chunk(b"\xff\xff\xff ignored"));
    pair.to_client.extend(b"0\r\n\r\n");
    let events = pair.run().expect("what follows is ignored");
    assert!(
        matches!(events.as_slice(), [Incoming::Ended { clean: true }]),
        "{events:?}"
    );
}

#[test]
fn a_gap_in_the_servers_numbers_is_an_error() {
    let mut pair = Pair::new(8, Fault::SkipsASequence, |_| {});
    pair.run().expect("the gap comes later");
    pair.client.send(FrameType::Msg, CHANNEL, b"x").expect("ready");
    let error = pair.run().expect_err("a gap");
    assert!(matches!(error, ClientError::Sequence { expected, got } if (expected.get(), got.get()) == (3, 4)));
}

#[test]
fn a_refusal_comes_with_its_status_and_body() {
    let mut pair = Pair::new(8, Fault::None, |_| {});
    let body = br#"{"type":"about:blank","title":"Too Many Requests","status":429}"#;
    let head = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    pair.client.receive(head.as_bytes());
    pair.client.receive(&body[..10]);
    assert!(pair.client.next_event().expect("waits").is_none());
    pair.client.receive(&body[10..]);
    match pair.client.next_event().expect("no error").map(Incoming::from) {
        Some(Incoming::Refused { status: 429, body: got }) => assert_eq!(got, body),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_connection_is_no_clean_end_and_an_ended_body_is() {
    let mut lost = established(1, |_| {});
    lost.client.disconnected();
    let events = lost.run().expect("no error");
    assert!(
        matches!(events.as_slice(), [Incoming::Ended { clean: false }]),
        "{events:?}"
    );

    let mut ended = established(1, |_| {});
    ended.to_client.extend(b"0\r\n\r\n");
    let events = ended.run().expect("no error");
    assert!(
        matches!(events.as_slice(), [Incoming::Ended { clean: true }]),
        "{events:?}"
    );

    let mut torn = established(1, |_| {});
    torn.to_client.extend(ChunkedServer::chunk(&[9, 5, 1]));
    torn.to_client.extend(b"0\r\n\r\n");
    let events = torn.run().expect("no error");
    assert!(
        matches!(events.as_slice(), [Incoming::Ended { clean: false }]),
        "half a frame: {events:?}"
    );
}

#[test]
fn acks_tell_ranges_and_rejections() {
    let mut pair = established(1, |_| {});
    let mut body = Vec::new();
    for payload in [
        r#"{"ack":12}"#,
        r#"{"ack":12,"from":4}"#,
        r#"{"ack":13,"rejected":["bob"],"reason":"inbox full"}"#,
        r#" { "reason" : null , "ack" : 14 } "#,
    ] {
        pair.relay.send(FrameType::Ack, CHANNEL, payload.as_bytes(), &mut body);
    }
    pair.to_client.extend(ChunkedServer::chunk(&body));
    let told: Vec<(u32, u32, Option<String>)> = pair
        .run()
        .expect("no error")
        .into_iter()
        .map(|event| match event {
            Incoming::Acknowledged { from, to, body, .. } => (
                from.get(),
                to.get(),
                body.and_then(|ack| ack.reason.as_ref().map(Text::to_string)),
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    let reason = Some("inbox full".to_owned());
    assert_eq!(told, [(12, 12, None), (4, 12, None), (13, 13, reason), (14, 14, None)]);
}

#[test]
fn an_ack_without_a_number_or_with_a_backward_range_is_a_bad_frame() {
    for payload in [r"{}", r#"{"ack":3,"from":4}"#, r#"{"ack":-1}"#, r"[]", r#"{"ack":5"#] {
        let mut pair = established(1, |_| {});
        let mut body = Vec::new();
        pair.relay.send(FrameType::Ack, CHANNEL, payload.as_bytes(), &mut body);
        pair.to_client.extend(ChunkedServer::chunk(&body));
        assert!(matches!(pair.run(), Err(ClientError::Wire(_))), "{payload}");
    }
}

#[test]
fn our_delivery_acknowledgement_is_the_specifications_payload() {
    let mut pair = established(1, |_| {});
    pair.client
        .acknowledge(CHANNEL, Sequence::new(4_294_967_295))
        .expect("ready");
    pair.run().expect("no error");
    let (kind, _, payload) = pair.relay.seen.last().expect("sent");
    assert_eq!(
        (*kind, payload.as_slice()),
        (FrameType::Ack, br#"{"ack":4294967295}"#.as_slice())
    );
}

/// Everything that wraps or answers frames.
fn everything(config: &mut Config) {
    config.capabilities = ["ack-range", "delivery-ack", "noise-transport"]
        .map(str::to_owned)
        .to_vec();
}

#[test]
fn with_noise_transport_frames_come_whole_wherever_the_wire_is_cut_and_nothing_is_plain() {
    for seed in 0..20 {
        let mut pair = established(seed, |config| {
            config.pattern = if seed % 2 == 0 { Pattern::Xk } else { Pattern::Ik };
            everything(config);
        });
        let payloads: Vec<Vec<u8>> = (0..20_u8)
            .map(|index| vec![index; if index == 9 { 150_000 } else { 300 }])
            .collect();
        for payload in &payloads {
            pair.client.send(FrameType::Msg, CHANNEL, payload).expect("ready");
        }
        let mut wire = Vec::new();
        pair.client.transmit(&mut wire);
        assert!(
            !wire.windows(100).any(|window| window == [3; 100]),
            "a payload is readable"
        );
        for piece in pair.cut(&wire) {
            let (body, _) = pair.server.receive(&piece);
            let reply = pair.relay.body(&body);
            pair.to_client.extend(ChunkedServer::chunk(&reply));
        }
        let heard: Vec<Vec<u8>> = pair
            .run()
            .expect("no error")
            .into_iter()
            .filter_map(|event| match event {
                Incoming::Frame { payload, .. } => Some(payload),
                _ => None,
            })
            .collect();
        assert!(heard == payloads, "seed {seed}: {} frames", heard.len());
    }
}

#[test]
fn a_changed_byte_inside_noise_transport_ends_the_session() {
    let mut pair = established(3, everything);
    pair.relay.fault = Fault::Spoils;
    pair.client.send(FrameType::Msg, CHANNEL, b"x").expect("ready");
    let error = pair.run().expect_err("a forgery");
    let forged = NoiseStageError::Noise(NoiseError::Forged);
    assert!(matches!(&error, ClientError::Sealed(why) if *why == forged), "{error}");
    assert!(pair.client.next_event().expect("reported once").is_none());
}

#[test]
fn a_relay_that_gave_up_before_it_saw_the_proof_is_understood_although_it_seals_nothing() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed, Fault::GivesUp, everything);
        let events = pair.run().expect("an ERROR frame is an event");
        let [Incoming::Problem(problem)] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(problem.known(), Some(Title::HandshakeFailed));
    }
}

/// The payloads of our ACKs.
fn acks(pair: &Pair) -> Vec<String> {
    let acks = pair.relay.seen.iter().filter(|seen| seen.0 == FrameType::Ack);
    acks.map(|(_, _, payload)| String::from_utf8(payload.clone()).expect("JSON"))
        .collect()
}

/// MSGs 3 to 5, of which the second is on another channel, and a TYPING between them.
fn give_four(pair: &mut Pair) {
    let mut body = Vec::new();
    for (kind, channel) in [
        (FrameType::Msg, CHANNEL),
        (FrameType::Msg, ChannelId::new(8)),
        (FrameType::Typing, CHANNEL),
        (FrameType::Msg, CHANNEL),
    ] {
        pair.relay.send(kind, channel, b"x", &mut body);
    }
    let body = pair.relay.seal(&body);
    pair.client.receive(&ChunkedServer::chunk(&body));
}

#[test]
fn with_delivery_ack_the_relay_hears_of_frames_once_the_application_has_taken_them() {
    for (offered, expected) in [
        (
            &["delivery-ack"][..],
            &[r#"{"ack":3}"#, r#"{"ack":4}"#, r#"{"ack":6}"#][..],
        ),
        (
            &["delivery-ack", "ack-range"][..],
            &[r#"{"ack":6,"from":3}"#, r#"{"ack":4}"#][..],
        ),
        (&["ack-range"][..], &[][..]),
    ] {
        let mut pair = established(2, |config| {
            config.capabilities = offered.iter().map(|name| (*name).to_owned()).collect();
        });
        give_four(&mut pair);
        for _ in 0..4 {
            assert!(pair.client.next_event().expect("no error").is_some());
            let mut wire = Vec::new();
            pair.client.transmit(&mut wire);
            let (body, _) = pair.server.receive(&wire);
            pair.relay.body(&body);
            let told = acks(&pair).len();
            assert_eq!(told, 0, "what the application still looks at is not acknowledged");
        }
        assert!(pair.client.next_event().expect("no error").is_none());
        assert!(pair.run().expect("no error").is_empty());
        assert_eq!(acks(&pair), expected, "{offered:?}");
    }
}

#[test]
fn what_was_taken_is_acknowledged_before_we_take_leave_and_by_hand_nothing_is() {
    for (by_hand, expected) in [(false, 3), (true, 0)] {
        let mut pair = established(2, |config| {
            config.capabilities = vec!["delivery-ack".to_owned()];
            config.acks = if by_hand { Acks::ByHand } else { Acks::Taken };
        });
        give_four(&mut pair);
        while pair.client.next_event().expect("no error").is_some() {}
        pair.client.close();
        pair.run().expect("no error");
        assert!(pair.server.ended);
        assert_eq!(acks(&pair).len(), expected);
    }
}
