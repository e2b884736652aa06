//! Frames made by hand, from the specification and not from our codec, so that they can be wrong on purpose.

/// Types of the specification's table that tests speak of.
pub mod kind {
    /// `HELLO`
    pub const HELLO: u8 = 0x01;
    /// `AUTH`
    pub const AUTH: u8 = 0x02;
    /// `JOIN`
    pub const JOIN: u8 = 0x03;
    /// `LEAVE`
    pub const LEAVE: u8 = 0x04;
    /// `MSG`
    pub const MSG: u8 = 0x05;
    /// `ACK`
    pub const ACK: u8 = 0x06;
    /// `GROUP_CREATE`
    pub const GROUP_CREATE: u8 = 0x0a;
    /// `GROUP_INVITE`
    pub const GROUP_INVITE: u8 = 0x0b;
    /// `ERROR`
    pub const ERROR: u8 = 0x0d;
}

/// An unsigned LEB128 integer (CCP-1, Varint Encoding).
#[must_use]
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// `frame_type channel_id sequence payload_len payload_bytes`.
#[must_use]
pub fn inner(kind: u8, channel: u64, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(varint(channel));
    bytes.extend(varint(sequence));
    bytes.extend(varint(payload.len() as u64));
    bytes.extend(payload);
    bytes
}

/// A whole frame around `inner` bytes, whatever they are.
#[must_use]
pub fn framed(inner: &[u8]) -> Vec<u8> {
    let mut bytes = varint(inner.len() as u64);
    bytes.extend(inner);
    bytes
}

/// A whole frame.
#[must_use]
pub fn frame(kind: u8, channel: u64, sequence: u64, payload: impl AsRef<[u8]>) -> Vec<u8> {
    framed(&inner(kind, channel, sequence, payload.as_ref()))
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its type.
    pub kind: u8,
    /// Its channel.
    pub channel: u64,
    /// Its number.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Takes the frame at the front of `bytes`, when it is whole.
///
/// # Panics
/// When it is none.
pub fn take(bytes: &mut Vec<u8>) -> Option<Seen> {
    let mut rest = bytes.as_slice();
    let length = usize::try_from(number(&mut rest)?).unwrap();
    let mut inner = rest.get(..length)?;
    let behind = rest.len() - length;
    let (&kind, after) = inner.split_first().unwrap();
    inner = after;
    let mut field = || number(&mut inner).unwrap();
    let (channel, sequence, payload) = (field(), field(), field());
    assert_eq!(payload, inner.len() as u64, "the relay's payload_len is wrong");
    let seen = Seen {
        kind,
        channel,
        sequence,
        payload: inner.to_vec(),
    };
    let used = bytes.len() - behind;
    bytes.drain(..used);
    Some(seen)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate() {
        assert!(index < 10, "the relay's varint is too long");
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Some(value);
        }
    }
    None
}
