//! The sending half: messages whose bytes the caller writes itself, Pong, and the Close. Nothing is masked (§ 5.1).

use super::frame::{BINARY, CLOSE, FIN, LENGTH_16, PONG};
use super::{CloseCode, Ws};
use crate::conn::limits::{WS_CONTROL, WS_MESSAGE};

/// The header of a message of at most 125 octets, and of a longer one.
const SHORT: usize = 2;
const LONG: usize = 4;

/// A message that is being written.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Where its bytes begin.
    at: usize,
    header: usize,
    room: usize,
}

impl Message {
    /// How many octets the caller may append.
    #[must_use]
    pub fn room(&self) -> usize {
        self.room
    }
}

impl Ws {
    /// Begins a binary message that takes at most `room` octets with its header, and whose bytes the caller appends to
    /// `out` itself; give what this returns to `close_message`. `None` when there is no room for a header and an octet, or
    /// when nothing may be said: our Close has been, or a control frame has to leave first.
    #[must_use]
    pub fn open_message(&self, room: usize, out: &mut Vec<u8>) -> Option<Message> {
        if self.closing || self.owes_control() || room <= SHORT {
            return None;
        }
        let (header, longest) = if room > SHORT + WS_CONTROL {
            (LONG, WS_MESSAGE)
        } else {
            (SHORT, WS_CONTROL)
        };
        out.extend_from_slice(&[0; LONG][..header]);
        Some(Message {
            at: out.len(),
            header,
            room: (room - header).min(longest),
        })
    }

    /// Ends a message, or takes it back if it has no bytes. Gives how many octets it has become, header included.
    pub fn close_message(&self, message: Message, out: &mut Vec<u8>) -> usize {
        let Message { at, header, room } = message;
        let (start, len) = (at - header, out.len() - at);
        assert!(len <= room, "the caller asks `room`");
        if len == 0 {
            out.truncate(start);
            return 0;
        }
        out[start] = FIN | BINARY;
        if len > WS_CONTROL {
            let [high, low] = (len as u16).to_be_bytes();
            out[start + 1..at].copy_from_slice(&[LENGTH_16, high, low]);
            return header + len;
        }
        // The length fits the second octet and must stand there (§ 5.2): few octets move, or none.
        out[start + 1] = len as u8;
        out.copy_within(at.., start + SHORT);
        out.truncate(start + SHORT + len);
        SHORT + len
    }

    /// Ends our direction: no message follows. A client that broke the protocol is told so whatever `code` says, and one
    /// that took its leave hears its own code again unless there is something worse to say.
    pub fn close(&mut self, code: CloseCode) {
        if std::mem::replace(&mut self.closing, true) {
            return;
        }
        self.ping = None;
        let code = match (self.error, self.farewell) {
            (Some(error), _) => Some(error.code()),
            (None, Some(farewell)) if code == CloseCode::NORMAL => farewell,
            (None, _) => Some(code),
        };
        let payload = code.map(|code| code.get().to_be_bytes());
        control(CLOSE, payload.as_ref().map_or(&[], |code| &code[..]), &mut self.pending);
    }

    /// Whether a control frame is to be sent.
    #[must_use]
    pub fn owes_control(&self) -> bool {
        self.ping.is_some() || !self.pending.is_empty()
    }

    /// Appends what control frames are owed to `out`, at most `room` octets; gives how many. What does not fit stays: a
    /// carrier with a window may cut it anywhere.
    pub fn control(&mut self, room: usize, out: &mut Vec<u8>) -> usize {
        if self.pending.is_empty()
            && let Some(payload) = self.ping.take()
        {
            control(PONG, &payload, &mut self.pending);
        }
        let len = self.pending.len().min(room);
        out.extend(self.pending.drain(..len));
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        len
    }

    /// Our Close has been sent: nothing follows it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.closing && self.pending.is_empty()
    }
}

fn control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    assert!(
        payload.len() <= WS_CONTROL,
        "no longer control frame was taken or is made"
    );
    out.extend_from_slice(&[FIN | opcode, payload.len() as u8]);
    out.extend_from_slice(payload);
}
