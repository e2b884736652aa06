//! Version Negotiation, Handshake, Feature Flags and Capability Negotiation.

use commucat_client::Pattern;
use commucat_tests::wire::{frame, kind};
use serde_json::{Value, json};

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Version Negotiation",
        words: "announce support via either protocol_version (legacy single value) or supported_versions",
        check: either_announcement_is_understood,
    },
    Statement {
        section: "Version Negotiation",
        words: "falling back to v1 for clients lacking these fields",
        check: |ground| {
            let auth = auth(ground, |hello| {
                hello.as_object_mut().unwrap().remove("supported_versions");
            });
            assert_eq!(auth["protocol_version"], 1);
        },
    },
    Statement {
        section: "Version Negotiation",
        words: "When no overlap exists, the server returns an ERROR frame with title \"Protocol Version Mismatch\"",
        check: |ground| {
            let device = ground.device("ada");
            let refusal = ground.refusal(&device, |hello| hello["supported_versions"] = json!([7, 9]));
            assert_eq!(refusal, ("Protocol Version Mismatch".to_owned(), 409));
        },
    },
    Statement {
        section: "Version Negotiation",
        words: "echo the negotiated value in subsequent AUTH control frames and advertise the server list",
        check: |ground| {
            let auth = auth(ground, |_| {});
            assert_eq!(
                (&auth["protocol_version"], &auth["supported_versions"]),
                (&json!(1), &json!([1]))
            );
        },
    },
    Statement {
        section: "Handshake",
        words: "\"pattern\": \"XK\" | \"IK\"",
        check: |ground| {
            for pattern in [Pattern::Xk, Pattern::Ik] {
                ground
                    .open()
                    .greet(ground.relay, &ground.device(pattern.name()), pattern);
            }
        },
    },
    Statement {
        section: "Handshake",
        words: "A final ACK frame with { \"handshake\": \"ok\", \"pairing_required\": false, \"user\": {...} } confirms tunnel readiness",
        check: |ground| {
            let ack = ground.open().greet(ground.relay, &ground.device("ada"), Pattern::Xk);
            assert_eq!(
                (&ack["handshake"], &ack["pairing_required"]),
                (&json!("ok"), &json!(false))
            );
            assert!(
                ack["user"]["id"].is_string() && ack["user"]["id"] == ack["user"]["user_id"],
                "{ack}"
            );
        },
    },
    Statement {
        section: "Handshake",
        words: "validates the static key",
        check: a_known_device_with_another_key_is_refused,
    },
    Statement {
        section: "Handshake",
        words: "request new profiles (handle, plus optional display_name and avatar_url)",
        check: a_profile_is_founded_as_asked,
    },
    Statement {
        section: "Handshake",
        words: "The server echoes canonical profile fields (including both id and user_id) in the AUTH response and completion ACK",
        check: auth_and_ack_agree,
    },
    Statement {
        section: "Handshake",
        words: "absent id instructs the server to mint a fresh user",
        check: |ground| {
            let users = [(); 2].map(|()| auth(ground, |_| {})["user"]["id"].clone());
            assert_ne!(users[0], users[1]);
        },
    },
    Statement {
        section: "Handshake",
        words: "If max_auto_devices_per_user is reached ... ERROR frame with title=PairingRequired",
        check: a_second_device_needs_pairing,
    },
    Statement {
        section: "Capability Negotiation",
        words: "Servers echo the subset they accept inside the second AUTH message (accepted_capabilities)",
        check: |ground| {
            let wanted = json!(["noise", "zstd", "no-such-thing"]);
            let auth = auth(ground, |hello| hello["capabilities"] = wanted);
            assert_eq!(auth["accepted_capabilities"], json!(["noise", "zstd"]));
        },
    },
    Statement {
        section: "Capability Negotiation",
        words: "If a peer advertises a capability that is not echoed back it MUST NOT be used on that connection",
        check: what_will_not_be_used_is_not_echoed,
    },
];

/// AUTH's payload, after a HELLO changed by `tweak`.
fn auth(ground: &Ground<'_>, tweak: impl FnOnce(&mut Value)) -> Value {
    let mut tunnel = ground.open();
    let device = ground.device(&format!("ada{:x}", ground.channel()));
    let hello = tunnel.hello(ground.relay, &device, Pattern::Xk, tweak);
    tunnel.auth(hello).2
}

/// `pq-hybrid` without the bundle it takes, and names that nobody knows: none of them is echoed, and what follows is the
/// minimal flow, frame by frame in plain.
fn what_will_not_be_used_is_not_echoed(ground: &Ground<'_>) {
    let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel().into());
    ground.connect(&bob).bye();
    let mut tunnel = ground.open();
    let offered = json!(["pq-hybrid", "NOISE-TRANSPORT", "ack-range ", "time-travel"]);
    let hello = tunnel.hello(ground.relay, &ada, Pattern::Xk, |hello| hello["capabilities"] = offered);
    let (ready, _, auth) = tunnel.auth(hello);
    let echoed = auth.get("accepted_capabilities").cloned().unwrap_or_else(|| json!([]));
    assert_eq!(echoed, json!([]));
    assert!(auth.get("pq_ciphertext").is_none_or(Value::is_null), "{auth}");
    tunnel.prove(ready);
    let ready: Value = serde_json::from_slice(&tunnel.hear().payload).unwrap();
    assert_eq!(ready["handshake"], "ok");
    tunnel.join(channel, &bob);
    // Two in one write, and an ACK of its own for each.
    let numbers = [tunnel.number(), tunnel.number()];
    tunnel.send(
        &numbers
            .map(|number| frame(kind::MSG, channel, number, "plain"))
            .concat(),
    );
    for number in numbers {
        let ack: Value = serde_json::from_slice(&tunnel.hear().payload).unwrap();
        assert_eq!(ack, json!({ "ack": number }));
    }
}

fn either_announcement_is_understood(ground: &Ground<'_>) {
    let legacy = auth(ground, |hello| {
        hello.as_object_mut().unwrap().remove("supported_versions");
        hello["protocol_version"] = json!(1);
    });
    let array = auth(ground, |hello| hello["supported_versions"] = json!([1, 2, 3]));
    assert_eq!(
        [&legacy["protocol_version"], &array["protocol_version"]],
        [&json!(1), &json!(1)]
    );
}

fn a_known_device_with_another_key_is_refused(ground: &Ground<'_>) {
    let device = ground.device("ada");
    ground.connect(&device).bye();
    let impostor = ground.device("ada");
    assert_eq!(impostor.id, device.id);
    let problem = impostor.refused(ground.relay, impostor.config(ground.relay, ground.http));
    assert_eq!((&*problem.title, problem.status), ("Handshake Failed", 403));
}

fn a_profile_is_founded_as_asked(ground: &Ground<'_>) {
    let handle = format!("cat-{}", ground.channel());
    let user = json!({ "handle": handle, "display_name": "Cat", "avatar_url": "https://example.org/cat" });
    let wanted = user.clone();
    let got = auth(ground, |hello| hello["user"] = user);
    for member in ["handle", "display_name", "avatar_url"] {
        assert_eq!(got["user"][member], wanted[member]);
    }
}

fn auth_and_ack_agree(ground: &Ground<'_>) {
    let mut tunnel = ground.open();
    let hello = tunnel.hello(ground.relay, &ground.device("ada"), Pattern::Xk, |_| {});
    let (ready, secret, auth) = tunnel.auth(hello);
    tunnel.prove(ready);
    let ack: Value = serde_json::from_slice(&tunnel.hear().payload).unwrap();
    assert_eq!(auth["user"], ack["user"]);
    assert_eq!(auth["user"], secret["user"]);
    assert_eq!(auth["user"]["id"], auth["user"]["user_id"]);
}

fn a_second_device_needs_pairing(ground: &Ground<'_>) {
    let mut first = ground.open();
    let ack = first.greet(ground.relay, &ground.device("first"), Pattern::Xk);
    let user = ack["user"]["id"].clone();
    let refusal = ground.refusal(&ground.device("second"), |hello| hello["user"] = json!({ "id": user }));
    assert_eq!(refusal, ("PairingRequired".to_owned(), 403));
}
