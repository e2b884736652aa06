//! The header of a frame (RFC 6455 § 5.2).

use super::WsError;
use crate::conn::limits::WS_CONTROL;

/// The longest header: two octets, a length of eight, a key of four.
pub(super) const HEADER: usize = 14;

pub(super) const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

pub(super) const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// Lengths that say: the length stands in the next two, or eight, octets.
pub(super) const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// A header as it came; `left` counts down and `key` turns while the payload is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) opcode: u8,
    pub(super) left: u64,
    pub(super) key: [u8; 4],
}

impl Header {
    /// The header at the front of `bytes` and its length; `None` while it is not whole. Each octet is judged before the
    /// next one, and as soon as it is there, so that cuts do not decide which complaint is made.
    pub(super) fn parse(bytes: &[u8], fragmented: bool) -> Result<Option<(Self, usize)>, WsError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let (fin, opcode) = (first & FIN != 0, first & OPCODE);
        judge(first, fin, opcode, fragmented)?;
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let short = second & LENGTH;
        if second & MASKED == 0 {
            return Err(WsError::Protocol("a frame without a mask"));
        }
        if is_control(opcode) && usize::from(short) > WS_CONTROL {
            return Err(WsError::Protocol("a control frame of more than 125 octets"));
        }
        let rest = &bytes[2..];
        let (left, rest) = match short {
            LENGTH_16 => match rest.split_first_chunk() {
                Some((octets, rest)) => (u64::from(u16::from_be_bytes(*octets)), rest),
                None => return Ok(None),
            },
            LENGTH_64 => {
                if rest.first().is_some_and(|octet| octet & 0x80 != 0) {
                    return Err(WsError::Protocol("a length of 64 bits"));
                }
                match rest.split_first_chunk() {
                    Some((octets, rest)) => (u64::from_be_bytes(*octets), rest),
                    None => return Ok(None),
                }
            }
            short => (u64::from(short), rest),
        };
        let least = match short {
            LENGTH_16 => u64::from(LENGTH_16),
            LENGTH_64 => 1 << 16,
            _ => 0,
        };
        if left < least {
            return Err(WsError::Protocol("a length in more octets than it takes"));
        }
        Ok(rest.first_chunk().map(|key| {
            let header = Self {
                fin,
                opcode,
                left,
                key: *key,
            };
            (header, bytes.len() - rest.len() + key.len())
        }))
    }

    pub(super) fn is_control(&self) -> bool {
        is_control(self.opcode)
    }
}

/// Judges the first octet.
fn judge(first: u8, fin: bool, opcode: u8, fragmented: bool) -> Result<(), WsError> {
    if first & RESERVED != 0 {
        return Err(WsError::Protocol("a reserved bit"));
    }
    match opcode {
        CONTINUATION if !fragmented => Err(WsError::Protocol("a continuation of nothing")),
        TEXT | BINARY if fragmented => Err(WsError::Protocol("a message inside a message")),
        TEXT => Err(WsError::Text),
        CONTINUATION | BINARY => Ok(()),
        CLOSE | PING | PONG if !fin => Err(WsError::Protocol("a control frame in fragments")),
        CLOSE | PING | PONG => Ok(()),
        _ => Err(WsError::Protocol("a reserved opcode")),
    }
}

fn is_control(opcode: u8) -> bool {
    opcode & 0x8 != 0
}

/// Masking and unmasking are one and the same (§ 5.3). `key` begins with the octet for `bytes[0]`.
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (octet, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *octet ^= key;
    }
}
