//! Control payloads that nobody with good intentions sends: each is `Invalid Control Payload`, none is a panic.

use commucat_proto::control::{Ack, CallOffer, GroupCreate, Hello, Join, Metadata, parse};
use commucat_proto::limits::{MAX_CONTROL_PAYLOAD, MAX_JSON_DEPTH};
use commucat_proto::{Diagnostic, Title};
use proptest::prelude::*;
use serde_json::Value;

fn join(payload: &[u8]) -> Result<Join, Diagnostic> {
    parse(payload, &mut Vec::new())
}

#[track_caller]
fn refused(payload: &[u8]) {
    let diagnostic = join(payload).expect_err("refused");
    assert_eq!(
        (diagnostic.title(), diagnostic.status()),
        (Title::InvalidControlPayload, 400)
    );
    assert!(diagnostic.to_string().len() <= 256);
}

/// `depth` containers inside each other, the object of the payload among them.
fn nested(depth: usize, open: &str, close: &str) -> Vec<u8> {
    let inner = depth - 1;
    format!("{{\"x\":{}{}}}", open.repeat(inner), close.repeat(inner)).into_bytes()
}

#[test]
fn a_payload_of_nothing_but_brackets_is_refused() {
    for bracket in ["[", "{", "]", "}", "{\"x\":", "[["] {
        refused(bracket.repeat(MAX_CONTROL_PAYLOAD / bracket.len()).as_bytes());
    }
    let half = MAX_CONTROL_PAYLOAD / 2 - 8;
    refused(&nested(half, "[", "]"));
    refused(&nested(half / 4, "{\"x\":", "}"));
}

#[test]
fn nesting_is_accepted_up_to_its_limit_and_no_further() {
    assert!(join(&nested(MAX_JSON_DEPTH, "[", "]")).is_ok());
    refused(&nested(MAX_JSON_DEPTH + 1, "[", "]"));
    // Brackets inside a string are text.
    let text = format!("{{\"x\":\"{}\"}}", "[".repeat(1000));
    assert!(join(text.as_bytes()).is_ok());
}

#[test]
fn what_is_no_json_object_is_refused() {
    let table: [&[u8]; 22] = [
        b"",
        b" ",
        b"null",
        b"1",
        b"\"{}\"",
        b"[]",
        b"[[\"a\"],true,null]",
        b"{",
        b"}",
        b"{}{}",
        b"{} x",
        b"{,}",
        b"{\"relay\"}",
        b"{\"relay\":}",
        b"{\"relay\":true,}",
        b"{relay:true}",
        b"{'relay':true}",
        b"{\"relay\":tru}",
        b"\xef\xbb\xbf{}",
        b"{\"x\":\"\xff\"}",
        b"{\"x\":\"\x00\"}",
        b"{\"x\":\"\\ud800\"}",
    ];
    for payload in table {
        refused(payload);
    }
}

#[test]
fn a_member_that_comes_twice_is_refused() {
    refused(br#"{"relay":true,"relay":false}"#);
    refused(br#"{"group_id":"a","group_id":"b"}"#);
    refused(br#"{"relay":true,"\u0072elay":false}"#);
}

#[test]
fn escapes_and_white_space_are_json_like_any_other() {
    let plain = join(br#"{"group_id":"a\"b/c","relay":true}"#).unwrap();
    let escaped = join(b"\n{ \"\\u0067roup_id\" :\t\"a\\u0022b\\/c\" , \"relay\":true}\r\n ").unwrap();
    assert_eq!(plain, escaped);
}

#[test]
fn a_control_payload_of_the_full_256_kib_is_read() {
    let mut payload = br#"{"members":["#.to_vec();
    while payload.len() + 16 < MAX_CONTROL_PAYLOAD {
        payload.extend_from_slice(b"\"a\",");
    }
    payload.extend_from_slice(b"\"a\"]}");
    payload.resize(MAX_CONTROL_PAYLOAD, b' ');
    assert!(join(&payload).unwrap().members.len() > 65_000);
}

#[test]
fn a_reason_quoted_from_the_payload_is_cut() {
    let payload = format!("{{\"roles\":{{\"a\":\"{}\"}}}}", "é".repeat(5_000));
    let diagnostic = parse::<GroupCreate>(payload.as_bytes(), &mut Vec::new()).unwrap_err();
    assert!((1..=256).contains(&diagnostic.to_string().len()));
}

#[test]
fn numbers_of_any_size_are_no_panic() {
    for number in [
        "1e400",
        "-1e400",
        "1e-400",
        "99999999999999999999999",
        "-0",
        "0.1e1",
        "1E5",
        "18446744073709551616",
    ] {
        for member in ["x", "ack", "from"] {
            let payload = format!("{{\"{member}\":{number}}}");
            if let Ok(ack) = parse::<Ack>(payload.as_bytes(), &mut Vec::new()) {
                assert_eq!(
                    (
                        ack.ack.map_or(0, |ack| ack.get()),
                        ack.from.map_or(0, |from| from.get())
                    ),
                    (0, 0)
                );
            }
        }
    }
}

/// JSON of any shape, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["XK", "dev-1", "00", "member", "true", ""]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((member(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that the payloads know, mostly.
fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "pattern", "device_id", "client_static", "handshake", "user", "id", "handle", "members", "relay", "group_id",
            "ack", "from", "to", "call_id", "media", "audio", "video", "transport", "metadata", "system", "roles",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn parse_as_everything(payload: &[u8]) {
    let scratch = &mut Vec::new();
    let _ = parse::<Hello>(payload, scratch);
    let _ = parse::<Join>(payload, scratch);
    let _ = parse::<Ack>(payload, scratch);
    let _ = parse::<GroupCreate>(payload, scratch);
    let _ = parse::<CallOffer>(payload, scratch);
    let _ = parse::<Metadata>(payload, scratch);
}

proptest! {
    #[test]
    fn no_json_is_a_panic(value in any_json()) {
        parse_as_everything(value.to_string().as_bytes());
    }

    #[test]
    fn no_damaged_json_is_a_panic(value in any_json(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut payload = value.to_string().into_bytes();
        for (index, byte) in damage {
            let at = index.index(payload.len());
            payload[at] = byte;
        }
        parse_as_everything(&payload);
    }

    #[test]
    fn no_bytes_are_a_panic(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_as_everything(&payload);
    }

    /// The vectorised parser is checked against a plain one: whatever an unknown member holds, the known ones read
    /// the same.
    #[test]
    fn unknown_members_of_any_shape_are_ignored(value in any_json(), relay: bool) {
        let payload = serde_json::json!({"unknown": value, "relay": relay, "zzz": value}).to_string();
        prop_assert_eq!(join(payload.as_bytes()), Ok(Join { relay, ..Join::default() }));
    }

    #[test]
    fn both_parsers_agree_on_what_a_join_is(value in any_json()) {
        let payload = value.to_string();
        let plain = serde_json::from_str::<Join>(&payload).ok();
        prop_assert_eq!(join(payload.as_bytes()).ok(), plain);
    }

    #[test]
    fn the_short_way_and_the_long_way_of_an_ack_agree(payload in r#"\{"ack":[0-9]{0,11}\}"#) {
        if let Some(sequence) = Ack::read_plain(payload.as_bytes()) {
            prop_assert_eq!(parse::<Ack>(payload.as_bytes(), &mut Vec::new()), Ok(Ack::of(sequence)));
        } else {
            prop_assert!(parse::<Ack>(payload.as_bytes(), &mut Vec::new()).is_err());
        }
    }
}
