//! Noise XK and IK, and keys that are not the right ones.

use commucat_client::{HttpVersion, OsEntropy, Pattern, StaticKey};
use commucat_tests::people::{Device, WAYS, server_key};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Next, Tunnel, hello};
use commucat_tests::wire::{frame, kind};
use serde_json::json;

const PATTERNS: [Pattern; 2] = [Pattern::Xk, Pattern::Ik];

#[test]
fn both_patterns_bring_a_device_in_and_tell_it_the_same_in_three_places() {
    let stage = Stage::new("");
    for (index, (http, pattern)) in WAYS
        .into_iter()
        .flat_map(|http| PATTERNS.map(|p| (http, p)))
        .enumerate()
    {
        let device = Device::new(&format!("device-{index}"));
        let handle = format!("handle-{index}");
        let mut tunnel = Tunnel::open(&stage, http);
        let state = tunnel.hello(&stage, &device, pattern, |hello| {
            hello["user"] = json!({ "handle": handle, "display_name": "Someone", "avatar_url": "https://a/b" });
            hello["capabilities"] = json!(["noise", "zstd", "ack-range-of-the-future"]);
        });
        let (ready, secret, auth) = tunnel.auth(state);
        assert_eq!(auth["server_static"], stage.noise_public());
        assert_eq!(
            (&auth["protocol_version"], &auth["supported_versions"]),
            (&json!(1), &json!([1]))
        );
        assert_eq!(
            (&auth["pairing_required"], &auth["accepted_capabilities"]),
            (&json!(false), &json!(["noise", "zstd"]))
        );
        let session = auth["session"].as_str().unwrap();
        assert!(
            session.len() == 64 && session.bytes().all(|b| b.is_ascii_hexdigit()),
            "{session}"
        );
        assert_eq!((&secret["session"], &secret["user"]), (&auth["session"], &auth["user"]));
        let user = &auth["user"];
        assert_eq!(
            (&user["handle"], &user["display_name"]),
            (&json!(handle), &json!("Someone"))
        );
        assert_eq!(
            (&user["avatar_url"], &user["id"]),
            (&json!("https://a/b"), &user["user_id"])
        );
        tunnel.prove(ready);
        let ack = tunnel.hear();
        assert_eq!((ack.kind, ack.channel, ack.sequence), (kind::ACK, 0, 2));
        let ack: serde_json::Value = serde_json::from_slice(&ack.payload).unwrap();
        assert_eq!(
            (&ack["handshake"], &ack["pairing_required"]),
            (&json!("ok"), &json!(false))
        );
        assert_eq!(&ack["user"], user);
    }
    stage.end();
}

#[test]
fn a_known_device_with_another_key_is_refused_by_either_pattern_and_keeps_its_own() {
    let stage = Stage::new("");
    let device = Device::new("mine");
    device.connect(&stage, HttpVersion::Http1).bye();
    let thief = Device {
        key: StaticKey::generate(&mut OsEntropy),
        ..device.clone()
    };
    for (http, pattern) in WAYS.into_iter().flat_map(|http| PATTERNS.map(|p| (http, p))) {
        let config = commucat_client::Config {
            pattern,
            ..thief.config(&stage, http)
        };
        let problem = thief.refused(&stage, config);
        assert_eq!(
            (&*problem.title, problem.status, &*problem.detail),
            ("Handshake Failed", 403, "invalid static key")
        );
    }
    // A HELLO never rotates a key.
    device.connect(&stage, HttpVersion::Http2).bye();
    stage.end();
}

#[test]
fn a_client_static_that_noise_does_not_prove_is_refused() {
    let stage = Stage::new("");
    let device = Device::new("liar");
    let other = StaticKey::generate(&mut OsEntropy).public().to_string();
    for http in WAYS {
        // IK shows the key in message 1, XK only in message 3.
        let mut tunnel = Tunnel::open(&stage, http);
        tunnel.hello(&stage, &device, Pattern::Ik, |hello| {
            hello["client_static"] = json!(other)
        });
        let (_, problem) = tunnel.error();
        assert_eq!(
            (&problem["title"], &problem["status"], &problem["detail"]),
            (&json!("Handshake Failed"), &json!(403), &json!("invalid static key"))
        );
        let mut tunnel = Tunnel::open(&stage, http);
        let state = tunnel.hello(&stage, &device, Pattern::Xk, |hello| {
            hello["client_static"] = json!(other)
        });
        let (ready, ..) = tunnel.auth(state);
        tunnel.prove(ready);
        let (_, problem) = tunnel.error();
        assert_eq!(
            (&problem["status"], &problem["detail"]),
            (&json!(403), &json!("invalid static key"))
        );
    }
    // Nothing was pinned meanwhile.
    device.connect(&stage, HttpVersion::Http1).bye();
    stage.end();
}

#[test]
fn a_client_that_expects_another_server_key_gets_no_session() {
    let stage = Stage::new("");
    let wrong = StaticKey::generate(&mut OsEntropy).public();
    assert_ne!(wrong, server_key(&stage));
    let device = Device::new("elsewhere");
    for (http, pattern) in WAYS.into_iter().flat_map(|http| PATTERNS.map(|p| (http, p))) {
        let config = commucat_client::Config {
            pattern,
            server: wrong,
            ..device.config(&stage, http)
        };
        let problem = device.refused(&stage, config);
        assert_eq!((&*problem.title, problem.status), ("Handshake Failed", 403));
    }
    stage.end();
}

#[test]
fn another_prologue_is_no_handshake_and_a_configured_one_is() {
    let stage = Stage::new("[noise]\nprologue = \"of this house\"\n");
    let device = Device::new("guest");
    for pattern in PATTERNS {
        let config = commucat_client::Config {
            pattern,
            ..device.config(&stage, HttpVersion::Http1)
        };
        let problem = device.refused(&stage, config.clone());
        assert_eq!((&*problem.title, problem.status), ("Handshake Failed", 403));
        let config = commucat_client::Config {
            prologue: b"of this house".to_vec(),
            ..config
        };
        device.connect_with(&stage, config).unwrap().bye();
    }
    stage.end();
}

#[test]
fn message_1_of_ik_that_is_replayed_without_a_proof_gets_no_session() {
    let stage = Stage::new("");
    let [sender, device] = ["sender", "device"].map(Device::new);
    let (state, recorded) = hello(&stage, &device, Pattern::Ik, |_| {});
    let mut tunnel = Tunnel::open(&stage, HttpVersion::Http1);
    tunnel.say(kind::HELLO, 0, &recorded);
    let (ready, ..) = tunnel.auth(state);
    tunnel.prove(ready);
    assert_eq!(tunnel.hear().kind, kind::ACK);
    let mut from = sender.connect(&stage, HttpVersion::Http1);
    from.join(1, [&device]);
    for http in WAYS {
        let mut replay = Tunnel::open(&stage, http);
        replay.say(kind::HELLO, 0, &recorded);
        let auth = replay.hear();
        assert_eq!(auth.kind, kind::AUTH);
        // The true session is not disturbed, and it alone hears.
        from.say(1, "for the device alone");
        assert_eq!(tunnel.hear().payload, b"for the device alone");
        // Frames without the proof are no session's.
        let guess = json!({ "handshake": "00".repeat(16) }).to_string();
        let number = replay.number();
        let rest = [
            frame(kind::AUTH, 0, number, guess),
            frame(kind::JOIN, 1, number + 1, "{}"),
        ]
        .concat();
        replay.send(&rest);
        assert_eq!(replay.refusal(), ("Handshake Failed".to_owned(), 403));
    }
    from.say(1, "still");
    assert_eq!(tunnel.hear().payload, b"still");
    tunnel.finish();
    assert_eq!(tunnel.listen(), Next::End);
    stage.end();
}
