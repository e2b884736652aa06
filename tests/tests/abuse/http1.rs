//! Requests that two readers could understand differently, and bodies that break off (RFC 9112 § 6.3, § 7.1, § 11.2).
//!
//! Each is followed by a request of its own in the same write: were it smuggled, there would be two answers.

use commucat_client::HttpVersion;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::Device;
use commucat_tests::raw::Raw;
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Next, Tunnel};
use commucat_tests::wire::{frame, kind};

const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The statuses of everything that comes back until the connection ends.
fn statuses(stage: &Stage, request: &[u8]) -> Vec<u16> {
    let mut raw = Raw::connect(stage, HttpVersion::Http1);
    // A relay that has refused the head may close before it has taken the rest.
    let _ = raw.write(request);
    let text = String::from_utf8_lossy(&raw.rest()).into_owned();
    let answers = text
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| text[at + 9..at + 12].parse().unwrap());
    answers.collect()
}

/// A head in which the framing, or the line it stands on, is in doubt.
fn heads() -> Vec<(u16, String)> {
    let post = |fields: &str| format!("POST /api/pair HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n\r\n");
    let chunked = "Transfer-Encoding: chunked";
    let mut heads: Vec<(u16, String)> = [
        // Both framings, whichever comes first.
        format!("Content-Length: 5\r\n{chunked}"),
        format!("{chunked}\r\nContent-Length: 5"),
        format!("{chunked}\r\nContent-Length: 0"),
        // More than one length, even when they agree.
        "Content-Length: 5\r\nContent-Length: 6".to_owned(),
        "Content-Length: 5\r\nContent-Length: 5".to_owned(),
        "Content-Length: 5, 5".to_owned(),
        "Content-Length: 5,6".to_owned(),
        // Lengths that are no numbers, or that some read as numbers.
        "Content-Length: -1".to_owned(),
        "Content-Length: +5".to_owned(),
        "Content-Length: 0x5".to_owned(),
        "Content-Length: 5 5".to_owned(),
        "Content-Length: ".to_owned(),
        "Content-Length: 18446744073709551616".to_owned(),
        "Content-Length: 99999999999999999999999999".to_owned(),
        // Codings that some read as chunked.
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: gzip, chunked".to_owned(),
        "Transfer-Encoding: chunked, chunked".to_owned(),
        format!("{chunked}\r\n{chunked}"),
        format!("{chunked}\r\nTransfer-Encoding: identity"),
        "Transfer-Encoding: \"chunked\"".to_owned(),
        "Transfer-Encoding: chunked;q=1".to_owned(),
        "Transfer-Encoding:\u{b}chunked".to_owned(),
        // Names and lines that some read otherwise.
        "Transfer-Encoding : chunked".to_owned(),
        " Transfer-Encoding: chunked".to_owned(),
        "X: y\r\n Transfer-Encoding: chunked".to_owned(),
        "X: y\r\n\tContent-Length: 5".to_owned(),
        "Content-Length: 5\r\n : x".to_owned(),
        "Content-Length\u{0}: 5".to_owned(),
        "Content Length: 5".to_owned(),
        "X: a\u{0}b".to_owned(),
        "X: a\rContent-Length: 5".to_owned(),
        "X: a\nContent-Length: 5".to_owned(),
        "Host: elsewhere".to_owned(),
        ": no name".to_owned(),
        "no colon".to_owned(),
    ]
    .iter()
    .map(|fields| (400, post(fields)))
    .collect();
    let lines = [
        (400, "GET /healthz HTTP/1.1\r\n\r\n"),
        (400, "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (400, "GET /health z HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (400, "GET /healthz\r\nHost: localhost\r\n\r\n"),
        (400, "G(T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (400, "GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (400, "GET /healthz HTTP/1.1\nHost: localhost\n\n\r\n\r\n"),
        (400, "\u{0}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (501, "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (505, "GET /healthz HTTP/2.0\r\nHost: localhost\r\n\r\n"),
        (505, "GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n"),
        (
            417,
            "POST /api/pair HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: tea\r\n\r\n",
        ),
    ];
    heads.extend(lines.map(|(status, head)| (status, head.to_owned())));
    let long = "x".repeat(17 << 10);
    heads.push((
        431,
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
    ));
    heads.push((431, format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")));
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    heads.push((431, format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")));
    heads
}

#[test]
fn a_head_that_could_be_read_in_two_ways_gets_one_refusal_and_the_end() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    for (status, head) in heads() {
        let request = format!("{head}{SMUGGLED}");
        assert_eq!(statuses(&stage, request.as_bytes()), [status], "{head:?}");
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "ambiguous heads");
    bystanders.stop();
    stage.end();
}

#[test]
fn bodies_that_are_not_ambiguous_are_read_to_their_end_and_what_follows_is_a_request() {
    let stage = Stage::new("");
    let close = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let whole = [
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\r\n",
    ];
    for request in whole {
        assert_eq!(
            statuses(&stage, format!("{request}{close}").as_bytes()),
            [200, 200],
            "{request:?}"
        );
    }
    stage.end();
}

/// Chunks that are none.
const CHUNKS: [&str; 18] = [
    "\r\n",
    "g\r\n",
    "-1\r\n",
    "+1\r\nx\r\n",
    "0x1\r\nx\r\n",
    " 1\r\nx\r\n",
    "1 \r\nx\r\n",
    "1\nx\r\n",
    "1\rx\r\n",
    "1\r\nxx\r\n",
    "1\r\nx\n",
    "1\r\nx0\r\n\r\n",
    "fffffffffffffffff\r\n",
    "00000000000000001\r\nx\r\n",
    ";x=y\r\nx\r\n",
    "1;\u{0}\r\nx\r\n",
    "0\r\nbad trailer\r\n\r\n",
    "0\r\n folded: x\r\n\r\n",
];

#[test]
fn a_tunnel_whose_chunks_break_off_ends_and_what_came_whole_before_is_routed() {
    let stage = Stage::new("");
    let mut bystanders = Bystanders::start(&stage);
    let [one, two] = ["one", "two"].map(Device::new);
    let mut to = two.connect(&stage, HttpVersion::Http2);
    for (index, chunk) in CHUNKS.into_iter().enumerate() {
        let mut tunnel = Tunnel::joined(&stage, HttpVersion::Http1, &one, 1, &two);
        let number = tunnel.number();
        tunnel.send(&frame(kind::MSG, 1, number, format!("{index} before")));
        let smuggled = frame(kind::MSG, 1, number + 1, format!("{index} after"));
        let more = [format!("{:x}\r\n", smuggled.len()).as_bytes(), &smuggled, b"\r\n"].concat();
        let _ = tunnel
            .raw()
            .write(&[chunk.as_bytes(), &more, SMUGGLED.as_bytes()].concat());
        to.hears(&format!("{index} before"));
        // Its ACK may still come; a second answer may not.
        while let Next::Frame(seen) = tunnel.listen() {
            assert_eq!(seen.kind, kind::ACK, "{chunk:?}: {seen:?}");
        }
    }
    assert!(to.bye().is_empty(), "something after a bad chunk was routed");
    bystanders.go_on();
    bystanders.stop();
    stage.end();
}

#[test]
fn a_chunk_extension_or_trailer_without_end_is_given_up() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    for start in ["1;", "0\r\nX: "] {
        for _ in 0..10 {
            let mut tunnel = Tunnel::open(&stage, HttpVersion::Http1);
            let _ = tunnel.raw().write(start.as_bytes());
            for _ in 0..64 {
                let _ = tunnel.raw().write(&[b'x'; 16 << 10]);
            }
            while let Next::Frame(_) = tunnel.listen() {}
        }
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "endless chunk extensions");
    bystanders.stop();
    stage.end();
}
