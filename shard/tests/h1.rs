//! `conn::h1`: framing that nobody can read in two ways, in every cut.

use commucat_shard::conn::h1::{BodyKind, CONTINUE, H1, H1Event, HttpError, OutBody};
use commucat_shard::conn::limits;
use http::{Method, Version};
use proptest::prelude::*;

/// An event that owns what it holds; bodies are joined, so that cuts do not show.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Request {
        line: String,
        fields: Vec<(String, String)>,
        body: BodyKind,
    },
    Continue,
    Body(Vec<u8>),
    End,
}

fn read(h1: &mut H1, mut input: &[u8], seen: &mut Vec<Seen>) -> Result<(), HttpError> {
    while let Some(event) = h1.next(&mut input)? {
        match event {
            H1Event::Request(parts, body) => seen.push(Seen::Request {
                line: format!("{} {} {:?}", parts.method, parts.uri, parts.version),
                fields: parts
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                    .collect(),
                body,
            }),
            H1Event::Continue => seen.push(Seen::Continue),
            H1Event::Body(piece) => match seen.last_mut() {
                Some(Seen::Body(body)) => body.extend_from_slice(piece),
                _ => seen.push(Seen::Body(piece.to_vec())),
            },
            H1Event::End => seen.push(Seen::End),
        }
    }
    assert!(input.is_empty(), "None means consumed");
    Ok(())
}

fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Result<(), HttpError>) {
    let (mut h1, mut seen) = (H1::new(), Vec::new());
    for piece in pieces {
        if let Err(error) = read(&mut h1, piece, &mut seen) {
            assert_eq!(h1.next(&mut &b"GET"[..]).unwrap_err(), error, "an error stays");
            return (seen, Err(error));
        }
        assert!(h1.buffered() < limits::HEAD);
    }
    (seen, Ok(()))
}

/// Reads `wire` whole, cut in two at each octet, and octet by octet: all must agree.
fn events(wire: &[u8]) -> (Vec<Seen>, Result<(), HttpError>) {
    let whole = in_pieces([wire]);
    assert_eq!(in_pieces(wire.chunks(1)), whole, "octet by octet");
    let step = wire.len().div_ceil(400).max(1);
    for at in (0..wire.len()).step_by(step) {
        assert_eq!(in_pieces([&wire[..at], &wire[at..]]), whole, "cut at {at}");
    }
    whole
}

fn good(wire: &str) -> Vec<Seen> {
    let (seen, ended) = events(wire.as_bytes());
    ended.unwrap_or_else(|error| panic!("{error} in {wire:?}"));
    seen
}

fn status(wire: &[u8]) -> u16 {
    events(wire)
        .1
        .expect_err(&format!("accepted {:?}", String::from_utf8_lossy(wire)))
        .status()
}

fn request(line: &str, fields: &[(&str, &str)], body: BodyKind) -> Seen {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    Seen::Request {
        line: line.to_owned(),
        fields,
        body,
    }
}

const HOST: (&str, &str) = ("host", "a");

#[test]
fn pipelined_requests_come_one_after_the_other() {
    let wire = "GET /one?x=1 HTTP/1.1\r\nHost: a\r\n\r\n\
                \r\nPOST /two HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\n\r\nhello\
                POST /three HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                5;name=\"v\"\r\nhello\r\n00A\r\n, the rest\r\n0\r\nX-Trailer: yes\r\n\r\n\
                OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    let framed = [HOST, ("content-length", "5")];
    let chunked = [HOST, ("transfer-encoding", "Chunked")];
    assert_eq!(
        good(wire),
        [
            request("GET /one?x=1 HTTP/1.1", &[HOST], BodyKind::None),
            Seen::End,
            request("POST /two HTTP/1.1", &framed, BodyKind::Length(5)),
            Seen::Body(b"hello".to_vec()),
            Seen::End,
            request("POST /three HTTP/1.1", &chunked, BodyKind::Chunked),
            Seen::Body(b"hello, the rest".to_vec()),
            Seen::End,
            request("OPTIONS * HTTP/1.1", &[HOST], BodyKind::None),
            Seen::End,
        ]
    );
}

#[test]
fn the_caller_can_stop_in_the_middle_of_a_buffer() {
    let wire = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n";
    let (mut h1, mut input) = (H1::new(), &wire[..]);
    assert!(matches!(h1.next(&mut input), Ok(Some(H1Event::Request(..)))));
    assert!(input.starts_with(b"abcGET"));
    assert!(matches!(h1.next(&mut input), Ok(Some(H1Event::Body(b"abc")))));
    assert!(matches!(h1.next(&mut input), Ok(Some(H1Event::End))));
    assert_eq!(input, b"GET / HTTP/1.1\r\n", "the next request is left alone");
    assert!(h1.is_idle() && h1.keep_alive() && h1.buffered() == 0);
}

#[test]
fn every_ambiguous_framing_is_400() {
    let heads: &[&str] = &[
        // Content-Length
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        // Transfer-Encoding
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\x0b\r\n",
        // Fields
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: 1\r\n Transfer-Encoding: chunked\r\n",
        "X: 1\r\n\tfolded\r\n",
        "X: 1\nContent-Length: 5\r\n",
        "X: 1\rContent-Length: 5\r\n",
        "X: 1\r\n\nY: 2\r\n",
        "X: 1\0\r\n",
        "X\r\n",
        ": x\r\n",
        "X(): 1\r\n",
        "X y: 1\r\n",
        // Host
        "Host: b\r\n",
        "host: a\r\n",
    ];
    for fields in heads {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
        assert_eq!(status(wire.as_bytes()), 400, "{fields:?}");
    }
    for host in [
        "",
        "Host: \r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: :80\r\n",
    ] {
        assert_eq!(
            status(format!("GET / HTTP/1.1\r\n{host}\r\n").as_bytes()),
            400,
            "{host:?}"
        );
    }
}

#[test]
fn malformed_request_lines_are_refused() {
    let cases: &[(&str, u16)] = &[
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET /\tHTTP/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET /", 400),
        ("G(T / HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400),
        ("GET a:80 HTTP/1.1", 400),
        ("GET ftp://a/ HTTP/1.1", 400),
        ("GET http:///x HTTP/1.1", 400),
        ("GET http://user@a/x HTTP/1.1", 400),
        ("CONNECT a:80 HTTP/1.1", 501),
    ];
    for (line, want) in cases {
        assert_eq!(status(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), *want, "{line}");
    }
    for start in [
        &b"\x16\x03\x01"[..],
        b" GET / HTTP/1.1",
        b"\nGET",
        b"\r\r",
        b"\0",
        &b"\r\n".repeat(6),
    ] {
        assert_eq!(status(start), 400, "{start:?} is refused at once");
    }
}

#[test]
fn malformed_chunks_are_400() {
    let bodies: &[&[u8]] = &[
        b"\r\n",
        b";x\r\n",
        b"-5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5\t;x\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\r\n",
        b"5;x\nhello\r\n",
        b"5;x\rhello\r\n",
        b"5;\0\r\nhello\r\n",
        b"5\r\nhello0\r\n",
        b"5\r\nhello\n0\r\n",
        b"5\r\nhello\r0\r\n",
        b"5\r\nhello!\r\n",
        b"g\r\n",
        b"10000000000000000\r\n",
        b"00000000000000005\r\nhello\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n X: 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\nX: 1\r\r\n",
        b"0\r\n: 1\r\n\r\n",
        b"0\r\n\rX",
    ];
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in bodies {
        let wire = [&head[..], body].concat();
        assert_eq!(status(&wire), 400, "{:?}", String::from_utf8_lossy(body));
    }
    let long = format!("1;{}\r\n", "x".repeat(usize::from(limits::H1_CHUNK_EXTENSION) + 1));
    assert_eq!(status(&[&head[..], long.as_bytes()].concat()), 400);
    let trailers = format!("0\r\n{}", "X: y\r\n".repeat(usize::from(limits::H1_TRAILERS)));
    assert_eq!(status(&[&head[..], trailers.as_bytes()].concat()), 431);
}

#[test]
fn the_largest_sizes_are_taken_for_what_they_say() {
    let seen = good("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\nx");
    assert!(matches!(
        &seen[0],
        Seen::Request {
            body: BodyKind::Length(u64::MAX),
            ..
        }
    ));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(
        good(&format!("{head}ffffffffffffffff\r\nx"))[1],
        Seen::Body(b"x".to_vec())
    );
}

#[test]
fn a_head_over_16_kib_is_431_and_one_of_16_kib_is_not() {
    let head = |len: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(len - rest))
    };
    assert_eq!(good(&head(limits::HEAD)).len(), 2);
    assert_eq!(status(head(limits::HEAD + 1).as_bytes()), 431);
    assert_eq!(status(&[b'G'; limits::HEAD + 1]), 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(limits::HEAD_FIELDS + 1));
    assert_eq!(status(many.as_bytes()), 431);
}

#[test]
fn an_absolute_target_replaces_the_host() {
    let seen = good("GET http://b:80/path?q HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        seen[0],
        request("GET /path?q HTTP/1.1", &[("host", "b:80")], BodyKind::None)
    );
    let seen = good("GET https://b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(seen[0], request("GET / HTTP/1.1", &[("host", "b")], BodyKind::None));
}

#[test]
fn expect_100_continue_is_an_event_of_its_own() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
    let seen = good(&format!("{head}ok"));
    assert_eq!(seen[1..], [Seen::Continue, Seen::Body(b"ok".to_vec()), Seen::End]);
    let seen = good("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(seen[1..], [Seen::End], "without a body there is nothing to wait for");
    assert_eq!(status(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), 417);
    assert!(CONTINUE.starts_with(b"HTTP/1.1 100 "));
}

#[test]
fn after_connection_close_nothing_more_is_read() {
    for close in ["close", "keep-alive, Close"] {
        let wire = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {close}\r\n\r\nGET /2 HTTP/1.1\r\n");
        assert_eq!(good(&wire).len(), 2);
    }
}

#[test]
fn what_is_longer_than_a_chunk_can_say_becomes_several() {
    let mut h1 = H1::new();
    let mut out = Vec::new();
    h1.head(200, &[], OutBody::Chunked, true, &mut out);
    out.clear();
    h1.chunk(&vec![b'z'; (1 << 24) + 4], &mut out);
    let (first, rest) = (8 + (1 << 24) - 1 + 2, b"000005\r\nzzzzz\r\n");
    assert_eq!(&out[..9], b"ffffff\r\nz");
    assert_eq!(&out[first..], rest);
}

#[test]
fn http_1_0_is_answered_without_chunks_and_closed() {
    let (mut h1, mut input) = (H1::new(), &b"OPTIONS / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n"[..]);
    let Ok(Some(H1Event::Request(parts, BodyKind::None))) = h1.next(&mut input) else {
        panic!()
    };
    assert_eq!((parts.method, parts.version), (Method::OPTIONS, Version::HTTP_10));
    assert!(matches!(h1.next(&mut input), Ok(Some(H1Event::End))));
    assert!(!h1.keep_alive());
    let mut out = Vec::new();
    h1.head(200, &[], OutBody::Chunked, true, &mut out);
    h1.chunk(b"body", &mut out);
    h1.last_chunk(&mut out);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nbody");
    assert!(matches!(h1.next(&mut input), Ok(None)));
    assert_eq!(status(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    let seen = good("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nok");
    assert_eq!(seen[1..], [Seen::Body(b"ok".to_vec()), Seen::End]);
}

#[test]
fn answers_are_framed_as_asked() {
    let mut h1 = H1::new();
    let mut out = Vec::new();
    h1.head(
        200,
        &[("content-type", "application/octet-stream")],
        OutBody::Chunked,
        true,
        &mut out,
    );
    h1.chunk(b"", &mut out);
    h1.chunk(b"abc", &mut out);
    let at = h1.open_chunk(&mut out);
    out.extend_from_slice(&[b'z'; 0x12345]);
    h1.close_chunk(at, &mut out);
    h1.last_chunk(&mut out);
    let want = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n\
         000003\r\nabc\r\n012345\r\n{}\r\n0\r\n\r\n",
        "z".repeat(0x12345)
    );
    assert_eq!(String::from_utf8(out).unwrap(), want);

    let mut out = Vec::new();
    h1.head(204, &[], OutBody::None, true, &mut out);
    h1.head(404, &[], OutBody::Length(0), true, &mut out);
    h1.head(503, &[("retry-after", "1")], OutBody::Length(18), false, &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 204 No Content\r\n\r\n\
         HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n\
         HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 18\r\nconnection: close\r\n\r\n"
    );
    assert!(!h1.keep_alive());
}

#[test]
fn a_line_break_in_a_response_field_does_not_reach_the_wire() {
    let mut out = Vec::new();
    let bad = [("x", "1\r\nset-cookie: a"), ("y\n", "2"), ("z", "3")];
    H1::new().head(200, &bad, OutBody::None, true, &mut out);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nz: 3\r\n\r\n");
}

#[test]
fn a_refusal_is_a_problem_document_and_closes() {
    let mut h1 = H1::new();
    let error = h1.next(&mut &b"GET / HTTP/3.1\r\n\r\n"[..]).unwrap_err();
    let mut out = Vec::new();
    h1.refuse(&error, &mut out);
    let body = r#"{"type":"about:blank","title":"HTTP Version Not Supported","status":505,"detail":"HTTP version not supported"}"#;
    let want = format!(
        "HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: application/problem+json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

/// Valid first, then perturbed: mutations of these meet more of the parser than random bytes do.
fn valid() -> Vec<u8> {
    b"POST /connect HTTP/1.1\r\nHost: relay.example\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\
      1f;ext=1\r\n0123456789012345678901234567890\r\n5\r\nhello\r\n0\r\nTrailer: yes\r\n\r\n\
      PUT /a?b HTTP/1.1\r\nHost: relay.example\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n1234567"
        .to_vec()
}

proptest! {
    #[test]
    fn mutated_requests_never_panic_and_mean_the_same_in_every_cut(
        edits in proptest::collection::vec((0usize..400, any::<u8>(), 0u8..3), 0..6),
        cuts in proptest::collection::vec(1usize..40, 1..30),
    ) {
        let mut wire = valid();
        for (at, octet, kind) in edits {
            let at = at % wire.len();
            match kind {
                0 => wire[at] = octet,
                1 => wire.insert(at, octet),
                _ => drop(wire.remove(at)),
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, next) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = next;
        }
        prop_assert_eq!(in_pieces(pieces), in_pieces([&wire[..]]));
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut h1 = H1::new();
        let mut input = &bytes[..];
        while let Ok(Some(_)) = h1.next(&mut input) {}
    }
}
