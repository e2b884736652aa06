//! The handshake's own order and time.

use commucat_client::Pattern;
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Tunnel, hello};
use commucat_tests::wire::{frame, kind};
use serde_json::json;

fn failed() -> (String, u64) {
    ("Handshake Failed".to_owned(), 403)
}

#[test]
fn the_first_frame_must_be_hello_on_channel_0() {
    let stage = Stage::new("");
    let device = Device::new("hasty");
    for http in WAYS {
        let (_, hello) = hello(&stage, &device, Pattern::Xk, |_| {});
        let wrong = [
            frame(kind::JOIN, 1, 1, r#"{"members":["x"]}"#),
            frame(kind::MSG, 1, 1, "hello"),
            frame(kind::AUTH, 0, 1, r#"{"handshake":"00"}"#),
            frame(kind::ACK, 0, 1, r#"{"ack":1}"#),
            frame(kind::HELLO, 1, 1, &hello),
        ];
        for bytes in wrong {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.send(&bytes);
            assert_eq!(tunnel.refusal(), failed(), "{bytes:?}");
        }
    }
    stage.end();
}

#[test]
fn after_auth_only_the_proof_may_come_and_it_must_be_right() {
    let stage = Stage::new("");
    let device = Device::new("hasty");
    let wrong = [
        (kind::HELLO, 0, "{}".to_owned()),
        (kind::MSG, 1, "too early".to_owned()),
        (kind::AUTH, 1, json!({ "handshake": "00" }).to_string()),
        (kind::AUTH, 0, json!({ "handshake": "" }).to_string()),
        (kind::AUTH, 0, json!({ "handshake": "00".repeat(64) }).to_string()),
    ];
    for http in WAYS {
        for pattern in [Pattern::Xk, Pattern::Ik] {
            for (kind, channel, payload) in &wrong {
                let mut tunnel = Tunnel::open(&stage, http);
                let state = tunnel.hello(&stage, &device, pattern, |_| {});
                tunnel.auth(state);
                tunnel.say(*kind, *channel, payload);
                assert_eq!(tunnel.refusal(), failed(), "{kind} {payload}");
            }
        }
    }
    stage.end();
}

#[test]
fn a_hello_that_noise_cannot_read_is_a_failed_handshake() {
    let stage = Stage::new("");
    let device = Device::new("garbled");
    for http in WAYS {
        for message in ["", "00", &"ff".repeat(48), &"00".repeat(96), &"ab".repeat(65_535)] {
            for pattern in [Pattern::Xk, Pattern::Ik] {
                let mut tunnel = Tunnel::open(&stage, http);
                tunnel.hello(&stage, &device, pattern, |hello| hello["handshake"] = json!(message));
                assert_eq!(tunnel.refusal(), failed(), "{} bytes", message.len() / 2);
            }
        }
        let mut tunnel = Tunnel::open(&stage, http);
        tunnel.hello(&stage, &device, Pattern::Xk, |hello| hello["pattern"] = json!("NN"));
        assert_eq!(tunnel.refusal(), failed());
    }
    stage.end();
}

#[test]
fn a_client_that_is_late_with_its_handshake_is_told_so_wherever_it_stopped() {
    let stage = Stage::new("[limits]\nhello_timeout = \"1500ms\"\n");
    let device = Device::new("late");
    let mut tunnels = Vec::new();
    for http in WAYS {
        let silent = Tunnel::open(&stage, http);
        let mut half = Tunnel::open(&stage, http);
        let (_, text) = hello(&stage, &device, Pattern::Xk, |_| {});
        half.send(&frame(kind::HELLO, 0, 1, text)[..100]);
        let mut unproven = Tunnel::open(&stage, http);
        let state = unproven.hello(&stage, &device, Pattern::Ik, |_| {});
        unproven.auth(state);
        tunnels.extend([silent, half, unproven]);
    }
    for tunnel in tunnels {
        let (_, problem) = tunnel.error();
        assert_eq!(
            (&problem["title"], &problem["status"], &problem["detail"]),
            (
                &json!("Handshake Failed"),
                &json!(403),
                &json!("the handshake took too long")
            )
        );
    }
    stage.end();
}

#[test]
fn members_that_exceed_their_limits_are_an_invalid_control_payload() {
    let stage = Stage::new("");
    let device = Device::new("longwinded");
    let long = "x".repeat(257);
    let wrong = [
        ("device_id", json!("")),
        ("device_id", json!("x".repeat(129))),
        ("device_id", json!("white space")),
        ("device_id", json!("ümlaut")),
        ("device_id", json!(null)),
        ("client_static", json!("00")),
        ("client_static", json!("zz".repeat(32))),
        ("handshake", json!("abc")),
        ("pattern", json!(1)),
        ("user", json!({ "handle": "x".repeat(65) })),
        ("user", json!({ "handle": "a@b" })),
        ("user", json!({ "handle": "a b" })),
        ("user", json!({ "handle": "" })),
        ("user", json!({ "display_name": long })),
        ("user", json!({ "avatar_url": long })),
        ("user", json!({ "id": "a", "user_id": "b" })),
        ("user", json!("tom")),
        ("capabilities", json!("noise")),
    ];
    for (index, (member, value)) in wrong.into_iter().enumerate() {
        let mut tunnel = Tunnel::open(&stage, WAYS[index % 4]);
        tunnel.hello(&stage, &device, Pattern::Xk, |hello| hello[member] = value.clone());
        assert_eq!(
            tunnel.refusal(),
            ("Invalid Control Payload".to_owned(), 400),
            "{member}: {value}"
        );
    }
    // What exactly reaches a limit, and members that nobody knows, are fine.
    let device = Device::new(&"d".repeat(128));
    let mut tunnel = Tunnel::open(&stage, WAYS[0]);
    let state = tunnel.hello(&stage, &device, Pattern::Xk, |hello| {
        hello["user"] = json!({ "handle": "h".repeat(64), "display_name": "n".repeat(256), "mood": ["fine"] });
        hello["from_the_future"] = json!({ "deep": [1, 2, { "deeper": null }] });
    });
    let (ready, ..) = tunnel.auth(state);
    tunnel.prove(ready);
    assert_eq!(tunnel.hear().kind, kind::ACK);
    stage.end();
}
