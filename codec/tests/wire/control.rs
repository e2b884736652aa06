//! The control payloads after the handshake, in the specification's own examples.

use commucat_proto::control::{
    Ack, CallAnswer, CallEnd, CallOffer, CallStats, GroupCreate, GroupInvite, Join, Leave, Presence, PresenceUpdate,
    Problem, Role, Text, UserProfile, parse, write,
};
use commucat_proto::{CallId, ChannelId, DeviceId, Diagnostic, GroupId, Handle, Sequence, Title, UserId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[track_caller]
fn read<T: DeserializeOwned>(json: &str) -> T {
    parse(json.as_bytes(), &mut Vec::new()).unwrap()
}

fn written<T: Serialize>(value: &T) -> Value {
    let mut out = Vec::new();
    write(value, &mut out);
    serde_json::from_slice(&out).unwrap()
}

#[track_caller]
fn refused<T: DeserializeOwned + std::fmt::Debug>(json: &str) {
    let diagnostic = parse::<T>(json.as_bytes(), &mut Vec::new()).expect_err(json);
    assert_eq!(diagnostic.title(), Title::InvalidControlPayload, "{json}");
}

fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).unwrap()
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

#[test]
fn join_names_members_or_a_group() {
    let join: Join = read(r#"{ "members": ["deviceA", "deviceB"], "relay": false }"#);
    assert_eq!(
        (join.members, join.relay),
        (vec![device("deviceA"), device("deviceB")], false)
    );
    let join: Join = read(r#"{"group_id":"grp-123","relay":true}"#);
    assert_eq!(
        (join.members, join.relay, join.group_id.unwrap().as_str()),
        (vec![], true, "grp-123")
    );
    assert_eq!(read::<Join>("{}"), Join::default());
    for wrong in [
        r#"{"members":"deviceA"}"#,
        r#"{"members":[1]}"#,
        r#"{"members":["a b"]}"#,
        r#"{"members":null}"#,
        r#"{"relay":"yes"}"#,
        r#"{"relay":1}"#,
        r#"{"group_id":7}"#,
        r#"{"group_id":""}"#,
    ] {
        refused::<Join>(wrong);
    }
}

#[test]
fn leave_is_any_object() {
    read::<Leave>("{}");
    read::<Leave>(r#"{"why":"tired"}"#);
    refused::<Leave>("[]");
    refused::<Leave>("");
    assert_eq!(written(&Leave {}), json!({}));
}

#[test]
fn a_plain_ack_is_eight_bytes_and_its_number() {
    for (sequence, payload) in [
        (0, "{\"ack\":0}"),
        (7, "{\"ack\":7}"),
        (u32::MAX, "{\"ack\":4294967295}"),
    ] {
        let mut out = Vec::new();
        Ack::write_plain(Sequence::new(sequence), &mut out);
        assert_eq!(out, payload.as_bytes());
        assert_eq!(Ack::read_plain(payload.as_bytes()), Some(Sequence::new(sequence)));
        assert_eq!(read::<Ack>(payload), Ack::of(Sequence::new(sequence)));
        assert_eq!(written(&Ack::of(Sequence::new(sequence))), json!({ "ack": sequence }));
    }
}

#[test]
fn only_the_plain_form_takes_the_short_way() {
    for payload in [
        "",
        "{}",
        "{\"ack\":}",
        "{\"ack\":-1}",
        "{\"ack\":01}",
        "{\"ack\":+1}",
        "{\"ack\":4294967296}",
        "{\"ack\":99999999999999999999}",
        "{\"ack\":1.0}",
        "{\"ack\": 1}",
        "{\"ack\":1}}",
        "{\"ack\":1",
        "{\"ack\":1,\"from\":1}",
    ] {
        assert_eq!(Ack::read_plain(payload.as_bytes()), None, "{payload}");
    }
}

#[test]
fn an_ack_of_a_call_is_its_number_before_what_its_frames_have_in_common() {
    let plain = Ack::default();
    let call = Ack {
        call_id: Some(CallId::parse("a \"call\"").unwrap()),
        accept: Some(false),
        reason: Some(Text::cut("busy")),
        ..Ack::default()
    };
    for ack in [plain, call] {
        let mut out = Vec::new();
        Ack::write_before(Sequence::new(7), &ack.tail(), &mut out);
        let whole = Ack {
            ack: Some(Sequence::new(7)),
            ..ack
        };
        let mut expected = Vec::new();
        write(&whole, &mut expected);
        assert_eq!(out, expected);
    }
}

#[test]
fn a_range_is_acknowledged_in_one_frame() {
    let mut out = Vec::new();
    Ack::write_range(Sequence::new(10), Sequence::new(42), &mut out);
    assert_eq!(out, b"{\"ack\":42,\"from\":10}");
    let ack: Ack = parse(&out, &mut Vec::new()).unwrap();
    assert_eq!((ack.from, ack.ack), (Some(Sequence::new(10)), Some(Sequence::new(42))));
}

#[test]
fn an_ack_carries_what_its_frame_calls_for_and_nothing_else() {
    let ack = Ack {
        group_id: Some(GroupId::parse("grp-123").unwrap()),
        device: Some(device("new-device")),
        ..Ack::of(Sequence::new(3))
    };
    assert_eq!(
        written(&ack),
        json!({"ack": 3, "group_id": "grp-123", "device": "new-device"})
    );
    let ack = Ack {
        call_id: Some(CallId::parse("c").unwrap()),
        accept: Some(false),
        reason: Some(text("busy")),
        ..Ack::of(Sequence::new(4))
    };
    assert_eq!(
        written(&ack),
        json!({"ack": 4, "call_id": "c", "accept": false, "reason": "busy"})
    );
    let ack = Ack {
        rejected: vec![device("b")],
        reason: Some(text("inbox full")),
        ..Ack::of(Sequence::new(5))
    };
    assert_eq!(
        written(&ack),
        json!({"ack": 5, "rejected": ["b"], "reason": "inbox full"})
    );
    for wrong in [
        r#"{"ack":"1"}"#,
        r#"{"ack":-1}"#,
        r#"{"ack":1.5}"#,
        r#"{"ack":4294967296}"#,
        r#"{"ack":[1]}"#,
    ] {
        refused::<Ack>(wrong);
    }
}

#[test]
fn the_servers_presence_always_has_entity_and_state() {
    let presence = Presence {
        channel: Some(ChannelId::new(7)),
        peer: Some(device("deviceA")),
        candidate: Some(text("198.51.100.10:52345")),
        ..Presence::online(device("deviceA"))
    };
    assert_eq!(
        written(&presence),
        json!({"entity": "deviceA", "state": "online", "channel": 7, "peer": "deviceA",
               "candidate": "198.51.100.10:52345"})
    );
    let user = UserProfile {
        id: UserId::parse("user-id").unwrap(),
        handle: Handle::parse("nick").unwrap(),
        display_name: None,
        avatar_url: None,
    };
    let presence = Presence {
        user: Some(user),
        ..Presence::offline(device("d"))
    };
    assert_eq!(
        written(&presence),
        json!({"entity": "d", "state": "offline", "user": {"id": "user-id", "user_id": "user-id", "handle": "nick"}})
    );
    refused::<Presence>(r#"{"entity":"d"}"#);
    refused::<Presence>(r#"{"state":"online"}"#);
}

#[test]
fn a_clients_presence_may_say_anything_about_itself() {
    let update: PresenceUpdate = read(r#"{"state":"away","entity":"somebody else","user":"nobody"}"#);
    assert_eq!(update.state, Some(text("away")));
    assert_eq!(read::<PresenceUpdate>("{}").state, None);
    refused::<PresenceUpdate>(r#"{"state":1}"#);
    refused::<PresenceUpdate>(&json!({"state": "x".repeat(257)}).to_string());
}

#[test]
fn an_error_has_the_shape_of_rfc_9457() {
    let problem = Problem::new(Title::HandshakeFailed, "invalid static key");
    let mut out = Vec::new();
    write(&problem, &mut out);
    assert_eq!(
        out,
        br#"{"type":"about:blank","title":"Handshake Failed","status":403,"detail":"invalid static key"}"#
    );
    assert_eq!(parse::<Problem>(&out, &mut Vec::new()), Ok(problem.clone()));
    assert_eq!(problem.known(), Some(Title::HandshakeFailed));
    let foreign: Problem = read(r#"{"title":"Teapot","status":418}"#);
    assert_eq!(
        (foreign.known(), foreign.kind.as_ref(), foreign.detail.as_ref()),
        (None, "about:blank", "")
    );
}

#[test]
fn a_diagnostic_becomes_its_error() {
    let problem = Problem::from(&Diagnostic::FrameTooLarge {
        declared: 16_777_217,
        limit: 16_777_216,
    });
    assert_eq!(
        written(&problem),
        json!({"type": "about:blank", "title": "Frame Too Large", "status": 413,
               "detail": "frame_len 16777217 exceeds 16777216"})
    );
}

#[test]
fn group_create_lists_members_and_roles() {
    let create: GroupCreate = read(
        r#"{"group_id": "optional-client-generated", "members": ["owner-device", "peer-device"],
            "roles": {"peer-device": "admin"}, "relay": true}"#,
    );
    assert_eq!(create.group_id.unwrap().as_str(), "optional-client-generated");
    assert_eq!(create.members, [device("owner-device"), device("peer-device")]);
    assert_eq!(create.roles.get("peer-device"), Some(&Role::Admin));
    assert!(create.relay);
    assert_eq!(read::<GroupCreate>("{}"), GroupCreate::default());
    for wrong in [
        r#"{"roles":{"a":"king"}}"#,
        r#"{"roles":{"a b":"admin"}}"#,
        r#"{"roles":["admin"]}"#,
        r#"{"roles":{"a":1}}"#,
        r#"{"members":{}}"#,
    ] {
        refused::<GroupCreate>(wrong);
    }
}

#[test]
fn group_invite_makes_a_member_unless_it_says_more() {
    let invite: GroupInvite = read(r#"{"group_id": "grp-123", "device": "new-device", "role": "owner"}"#);
    assert_eq!((invite.role, invite.role.granted()), (Role::Owner, Role::Admin));
    let invite: GroupInvite = read(r#"{"group_id": "grp-123", "device": "new-device"}"#);
    assert_eq!((invite.role, invite.role.granted()), (Role::Member, Role::Member));
    refused::<GroupInvite>(r#"{"group_id": "grp-123"}"#);
    refused::<GroupInvite>(r#"{"device": "d"}"#);
}

#[test]
fn roles_are_ordered_and_named() {
    assert!(Role::Owner > Role::Admin && Role::Admin > Role::Member);
    assert!(Role::Owner.may_invite() && Role::Admin.may_invite() && !Role::Member.may_invite());
    for role in [Role::Owner, Role::Admin, Role::Member] {
        assert_eq!(written(&role), json!(role.name()));
    }
}

const OFFER: &str = r#"{
  "call_id": "uuid-v4", "from": "device@domain", "to": ["peer-device@domain"],
  "media": {
    "audio": {"codec": "opus", "bitrate": 16000, "sample_rate": 48000, "channels": 1, "fec": true, "dtx": true},
    "video": {"codec": "vp8", "max_bitrate": 500000, "max_resolution": {"width": 640, "height": 360},
              "frame_rate": 24, "adaptive": true},
    "mode": "full_duplex"
  },
  "transport": {
    "prefer_relay": true,
    "udp_candidates": [{"address": "198.51.100.10", "port": 3478, "protocol": "udp"}],
    "fingerprints": ["hex(fingerprint)"]
  },
  "expires_at": 1700000000, "ephemeral_key": "hex(ephemeral_public)", "metadata": {}
}"#;

#[test]
fn a_call_offer_is_read_as_specified() {
    let offer: CallOffer = read(OFFER);
    assert_eq!(
        (offer.call_id.as_str(), offer.from.as_str()),
        ("uuid-v4", "device@domain")
    );
    assert_eq!(
        (offer.to, offer.expires_at),
        (vec![device("peer-device@domain")], Some(1_700_000_000))
    );
    let media = offer.media.unwrap();
    assert_eq!(media.audio.unwrap().sample_rate, Some(48_000));
    let video = media.video.unwrap();
    assert_eq!(
        (video.frame_rate, video.max_resolution.unwrap().width),
        (Some(24.0), 640)
    );
    assert_eq!(offer.transport.unwrap().udp_candidates[0].port, 3478);
}

#[test]
fn wrong_types_inside_a_call_offer_are_refused() {
    let table = [
        ("/call_id", json!(1)),
        ("/from", json!(null)),
        ("/to", json!("peer")),
        ("/media", json!([])),
        ("/media/audio", json!(["opus"])),
        ("/media/audio/fec", json!("true")),
        ("/media/audio/bitrate", json!(-1)),
        ("/media/video/max_resolution", json!([640, 360])),
        ("/media/mode", json!(2)),
        ("/transport/udp_candidates", json!({})),
        ("/transport/udp_candidates/0", json!(["198.51.100.10", 3478, "udp"])),
        ("/transport/udp_candidates/0/port", json!(65_536)),
        ("/expires_at", json!("soon")),
        ("/metadata", json!([])),
    ];
    for (at, wrong) in table {
        let mut offer: Value = serde_json::from_str(OFFER).unwrap();
        *offer.pointer_mut(at).unwrap() = wrong;
        refused::<CallOffer>(&offer.to_string());
    }
}

#[test]
fn a_call_answer_accepts_or_says_why_not() {
    let answer: CallAnswer = read(
        r#"{"call_id": "c", "accept": true, "media": {"audio": {"bitrate": 12000, "codec": "opus",
            "sample_rate": 48000, "channels": 1, "fec": true, "dtx": true}, "video": null, "mode": "full_duplex"},
            "reason": null, "metadata": {}}"#,
    );
    assert!(answer.accept && answer.reason.is_none() && answer.media.unwrap().video.is_none());
    let answer: CallAnswer = read(r#"{"call_id": "c", "accept": false, "reason": "busy"}"#);
    assert_eq!((answer.accept, answer.reason), (false, Some(text("busy"))));
    refused::<CallAnswer>(r#"{"call_id": "c"}"#);
    refused::<CallAnswer>(r#"{"call_id": "c", "accept": "yes"}"#);
}

#[test]
fn a_call_end_that_the_server_makes_up_says_so() {
    let end = CallEnd::synthesized(CallId::parse("c").unwrap());
    assert_eq!(
        written(&end),
        json!({"call_id": "c", "reason": "failure", "metadata": {"system": true}})
    );
    let end: CallEnd = read(r#"{"call_id":"c","reason":"hangup","metadata":{"system":{"of":"mine"},"more":[1]}}"#);
    assert_eq!((end.reason, end.metadata.unwrap().system), (Some(text("hangup")), None));
}

#[test]
fn call_stats_take_whole_and_broken_numbers() {
    let stats: CallStats = read(
        r#"{"call_id": "c", "direction": "send",
            "audio": {"bitrate": 16000, "packet_loss": 0.01, "jitter_ms": 8, "rtt_ms": 95},
            "video": {"bitrate": 350000, "packet_loss": 0.05, "jitter_ms": 25, "frames_per_second": 15},
            "timestamp": 1700000100}"#,
    );
    assert_eq!(stats.audio.unwrap().packet_loss, Some(0.01));
    assert_eq!(stats.audio.unwrap().rtt_ms, Some(95.0));
    assert_eq!(stats.direction, Some(text("send")));
    refused::<CallStats>(r#"{"call_id":"c","audio":{"jitter_ms":"8"}}"#);
}

#[test]
fn what_an_offer_does_not_say_is_not_written() {
    let offer: CallOffer = read(
        r#"{"call_id":"c","from":"a","to":["b"],"media":{"audio":{"codec":"opus"},"video":null},
            "transport":{"udp_candidates":[{"address":"::1","port":1}]}}"#,
    );
    assert_eq!(
        written(&offer),
        json!({"call_id": "c", "from": "a", "to": ["b"], "media": {"audio": {"codec": "opus"}, "video": null},
               "transport": {"udp_candidates": [{"address": "::1", "port": 1}], "fingerprints": []}})
    );
}
