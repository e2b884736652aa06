//! WebSocket frames: the same in every cut, and the same to a second, plain reader (RFC 6455 § 5).

use commucat_shard::conn::limits::WS_CONTROL;
use commucat_shard::conn::ws::{CloseCode, Ws, WsError};

use crate::input::cut;

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    body: Vec<u8>,
    error: Option<WsError>,
    left: bool,
    replies: Vec<u8>,
    farewell: Vec<u8>,
}

/// The first byte is the rhythm of the cuts, the rest is what a client sends after the upgrade.
pub fn check(data: &[u8]) {
    let Some((&rhythm, wire)) = data.split_first() else {
        return;
    };
    let whole = read([wire]);
    assert_eq!(read(cut(wire, rhythm)), whole, "cut");
    assert_eq!(read(wire.chunks(1)), whole, "octet by octet");
    let (body, end) = plain(wire);
    assert_eq!(whole.body, body);
    let ours = match (whole.error, whole.left) {
        (Some(_), _) => End::Wrong,
        (None, true) => End::Left,
        (None, false) => End::Open,
    };
    assert_eq!(ours, end, "{:?}", whole.error);
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut ws, mut body, mut error) = (Ws::new(), Vec::new(), None);
    for piece in pieces {
        if let Err(first) = ws.receive(piece, &mut body) {
            assert_eq!(error.replace(first), None, "told once");
        }
        assert!(ws.buffered() <= 14 + 3 * (WS_CONTROL + 2));
    }
    let left = ws.is_closed_by_peer();
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Left,
    Wrong,
}

/// A frame at a time; the body of a data frame counts from its first octet, whether or not its last has come.
fn plain(mut wire: &[u8]) -> (Vec<u8>, End) {
    let (mut body, mut inside) = (Vec::new(), false);
    loop {
        let Some(&first) = wire.first() else {
            return (body, End::Open);
        };
        let (fin, opcode) = (first >= 0x80, first % 16);
        let in_turn = match opcode {
            0 => inside,
            2 => !inside,
            8..=10 => fin,
            _ => false,
        };
        if first & 0x70 != 0 || !in_turn {
            return (body, End::Wrong);
        }
        let Some(&second) = wire.get(1) else {
            return (body, End::Open);
        };
        if second < 0x80 || (opcode >= 8 && second > 0x80 + 125) {
            return (body, End::Wrong);
        }
        let width = match second - 0x80 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let octets = &wire[2..(2 + width).min(wire.len())];
        if width == 8 && octets.first().is_some_and(|octet| *octet >= 0x80) {
            return (body, End::Wrong);
        }
        let (len, whole) = length(second - 0x80, octets, width);
        // § 5.2: the minimal number of bytes must be used.
        if whole && (width == 2 && len < 126 || width == 8 && len < 65_536) {
            return (body, End::Wrong);
        }
        let Some((key, rest)) = wire[2 + octets.len()..].split_first_chunk::<4>().filter(|_| whole) else {
            return (body, End::Open);
        };
        let here = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
        let payload = rest[..here].iter().enumerate().map(|(at, octet)| octet ^ key[at % 4]);
        let complete = here as u64 == len;
        wire = &rest[here..];
        if opcode < 8 {
            body.extend(payload);
            inside = !fin;
        } else if opcode == 8 && complete {
            return (body, farewell(&payload.collect::<Vec<u8>>()));
        }
        if !complete {
            return (body, End::Open);
        }
    }
}

/// The length a frame tells, and whether all octets of it have come.
fn length(short: u8, octets: &[u8], width: usize) -> (u64, bool) {
    if width == 0 {
        return (u64::from(short), true);
    }
    let len = octets.iter().fold(0, |len, octet| len << 8 | u64::from(*octet));
    (len, octets.len() == width)
}

fn farewell(payload: &[u8]) -> End {
    let fine = match payload {
        [] => true,
        [_] => false,
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let allowed =
                (1000..=1003).contains(&code) || (1007..=1014).contains(&code) || (3000..5000).contains(&code);
            allowed && std::str::from_utf8(reason).is_ok()
        }
    };
    if fine { End::Left } else { End::Wrong }
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut wire = vec![first];
    match payload.len() {
        len @ 0..=125 => wire.push(0x80 | len as u8),
        len => {
            wire.push(0x80 | 126);
            wire.extend((len as u16).to_be_bytes());
        }
    }
    wire.extend(key);
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(octet, key)| octet ^ key));
    wire
}

/// Messages whole and in fragments, every control frame, and what is refused.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let wires = [
        frame(0x82, b"Hello"),
        [frame(0x02, b"Hel"), frame(0x89, b"ping"), frame(0x80, b"lo")].concat(),
        [
            frame(0x8a, b"pong"),
            frame(0x82, &[7; 200]),
            frame(0x88, &1001_u16.to_be_bytes()),
        ]
        .concat(),
        frame(0x88, b"\x03\xe8bye"),
        frame(0x88, b"\x03"),
        frame(0x81, b"text"),
        vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4, 5],
        vec![0x82, 0xfe, 0, 5, 1, 2, 3, 4, 5],
        vec![0x82, 0x05, 1],
    ];
    wires.iter().map(|wire| [&[3][..], wire].concat()).collect()
}
