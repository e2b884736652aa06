//! WebSocket made by hand (RFC 6455), for those who abuse it.

/// § 5.2
pub const TEXT: u8 = 0x81;
/// § 5.2, a whole message.
pub const BINARY: u8 = 0x82;
/// § 5.5.1
pub const CLOSE: u8 = 0x88;
/// § 5.5.2
pub const PING: u8 = 0x89;
/// § 5.5.3
pub const PONG: u8 = 0x8a;

/// The handshake of § 1.3, at `/connect`.
pub const HANDSHAKE: &str = "GET /connect HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
/// What has to be answered to its key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A client's frame: its first octet, and its payload, masked.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, 0x80, payload.len());
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The same without a mask, which no client may send.
#[must_use]
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&header(first, 0, payload.len()), payload].concat()
}

fn header(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(mask | length as u8),
        126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes
}

/// A frame of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its first octet: these tests know of no frame but a whole one.
    pub opcode: u8,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Takes the frame at the front of `bytes`, when it is whole.
///
/// # Panics
/// When it is masked, or its length stands in more octets than it takes.
pub fn take(bytes: &mut Vec<u8>) -> Option<Seen> {
    let (&opcode, &second) = (bytes.first()?, bytes.get(1)?);
    let (start, length) = match second {
        0..=125 => (2, usize::from(second)),
        126 => {
            let length = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
            assert!(length > 125, "the relay's length is too long");
            (4, usize::from(length))
        }
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            assert!(length > 0xffff, "the relay's length is too long");
            (10, usize::try_from(length).unwrap())
        }
        _ => panic!("the relay masks"),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    bytes.drain(..start + length);
    Some(Seen { opcode, payload })
}
