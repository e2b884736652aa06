//! What a server sends on one HTTP/2 connection (RFC 9113 §4.1), as far as the body of stream 1 goes. Header blocks are
//! not decoded: a tunnel's answer begins with the static table's `:status: 200`, and everything else is no tunnel.

use super::TapError;

const FRAME_HEAD: usize = 9;
/// The largest frame that a client has allowed (RFC 9113 §4.2).
const MAX_FRAME: usize = 16_384;
const STATUS_200: u8 = 0x88;
/// A block may begin with updates of the dynamic table's size (RFC 7541 §6.3); to 0 they take one octet.
const SIZE_UPDATE: u8 = 0x20;
const SIZE_UPDATE_MASK: u8 = 0xe0;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const PADDED: u8 = 8;

/// The reader.
#[derive(Debug, Default)]
pub(super) struct Http2 {
    buffer: Vec<u8>,
    tunnel: bool,
    over: bool,
}

impl Http2 {
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    /// Reads bytes from the wire; body bytes of stream 1 are appended to `body`.
    pub(super) fn read(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<(), TapError> {
        self.buffer.extend_from_slice(bytes);
        while let Some(head) = self.buffer.first_chunk::<FRAME_HEAD>().copied() {
            let [a, b, c, kind, flags, stream @ ..] = head;
            let len = u32::from_be_bytes([0, a, b, c]) as usize;
            if len > MAX_FRAME {
                return Err(TapError::Http2("a frame longer than was allowed"));
            }
            if self.buffer.len() < FRAME_HEAD + len {
                break;
            }
            let payload: Vec<u8> = self.buffer.drain(..FRAME_HEAD + len).skip(FRAME_HEAD).collect();
            self.frame(kind, flags, u32::from_be_bytes(stream), &payload, body)?;
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8], body: &mut Vec<u8>) -> Result<(), TapError> {
        if !matches!(kind, DATA | HEADERS | CONTINUATION) {
            return Ok(());
        }
        if stream != 1 {
            return Err(TapError::Http2("a stream that nobody opened"));
        }
        if std::mem::replace(&mut self.over, flags & END_STREAM != 0 && kind != CONTINUATION) {
            return Err(TapError::AfterEnd);
        }
        match kind {
            HEADERS => {
                let first = payload.iter().find(|octet| **octet & SIZE_UPDATE_MASK != SIZE_UPDATE);
                self.tunnel |= first == Some(&STATUS_200);
            }
            DATA if flags & PADDED != 0 => {
                let padding = payload.first().map_or(0, |len| usize::from(*len));
                let end = payload.len().checked_sub(padding).filter(|end| *end >= 1);
                body.extend_from_slice(&payload[1..end.ok_or(TapError::Http2("padding longer than its frame"))?]);
            }
            DATA => body.extend_from_slice(payload),
            _ => {}
        }
        Ok(())
    }
}
