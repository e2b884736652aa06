//! Frames in every cut: the preface, what is read over, and what ends a stream or the connection with which code.

use commucat_shard::conn::h2::{Code, H2, H2Limits, PREFACE, Sniff, sniff};

use crate::wire::*;

#[test]
fn the_preface_is_told_from_http_1_1() {
    for len in 0..PREFACE.len() {
        assert_eq!(sniff(&PREFACE[..len]), Sniff::NeedMore);
    }
    assert_eq!(sniff(&hello()), Sniff::H2);
    for other in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/1.1", b"P0", b"\x16\x03"] {
        assert_eq!(sniff(other), Sniff::H1);
    }
}

#[test]
fn the_server_speaks_first_with_its_limits() {
    let mut h2 = H2::new(H2Limits {
        extended_connect: true,
        ..H2Limits::default()
    });
    assert!(h2.has_pending());
    let first = pending(&mut h2);
    let want = settings(&[(3, 100), (4, 256 * 1024), (6, 16 * 1024), (9, 1), (8, 1)]);
    assert_eq!(first, replies(&[want, window_update(0, 1024 * 1024 - 65_535)].concat()));
    assert!(!h2.has_pending());
}

#[test]
fn a_data_frame_in_pieces_is_handed_on_in_pieces() {
    let mut h2 = opened(H2Limits::default());
    let wire = frame(DATA, END_STREAM, 1, &[7; 1_000]);
    let mut total = 0;
    for piece in wire.chunks(100) {
        let mut seen = Vec::new();
        feed(&mut h2, piece, &mut seen).unwrap();
        let [Seen::Data { bytes, .. }] = &seen[..] else {
            panic!("nothing is held back: {seen:?}")
        };
        total += bytes.len();
        assert_eq!(h2.buffered(), 0);
    }
    assert_eq!(total, 1_000);
}

#[test]
fn the_caller_can_stop_in_the_middle_of_a_buffer() {
    let mut h2 = opened(H2Limits::default());
    let wire = [frame(DATA, 0, 1, b"one"), frame(DATA, 0, 1, b"two")].concat();
    let mut input = &wire[..];
    assert!(h2.next(&mut input).unwrap().is_some());
    assert_eq!(input, frame(DATA, 0, 1, b"two"));
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_tables_stay_in_step() {
    let limits = H2Limits {
        streams: 2,
        ..H2Limits::default()
    };
    // Each block leaves a field in the table, and the last one refers to that of the refused stream.
    let indexed = |n: u8| [&block(&POST)[..], &[0x40, 1, b'n', 1, b'0' + n]].concat();
    let mut frames: Vec<Vec<u8>> = (0..3)
        .map(|n| frame(HEADERS, END_HEADERS, 2 * u32::from(n) + 1, &indexed(n)))
        .collect();
    frames.push(rst(1, CANCEL));
    frames.push(frame(HEADERS, END_HEADERS, 7, &[&block(&POST)[..], &[0xbe]].concat()));
    let outcome = run_limited(limits, &frames);
    assert_eq!(outcome.reset(5), REFUSED_STREAM);
    assert_eq!(
        outcome.seen[2],
        Seen::Reset {
            stream: 1,
            code: CANCEL
        }
    );
    assert_eq!(
        outcome.seen[3],
        request(7, "POST /connect", &[("n", "2"), ("host", "a")], false)
    );
}

#[test]
fn frames_for_streams_that_are_gone_are_read_over() {
    let outcome = run(&[
        post(1),
        rst(1, CANCEL),
        frame(DATA, 0, 1, b"late"),
        frame(DATA, END_STREAM | PADDED, 1, b"\x01late\0"),
        window_update(1, 5),
        rst(1, CANCEL),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("trailer", "1")])),
        post(5),
        frame(DATA, 0, 3, b"skipped ids are closed"),
    ]);
    assert_eq!(
        outcome.seen,
        [
            connect(1),
            Seen::Reset {
                stream: 1,
                code: CANCEL
            },
            connect(5)
        ]
    );
    assert_eq!(outcome.replies.len(), 1, "the acknowledgement of SETTINGS");
    assert_eq!(outcome.ended, Ok(()));
}

#[test]
fn data_after_the_end_resets_the_stream() {
    let ended = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&POST));
    for late in [
        frame(DATA, 0, 1, b"x"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[])),
    ] {
        assert_eq!(run(&[ended.clone(), late]).reset(1), STREAM_CLOSED);
    }
}

#[test]
fn what_breaks_the_connection_has_the_code_of_the_rfc() {
    let cases: Vec<(&str, u32, Vec<Vec<u8>>)> = vec![
        ("DATA on stream 0", PROTOCOL_ERROR, vec![frame(DATA, 0, 0, b"x")]),
        ("DATA on an idle stream", PROTOCOL_ERROR, vec![frame(DATA, 0, 1, b"x")]),
        (
            "DATA on an even stream",
            PROTOCOL_ERROR,
            vec![post(3), frame(DATA, 0, 2, b"x")],
        ),
        (
            "padding longer than DATA",
            PROTOCOL_ERROR,
            vec![post(1), frame(DATA, PADDED, 1, b"\x05abcd")],
        ),
        (
            "no room for the pad length",
            FRAME_SIZE_ERROR,
            vec![post(1), frame(DATA, PADDED, 1, &[])],
        ),
        ("HEADERS on stream 0", PROTOCOL_ERROR, vec![post(0)]),
        ("HEADERS on an even stream", PROTOCOL_ERROR, vec![post(2)]),
        (
            "padding longer than HEADERS",
            PROTOCOL_ERROR,
            vec![frame(HEADERS, END_HEADERS | PADDED, 1, b"\x05abcd")],
        ),
        (
            "padding eats the priority",
            PROTOCOL_ERROR,
            vec![frame(HEADERS, END_HEADERS | PADDED | PRIORITISED, 1, b"\x03abcdefg")],
        ),
        (
            "HEADERS too short for priority",
            FRAME_SIZE_ERROR,
            vec![frame(HEADERS, END_HEADERS | PRIORITISED, 1, b"abcd")],
        ),
        (
            "HEADERS too short for padding",
            FRAME_SIZE_ERROR,
            vec![frame(HEADERS, END_HEADERS | PADDED, 1, b"")],
        ),
        (
            "a block that does not decode",
            COMPRESSION_ERROR,
            vec![frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff])],
        ),
        (
            "CONTINUATION of nothing",
            PROTOCOL_ERROR,
            vec![post(1), frame(CONTINUATION, END_HEADERS, 1, &[])],
        ),
        (
            "CONTINUATION of another stream",
            PROTOCOL_ERROR,
            vec![frame(HEADERS, 0, 1, &[]), frame(CONTINUATION, END_HEADERS, 3, &[])],
        ),
        (
            "a block interrupted by PING",
            PROTOCOL_ERROR,
            vec![frame(HEADERS, 0, 1, &[]), frame(PING, 0, 0, &[0; 8])],
        ),
        (
            "a block interrupted by HEADERS",
            PROTOCOL_ERROR,
            vec![frame(HEADERS, 0, 1, &[]), post(1)],
        ),
        (
            "PRIORITY on stream 0",
            PROTOCOL_ERROR,
            vec![frame(PRIORITY, 0, 0, &[0; 5])],
        ),
        (
            "PRIORITY of 4 octets",
            FRAME_SIZE_ERROR,
            vec![frame(PRIORITY, 0, 1, &[0; 4])],
        ),
        ("RST_STREAM on stream 0", PROTOCOL_ERROR, vec![rst(0, CANCEL)]),
        ("RST_STREAM on an idle stream", PROTOCOL_ERROR, vec![rst(1, CANCEL)]),
        (
            "RST_STREAM of 3 octets",
            FRAME_SIZE_ERROR,
            vec![post(1), frame(RST_STREAM, 0, 1, &[0; 3])],
        ),
        (
            "SETTINGS on a stream",
            PROTOCOL_ERROR,
            vec![post(1), frame(SETTINGS, 0, 1, &[])],
        ),
        (
            "SETTINGS of 5 octets",
            FRAME_SIZE_ERROR,
            vec![frame(SETTINGS, 0, 0, &[0; 5])],
        ),
        (
            "an acknowledgement with settings",
            FRAME_SIZE_ERROR,
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
        ),
        ("ENABLE_PUSH of 2", PROTOCOL_ERROR, vec![settings(&[(2, 2)])]),
        (
            "INITIAL_WINDOW_SIZE of 2^31",
            FLOW_CONTROL_ERROR,
            vec![settings(&[(4, 1 << 31)])],
        ),
        (
            "MAX_FRAME_SIZE of 16,383",
            PROTOCOL_ERROR,
            vec![settings(&[(5, 16_383)])],
        ),
        (
            "MAX_FRAME_SIZE of 2^24",
            PROTOCOL_ERROR,
            vec![settings(&[(5, 1 << 24)])],
        ),
        (
            "PUSH_PROMISE",
            PROTOCOL_ERROR,
            vec![post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])],
        ),
        (
            "PING on a stream",
            PROTOCOL_ERROR,
            vec![post(1), frame(PING, 0, 1, &[0; 8])],
        ),
        ("PING of 7 octets", FRAME_SIZE_ERROR, vec![frame(PING, 0, 0, &[0; 7])]),
        (
            "GOAWAY on a stream",
            PROTOCOL_ERROR,
            vec![post(1), frame(GOAWAY, 0, 1, &[0; 8])],
        ),
        (
            "GOAWAY of 7 octets",
            FRAME_SIZE_ERROR,
            vec![frame(GOAWAY, 0, 0, &[0; 7])],
        ),
        ("WINDOW_UPDATE of 0", PROTOCOL_ERROR, vec![window_update(0, 0)]),
        (
            "WINDOW_UPDATE of 5 octets",
            FRAME_SIZE_ERROR,
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 5])],
        ),
        (
            "WINDOW_UPDATE on an idle stream",
            PROTOCOL_ERROR,
            vec![window_update(1, 1)],
        ),
        (
            "connection window above 2^31-1",
            FLOW_CONTROL_ERROR,
            vec![window_update(0, 0x7fff_ffff)],
        ),
        (
            "settings push a window above 2^31-1",
            FLOW_CONTROL_ERROR,
            vec![post(1), window_update(1, 0x7fff_0000), settings(&[(4, 70_000)])],
        ),
        (
            "a frame of 16,385 octets",
            FRAME_SIZE_ERROR,
            vec![frame(0xfa, 0, 0, &[0; 16_385])],
        ),
    ];
    for (name, code, frames) in cases {
        assert_eq!(run(&frames).goaway(), code, "{name}");
    }
}

#[test]
fn a_connection_begins_with_the_preface_and_settings() {
    let fails = |wire: &[u8]| {
        let outcome = in_pieces(H2Limits::default(), wire.chunks(1));
        assert_eq!(outcome, in_pieces(H2Limits::default(), [wire]));
        outcome.goaway()
    };
    assert_eq!(fails(b"GET / HTTP/1.1\r\n"), PROTOCOL_ERROR);
    assert_eq!(fails(b"PRI * HTTP/2.0\r\n\r\nXX"), PROTOCOL_ERROR);
    assert_eq!(
        fails(&[&PREFACE[..], &frame(PING, 0, 0, &[0; 8])].concat()),
        PROTOCOL_ERROR
    );
    assert_eq!(
        fails(&[&PREFACE[..], &frame(SETTINGS, ACK, 0, &[])].concat()),
        PROTOCOL_ERROR
    );
}

#[test]
fn pings_are_answered_and_ours_are_told() {
    let outcome = run(&[
        frame(PING, 0, 0, b"12345678"),
        frame(PING, ACK, 0, b"abcdefgh"),
        frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye"),
    ]);
    assert_eq!(outcome.replies[1..], replies(&frame(PING, ACK, 0, b"12345678")));
    assert_eq!(outcome.seen, [Seen::Pong(*b"abcdefgh"), Seen::GoAway]);
    let mut h2 = opened(H2Limits::default());
    h2.ping(*b"question");
    assert_eq!(pending(&mut h2), replies(&frame(PING, 0, 0, b"question")));
}

#[test]
fn after_goaway_new_streams_are_refused_and_old_ones_go_on() {
    let mut h2 = opened(H2Limits::default());
    h2.goaway(Code::NoError);
    h2.goaway(Code::NoError);
    assert_eq!(
        pending(&mut h2),
        replies(&frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]))
    );
    let mut seen = Vec::new();
    feed(
        &mut h2,
        &[post(3), frame(DATA, 0, 1, b"still here")].concat(),
        &mut seen,
    )
    .unwrap();
    assert_eq!(seen, [data(1, b"still here", false)]);
    assert_eq!(pending(&mut h2), replies(&rst(3, REFUSED_STREAM)));
}
