//! The nine octets in front of each frame (RFC 9113 § 4.1), and the frames of fixed length that we send.

use super::Code;

pub(super) const HEADER: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITISED: u8 = 0x20;

pub(super) const SETTING_ENABLE_PUSH: u16 = 0x2;
pub(super) const SETTING_MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(super) const SETTING_INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(super) const SETTING_MAX_FRAME_SIZE: u16 = 0x5;
pub(super) const SETTING_MAX_HEADER_LIST_SIZE: u16 = 0x6;
/// RFC 8441 § 3.
pub(super) const SETTING_ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
/// RFC 9218 § 2.1.
pub(super) const SETTING_NO_RFC7540_PRIORITIES: u16 = 0x9;

/// A frame header as it came; `left` counts down while the payload is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) left: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    pub(super) fn parse(octets: [u8; HEADER]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = octets;
        Self {
            left: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The header of a frame of `len` octets.
pub(super) fn header(len: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER] {
    let [_, l0, l1, l2] = (len as u32).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    [l0, l1, l2, kind, flags, s0, s1, s2, s3]
}

pub(super) fn settings(entries: &[(u16, u32)], out: &mut Vec<u8>) {
    out.extend_from_slice(&header(6 * entries.len(), SETTINGS, 0, 0));
    for (id, value) in entries {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn window_update(stream: u32, octets: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&header(4, WINDOW_UPDATE, 0, stream));
    out.extend_from_slice(&octets.to_be_bytes());
}

pub(super) fn rst_stream(stream: u32, code: Code, out: &mut Vec<u8>) {
    out.extend_from_slice(&header(4, RST_STREAM, 0, stream));
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub(super) fn ping(payload: [u8; 8], flags: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&header(8, PING, flags, 0));
    out.extend_from_slice(&payload);
}

pub(super) fn goaway(last: u32, code: Code, out: &mut Vec<u8>) {
    out.extend_from_slice(&header(8, GOAWAY, 0, 0));
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}
