//! Frame Types, Routing Semantics, Voice Messages inside MSG.

use commucat_proto::FrameType;
use commucat_tests::wire::kind;
use serde_json::json;

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Routing Semantics",
        words: "Clients must send a JOIN control frame before routing ciphertext on a new channel",
        check: |ground| {
            let mut tunnel = ground.ready(&ground.device("ada"));
            tunnel.say(kind::MSG, ground.channel().into(), "nobody");
            assert_eq!(tunnel.refusal(), ("Not Joined".to_owned(), 403));
        },
    },
    Statement {
        section: "Routing Semantics",
        words: "channel_id identifies the virtual channel",
        check: an_open_channel_is_its_number,
    },
    Statement {
        section: "Routing Semantics",
        words: "LEAVE removes the sender from server-side routing tables",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            let mut tunnel = ground.ready(&ada);
            tunnel.join(channel.into(), &bob);
            tunnel.say(kind::LEAVE, channel.into(), "{}");
            tunnel.say(kind::MSG, channel.into(), "too late");
            let (before, problem) = tunnel.error();
            assert_eq!((before.len(), &problem["title"]), (1, &json!("Not Joined")));
        },
    },
    Statement {
        section: "Frame Types",
        words: "MSG: Ciphertext payload delivered end-to-end",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            let payload: Vec<u8> = (0..=255).cycle().take(70_000).collect();
            from.say(channel, &payload);
            let got = to.hear();
            assert!(got.kind == FrameType::Msg && got.payload == payload);
        },
    },
    Statement {
        section: "Frame Types",
        words: "TYPING, KEY_UPDATE, GROUP_EVENT: routed like MSG",
        check: opaque_frames_are_routed_alike,
    },
    Statement {
        section: "P2P Negotiation",
        words: "Observed socket addresses (client_addr) are published to channel peers",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            let (mut from, mut to) = (ground.connect(&ada), ground.connect(&bob));
            from.join_as(channel, [&bob], false);
            to.join_as(channel, [&ada], false);
            for (peer, other) in [(&mut from, &bob), (&mut to, &ada)] {
                let seen = peer.sees();
                assert_eq!(
                    (&seen["channel"], &seen["peer"]),
                    (&json!(channel), &json!(other.id.as_str()))
                );
                assert!(seen["candidate"].as_str().unwrap().starts_with("127.0.0.1:"));
            }
        },
    },
    Statement {
        section: "Routing Semantics",
        words: "Setting relay=true forces server fan-out even if direct connectivity is possible",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            assert!(from.sees()["candidate"].is_null() && to.sees()["candidate"].is_null());
            from.say(channel, "by the relay");
            to.hears("by the relay");
        },
    },
    Statement {
        section: "Frame Types",
        words: "PRESENCE: JSON control heartbeat/availability update",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            to.sees();
            let channel = commucat_proto::ChannelId::new(channel);
            let away = from
                .client()
                .send(FrameType::Presence, channel, br#"{"state":"away"}"#)
                .unwrap();
            from.settled(away);
            to.sees_state("away");
        },
    },
    Statement {
        section: "Voice Messages inside MSG",
        words: "Short asynchronous voice clips reuse the existing MSG frame",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            let clip = json!({ "type": "voice_message", "codec": "opus", "sample_rate": 48_000, "channels": 1,
                "frame_duration_ms": 20, "frames": ["AAECAw==", "BAUGBw=="], "duration_ms": 40 });
            from.say(channel, clip.to_string());
            to.hears(&clip.to_string());
        },
    },
];

/// Decisions § 6: who names nobody talks to all who do so, and to whoever names the speaker; a roster stays closed.
fn an_open_channel_is_its_number(ground: &Ground<'_>) {
    let [ada, bob, carol, dora] = ["ada", "bob", "carol", "dora"].map(|name| ground.device(name));
    let (channel, nobody) = (ground.channel(), [&ada; 0]);
    let [mut from, mut to, mut names, mut closed] = [&ada, &bob, &carol, &dora].map(|device| ground.connect(device));
    from.join(channel, nobody);
    to.join(channel, nobody);
    names.join(channel, [&ada]);
    assert_eq!(names.sees_state("online")["entity"], ada.id.as_str());
    closed.join(channel, [&carol]);
    from.say(channel, "to all");
    to.hears("to all");
    names.hears("to all");
    closed.say(channel, "to carol alone");
    names.hears("to carol alone");
    to.say(channel, "and back");
    from.hears("and back");
    for peer in [&mut from, &mut to, &mut names, &mut closed] {
        assert_eq!(peer.overhear(std::time::Duration::from_millis(20)), None);
    }
}

fn opaque_frames_are_routed_alike(ground: &Ground<'_>) {
    let (mut from, mut to, channel) = ground.pair();
    // TYPING is for those who are up to date, which a session is once its inbox was read.
    from.say(channel, "up to date");
    to.hears("up to date");
    for kind in [FrameType::Typing, FrameType::KeyUpdate, FrameType::GroupEvent] {
        let channel = commucat_proto::ChannelId::new(channel);
        let sequence = from.client().send(kind, channel, kind.name().as_bytes()).unwrap();
        from.settled(sequence);
        let got = to.hear();
        assert_eq!(
            (got.kind, got.channel, got.text().as_str()),
            (kind, channel, kind.name())
        );
    }
}
