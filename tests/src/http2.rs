//! HTTP/2 frames made by hand (RFC 9113), for those who abuse them.

use crate::raw::Raw;

/// RFC 9113 § 6.
pub mod kind {
    /// § 6.1
    pub const DATA: u8 = 0x0;
    /// § 6.2
    pub const HEADERS: u8 = 0x1;
    /// § 6.4
    pub const RST_STREAM: u8 = 0x3;
    /// § 6.5
    pub const SETTINGS: u8 = 0x4;
    /// § 6.7
    pub const PING: u8 = 0x6;
    /// § 6.8
    pub const GOAWAY: u8 = 0x7;
    /// § 6.9
    pub const WINDOW_UPDATE: u8 = 0x8;
    /// § 6.10
    pub const CONTINUATION: u8 = 0x9;
}

/// DATA and HEADERS: nothing follows on this stream.
pub const END_STREAM: u8 = 0x1;
/// SETTINGS and PING: an answer.
pub const ACK: u8 = 0x1;
/// HEADERS and CONTINUATION: the block is whole.
pub const END_HEADERS: u8 = 0x4;
/// SETTINGS: what each stream may receive at first.
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
/// SETTINGS: extended CONNECT is served (RFC 8441 § 3).
pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
/// GOAWAY's code for those who ask too much.
pub const ENHANCE_YOUR_CALM: u32 = 0xb;
/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// SETTINGS.
#[must_use]
pub fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in entries {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(kind::SETTINGS, 0, 0, payload)
}

/// WINDOW_UPDATE.
#[must_use]
pub fn window_update(stream: u32, octets: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, octets.to_be_bytes())
}

/// A header list in HPACK's plainest form: every field literal, nothing indexed, nothing compressed (RFC 7541 § 6.2.2).
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            integer(text.len(), &mut bytes);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// A string's length, without Huffman coding (RFC 7541 § 5.1, seven bits of prefix).
fn integer(value: usize, bytes: &mut Vec<u8>) {
    if value < 127 {
        bytes.push(value as u8);
        return;
    }
    bytes.push(127);
    bytes.extend(crate::wire::varint(value as u64 - 127));
}

/// The head of a request.
#[must_use]
pub fn head(method: &str, path: &str) -> Vec<u8> {
    block(&[
        (":method", method),
        (":scheme", "https"),
        (":path", path),
        (":authority", "localhost"),
    ])
}

/// A GET without a body.
#[must_use]
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, head("GET", path))
}

/// `POST /connect`, its body open.
#[must_use]
pub fn connect(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS, stream, head("POST", "/connect"))
}

/// The WebSocket of RFC 8441 at `/connect`.
#[must_use]
pub fn connect_socket(stream: u32) -> Vec<u8> {
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/connect"),
        (":authority", "localhost"),
        ("sec-websocket-version", "13"),
    ];
    frame(kind::HEADERS, END_HEADERS, stream, block(&fields))
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Seen {
    /// The code of a GOAWAY.
    #[must_use]
    pub fn goaway(&self) -> Option<u32> {
        let code = self.payload.get(4..8)?.try_into().ok()?;
        (self.kind == kind::GOAWAY).then_some(u32::from_be_bytes(code))
    }
}

/// Takes the frame at the front of `bytes`, when it is whole.
pub fn take(bytes: &mut Vec<u8>) -> Option<Seen> {
    let header: [u8; 9] = bytes.get(..9)?.try_into().ok()?;
    let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = header;
    let end = 9 + u32::from_be_bytes([0, l0, l1, l2]) as usize;
    let payload = bytes.get(9..end)?.to_vec();
    bytes.drain(..end);
    Some(Seen {
        kind,
        flags,
        stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        payload,
    })
}

/// The code of the GOAWAY with which the relay ends the connection; nothing when it ends without one.
///
/// # Panics
/// When it does not end.
#[must_use]
pub fn farewell(raw: Raw) -> Option<u32> {
    let mut bytes = raw.rest();
    let mut code = None;
    while let Some(seen) = take(&mut bytes) {
        code = seen.goaway().or(code);
    }
    code
}
