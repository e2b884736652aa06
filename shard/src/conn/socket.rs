//! A WebSocket between a tunnel and what carries it: the one place where [`Ws`] and sessions meet.
//!
//! Above it a tunnel over WebSocket is like any other; below it, it is a body. `feed` and `fill` come here when a tunnel
//! has one, so whoever has none pays for a look at a pointer.
//!
//! Copies: a payload is copied once more than without a WebSocket, on its way in, where it is unmasked: TLS lends its
//! bytes read-only.

use crate::Shard;
use crate::conn::ws::{CloseCode, Ws};
use crate::tunnel::{Phase, Tunnel};

impl Shard {
    /// Bytes of a tunnel's WebSocket, which goes back into its place.
    pub(crate) fn read_socket(&mut self, tunnel: &mut Tunnel, mut ws: Box<Ws>, bytes: &[u8]) {
        let mut body = self.buffers.lease();
        // With room to spare: it is used again, and for sends as well.
        body.reserve(bytes.len().next_power_of_two());
        let outcome = ws.receive(bytes, &mut body);
        if !body.is_empty() {
            self.take_in(tunnel, &body);
        }
        self.buffers.give_back(body);
        if let Err(error) = outcome {
            tracing::debug!(conn = tunnel.conn.slot, %error, "WebSocket ended the session");
            self.counters.malformed += 1;
            self.end(tunnel);
        }
        if ws.is_closed_by_peer() {
            self.half_close_tunnel(tunnel);
        }
        if ws.owes_control() {
            self.touch(tunnel);
        }
        tunnel.ws = Some(ws);
    }

    /// What may leave of a tunnel with a WebSocket, up to `room` octets; true when nothing more will come after them.
    pub(super) fn write_socket(
        &mut self,
        tunnel: &mut Tunnel,
        mut ws: Box<Ws>,
        out: &mut Vec<u8>,
        room: usize,
    ) -> bool {
        let mut left = room - ws.control(room, out);
        while let Some(message) = ws.open_message(left, out) {
            let ended = self.pour(tunnel, out, message.room());
            let written = ws.close_message(message, out);
            left -= written;
            if ended {
                ws.close(self.farewell(tunnel));
                left -= ws.control(left, out);
            } else if written == 0 {
                break;
            }
        }
        let over = ws.is_over();
        tunnel.ws = Some(ws);
        over
    }

    /// Why a session ends, as a WebSocket says it.
    fn farewell(&self, tunnel: &Tunnel) -> CloseCode {
        debug_assert!(tunnel.phase == Phase::Ending, "only what has ended says why");
        match tunnel.problem {
            Some(title) => CloseCode::from_status(title.status()),
            None if self.draining => CloseCode::GOING_AWAY,
            None => CloseCode::NORMAL,
        }
    }
}
