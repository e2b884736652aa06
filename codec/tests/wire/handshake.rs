//! HELLO, AUTH, the ready ACK and version negotiation (CCP-1, Handshake and Version Negotiation; decisions § 4).

use commucat_proto::control::{
    Auth, AuthProof, AuthSecret, Hello, HexBytes, HexKey, Ready, Text, UserClaim, UserProfile, negotiate, parse, write,
};
use commucat_proto::{Diagnostic, Handle, SessionToken, Title, UserId};
use serde_json::{Value, json};

fn hello() -> Value {
    json!({
        "pattern": "XK",
        "device_id": "dev-1",
        "client_static": "00".repeat(31) + "ff",
        "handshake": "0a0b",
        "supported_versions": [1],
        "user": {"id": "u-1", "user_id": "u-1", "handle": "cat", "display_name": "Cat", "avatar_url": "https://c.at"},
        "capabilities": ["noise", "zstd"]
    })
}

fn read(value: &Value) -> Result<Hello, Diagnostic> {
    parse(value.to_string().as_bytes(), &mut Vec::new())
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn profile() -> UserProfile {
    UserProfile {
        id: UserId::parse("u-1").unwrap(),
        handle: Handle::parse("cat").unwrap(),
        display_name: Some(text("Cat")),
        avatar_url: None,
    }
}

#[test]
fn the_specifications_hello_is_read() {
    let read = read(&hello()).unwrap();
    assert_eq!((read.pattern.as_str(), read.device_id.as_str()), ("XK", "dev-1"));
    assert_eq!(
        (read.client_static.0[31], &read.handshake.0[..]),
        (0xff, &b"\x0a\x0b"[..])
    );
    assert_eq!((read.protocol_version, read.supported_versions), (None, Some(vec![1])));
    let user = read.user.unwrap();
    assert_eq!(user.id.unwrap().as_str(), "u-1");
    assert_eq!(user.handle.unwrap().as_str(), "cat");
    assert_eq!(
        (user.display_name, user.avatar_url),
        (Some(text("Cat")), Some(text("https://c.at")))
    );
    assert_eq!(read.capabilities, [text("noise"), text("zstd")]);
    assert_eq!((read.device_public, read.zkp), (None, None));
}

#[test]
fn a_hello_needs_no_more_than_four_members() {
    let mut value = hello();
    let members = value.as_object_mut().unwrap();
    for name in ["supported_versions", "user", "capabilities"] {
        members.remove(name);
    }
    let minimal = read(&value).unwrap();
    assert_eq!((minimal.user, minimal.capabilities), (None, vec![]));
    for name in ["pattern", "device_id", "client_static", "handshake"] {
        let mut value = hello();
        value.as_object_mut().unwrap().remove(name);
        let refused = read(&value).unwrap_err();
        assert_eq!(refused.title(), Title::InvalidControlPayload);
        assert_eq!(refused.to_string(), format!("missing field `{name}`"));
    }
}

#[test]
fn unknown_members_of_a_hello_are_ignored() {
    let mut value = hello();
    value["certificate"] = json!({"deep": [[{"er": [1, 2.5, null, "x"]}]]});
    value["device_ca_public"] = json!(7);
    value["user"]["mood"] = json!(["fine"]);
    assert_eq!(read(&value), read(&hello()));
}

#[test]
fn null_in_an_optional_member_means_absent() {
    let mut value = hello();
    for name in ["protocol_version", "supported_versions", "user", "device_public", "zkp"] {
        value[name] = Value::Null;
    }
    let read = read(&value).unwrap();
    assert_eq!((read.supported_versions, read.user), (None, None));
}

#[test]
fn wrong_types_and_excess_of_known_members_are_refused() {
    let table = [
        ("pattern", json!(1)),
        ("pattern", json!("X".repeat(257))),
        ("device_id", json!("")),
        ("device_id", json!("x".repeat(129))),
        ("device_id", json!("a b")),
        ("device_id", json!(["dev-1"])),
        ("client_static", json!("00".repeat(31))),
        ("client_static", json!("00".repeat(33))),
        ("client_static", json!("zz".repeat(32))),
        ("client_static", json!(null)),
        ("handshake", json!("abc")),
        ("handshake", json!("0g")),
        ("handshake", json!("00".repeat(65_536))),
        ("protocol_version", json!("1")),
        ("protocol_version", json!(-1)),
        ("protocol_version", json!(1.5)),
        ("supported_versions", json!(1)),
        ("supported_versions", json!(["1"])),
        ("supported_versions", json!([-1])),
        ("user", json!("u-1")),
        ("user", json!(["u-1"])),
        ("user", json!({"id": 1})),
        ("user", json!({"id": ""})),
        ("user", json!({"id": "x".repeat(257)})),
        ("user", json!({"handle": "a b"})),
        ("user", json!({"handle": "x".repeat(65)})),
        ("user", json!({"display_name": "x".repeat(257)})),
        ("user", json!({"avatar_url": "x".repeat(257)})),
        ("user", json!({"id": "u-1", "user_id": "u-2"})),
        ("capabilities", json!("noise")),
        ("capabilities", json!([1])),
        ("capabilities", json!(["x".repeat(257)])),
        ("device_public", json!("00")),
        ("zkp", json!({"commitment": "00".repeat(32)})),
        ("zkp", json!(["00".repeat(32), "00".repeat(32)])),
    ];
    for (name, wrong) in table {
        let mut value = hello();
        value[name] = wrong.clone();
        let refused = read(&value).expect_err(name);
        assert_eq!(
            (refused.title(), refused.status()),
            (Title::InvalidControlPayload, 400),
            "{name}: {wrong}"
        );
        assert!(refused.to_string().len() <= 256, "{refused}");
    }
}

#[test]
fn the_longest_legal_members_are_accepted() {
    let table = [
        ("device_id", json!("x".repeat(128))),
        ("handshake", json!("00".repeat(65_535))),
        (
            "user",
            json!({"id": "x".repeat(256), "handle": "é".repeat(64), "display_name": "x".repeat(256)}),
        ),
        ("capabilities", json!(["x".repeat(256)])),
        ("client_static", json!("AB".repeat(32))),
        ("supported_versions", json!([0, 1, 65_536, u64::MAX])),
    ];
    for (name, value_of) in table {
        let mut value = hello();
        value[name] = value_of;
        assert!(read(&value).is_ok(), "{name}");
    }
}

#[test]
fn a_user_is_named_by_id_or_by_user_id() {
    for user in [
        json!({"id": "u"}),
        json!({"user_id": "u"}),
        json!({"id": "u", "user_id": "u"}),
    ] {
        let claim: UserClaim = parse(user.to_string().as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(claim.id.unwrap().as_str(), "u");
    }
}

#[test]
fn auth_is_written_as_the_specification_has_it() {
    let auth = Auth {
        session: SessionToken::parse("s3cret").unwrap(),
        handshake: HexBytes(vec![0xca, 0xfe]),
        server_static: HexKey([0x11; 32]),
        protocol_version: 1,
        supported_versions: vec![1],
        user: profile(),
        pairing_required: false,
        accepted_capabilities: vec![text("noise")],
    };
    let mut out = Vec::new();
    write(&auth, &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        json!({
            "session": "s3cret", "handshake": "cafe", "server_static": "11".repeat(32),
            "protocol_version": 1, "supported_versions": [1],
            "user": {"id": "u-1", "user_id": "u-1", "handle": "cat", "display_name": "Cat"},
            "pairing_required": false, "accepted_capabilities": ["noise"]
        })
    );
    assert_eq!(parse::<Auth>(&out, &mut Vec::new()), Ok(auth));
}

#[test]
fn the_secret_of_message_2_is_session_and_user() {
    let secret = AuthSecret {
        session: SessionToken::parse("s3cret").unwrap(),
        user: profile(),
    };
    let mut out = Vec::new();
    write(&secret, &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        json!({"session": "s3cret", "user": {"id": "u-1", "user_id": "u-1", "handle": "cat", "display_name": "Cat"}})
    );
    assert!(!format!("{secret:?}").contains("s3cret"));
    assert_eq!(parse::<AuthSecret>(&out, &mut Vec::new()), Ok(secret));
}

#[test]
fn the_clients_auth_is_its_handshake_alone() {
    let proof: AuthProof = parse(br#"{ "handshake": "00ff" }"#, &mut Vec::new()).unwrap();
    assert_eq!(proof.handshake.0, [0x00, 0xff]);
    let refused = parse::<AuthProof>(br#"{ "handshake": null }"#, &mut Vec::new()).unwrap_err();
    assert_eq!(refused.title(), Title::InvalidControlPayload);
}

#[test]
fn the_ready_ack_says_ok() {
    let mut out = Vec::new();
    write(&Ready::new(profile()), &mut out);
    let value: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(
        value,
        json!({
            "handshake": "ok", "pairing_required": false,
            "user": {"id": "u-1", "user_id": "u-1", "handle": "cat", "display_name": "Cat"}
        })
    );
    assert_eq!(parse::<Ready>(&out, &mut Vec::new()), Ok(Ready::new(profile())));
}

#[test]
fn a_profile_without_id_or_handle_is_none() {
    for user in [r#"{"handle":"cat"}"#, r#"{"id":"u-1"}"#] {
        let refused = parse::<UserProfile>(user.as_bytes(), &mut Vec::new()).unwrap_err();
        assert_eq!(refused.title(), Title::InvalidControlPayload);
    }
}

#[test]
fn the_highest_common_version_is_spoken() {
    type Row = (Option<u64>, Option<&'static [u64]>, &'static [u16], Option<u16>);
    let table: [Row; 13] = [
        // Neither member: v1.
        (None, None, &[1], Some(1)),
        (None, None, &[1, 2], Some(1)),
        (None, None, &[2], None),
        // The single value.
        (Some(1), None, &[1], Some(1)),
        (Some(2), None, &[1], None),
        (Some(0), None, &[1], None),
        // The array, in any order; it wins over the single value.
        (None, Some(&[1, 2, 3]), &[2, 1], Some(2)),
        (Some(1), Some(&[2]), &[1, 2], Some(2)),
        (Some(1), Some(&[9]), &[1], None),
        // An empty array is a mismatch.
        (None, Some(&[]), &[1], None),
        (Some(1), Some(&[]), &[1], None),
        // Beyond 16 bits: merely unsupported, and no alias of what is.
        (None, Some(&[65_537, u64::MAX, 1]), &[1], Some(1)),
        (None, Some(&[65_537]), &[1], None),
    ];
    for (single, array, ours, expected) in table {
        let agreed = negotiate(single, array, ours);
        assert_eq!(agreed.as_ref().ok(), expected.as_ref(), "{single:?} {array:?} {ours:?}");
        if let Err(refused) = agreed {
            assert_eq!(
                (refused.title().as_str(), refused.status()),
                ("Protocol Version Mismatch", 409)
            );
        }
    }
}
