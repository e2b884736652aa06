//! Downwards: what is owed to a connection becomes plain text once, sealed once, and one send.

use std::time::Duration;

use crate::Shard;
use crate::conn::exchange::Exchange;
use crate::conn::h2::{Code, H2};
use crate::conn::limits::H1_CHUNK;
use crate::conn::{Conn, Http, Life, Two};
use crate::effect::Ending;
use crate::input::ConnId;
use crate::mesh::message::TunnelId;
use crate::outbox::Filled;
use crate::sealed::LEAST_ROOM;
use crate::session::State;
use crate::timer::Owner;
use crate::tunnel::{Phase, Stall, Tunnel};
use commucat_proto::Title;

/// How long an outbox keeps memory it does not use.
const SLIM_AFTER: Duration = Duration::from_secs(1);
/// So many are looked at in one go, so that thousands of them make no turn long.
const SLIM_AT_ONCE: usize = 256;
/// Before the next of them are, while more are due.
const SLIM_PAUSE: Duration = Duration::from_millis(1);

impl Shard {
    pub(crate) fn flush_conns(&mut self) {
        let mut tunnels = std::mem::take(&mut self.dirty);
        for id in tunnels.drain(..) {
            if let Some(tunnel) = self.tunnels.get_mut(id) {
                tunnel.dirty = false;
                let conn = tunnel.conn;
                if let Some(conn) = self.conns.get_mut(conn)
                    && !std::mem::replace(&mut conn.dirty, true)
                {
                    self.dirty_conns.push(conn.id);
                }
            }
        }
        if self.dirty.is_empty() {
            self.dirty = tunnels;
        }
        let mut conns = std::mem::take(&mut self.dirty_conns);
        for id in conns.drain(..) {
            self.flush_conn(id);
        }
        if self.dirty_conns.is_empty() {
            self.dirty_conns = conns;
        }
    }

    fn flush_conn(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.take(id) else { return };
        conn.dirty = false;
        // With a send outstanding, what is owed grows until it completes: that is what makes sends large.
        if !conn.sending && conn.life != Life::Closing {
            let mut plain = std::mem::take(&mut self.plain);
            plain.clear();
            self.write_plain(&mut conn, &mut plain);
            self.seal(&mut conn, &mut plain);
            self.plain = plain;
        }
        self.conns.put(conn);
    }

    /// Everything that may leave now, as HTTP bytes.
    fn write_plain(&mut self, conn: &mut Conn, plain: &mut Vec<u8>) {
        if !conn.heads.is_empty() {
            plain.append(&mut conn.heads);
            conn.heads = Vec::new();
        }
        match std::mem::replace(&mut conn.http, Http::Unknown) {
            Http::One(mut h1, mut exchange) => {
                if let Exchange::Tunnel(id) = exchange {
                    let at = h1.open_chunk(plain);
                    let ended = self.fill(id, plain, self.config.limits.send_bytes.min(H1_CHUNK));
                    h1.close_chunk(at, plain);
                    if ended {
                        h1.last_chunk(plain);
                        self.drop_tunnel(conn, id);
                        self.finish(conn);
                    }
                } else if let Exchange::Streaming(unsent) = &mut exchange {
                    h1.chunk(&unsent.bytes, plain);
                    unsent.bytes.clear();
                    if unsent.over {
                        h1.last_chunk(plain);
                        exchange = Exchange::Answered;
                        self.finish(conn);
                    }
                }
                conn.http = Http::One(h1, exchange);
            }
            Http::Two(mut two) => {
                two.h2.pending(plain);
                self.fill_streams(conn, &mut two, plain);
                two.h2.pending(plain);
                conn.http = Http::Two(two);
            }
            Http::Unknown => {}
        }
        // The last request may just have ended.
        self.settle_idle(conn);
    }

    fn fill_streams(&mut self, conn: &mut Conn, two: &mut Two, plain: &mut Vec<u8>) {
        let share = (self.config.limits.send_bytes / conn.tunnels.len().max(1)).max(1);
        for id in conn.tunnels.clone() {
            if let Some(stream) = self.tunnels.get_mut(id).map(|tunnel| tunnel.stream)
                && self.fill_stream(id, stream, &mut two.h2, share, plain)
            {
                if two.streams.remove(stream).is_some() {
                    // Unless the client has ended its side as well, it is told to stop.
                    two.h2.reset(stream, Code::NoError);
                }
                self.drop_tunnel(conn, id);
            }
        }
        if std::mem::take(&mut two.answers) {
            two.streams
                .retain(|stream, exchange| fill_answer(&mut two.h2, stream, exchange, &mut two.answers, plain));
        }
    }

    /// Frames of one tunnel, in DATA frames as long as the window lets them be; true when its stream has ended.
    fn fill_stream(&mut self, id: TunnelId, stream: u32, h2: &mut H2, share: usize, plain: &mut Vec<u8>) -> bool {
        let mut left = share;
        loop {
            let at = h2.open_data(plain);
            let ended = self.fill(id, plain, h2.room(stream).min(left));
            let written = plain.len() - at;
            h2.close_data(stream, at, ended, plain);
            left -= written;
            // What is left of the share may be too little for a sealed message; the next send has more.
            if ended || written == 0 || left < LEAST_ROOM {
                return ended;
            }
        }
    }

    /// Frames of one tunnel, up to `room` bytes; true when nothing more will come after them.
    fn fill(&mut self, id: TunnelId, out: &mut Vec<u8>, room: usize) -> bool {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return true;
        };
        if tunnel.phase == Phase::Draining && self.owes_nothing(&tunnel) {
            self.end(&mut tunnel);
        }
        let passed = tunnel.outbox.pass_skipped();
        let ended = match tunnel.ws.take() {
            None => self.pour(&mut tunnel, out, room),
            Some(ws) => self.write_socket(&mut tunnel, ws, out, room),
        };
        let key = if let State::Ready(ready) = &tunnel.state {
            Some(ready.key)
        } else {
            None
        };
        self.tunnels.put(tunnel);
        if let (Some(row), Some(key)) = (passed, key) {
            self.rows_arrived(key, row);
            self.fetch(id);
        }
        ended
    }

    /// Bytes of frames, up to `room`; true when nothing more will come after them.
    pub(super) fn pour(&mut self, tunnel: &mut Tunnel, out: &mut Vec<u8>, room: usize) -> bool {
        if room > 0 {
            if tunnel.sealed.is_some() {
                self.fill_sealed(tunnel, out, room);
            } else {
                self.fill_frames(tunnel, out, room);
            }
        }
        tunnel.phase == Phase::Ending && !tunnel.has_unsent()
    }

    /// Plain frames, up to `room` bytes.
    pub(crate) fn fill_frames(&mut self, tunnel: &mut Tunnel, out: &mut Vec<u8>, room: usize) {
        let at = out.len();
        if tunnel.outbox.fill(out, room, &mut self.counters.frames_out) == Filled::Exhausted {
            self.exhausted(tunnel);
            let left = room - (out.len() - at);
            let _ = tunnel.outbox.fill(out, left, &mut self.counters.frames_out);
        }
    }

    /// The numbers have run out (decisions § 3).
    pub(crate) fn exhausted(&mut self, tunnel: &mut Tunnel) {
        if tunnel.phase != Phase::Ending {
            tunnel.outbox.exhaust();
            self.fail(tunnel, Title::SequenceExhausted, "connect again to start a new count");
        }
    }

    fn owes_nothing(&self, tunnel: &Tunnel) -> bool {
        let settled = match &tunnel.state {
            State::Ready(ready) => ready.pending.waiting() == 0,
            State::Ended | State::Hello | State::Proof(_) => true,
            State::Looking(_) | State::Recording(_) | State::Opening(_) | State::Attaching(_) => false,
        };
        settled && tunnel.stalled.is_none() && tunnel.outbox.is_quiet() && !tunnel.has_unsent()
    }

    /// Seals the turn's plain text and asks for the send; closes a connection that owes nothing more.
    fn seal(&mut self, conn: &mut Conn, plain: &mut Vec<u8>) {
        let mut buffer = self.buffers.lease();
        let finishing = conn.life == Life::Finishing && !self.owes_tunnels(conn);
        match &mut conn.tls {
            Some(tls) => {
                buffer.append(&mut conn.records);
                conn.records = Vec::new();
                if let Err(error) = tls.seal(plain, &mut buffer) {
                    tracing::debug!(conn = conn.id.slot, %error, "nothing more can be sealed");
                    self.abort(conn);
                    self.buffers.give_back(buffer);
                    return;
                }
                if finishing {
                    tls.close_notify(&mut buffer);
                }
            }
            None => std::mem::swap(&mut buffer, plain),
        }
        if buffer.is_empty() {
            self.buffers.give_back(buffer);
        } else {
            conn.sending = true;
            self.counters.sends += 1;
            self.fx.sends.push((conn.id, buffer));
        }
        if finishing {
            conn.life = Life::Closing;
            self.fx.closes.push((conn.id, Ending::Graceful));
        }
    }

    fn owes_tunnels(&mut self, conn: &Conn) -> bool {
        conn.tunnels
            .iter()
            .any(|id| self.tunnels.get_mut(*id).is_some_and(|tunnel| tunnel.has_unsent()))
    }

    /// The kernel has taken the whole send: its frames have arrived as far as anybody can know.
    pub(crate) fn sent(&mut self, id: ConnId, buffer: Vec<u8>) {
        self.buffers.give_back(buffer);
        let Some(mut conn) = self.conns.take(id) else { return };
        conn.sending = false;
        for tunnel in &conn.tunnels {
            self.taken(*tunnel);
        }
        self.touch_conn(&mut conn);
        self.conns.put(conn);
    }

    fn taken(&mut self, id: TunnelId) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        let aside = tunnel.sealed.as_ref().map_or(0, |sealed| sealed.aside_frames());
        let row = tunnel.outbox.completed(aside);
        let key = if let State::Ready(ready) = &tunnel.state {
            Some(ready.key)
        } else {
            None
        };
        if tunnel.stalled == Some(Stall::Control) {
            self.wakes.push(id);
        }
        self.touch_if_draining(&mut tunnel);
        self.note_fat(&mut tunnel);
        self.tunnels.put(tunnel);
        if let (Some(row), Some(key)) = (row, key) {
            self.rows_arrived(key, row);
        }
        self.fetch(id);
    }

    /// A lane keeps its memory from burst to burst, so that a busy session allocates nothing; an idle one gives it back.
    pub(crate) fn note_fat(&mut self, tunnel: &mut Tunnel) {
        if tunnel.fat.is_none() && tunnel.outbox.is_fat() {
            if self.fat.is_empty() {
                self.timers.arm(self.at.now + SLIM_AFTER, Owner::Slim);
            }
            self.keep_fat(tunnel);
        }
    }

    fn keep_fat(&mut self, tunnel: &mut Tunnel) {
        tunnel.fat = Some(tunnel.outbox.last_sequence());
        self.fat.push_back((self.at.now + SLIM_AFTER, tunnel.id));
    }

    /// Those that have sent nothing since give their memory back; the others are looked at again later.
    pub(crate) fn slim(&mut self) {
        for _ in 0..SLIM_AT_ONCE {
            let Some((_, id)) = self.fat.pop_front_if(|(due, _)| *due <= self.at.now) else {
                break;
            };
            let Some(mut tunnel) = self.tunnels.take(id) else {
                continue;
            };
            if tunnel.fat == Some(tunnel.outbox.last_sequence()) {
                tunnel.fat = None;
                tunnel.outbox.slim();
            } else {
                self.keep_fat(&mut tunnel);
            }
            self.tunnels.put(tunnel);
        }
        if let Some((due, _)) = self.fat.front() {
            let due = (*due).max(self.at.now + SLIM_PAUSE);
            self.timers.arm(due, Owner::Slim);
        }
    }
}

/// What the window lets go of an answer; false when that was the rest. `answers` is set while there is more to come.
fn fill_answer(h2: &mut H2, stream: u32, exchange: &mut Exchange, answers: &mut bool, plain: &mut Vec<u8>) -> bool {
    let goes_on = match exchange {
        Exchange::Answering(body) => {
            let taken = h2.data(stream, body, true, plain);
            let _ = body.split_to(taken);
            !body.is_empty()
        }
        Exchange::Streaming(unsent) => {
            let taken = h2.data(stream, &unsent.bytes, unsent.over, plain);
            unsent.bytes.drain(..taken);
            !(unsent.over && unsent.bytes.is_empty())
        }
        _ => return true,
    };
    *answers |= goes_on;
    goes_on
}
