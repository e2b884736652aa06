//! `conn::ws`: what RFC 6455 asks of a server, in every cut.

use commucat_shard::conn::limits::{WS_CONTROL, WS_MESSAGE};
use commucat_shard::conn::ws::{CloseCode, Refused, Ws, WsError, asks_upgrade, extended, upgrade};
use http::request::Parts;
use http::{Method, Request, Version};
use proptest::prelude::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client, masked octet by octet.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![first];
    match payload.len() {
        len @ 0..=125 => wire.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            wire.push(0x80 | 126);
            wire.extend((len as u16).to_be_bytes());
        }
        len => {
            wire.push(0x80 | 127);
            wire.extend((len as u64).to_be_bytes());
        }
    }
    wire.extend(KEY);
    wire.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
    wire
}

fn binary(payload: &[u8]) -> Vec<u8> {
    frame(0x82, payload)
}

fn close(payload: &[u8]) -> Vec<u8> {
    frame(0x88, payload)
}

/// What came of some octets: the stream's bytes, how it ended, the control frames that are answered, and our Close.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    body: Vec<u8>,
    error: Option<WsError>,
    left: bool,
    replies: Vec<u8>,
    farewell: Vec<u8>,
}

fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut ws, mut body, mut error) = (Ws::new(), Vec::new(), None);
    for piece in pieces {
        if let Err(first) = ws.receive(piece, &mut body) {
            assert_eq!(error.replace(first), None, "told once");
        }
        assert!(ws.buffered() <= 14 + 3 * (WS_CONTROL + 2));
    }
    let before = body.len();
    let left = ws.is_closed_by_peer();
    if error.is_some() || left {
        assert_eq!(ws.receive(&binary(b"more"), &mut body), Ok(()), "it is deaf");
        assert_eq!(body.len(), before);
    }
    let (mut replies, mut farewell) = (Vec::new(), Vec::new());
    ws.control(usize::MAX, &mut replies);
    assert!(!ws.owes_control());
    ws.close(CloseCode::NORMAL);
    ws.control(usize::MAX, &mut farewell);
    assert!(ws.is_over());
    Outcome {
        body,
        error,
        left,
        replies,
        farewell,
    }
}

/// Reads `wire` whole, cut in two at each octet, and octet by octet: all must agree.
fn read(wire: &[u8]) -> Outcome {
    let whole = in_pieces([wire]);
    assert_eq!(in_pieces(wire.chunks(1)), whole, "octet by octet");
    let step = wire.len().div_ceil(400).max(1);
    for at in (0..wire.len()).step_by(step) {
        assert_eq!(in_pieces([&wire[..at], &wire[at..]]), whole, "cut at {at}");
    }
    whole
}

fn refused(wire: &[u8]) -> u16 {
    let outcome = read(wire);
    let error = outcome.error.unwrap_or_else(|| panic!("accepted {wire:?}"));
    let code = error.code().get();
    assert_eq!(outcome.farewell, [&[0x88, 2][..], &code.to_be_bytes()].concat());
    code
}

#[test]
fn the_examples_of_rfc_6455_section_5_7() {
    // A masked message in one frame; the RFC's says it is text.
    let hello = [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&hello).body, b"Hello");
    assert_eq!(binary(b"Hello"), hello);
    // A fragmented message.
    let fragments = [frame(0x02, b"Hel"), frame(0x80, b"lo")].concat();
    assert_eq!(read(&fragments).body, b"Hello");
    // A masked Ping and its Pong.
    let ping = read(&frame(0x89, b"Hello"));
    assert_eq!(ping.replies, [&[0x8a, 0x05][..], b"Hello"].concat());
    // 256 bytes, 64 KiB.
    for (len, header) in [
        (256, &[0x82, 0xfe, 0x01, 0x00][..]),
        (65_536, &[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let (wire, body) = (binary(&vec![b'*'; len]), vec![b'*'; len]);
        assert!(wire.starts_with(header));
        assert_eq!(read(&wire).body, body);
    }
    // Unmasked, as the server sends it.
    let mut out = Vec::new();
    let ws = Ws::new();
    let message = ws.open_message(1000, &mut out).unwrap();
    out.extend(b"Hello");
    assert_eq!(ws.close_message(message, &mut out), 7);
    assert_eq!(out, [&[0x82, 0x05][..], b"Hello"].concat());
}

#[test]
fn where_messages_begin_and_end_does_not_show() {
    let wire = [
        binary(b"one "),
        frame(0x02, b""),
        frame(0x00, b"two"),
        frame(0x8a, b"a pong that nobody asked for"),
        frame(0x00, b" "),
        frame(0x89, b"first"),
        frame(0x80, b""),
        binary(b""),
        binary(&[7; 200]),
        frame(0x89, b"second"),
        close(&1001_u16.to_be_bytes()),
        binary(b"ignored"),
    ]
    .concat();
    let outcome = read(&wire);
    assert_eq!(outcome.body, [b"one two ".as_slice(), &[7; 200]].concat());
    assert_eq!(
        outcome.replies,
        [&[0x8a, 6][..], b"second"].concat(),
        "the latest alone"
    );
    assert!(outcome.left);
    assert_eq!(outcome.farewell, [0x88, 2, 0x03, 0xe9], "the client's code comes back");
}

#[test]
fn a_close_is_answered_with_its_code_or_with_none() {
    assert_eq!(read(&close(b"")).farewell, [0x88, 0]);
    for code in [1000, 1003, 1007, 1011, 1014, 3000, 4999_u16] {
        let outcome = read(&close(&[&code.to_be_bytes()[..], "schöner Gruß".as_bytes()].concat()));
        assert_eq!(
            (outcome.error, outcome.farewell),
            (None, [&[0x88, 2][..], &code.to_be_bytes()].concat())
        );
    }
    // What ends the session for a worse reason says that.
    let (mut ws, mut out) = (Ws::new(), Vec::new());
    ws.receive(&close(b""), &mut Vec::new()).unwrap();
    ws.close(CloseCode::POLICY);
    ws.control(usize::MAX, &mut out);
    assert_eq!(out, [0x88, 2, 0x03, 0xf0]);
}

#[test]
fn what_breaks_the_protocol_is_told_why() {
    for (code, wire) in [
        // § 5.1: no mask.
        (1002, vec![0x82, 0x05]),
        (1002, vec![0x89, 0x00]),
        // § 5.2: reserved bits and opcodes.
        (1002, frame(0xc2, b"")),
        (1002, frame(0xa2, b"")),
        (1002, frame(0x92, b"")),
        (1002, frame(0x83, b"")),
        (1002, frame(0x87, b"")),
        (1002, frame(0x8b, b"")),
        (1002, frame(0x8f, b"")),
        // § 5.2: lengths.
        (1002, vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        (1002, vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        (1002, vec![0x82, 0xfe, 0, 125]),
        // § 5.4: fragments.
        (1002, frame(0x80, b"")),
        (1002, frame(0x00, b"")),
        (1002, [frame(0x02, b"a"), binary(b"b")].concat()),
        (1002, [frame(0x02, b"a"), frame(0x81, b"b")].concat()),
        (1002, [binary(b"a"), frame(0x80, b"b")].concat()),
        // § 5.5: control frames.
        (1002, frame(0x09, b"")),
        (1002, frame(0x08, b"")),
        (1002, vec![0x89, 0xfe]),
        (1002, vec![0x8a, 0xff]),
        (1002, close(b"1")),
        (1002, close(&999_u16.to_be_bytes())),
        (1002, close(&1004_u16.to_be_bytes())),
        (1002, close(&1005_u16.to_be_bytes())),
        (1002, close(&1006_u16.to_be_bytes())),
        (1002, close(&1015_u16.to_be_bytes())),
        (1002, close(&2999_u16.to_be_bytes())),
        (1002, close(&5000_u16.to_be_bytes())),
        (1007, close(&[3, 232, 0xff])),
        // Decisions § 1.
        (1003, frame(0x81, b"text")),
        (1003, frame(0x01, b"text")),
    ] {
        assert_eq!(refused(&wire), code, "{wire:?}");
        let after = [binary(b"whole before it"), wire].concat();
        assert!(read(&after).body.starts_with(b"whole before it"), "{after:?}");
    }
}

#[test]
fn a_message_of_any_length_passes_in_pieces() {
    let mut ws = Ws::new();
    let mut body = Vec::new();
    let endless = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    ws.receive(&endless, &mut body).unwrap();
    for _ in 0..1000 {
        ws.receive(&[b'x'; 1024], &mut body).unwrap();
        assert_eq!((body.len(), ws.buffered()), (1024, 0));
        body.clear();
    }
}

#[test]
fn a_message_takes_the_room_it_is_given_and_the_shortest_header() {
    for room in [0, 1, 2] {
        assert!(Ws::new().open_message(room, &mut Vec::new()).is_none());
    }
    for room in [3, 4, 100, 127, 128, 129, 1000, WS_MESSAGE + 4, usize::MAX] {
        for len in [0, 1, 100, 124, 125, 126, 127, WS_MESSAGE] {
            let (ws, mut out) = (Ws::new(), b"before".to_vec());
            let message = ws.open_message(room, &mut out).unwrap();
            let len = len.min(message.room());
            let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
            out.extend(&payload);
            let written = ws.close_message(message, &mut out);
            assert!(written <= room && out.starts_with(b"before"));
            let frame = &out[6..];
            assert_eq!(frame.len(), written);
            match len {
                0 => assert!(frame.is_empty()),
                1..=125 => assert_eq!(frame, [&[0x82, len as u8][..], &payload].concat()),
                _ => assert_eq!(
                    frame,
                    [&[0x82, 126][..], &(len as u16).to_be_bytes(), &payload].concat()
                ),
            }
        }
    }
}

#[test]
fn control_frames_leave_whole_and_before_messages_however_small_the_window() {
    let (mut ws, mut out) = (Ws::new(), Vec::new());
    ws.receive(&frame(0x89, b"first"), &mut Vec::new()).unwrap();
    assert_eq!(ws.control(3, &mut out), 3);
    ws.receive(&frame(0x89, b"second"), &mut Vec::new()).unwrap();
    ws.receive(&frame(0x89, b"third"), &mut Vec::new()).unwrap();
    assert!(ws.open_message(1000, &mut out).is_none(), "not inside a control frame");
    while ws.owes_control() {
        ws.control(1, &mut out);
    }
    ws.close(CloseCode::GOING_AWAY);
    assert!(ws.open_message(1000, &mut out).is_none(), "not behind the Close");
    assert!(!ws.is_over());
    ws.control(usize::MAX, &mut out);
    assert!(ws.is_over());
    let expected = [&[0x8a, 5][..], b"first", &[0x8a, 5], b"third", &[0x88, 2, 0x03, 0xe9]].concat();
    assert_eq!(out, expected);
}

fn head(method: Method, version: Version, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).version(version).uri("/connect");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn get(fields: &[(&str, &str)]) -> Parts {
    head(Method::GET, Version::HTTP_11, fields)
}

/// The handshake with one field replaced, or without it.
fn with(name: &str, value: Option<&str>) -> Parts {
    let mut fields: Vec<(&str, &str)> = HANDSHAKE.into_iter().filter(|(other, _)| *other != name).collect();
    fields.extend(value.map(|value| (name, value)));
    get(&fields)
}

#[test]
fn the_handshake_of_rfc_6455_section_1_3_is_accepted() {
    let plain = get(&HANDSHAKE);
    assert!(asks_upgrade(&plain));
    let agreed = upgrade(&plain).unwrap();
    assert_eq!(agreed.accept(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(agreed.subprotocol(), None);
    for (offer, chosen) in [
        ("ccp.1", Some("ccp.1")),
        ("chat, ccp.1", Some("ccp.1")),
        ("chat, CCP.1", None),
    ] {
        let agreed = upgrade(&with("sec-websocket-protocol", Some(offer))).unwrap();
        assert_eq!(agreed.subprotocol(), chosen, "{offer}");
    }
    let offers = with("sec-websocket-extensions", Some("permessage-deflate"));
    assert!(upgrade(&offers).is_ok(), "it is not taken up");
    assert!(upgrade(&with("content-length", Some("0"))).is_ok());
}

#[test]
fn a_handshake_that_lacks_something_is_refused() {
    for (name, value) in [
        ("connection", None),
        ("connection", Some("keep-alive")),
        ("sec-websocket-key", None),
        ("sec-websocket-key", Some("")),
        ("sec-websocket-key", Some("c2hvcnQ=")),
        ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZSBpcyBsb25n")),
        ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ")),
        ("sec-websocket-key", Some("!GhlIHNhbXBsZSBub25jZQ==")),
        ("content-length", Some("5")),
        ("transfer-encoding", Some("chunked")),
    ] {
        assert_eq!(
            upgrade(&with(name, value)),
            Err(Refused::Malformed),
            "{name}: {value:?}"
        );
    }
    for version in [None, Some("8"), Some("14"), Some("13, 8")] {
        assert_eq!(upgrade(&with("sec-websocket-version", version)), Err(Refused::Version));
    }
    let old = head(Method::GET, Version::HTTP_10, &HANDSHAKE);
    assert_eq!(upgrade(&old), Err(Refused::Malformed));
    let twice = [&HANDSHAKE[..], &[HANDSHAKE[3]]].concat();
    assert_eq!(upgrade(&get(&twice)), Err(Refused::Malformed));
    assert!(!asks_upgrade(&head(Method::POST, Version::HTTP_11, &HANDSHAKE)));
    assert!(!asks_upgrade(&with("upgrade", Some("h2c"))));
}

#[test]
fn extended_connect_needs_the_version_alone() {
    let connect = |fields: &[(&str, &str)]| head(Method::CONNECT, Version::HTTP_2, fields);
    let agreed = extended(&connect(&[
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "ccp.1"),
    ]));
    let agreed = agreed.unwrap();
    assert_eq!((agreed.accept(), agreed.subprotocol()), (None, Some("ccp.1")));
    assert_eq!(extended(&connect(&[])), Err(Refused::Version));
    let long = connect(&[("sec-websocket-version", "13"), ("content-length", "9")]);
    assert_eq!(extended(&long), Err(Refused::Malformed));
}

/// A frame that may be wrong.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        4 => Just(0x82_u8), 2 => Just(0x02), 2 => Just(0x00), 2 => Just(0x80), 1 => Just(0x89), 1 => Just(0x8a),
        1 => any::<u8>(),
    ];
    (first, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn no_octets_make_it_panic_and_cuts_change_nothing(
        frames in prop::collection::vec(any_frame(), 0..8),
        noise in prop::collection::vec(any::<u8>(), 0..30),
        cut in 1_usize..60,
    ) {
        let wire = [frames.concat(), noise].concat();
        prop_assert_eq!(in_pieces(wire.chunks(cut)), in_pieces([&wire[..]]));
    }

    #[test]
    fn a_stream_is_the_same_in_whatever_messages_it_comes(
        stream in prop::collection::vec(any::<u8>(), 0..2000),
        messages in prop::collection::vec(0_usize..400, 1..10),
        cut in 1_usize..300,
    ) {
        let (mut rest, mut wire) = (&stream[..], Vec::new());
        for len in messages {
            let (now, later) = rest.split_at(len.min(rest.len()));
            rest = later;
            wire.extend(binary(now));
        }
        wire.extend(binary(rest));
        let outcome = in_pieces(wire.chunks(cut));
        prop_assert_eq!((outcome.body, outcome.error), (stream, None));
    }
}
