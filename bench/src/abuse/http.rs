//! Attacks by HTTP: what costs a peer of HTTP/2 little, and REST calls that lead nowhere.

use std::io;

use commucat_client::HttpVersion;
use commucat_tests::http2::{
    END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, INITIAL_WINDOW_SIZE, PREFACE, frame, get, head, kind, settings, take,
    window_update,
};
use commucat_tests::wire::varint;

use super::Striker;
use super::link::{Link, Target};

/// One connection's worth of frames, again and again.
struct Frames {
    target: Target,
    bytes: Vec<u8>,
}

fn frames(target: &Target, bytes: &[Vec<u8>]) -> Box<dyn Striker> {
    Box::new(Frames {
        target: target.clone(),
        bytes: bytes.concat(),
    })
}

impl Striker for Frames {
    fn strike(&mut self) -> io::Result<&'static str> {
        let mut link = Link::open(&self.target, HttpVersion::Http2)?;
        // Whoever is left while talking may meet a reset.
        let _ = link.write(&self.bytes);
        let mut said = link.rest()?;
        let mut code = None;
        while let Some(seen) = take(&mut said) {
            code = seen.goaway().or(code);
        }
        Ok(match code {
            Some(ENHANCE_YOUR_CALM) => "ENHANCE_YOUR_CALM",
            Some(_) => "another GOAWAY",
            None => "the end of the connection",
        })
    }
}

/// Requests that are cancelled at once (CVE-2023-44487).
pub(super) fn resets(target: &Target) -> io::Result<Box<dyn Striker>> {
    let request = |at: u32| {
        let stream = 2 * at + 1;
        [
            get(stream, "/healthz"),
            frame(kind::RST_STREAM, 0, stream, 8_u32.to_be_bytes()),
        ]
        .concat()
    };
    let requests: Vec<u8> = (0..1_000).flat_map(request).collect();
    Ok(frames(target, &[PREFACE.to_vec(), settings(&[]), requests]))
}

/// A hundred answers through windows of one octet, which open an octet at a time.
pub(super) fn windows(target: &Target) -> io::Result<Box<dyn Striker>> {
    let requests: Vec<u8> = (0..100).flat_map(|at| get(2 * at + 1, "/")).collect();
    let updates: Vec<u8> = (0..20)
        .flat_map(|_| (0..100).flat_map(|at| window_update(2 * at + 1, 1)))
        .collect();
    Ok(frames(
        target,
        &[
            PREFACE.to_vec(),
            settings(&[(INITIAL_WINDOW_SIZE, 1)]),
            requests,
            updates,
        ],
    ))
}

/// 60 MB of fields in 19 KB (RFC 7541 § 6.1, § 6.2.1).
pub(super) fn hpack(target: &Target) -> io::Result<Box<dyn Striker>> {
    let mut bytes = head("GET", "/healthz");
    bytes.extend([0x40, 1, b'x', 0x7f]);
    bytes.extend(varint(4000 - 127));
    bytes.extend([b'y'; 4000]);
    let bomb = [
        frame(kind::HEADERS, END_STREAM, 1, bytes),
        frame(kind::CONTINUATION, END_HEADERS, 1, [0xbe; 15_000]),
    ];
    Ok(frames(target, &[PREFACE.to_vec(), settings(&[]), bomb.concat()]))
}

/// A call over a connection that is kept as long as the relay keeps it.
struct Calls {
    target: Target,
    link: Option<Link>,
    request: Vec<u8>,
}

fn calls(target: &Target, path: &str, body: &[u8]) -> Box<dyn Striker> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Box::new(Calls {
        target: target.clone(),
        link: None,
        request: [head.as_bytes(), body].concat(),
    })
}

impl Striker for Calls {
    fn strike(&mut self) -> io::Result<&'static str> {
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.target, HttpVersion::Http1)?,
        };
        let status = link.ask(&self.request)?;
        // After a 413 the connection ends.
        self.link = (status != 413).then_some(link);
        Ok(match status {
            400 => "400",
            403 => "403",
            404 => "404",
            413 => "413",
            422 => "422",
            429 => "429",
            503 => "503",
            _ => "another status",
        })
    }
}

/// Guesses of a pairing code.
pub(super) fn guesses(target: &Target) -> io::Result<Box<dyn Striker>> {
    let body = br#"{"pair_code": "00000-11111-22222-33333-44444-55555-66666-77777"}"#;
    Ok(calls(target, "/api/pair/claim", body))
}

/// An event of 100 KB that some other server could have sent.
pub(super) fn federation(target: &Target) -> io::Result<Box<dyn Striker>> {
    let text = "x".repeat(100_000);
    let body = format!(r#"{{"event": {{"event_id": "1", "payload": "{text}"}}, "digest": "00", "signature": "00"}}"#);
    Ok(calls(target, "/federation/events", body.as_bytes()))
}

/// A body above `limits.rest_body`.
pub(super) fn oversized(target: &Target) -> io::Result<Box<dyn Striker>> {
    Ok(calls(target, "/api/pair/claim", &vec![b'['; (256 << 10) + 1]))
}
