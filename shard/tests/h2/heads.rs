//! Requests: their heads, bodies and trailers, and which of them are refused.

use commucat_shard::conn::h1::HttpError;
use commucat_shard::conn::h2::{H2, H2Event, H2Limits, Protocol};
use commucat_shard::conn::limits;

use crate::wire::*;

#[test]
fn a_request_with_a_body_and_trailers_is_read() {
    let wire = [
        frame(HEADERS, 0, 1, &block(&POST[..2])),
        frame(CONTINUATION, 0, 1, &[]),
        frame(
            CONTINUATION,
            END_HEADERS,
            1,
            &block(&[POST[2], POST[3], ("x", "1"), ("cookie", "a"), ("cookie", "b")]),
        ),
        frame(DATA, 0, 1, b"hello"),
        frame(DATA, PADDED, 1, b"\x03, abc"),
        frame(DATA, PADDED, 1, b"\x02\0\0"),
        frame(DATA, 0, 1, b"!"),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("checksum", "x")])),
    ];
    let fields = [("x", "1"), ("cookie", "a; b"), ("host", "a")];
    let outcome = run(&wire);
    assert_eq!(
        outcome.seen,
        [request(1, "POST /connect", &fields, false), data(1, b"hello, !", true)]
    );
    assert_eq!(outcome.replies, replies(&frame(SETTINGS, ACK, 0, &[])));
    assert_eq!(outcome.ended, Ok(()));
}

#[test]
fn padding_and_priority_of_headers_are_cut_away() {
    let head = block(&POST);
    let padded = [&[4][..], &head, &[0; 4]].concat();
    let priority = [&[0x80, 0, 0, 3, 255][..], &head].concat();
    let both = [&[1, 0, 0, 0, 0, 0][..], &head, &[0]].concat();
    let outcome = run(&[
        frame(HEADERS, END_HEADERS | PADDED, 1, &padded),
        frame(HEADERS, END_HEADERS | PRIORITISED, 3, &priority),
        frame(HEADERS, PADDED | PRIORITISED, 5, &both),
        frame(CONTINUATION, END_HEADERS, 5, &[]),
        frame(PRIORITY, 0, 7, &[0, 0, 0, 1, 9]),
        frame(0xfa, 0xff, 9, b"unknown types are ignored"),
        frame(HEADERS, END_HEADERS | END_STREAM, 7, &head),
    ]);
    let last = request(7, "POST /connect", &[("host", "a")], true);
    assert_eq!(outcome.seen, [connect(1), connect(3), connect(5), last]);
    assert_eq!(outcome.ended, Ok(()));
}

#[test]
fn malformed_requests_reset_their_stream_only() {
    let get = |fields: &[(&str, &str)]| block(fields);
    let [method, scheme, authority, path] = POST;
    let blocks = [
        // Pseudo-header fields (§ 8.3).
        get(&[scheme, authority, path]),
        get(&[method, authority, path]),
        get(&[method, scheme, authority]),
        get(&[method, scheme, path]),
        get(&[method, method, scheme, authority, path]),
        get(&[method, scheme, scheme, authority, path]),
        get(&[method, scheme, authority, authority, path]),
        get(&[method, scheme, authority, path, path]),
        get(&[method, scheme, authority, ("x", "1"), path]),
        get(&[method, scheme, authority, path, (":status", "200")]),
        get(&[method, scheme, authority, path, (":new", "x")]),
        get(&[method, scheme, authority, path, (":protocol", "websocket")]),
        get(&[(":method", ""), scheme, authority, path]),
        get(&[(":method", "P ST"), scheme, authority, path]),
        get(&[method, (":scheme", "ftp"), authority, path]),
        get(&[method, scheme, (":authority", "user@a"), path]),
        get(&[method, scheme, (":authority", ""), path]),
        get(&[method, scheme, authority, (":path", "")]),
        get(&[method, scheme, authority, (":path", "connect")]),
        get(&[method, scheme, authority, (":path", "*")]),
        get(&[method, scheme, authority, (":path", "/a#b")]),
        get(&[method, scheme, authority, (":path", "https://a/")]),
        // Regular fields (§ 8.2).
        with(&[("X-Upper", "1")]),
        with(&[("", "1")]),
        with(&[("a b", "1")]),
        with(&[("x", "1\r\ny: 2")]),
        with(&[("x", "1\0")]),
        with(&[("x", " 1")]),
        with(&[("x", "1\t")]),
        with(&[("connection", "close")]),
        with(&[("keep-alive", "1")]),
        with(&[("proxy-connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("host", "b")]),
        with(&[("host", "a"), ("host", "a")]),
        with(&[("content-length", "x")]),
        with(&[("content-length", "+1")]),
        with(&[("content-length", "1"), ("content-length", "1")]),
        get(&[]),
    ];
    for block in blocks {
        let name = String::from_utf8_lossy(&block).into_owned();
        let outcome = run(&[
            frame(HEADERS, END_HEADERS, 1, &block),
            frame(DATA, 0, 1, b"body"),
            post(3),
        ]);
        assert_eq!(outcome.reset(1), PROTOCOL_ERROR, "{name:?}");
        assert_eq!(outcome.seen, [connect(3)], "{name:?}");
    }
}

#[test]
fn what_http_2_allows_is_not_malformed() {
    let [method, scheme, authority, path] = POST;
    let hosted = block(&[method, scheme, path, ("host", "a")]);
    let star = block(&[(":method", "OPTIONS"), scheme, authority, (":path", "*")]);
    let outcome = run(&[
        frame(HEADERS, END_HEADERS, 1, &with(&[("te", "trailers"), ("host", "A")])),
        frame(HEADERS, END_HEADERS, 3, &hosted),
        frame(HEADERS, END_HEADERS | END_STREAM, 5, &star),
    ]);
    assert_eq!(
        outcome.seen,
        [
            request(1, "POST /connect", &[("te", "trailers"), ("host", "A")], false),
            connect(3),
            request(5, "OPTIONS *", &[("host", "a")], true),
        ]
    );
}

#[test]
fn content_length_and_body_must_agree() {
    let head = |stream, len| frame(HEADERS, END_HEADERS, stream, &with(&[("content-length", len)]));
    let fits = run(&[
        head(1, "5"),
        frame(DATA, 0, 1, b"hel"),
        frame(DATA, END_STREAM, 1, b"lo"),
    ]);
    assert_eq!(fits.seen[1], data(1, b"hello", true));
    let bad = [
        vec![head(1, "5"), frame(DATA, END_STREAM, 1, b"hell")],
        vec![head(1, "5"), frame(DATA, 0, 1, b"hello"), frame(DATA, 0, 1, b"!")],
        vec![
            head(1, "5"),
            frame(DATA, 0, 1, b"hell"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[]),
        ],
        vec![frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &with(&[("content-length", "1")]),
        )],
    ];
    for frames in bad {
        assert_eq!(run(&frames).reset(1), PROTOCOL_ERROR);
    }
}

#[test]
fn bad_trailers_reset_the_stream() {
    for (flags, fields) in [
        (END_HEADERS, block(&[("x", "1")])),
        (END_HEADERS | END_STREAM, block(&[(":path", "/")])),
        (END_HEADERS | END_STREAM, block(&[("X", "1")])),
    ] {
        let outcome = run(&[post(1), frame(HEADERS, flags, 1, &fields)]);
        assert_eq!(outcome.reset(1), PROTOCOL_ERROR);
        assert_eq!(
            outcome.seen,
            [
                connect(1),
                Seen::Reset {
                    stream: 1,
                    code: PROTOCOL_ERROR
                }
            ]
        );
    }
}

#[test]
fn a_head_over_16_kib_is_answered_431_and_connect_501() {
    let large = "x".repeat(limits::HEAD - 300);
    let [method, scheme, authority, path] = POST;
    let cut = |stream: u32, flags: u8, block: &[u8]| {
        let (first, rest) = block.split_at(block.len().min(16_000));
        [
            frame(HEADERS, flags, stream, first),
            frame(CONTINUATION, END_HEADERS, stream, rest),
        ]
        .concat()
    };
    let many: Vec<(&str, &str)> = (0..limits::HEAD_FIELDS + 1).map(|_| ("x", "1")).collect();
    let outcome = run(&[
        cut(1, 0, &with(&[("large", &large)])),
        cut(3, END_STREAM, &with(&[("large", &large), ("more", &large[..300])])),
        cut(5, 0, &block(&[POST.to_vec(), many].concat())),
        frame(HEADERS, END_HEADERS, 7, &block(&[(":method", "CONNECT"), authority])),
        frame(DATA, 0, 5, b"what was on its way is read over"),
        frame(HEADERS, END_HEADERS, 9, &block(&[method, scheme, authority, path])),
    ]);
    assert_eq!(outcome.ended, Ok(()));
    assert_eq!(outcome.seen.len(), 2, "1 and 9");
    let answer = |stream, status: &[u8], error: HttpError| {
        let head = [status, b"\x0f\x10\x18application/problem+json"].concat();
        let body = error.problem();
        [
            frame(HEADERS, END_HEADERS, stream, &head),
            frame(DATA, END_STREAM, stream, body.as_bytes()),
        ]
        .concat()
    };
    let want = [
        frame(SETTINGS, ACK, 0, &[]),
        answer(3, b"\x20\x08\x03431", HttpError::HeadTooLarge),
        answer(5, b"\x08\x03431", HttpError::HeadTooLarge),
        rst(5, NO_ERROR),
        answer(7, b"\x08\x03501", HttpError::Connect),
        rst(7, NO_ERROR),
    ];
    assert_eq!(outcome.replies, replies(&want.concat()));
}

#[test]
fn extended_connect_is_taken_when_announced() {
    let limits = H2Limits {
        extended_connect: true,
        ..H2Limits::default()
    };
    let mut h2 = H2::new(limits);
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "a"),
        (":path", "/connect"),
    ];
    let wire = [hello(), frame(HEADERS, END_HEADERS, 1, &block(&fields))].concat();
    let mut input = &wire[..];
    let Some(H2Event::Request { head, .. }) = h2.next(&mut input).unwrap() else {
        panic!("no request")
    };
    assert_eq!((head.method.as_str(), head.uri.path()), ("CONNECT", "/connect"));
    assert_eq!(head.extensions.get(), Some(&Protocol("websocket".into())));
    let refused = run(&[frame(HEADERS, END_HEADERS, 1, &block(&fields))]);
    assert_eq!(refused.reset(1), PROTOCOL_ERROR);
    let no_connect = [&[(":method", "GET")][..], &fields[1..]].concat();
    assert_eq!(
        run_limited(limits, &[frame(HEADERS, END_HEADERS, 1, &block(&no_connect))]).reset(1),
        PROTOCOL_ERROR
    );
}
