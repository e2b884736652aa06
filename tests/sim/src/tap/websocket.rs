//! The frames of a WebSocket as a server sends them (RFC 6455 §5.2): unmasked, whole messages, one Close at the end.

use super::TapError;

/// Longer than anything a relay of these tests puts into one message.
const MAX_MESSAGE: usize = 1 << 20;

/// The reader.
#[derive(Debug, Default)]
pub(super) struct WebSocket {
    buffer: Vec<u8>,
    over: bool,
}

impl WebSocket {
    /// Where the bytes beneath belong.
    pub(super) fn carried(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Takes off what is whole; the bytes of messages are appended to `body`.
    pub(super) fn read(&mut self, body: &mut Vec<u8>) -> Result<(), TapError> {
        while let [first, second, rest @ ..] = self.buffer.as_slice() {
            if self.over {
                return Err(TapError::AfterEnd);
            }
            let (header, len) = match *second {
                len @ 0..=125 => (2, usize::from(len)),
                126 => match rest {
                    [a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
                    _ => return Ok(()),
                },
                127 => match rest.first_chunk() {
                    Some(len) => (10, u64::from_be_bytes(*len) as usize),
                    None => return Ok(()),
                },
                _ => return Err(TapError::WebSocket("a masked frame")),
            };
            if len > MAX_MESSAGE {
                return Err(TapError::WebSocket("a message longer than anybody would send"));
            }
            let first = *first;
            if self.buffer.len() < header + len {
                return Ok(());
            }
            let payload = self.buffer.drain(..header + len).skip(header);
            match first {
                0x82 => body.extend(payload),
                0x88 if len == 0 || len >= 2 => self.over = true,
                0x8a if len <= 125 => {}
                _ => {
                    return Err(TapError::WebSocket(
                        "neither a whole binary message, nor a Pong, nor a Close",
                    ));
                }
            }
        }
        Ok(())
    }
}
