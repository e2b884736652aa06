//! How connections and tunnels end: by half-close, deadline, drain, or because the socket is gone. Every way leads
//! through `end` or `drop_tunnel`, so that what a session owed is stored and nothing stays in a table.

use crate::Shard;
use crate::clock::Now;
use crate::conn::exchange::Exchange;
use crate::conn::h2::Code;
use crate::conn::{Conn, Http, Life};
use crate::effect::Ending;
use crate::input::ConnId;
use crate::mesh::message::TunnelId;
use crate::session::State;
use crate::timer::Owner;
use crate::tunnel::{Phase, Tunnel};
use commucat_proto::Title;

impl Shard {
    pub(super) fn arm_conn(&mut self, conn: &mut Conn, due: Now) {
        if conn.armed.is_none_or(|armed| armed > due) {
            conn.armed = Some(due);
            self.timers.arm(due, Owner::Conn(conn.id));
        }
    }

    /// A connection without an open request has a time limit; one with a tunnel has none (decisions § 1).
    pub(super) fn settle_idle(&mut self, conn: &mut Conn) {
        let idle = match &conn.http {
            Http::Unknown | Http::One(_, Exchange::None) => true,
            Http::One(..) => false,
            Http::Two(two) => two.streams.is_empty(),
        };
        if !idle {
            conn.idle_until = None;
        } else if conn.idle_until.is_none() {
            let due = self.at.now + self.config.limits.head_timeout;
            conn.idle_until = Some(due);
            self.arm_conn(conn, due);
        }
    }

    /// Nothing more is read; what is owed is sent, then it closes.
    pub(super) fn finish(&mut self, conn: &mut Conn) {
        if conn.life != Life::Open {
            return;
        }
        conn.life = Life::Finishing;
        conn.rest = Vec::new();
        self.end_streams(conn);
        let due = self.at.now + self.config.limits.close_timeout;
        conn.end_by = Some(due);
        self.arm_conn(conn, due);
        self.touch_conn(conn);
    }

    pub(super) fn abort(&mut self, conn: &mut Conn) {
        if conn.life != Life::Closing {
            conn.life = Life::Closing;
            self.hang_up(conn);
            self.end_tunnels(conn);
            self.fx.closes.push((conn.id, Ending::Abort));
        }
    }

    /// The client sends no more on this stream: what is owed to it is flushed, then the stream ends.
    pub(super) fn half_close(&mut self, id: TunnelId) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        self.half_close_tunnel(&mut tunnel);
        self.tunnels.put(tunnel);
    }

    pub(super) fn half_close_tunnel(&mut self, tunnel: &mut Tunnel) {
        if tunnel.phase != Phase::Open {
            return;
        }
        if matches!(tunnel.state, State::Hello | State::Proof(_)) {
            let (title, detail) = if self.draining {
                (Title::ServiceUnavailable, "the server is going away")
            } else {
                (Title::HandshakeFailed, "the stream ended during the handshake")
            };
            self.fail(tunnel, title, detail);
        } else {
            tunnel.phase = Phase::Draining;
            let due = self.at.now + self.config.limits.close_timeout;
            tunnel.end_by = Some(due);
            self.arm(tunnel, due);
            self.touch(tunnel);
        }
    }

    /// The client sends no more at all.
    pub(super) fn half_closed(&mut self, conn: &mut Conn) {
        conn.last = true;
        if conn.tunnels.is_empty() {
            self.finish(conn);
        }
        for id in conn.tunnels.clone() {
            self.half_close(id);
        }
    }

    pub(crate) fn eof(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.take(id) else { return };
        if conn.life == Life::Open {
            self.half_closed(&mut conn);
        }
        self.conns.put(conn);
    }

    pub(super) fn end_tunnels(&mut self, conn: &mut Conn) {
        for id in conn.tunnels.clone() {
            if let Some(mut tunnel) = self.tunnels.take(id) {
                self.end(&mut tunnel);
                self.tunnels.put(tunnel);
            }
        }
    }

    /// The stream is over: the tunnel leaves the table.
    pub(super) fn drop_tunnel(&mut self, conn: &mut Conn, id: TunnelId) {
        conn.tunnels.retain(|tunnel| *tunnel != id);
        self.forget_tunnel(id);
        if conn.last && conn.tunnels.is_empty() {
            self.finish(conn);
        }
    }

    pub(super) fn drop_tunnels(&mut self, conn: &mut Conn) {
        for id in std::mem::take(&mut conn.tunnels) {
            self.forget_tunnel(id);
        }
    }

    fn forget_tunnel(&mut self, id: TunnelId) {
        if let Some(mut tunnel) = self.tunnels.take(id) {
            self.detach(&mut tunnel);
            self.unparsed -= tunnel.unparsed_counted;
            self.tunnels.put(tunnel);
            self.tunnels.remove(id);
        }
    }

    /// The socket is gone.
    pub(crate) fn closed(&mut self, id: ConnId) {
        let Some(mut conn) = self.conns.remove(id) else { return };
        self.counters.closed += 1;
        self.hang_up(&mut conn);
        for tunnel in conn.tunnels {
            self.forget_tunnel(tunnel);
        }
    }

    /// A tunnel that was stalled tries again.
    pub(crate) fn go_on(&mut self, id: TunnelId) {
        let credit = self.wake(id);
        let Some(tunnel) = self.tunnels.get_mut(id) else { return };
        let (conn, stream) = (tunnel.conn, tunnel.stream);
        let Some(mut conn) = self.conns.take(conn) else { return };
        if credit > 0
            && let Http::Two(two) = &mut conn.http
        {
            two.h2.credit(stream, credit);
        }
        self.settle_conn(&mut conn);
        self.conns.put(conn);
    }

    pub(crate) fn conn_expired(&mut self, id: ConnId) {
        let now = self.at.now;
        let Some(mut conn) = self.conns.take(id) else { return };
        conn.armed = None;
        if conn.end_by.is_some_and(|due| due <= now) {
            self.counters.timeouts += 1;
            self.abort(&mut conn);
        } else if conn.idle_until.is_some_and(|due| due <= now) {
            conn.idle_until = None;
            self.counters.timeouts += 1;
            if let Http::Two(two) = &mut conn.http {
                two.h2.goaway(Code::NoError);
            }
            self.finish(&mut conn);
        }
        let next = [conn.end_by, conn.idle_until].into_iter().flatten().min();
        if let Some(due) = next.filter(|_| conn.life != Life::Closing) {
            self.arm_conn(&mut conn, due);
        }
        self.conns.put(conn);
    }

    pub(crate) fn tunnel_expired(&mut self, id: TunnelId) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        tunnel.armed = None;
        self.tunnel_due(&mut tunnel);
        let frame_by = tunnel.frame_since.map(|since| since + self.config.limits.frame_timeout);
        let next = match tunnel.phase {
            Phase::Ending => tunnel.end_by,
            _ => [tunnel.hello_by, frame_by, tunnel.end_by].into_iter().flatten().min(),
        };
        let (conn, stream) = (tunnel.conn, tunnel.stream);
        let stuck = tunnel.phase == Phase::Ending && tunnel.end_by.is_some_and(|due| due <= self.at.now);
        if let Some(due) = next.filter(|_| !stuck) {
            self.arm(&mut tunnel, due);
        }
        self.tunnels.put(tunnel);
        if stuck && let Some(mut conn) = self.conns.take(conn) {
            // It would not even take its ERROR.
            match &mut conn.http {
                Http::Two(two) if conn.tunnels.len() > 1 => {
                    two.h2.reset(stream, Code::Cancel);
                    two.streams.remove(stream);
                    self.drop_tunnel(&mut conn, id);
                    self.settle_conn(&mut conn);
                }
                _ => self.abort(&mut conn),
            }
            self.conns.put(conn);
        }
    }

    fn tunnel_due(&mut self, tunnel: &mut Tunnel) {
        let now = self.at.now;
        let over = |due: Option<Now>| due.is_some_and(|due| due <= now);
        let frame_by = tunnel.frame_since.map(|since| since + self.config.limits.frame_timeout);
        if tunnel.phase == Phase::Ending {
            return;
        }
        if over(tunnel.hello_by) {
            tunnel.hello_by = None;
            self.counters.timeouts += 1;
            self.fail(tunnel, Title::HandshakeFailed, "the handshake took too long");
        } else if over(frame_by) {
            self.counters.timeouts += 1;
            self.fail(tunnel, Title::FrameTimeout, "a frame did not arrive whole in time");
        } else if over(tunnel.end_by) {
            self.counters.timeouts += 1;
            self.end(tunnel);
        }
    }

    /// The process is to end: the new is refused, what is owed is flushed, the rest is stored.
    pub(crate) fn drain(&mut self) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        self.timers
            .arm(self.at.now + self.config.limits.drain_timeout, Owner::Drain);
        for id in self.conns.ids() {
            let Some(mut conn) = self.conns.take(id) else { continue };
            if let Http::Two(two) = &mut conn.http {
                two.h2.goaway(Code::NoError);
            }
            self.end_streams(&mut conn);
            self.half_closed(&mut conn);
            self.touch_conn(&mut conn);
            self.conns.put(conn);
        }
    }

    pub(crate) fn drain_expired(&mut self) {
        for id in self.conns.ids() {
            if let Some(mut conn) = self.conns.take(id) {
                self.abort(&mut conn);
                self.conns.put(conn);
            }
        }
    }
}
