//! An HTTP/2 connection after its preface: the same in every cut, bounded, and what we answer is well formed (RFC 9113).

use commucat_shard::conn::h2::{Code, H2, H2Error, H2Event, H2Limits, PREFACE};
use commucat_shard::conn::limits::H2_BLOCK;

use crate::input::{Input, cut};

/// An event that owns what it holds; pieces of a body are joined, so that cuts do not show.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Data { stream: u32, bytes: Vec<u8>, end: bool },
    Other(String),
}

/// The first byte is the rhythm of the cuts; with its highest bit the rest is frames with operations of the server
/// between them, else it is the wire behind the preface.
pub fn check(data: &[u8]) {
    let Some((&rhythm, rest)) = data.split_first() else {
        return;
    };
    if rhythm & 0x80 != 0 {
        return operate(Input::new(rest));
    }
    let wire = [&PREFACE[..], rest].concat();
    let whole = read([&wire[..]]);
    assert_eq!(read(cut(&wire, rhythm)), whole, "cut");
    assert_eq!(read(wire.chunks(1)), whole, "octet by octet");
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Result<(), H2Error>, Vec<u8>) {
    let limits = H2Limits {
        streams: 3,
        extended_connect: true,
        ..H2Limits::default()
    };
    let mut h2 = H2::new(limits);
    let (mut seen, mut ended) = (Vec::new(), Ok(()));
    for piece in pieces {
        ended = ended.and(feed(&mut h2, piece, &mut seen));
        bounded(&h2, &limits);
    }
    let mut replies = Vec::new();
    h2.pending(&mut replies);
    well_formed(&replies);
    (seen, ended, replies)
}

fn bounded(h2: &H2, limits: &H2Limits) {
    assert!(h2.active() <= limits.streams as usize);
    // One reply may cross the line before it is noticed.
    let most = H2_BLOCK + limits.pending + (16 << 10);
    assert!(h2.buffered() <= most, "{} octets are kept", h2.buffered());
}

fn feed(h2: &mut H2, wire: &[u8], seen: &mut Vec<Seen>) -> Result<(), H2Error> {
    let mut input = wire;
    while let Some(event) = h2.next(&mut input)? {
        note(event, seen);
    }
    assert!(input.is_empty(), "None means consumed");
    Ok(())
}

fn note(event: H2Event<'_>, seen: &mut Vec<Seen>) {
    match event {
        H2Event::Request { stream, head, end } => {
            let (method, uri, headers) = (&head.method, &head.uri, &head.headers);
            seen.push(Seen::Other(format!("{stream} {method} {uri} {headers:?} {end}")));
        }
        H2Event::Data { stream, bytes, end } => match seen.last_mut() {
            Some(Seen::Data {
                stream: before,
                bytes: joined,
                end: ended,
            }) if *before == stream && !*ended => {
                joined.extend_from_slice(bytes);
                *ended = end;
            }
            _ => seen.push(Seen::Data {
                stream,
                bytes: bytes.to_vec(),
                end,
            }),
        },
        other => seen.push(Seen::Other(format!("{other:?}"))),
    }
}

/// What a server sends is whole frames of at most 16 KiB, of known types.
fn well_formed(mut wire: &[u8]) {
    while !wire.is_empty() {
        let (head, rest) = wire.split_first_chunk::<9>().expect("a whole header");
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        assert!(len <= 16 << 10 && head[3] <= 9, "{head:?}");
        wire = rest.get(len..).expect("a whole frame");
    }
}

/// Frames that are whole in themselves, and between them whatever a connection asks of the engine.
fn operate(mut input: Input<'_>) {
    let limits = H2Limits {
        streams: 3,
        ..H2Limits::default()
    };
    let mut h2 = H2::new(limits);
    let (mut out, mut seen) = (Vec::new(), Vec::new());
    let hello = [&PREFACE[..], &frame(4, 0, 0, &[])].concat();
    feed(&mut h2, &hello, &mut seen).expect("a preface and SETTINGS");
    while step(&mut h2, &mut input, &mut out, &mut seen).is_some() {
        bounded(&h2, &limits);
        seen.clear();
    }
    h2.pending(&mut out);
    well_formed(&out);
}

fn step(h2: &mut H2, input: &mut Input<'_>, out: &mut Vec<u8>, seen: &mut Vec<Seen>) -> Option<()> {
    let (kind, stream, size) = (input.byte()?, u32::from(input.byte()? % 8), input.short()?);
    match kind % 20 {
        kind @ 0..=9 => feed(h2, &frame(kind, size as u8, stream, input.piece()?), seen).ok()?,
        10 => h2.head(stream, 200 + size % 400, &[("x", "y")], size % 2 == 0, out),
        11 => drop(h2.data(stream, &vec![0; usize::from(size)], size % 3 == 0, out)),
        12 => h2.reset(stream, Code::Cancel),
        13 => h2.credit(stream, u32::from(size)),
        14 => h2.pending(out),
        15 => h2.ping([0; 8]),
        16 => h2.tick(u32::from(size)),
        17 => h2.goaway(Code::NoError),
        18 => feed(h2, input.piece()?, seen).ok()?,
        _ => feed(h2, &frame(1, 4 | size as u8 & 1, stream, &request()), seen).ok()?,
    }
    Some(())
}

/// A frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

/// The header block of a tunnel's request.
fn request() -> Vec<u8> {
    let mut block = vec![0x83, 0x86, 0x04, 8];
    block.extend(b"/connect");
    block.extend([0x01, 1, b'a']);
    block
}

/// A whole connection in frames, its parts, and operations.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 3, 0xe8, 0, 3, 0, 0, 0, 5]);
    let parts = [
        settings.clone(),
        frame(1, 4, 1, &request()),
        frame(0, 0, 1, &[b'x'; 60]),
        frame(6, 0, 0, b"12345678"),
        frame(1, 8, 3, &[&[2][..], &request()[..4], &[0, 0]].concat()),
        frame(9, 4, 3, &request()[4..]),
        frame(0, 8, 3, b"\x02data\0\0"),
        frame(8, 0, 3, &5_000_u32.to_be_bytes()),
        frame(2, 0, 3, &[0; 5]),
        frame(3, 0, 1, &8_u32.to_be_bytes()),
        frame(1, 5, 3, b"\x00\x01t\x011"),
        frame(7, 0, 0, &[0; 10]),
    ];
    let mut all: Vec<Vec<u8>> = parts.iter().map(|part| [&[5][..], &settings, part].concat()).collect();
    all.push([&[11][..], &parts.concat()].concat());
    let mut operations = vec![0x80];
    for kind in [19, 10, 11, 14, 13, 15, 16, 12, 19, 17, 14] {
        operations.extend([kind, 1, 0, 9]);
    }
    all.push(operations);
    all.push(
        [
            &[0x80, 19, 1, 0, 0, 0, 1, 0, 1, 5][..],
            b"hello",
            &[8, 1, 0, 0, 4, 0, 0, 9, 9],
        ]
        .concat(),
    );
    all
}
