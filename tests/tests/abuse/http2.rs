//! HTTP/2 frames made by hand, over TLS: what costs a peer little and a server much, and what breaks RFC 9113.

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::http2::{
    ACK, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, INITIAL_WINDOW_SIZE, PREFACE, Seen, block, connect, farewell,
    frame, get, head, kind, settings, take, window_update,
};
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::PATIENCE;
use commucat_tests::raw::Raw;
use commucat_tests::stage::Stage;

/// A connection whose preface and SETTINGS are sent.
fn greeted(stage: &Stage, entries: &[(u16, u32)]) -> Raw {
    let mut raw = Raw::connect(stage, HttpVersion::Http2);
    raw.write(&[PREFACE, &settings(entries)].concat()).unwrap();
    raw
}

/// The next frame that is no SETTINGS, PING or WINDOW_UPDATE.
fn next(raw: &mut Raw) -> Option<Seen> {
    loop {
        match take(&mut raw.plain) {
            Some(seen) if [kind::SETTINGS, kind::PING, kind::WINDOW_UPDATE].contains(&seen.kind) => {}
            Some(seen) => return Some(seen),
            None if raw.is_over() => return None,
            None => {
                let came = raw.pull(PATIENCE);
                assert!(came || raw.is_over(), "the relay says nothing");
            }
        }
    }
}

/// Sends far more of something than a peer may, a few KiB at a time, and gives the code the relay ends with.
fn flood(stage: &Stage, opening: &[u8], piece: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    let mut raw = greeted(stage, &[]);
    let _ = raw.write(opening);
    for batch in 0..400_u32 {
        let bytes: Vec<u8> = (0..50).flat_map(|at| piece(batch * 50 + at)).collect();
        if raw.write(&bytes).is_err() {
            break;
        }
    }
    farewell(raw)
}

#[test]
fn floods_of_frames_that_cost_more_than_they_are_worth_end_in_enhance_your_calm() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let unfinished = frame(kind::HEADERS, 0, 1, head("GET", "/healthz"));
    type Piece = Box<dyn Fn(u32) -> Vec<u8>>;
    let floods: Vec<(&str, Vec<u8>, Piece)> = vec![
        (
            "rapid reset",
            Vec::new(),
            Box::new(|at| {
                let stream = 2 * at + 1;
                [
                    get(stream, "/healthz"),
                    frame(kind::RST_STREAM, 0, stream, 8_u32.to_be_bytes()),
                ]
                .concat()
            }),
        ),
        (
            "rapid reset of tunnels",
            Vec::new(),
            Box::new(|at| {
                let stream = 2 * at + 1;
                [connect(stream), frame(kind::RST_STREAM, 0, stream, 8_u32.to_be_bytes())].concat()
            }),
        ),
        (
            "streams that are malformed",
            Vec::new(),
            Box::new(|at| {
                frame(
                    kind::HEADERS,
                    END_HEADERS | END_STREAM,
                    2 * at + 1,
                    block(&[(":method", "GET")]),
                )
            }),
        ),
        (
            "streams beyond the limit",
            (0..100).flat_map(|at| connect(2 * at + 1)).collect(),
            Box::new(|at| connect(2 * at + 201)),
        ),
        (
            "CONTINUATION",
            unfinished.clone(),
            Box::new(|_| frame(kind::CONTINUATION, 0, 1, block(&[("x", "y")]))),
        ),
        (
            "empty CONTINUATION",
            unfinished.clone(),
            Box::new(|_| frame(kind::CONTINUATION, 0, 1, [])),
        ),
        (
            "large CONTINUATION",
            unfinished,
            Box::new(|_| frame(kind::CONTINUATION, 0, 1, block(&[("x", &"y".repeat(16_000))]))),
        ),
        ("SETTINGS", Vec::new(), Box::new(|_| settings(&[]))),
        (
            "full SETTINGS",
            Vec::new(),
            Box::new(|at| settings(&[(INITIAL_WINDOW_SIZE, at); 100])),
        ),
        (
            "answers to no SETTINGS",
            Vec::new(),
            Box::new(|_| frame(kind::SETTINGS, ACK, 0, [])),
        ),
        (
            "PING",
            Vec::new(),
            Box::new(|at| frame(kind::PING, 0, 0, u64::from(at).to_be_bytes())),
        ),
        (
            "answers to no PING",
            Vec::new(),
            Box::new(|_| frame(kind::PING, ACK, 0, [0; 8])),
        ),
        ("PRIORITY", Vec::new(), Box::new(|_| frame(0x2, 0, 1, [0, 0, 0, 0, 1]))),
        ("unknown frames", Vec::new(), Box::new(|_| frame(0xbe, 0, 0, b"?"))),
        ("tiny WINDOW_UPDATE", Vec::new(), Box::new(|_| window_update(0, 1))),
        ("empty DATA", connect(1), Box::new(|_| frame(kind::DATA, 0, 1, []))),
    ];
    for (name, opening, piece) in floods {
        for _ in 0..3 {
            assert_eq!(flood(&stage, &opening, &piece), Some(ENHANCE_YOUR_CALM), "{name}");
        }
        bystanders.go_on();
        watermark.below(24 * MIB, name);
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn a_header_list_that_unfolds_to_much_more_than_it_weighs_is_not_unfolded() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    for _ in 0..20 {
        // A field of almost the whole table, added to it, then named 15,000 times by one octet each (RFC 7541 § 6.1,
        // § 6.2.1): 60 MB from 19 KB.
        let mut bytes = head("GET", "/healthz");
        bytes.extend([0x40, 1, b'x', 0x7f]);
        bytes.extend(commucat_tests::wire::varint(4000 - 127));
        bytes.extend([b'y'; 4000]);
        let mut bombs = vec![frame(kind::HEADERS, END_STREAM, 1, bytes)];
        bombs.push(frame(kind::CONTINUATION, END_HEADERS, 1, [0xbe; 15_000]));
        let mut raw = greeted(&stage, &[]);
        let _ = raw.write(&bombs.concat());
        assert_eq!(farewell(raw), Some(ENHANCE_YOUR_CALM));
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "HPACK bombs");
    bystanders.stop();
    stage.end();
}

#[test]
fn a_peer_whose_window_stays_shut_holds_its_own_answers_up_and_nothing_else() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let mut peers: Vec<Raw> = (0..50).map(|_| greeted(&stage, &[(INITIAL_WINDOW_SIZE, 0)])).collect();
    for raw in &mut peers {
        let requests: Vec<u8> = (0..100).flat_map(|at| get(2 * at + 1, "/")).collect();
        raw.write(&requests).unwrap();
    }
    bystanders.go_on();
    watermark.below(48 * MIB, "5,000 answers that nobody lets out");
    // All heads are there, for they need no window, and not one byte of a body.
    for raw in &mut peers {
        let mut heads = 0;
        while heads < 100 {
            let seen = next(raw).expect("the connection stays");
            assert_eq!(seen.kind, kind::HEADERS, "{seen:?}");
            heads += 1;
        }
    }
    bystanders.go_on();
    // One of them opens its windows: it gets all that waited.
    let raw = &mut peers[0];
    raw.write(&[settings(&[(INITIAL_WINDOW_SIZE, 1 << 20)]), window_update(0, 1 << 24)].concat())
        .unwrap();
    let mut ended = 0;
    while ended < 100 {
        let seen = next(raw).expect("the connection stays");
        assert_eq!(seen.kind, kind::DATA, "{seen:?}");
        ended += usize::from(seen.flags & END_STREAM != 0);
    }
    drop(peers);
    bystanders.stop();
    stage.end();
}

/// A relay that has left may leave us writing into a window that never opens: its last words still stand unread before
/// its FIN. Longer than it takes the relay to give up.
const UNREAD: Duration = Duration::from_secs(5);

#[test]
fn a_peer_that_asks_for_answers_and_never_reads_is_left() {
    let stage = Stage::measured("[limits]\nclose_timeout = \"1s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    for round in 0..4 {
        let mut raw = greeted(&stage, &[]);
        socket2::SockRef::from(raw.socket()).set_recv_buffer_size(4096).unwrap();
        raw.socket().set_write_timeout(Some(UNREAD)).unwrap();
        for at in 0..2_000_000_u32 {
            let request = match round % 2 {
                0 => get(2 * at + 1, "/healthz"),
                _ => frame(kind::PING, 0, 0, [0; 8]).repeat(40),
            };
            if raw.write(&request).is_err() {
                break;
            }
        }
        // Were it still served, reading would bring answer after answer, and no end.
        assert_eq!(farewell(raw).unwrap_or(ENHANCE_YOUR_CALM), ENHANCE_YOUR_CALM);
        bystanders.go_on();
    }
    watermark.below(32 * MIB, "peers that never read");
    bystanders.stop();
    stage.end();
}

#[test]
fn what_breaks_rfc_9113_ends_the_connection_with_the_right_code() {
    const PROTOCOL: u32 = 1;
    const FLOW: u32 = 3;
    const SIZE: u32 = 6;
    const COMPRESSION: u32 = 9;
    let stage = Stage::new("");
    let bystanders = Bystanders::start(&stage);
    let opened = |more: Vec<u8>| [connect(1), more].concat();
    let cases: Vec<(&str, u32, Vec<u8>)> = vec![
        (
            "a frame above 16 KiB",
            SIZE,
            opened(frame(kind::DATA, 0, 1, vec![0; (16 << 10) + 1])),
        ),
        ("DATA on no stream", PROTOCOL, frame(kind::DATA, 0, 0, b"x")),
        ("DATA on an idle stream", PROTOCOL, frame(kind::DATA, 0, 5, b"x")),
        (
            "HEADERS on no stream",
            PROTOCOL,
            frame(kind::HEADERS, END_HEADERS, 0, head("GET", "/")),
        ),
        (
            "HEADERS on an even stream",
            PROTOCOL,
            frame(kind::HEADERS, END_HEADERS, 2, head("GET", "/")),
        ),
        (
            "CONTINUATION of nothing",
            PROTOCOL,
            frame(kind::CONTINUATION, END_HEADERS, 1, []),
        ),
        (
            "a header block that is interrupted",
            PROTOCOL,
            [
                frame(kind::HEADERS, 0, 1, head("GET", "/")),
                frame(kind::PING, 0, 0, [0; 8]),
            ]
            .concat(),
        ),
        (
            "PUSH_PROMISE from a client",
            PROTOCOL,
            frame(0x5, END_HEADERS, 1, [0, 0, 0, 2]),
        ),
        (
            "padding longer than its frame",
            PROTOCOL,
            opened(frame(kind::DATA, 0x8, 1, [9, 0, 0])),
        ),
        (
            "RST_STREAM on an idle stream",
            PROTOCOL,
            frame(kind::RST_STREAM, 0, 7, [0; 4]),
        ),
        (
            "RST_STREAM of the wrong size",
            SIZE,
            opened(frame(kind::RST_STREAM, 0, 1, [0; 5])),
        ),
        ("SETTINGS of the wrong size", SIZE, frame(kind::SETTINGS, 0, 0, [0; 5])),
        (
            "an answer to SETTINGS with a payload",
            SIZE,
            frame(kind::SETTINGS, ACK, 0, [0; 6]),
        ),
        ("SETTINGS on a stream", PROTOCOL, frame(kind::SETTINGS, 0, 1, [])),
        (
            "a window setting that overflows",
            FLOW,
            settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)]),
        ),
        ("PING of the wrong size", SIZE, frame(kind::PING, 0, 0, [0; 7])),
        ("a WINDOW_UPDATE of nothing", PROTOCOL, window_update(0, 0)),
        (
            "a connection window that overflows",
            FLOW,
            [window_update(0, i32::MAX as u32), window_update(0, i32::MAX as u32)].concat(),
        ),
        (
            "an index beyond the tables",
            COMPRESSION,
            frame(kind::HEADERS, END_HEADERS, 1, [0xff, 0xff, 0x7f]),
        ),
        (
            "a string that is cut",
            COMPRESSION,
            frame(kind::HEADERS, END_HEADERS, 1, [0x00, 0x7f]),
        ),
    ];
    for (name, code, bytes) in cases {
        let mut raw = greeted(&stage, &[]);
        let _ = raw.write(&bytes);
        assert_eq!(farewell(raw), Some(code), "{name}");
    }
    // Without the preface it is not HTTP/2 at all.
    let mut raw = Raw::connect(&stage, HttpVersion::Http2);
    let _ = raw.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(farewell(raw), Some(PROTOCOL));
    bystanders.stop();
    stage.end();
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_others_go_on() {
    let stage = Stage::new("[limits]\nstreams = 3\n");
    let mut raw = greeted(&stage, &[]);
    let streams: Vec<u8> = (0..5).flat_map(|at| connect(2 * at + 1)).collect();
    raw.write(&streams).unwrap();
    let (mut opened, mut refused) = (Vec::new(), Vec::new());
    while opened.len() + refused.len() < 5 {
        let seen = next(&mut raw).unwrap();
        match seen.kind {
            kind::HEADERS => opened.push(seen.stream),
            kind::RST_STREAM => {
                assert_eq!(seen.payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
                refused.push(seen.stream);
            }
            _ => panic!("{seen:?}"),
        }
    }
    assert_eq!((opened, refused), (vec![1, 3, 5], vec![7, 9]));
    stage.end();
}
