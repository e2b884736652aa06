//! HTTP/1.1: heads mean the same in every cut, and a chunked body is what a second, plain reader takes it for.

use commucat_shard::conn::h1::{BodyKind, H1, H1Event, HttpError};
use commucat_shard::conn::limits;

use crate::input::cut;

/// An event that owns what it holds; pieces of a body are joined, so that cuts do not show.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Request(String, BodyKind),
    Continue,
    Body(Vec<u8>),
    End,
}

type Outcome = (Vec<Seen>, Result<(), HttpError>);

/// The first byte is the rhythm of the cuts, and its highest bit says that the rest is the body of a chunked request.
pub fn check(data: &[u8]) {
    let Some((&rhythm, rest)) = data.split_first() else {
        return;
    };
    let wire = if rhythm & 0x80 == 0 {
        rest.to_vec()
    } else {
        [
            &b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            rest,
        ]
        .concat()
    };
    let whole = read([&wire[..]]);
    assert_eq!(read(cut(&wire, rhythm & 0x7f)), whole, "cut");
    assert_eq!(read(wire.chunks(1)), whole, "octet by octet");
    if rhythm & 0x80 != 0 {
        chunks_agree(rest, &whole);
    }
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut h1, mut seen) = (H1::new(), Vec::new());
    for mut piece in pieces {
        loop {
            match h1.next(&mut piece) {
                Ok(Some(event)) => note(event, &mut seen),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        h1.next(&mut &b"GET"[..]).map(|event| event.is_some()),
                        Err(error),
                        "an error stays"
                    );
                    return (seen, Err(error));
                }
            }
        }
        assert!(piece.is_empty(), "None means consumed");
        assert!(h1.buffered() < limits::HEAD);
    }
    (seen, Ok(()))
}

fn note(event: H1Event<'_>, seen: &mut Vec<Seen>) {
    match event {
        H1Event::Request(parts, body) => {
            let head = format!("{} {} {:?} {:?}", parts.method, parts.uri, parts.version, parts.headers);
            seen.push(Seen::Request(head, body));
        }
        H1Event::Continue => seen.push(Seen::Continue),
        H1Event::Body(piece) => match seen.last_mut() {
            Some(Seen::Body(body)) => body.extend_from_slice(piece),
            _ => seen.push(Seen::Body(piece.to_vec())),
        },
        H1Event::End => seen.push(Seen::End),
    }
}

/// What ours made of the first body, against [`plain`].
fn chunks_agree(wire: &[u8], (seen, ended): &Outcome) {
    let over = seen.iter().position(|event| *event == Seen::End);
    let body = match seen.get(1) {
        Some(Seen::Body(body)) => &body[..],
        _ => &[],
    };
    match plain(wire) {
        Plain::Whole(expected) => assert!(
            over.is_some() && body == expected || *ended == Err(HttpError::HeadTooLarge),
            "{seen:?} {ended:?}"
        ),
        Plain::Partial => assert!(over.is_none(), "ended too soon: {seen:?}"),
        Plain::Wrong => assert!(over.is_none() && ended.is_err(), "accepted: {seen:?}"),
    }
}

enum Plain {
    Whole(Vec<u8>),
    /// So far nothing is wrong, or what is wrong cannot be told before its line ends.
    Partial,
    Wrong,
}

/// The next line without its CRLF.
fn line<'a>(wire: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = wire.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &wire[..end];
    *wire = &wire[end + 2..];
    Some(line)
}

/// RFC 9112 § 7.1, a line at a time.
fn plain(mut wire: &[u8]) -> Plain {
    let mut body = Vec::new();
    loop {
        let Some(head) = line(&mut wire) else {
            return Plain::Partial;
        };
        let digits = head.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        let (size, extension) = head.split_at(digits);
        let is_text = |octet: &u8| *octet == b'\t' || (*octet >= b' ' && *octet != 0x7f);
        let known = extension.is_empty() || (extension[0] == b';' && extension.iter().all(is_text));
        if !(1..=16).contains(&digits) || !known || extension.len() > 1 + usize::from(limits::H1_CHUNK_EXTENSION) {
            return Plain::Wrong;
        }
        let size = String::from_utf8_lossy(size);
        let size = u64::from_str_radix(&size, 16).expect("up to 16 hex digits");
        if size == 0 {
            return trailers(wire, body);
        }
        if (wire.len() as u64) < size.saturating_add(2) {
            // The CR may be wrong already; ours may say so, and must not end the body.
            return Plain::Partial;
        }
        let (data, rest) = wire.split_at(size as usize);
        body.extend_from_slice(data);
        let Some(rest) = rest.strip_prefix(b"\r\n") else {
            return Plain::Wrong;
        };
        wire = rest;
    }
}

fn trailers(mut wire: &[u8], body: Vec<u8>) -> Plain {
    loop {
        let Some(field) = line(&mut wire) else {
            return Plain::Partial;
        };
        if field.is_empty() {
            return Plain::Whole(body);
        }
        let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet);
        let name = field.iter().take_while(|octet| is_token(octet)).count();
        let is_text = |octet: &u8| *octet == b'\t' || (*octet >= b' ' && *octet != 0x7f);
        if name == 0 || field.get(name) != Some(&b':') || !field[name..].iter().all(is_text) {
            return Plain::Wrong;
        }
    }
}

/// Requests of every framing, and bodies in chunks.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let heads: [&[u8]; 9] = [
        b"GET /one?x=1 HTTP/1.1\r\nHost: a\r\n\r\n\r\nPOST /two HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /connect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5;n=\"v\"\r\nhello\r\n00A\r\n, the rest\r\n0\r\nX-T: y\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET http://a:80/b HTTP/1.0\r\nConnection: keep-alive, x\r\n\r\n",
        b"PUT /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /connect HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: 1\r\n folded\r\n\r\n",
    ];
    let bodies: [&[u8]; 5] = [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"1;a=b\r\nx\r\nfF\r\n",
        b"0000000000000000\r\nName: value\r\nOther:\r\n\r\nGET / HTTP/1.1\r\n",
        b"ffffffffffffffff\r\nx",
        b"3\r\nab\r\n\r\n0\r\n\r\n",
    ];
    let heads = heads.iter().map(|wire| [&[7][..], wire].concat());
    let bodies = bodies.iter().map(|wire| [&[0x83][..], wire].concat());
    heads.chain(bodies).collect()
}
