//! One client's session, from HELLO to its end. Each state holds what is known by then and is consumed by the next; only
//! `Ready` has routes, so a session that is not ready cannot route.
//!
//! ```text
//! Hello ─HELLO─► Looking ─store─► Proof ─step 3─► Recording ─store─► Opening ─store─► Attaching ─home─► Ready
//!   └───────────────┴─────────────────┴──────────────┴────────────────┴────── ERROR ─────┴──────────────┴─► Ended
//! ```
//! `Recording` is for those of whom something new is to be written; all others go from their proof to `Opening`.

pub(crate) mod agreed;
pub(crate) mod bearer;
pub(crate) mod calls;
pub(crate) mod command;
pub(crate) mod group;
pub(crate) mod hello;
#[cfg(test)]
mod last_number;
pub(crate) mod naming;
mod open;
pub(crate) mod pending;
pub(crate) mod proof;
pub(crate) mod ready;
pub(crate) mod roster;

use commucat_proto::control::{self, Problem};
use commucat_proto::{ChannelId, Diagnostic, Frame, FrameType, Parsed, Title, frame};

use crate::Shard;
use crate::mesh::message::TunnelId;
use crate::tunnel::{Phase, Stall, Tunnel};

/// How far the handshake, or the session, is (CCP-1, Handshake).
#[derive(Debug)]
pub(crate) enum State {
    /// Nothing has been said.
    Hello,
    /// HELLO was understood; the store is asked about the device.
    Looking(Box<hello::Looking>),
    /// AUTH was sent; the client proves its key.
    Proof(Box<proof::Proof>),
    /// The key is proven; the store writes what is new about the device.
    Recording(Box<proof::Proven>),
    /// The store keeps the session's token, unless the device has been revoked meanwhile.
    Opening(Box<proof::Proven>),
    /// The home is asked for the device's seat.
    Attaching(Box<proof::Attaching>),
    /// Frames are routed.
    Ready(Box<ready::Ready>),
    /// Nothing is routed any more.
    Ended,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Done with it.
    Go,
    /// It may go, to a crowd: so may what follows it, perhaps.
    Run,
    /// It cannot be taken now and stays where it is.
    Wait(Stall),
    /// The session has ended; what follows is not read.
    End,
}

impl Shard {
    /// Body bytes of a tunnel, as they were carried. Gives how many octets of window are the client's again.
    pub(crate) fn feed(&mut self, id: TunnelId, bytes: &[u8]) -> u32 {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return octets(bytes.len());
        };
        match tunnel.ws.take() {
            None => self.take_in(&mut tunnel, bytes),
            Some(ws) => self.read_socket(&mut tunnel, ws, bytes),
        }
        tunnel.owed_credit = tunnel.owed_credit.saturating_add(octets(bytes.len()));
        self.settle_input(&mut tunnel);
        let credit = if tunnel.stalled.is_none() {
            std::mem::take(&mut tunnel.owed_credit)
        } else {
            0
        };
        self.tunnels.put(tunnel);
        credit
    }

    /// Bytes of frames, or of Noise messages around them.
    pub(crate) fn take_in(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) {
        if tunnel.sealed.is_some() {
            self.feed_sealed(tunnel, bytes);
        } else if tunnel.stalled.is_none() && tunnel.unparsed.is_empty() {
            self.parse_or_keep(tunnel, bytes);
        } else {
            tunnel.unparsed.extend_from_slice(bytes);
            if tunnel.stalled.is_none() {
                self.parse_unparsed(tunnel);
            }
        }
    }

    /// Something a stalled tunnel waited for has happened: tries again. Gives the window to give back.
    pub(crate) fn wake(&mut self, id: TunnelId) -> u32 {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return 0;
        };
        if tunnel.stalled != Some(Stall::Handshake) || !tunnel.state.waits() {
            tunnel.stalled = None;
            self.parse_unparsed(&mut tunnel);
            if tunnel.sealed.is_some() {
                self.open_unopened(&mut tunnel);
            }
            self.settle_input(&mut tunnel);
        }
        let credit = if tunnel.stalled.is_none() {
            std::mem::take(&mut tunnel.owed_credit)
        } else {
            0
        };
        self.tunnels.put(tunnel);
        credit
    }

    /// Takes the whole frames of `bytes` and keeps the rest.
    pub(crate) fn parse_or_keep(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) {
        let was_sealed = tunnel.sealed.is_some();
        let used = self.parse(tunnel, bytes);
        if used < bytes.len() {
            let mut rest = self.buffers.lease();
            rest.extend_from_slice(&bytes[used..]);
            tunnel.keep(rest, was_sealed);
        }
    }

    pub(crate) fn parse_unparsed(&mut self, tunnel: &mut Tunnel) {
        let was_sealed = tunnel.sealed.is_some();
        let mut bytes = std::mem::take(&mut tunnel.unparsed);
        let used = self.parse(tunnel, &bytes);
        if used == bytes.len() {
            self.buffers.give_back(bytes);
        } else {
            bytes.drain(..used);
            tunnel.keep(bytes, was_sealed);
        }
    }

    /// Keeps the books of unparsed bytes: the budget, and the time an unfinished frame has.
    fn settle_input(&mut self, tunnel: &mut Tunnel) {
        let limits = &self.config.limits;
        if tunnel.phase == Phase::Ending {
            tunnel.forget_input();
        }
        let held = tunnel.held_input();
        self.unparsed = self.unparsed + held - tunnel.unparsed_counted;
        tunnel.unparsed_counted = held;
        if held > limits.unparsed_bytes || (held > 0 && self.unparsed > limits.shard_unparsed_bytes) {
            self.fail(
                tunnel,
                Title::ServiceUnavailable,
                "too many bytes are waiting to be parsed",
            );
            self.unparsed -= std::mem::take(&mut tunnel.unparsed_counted);
            tunnel.forget_input();
            return;
        }
        if held == 0 || tunnel.stalled.is_some() {
            tunnel.frame_since = None;
        } else if tunnel.frame_since.is_none() {
            tunnel.frame_since = Some(self.at.now);
            let due = self.at.now + limits.frame_timeout;
            self.arm(tunnel, due);
        }
    }

    /// Takes whole frames from the front of `bytes`; gives how many bytes they were.
    fn parse(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            if tunnel.phase == Phase::Ending {
                return bytes.len();
            }
            match frame::parse(&bytes[used..], &self.config.limits.frame) {
                Ok(Parsed::NeedMore { .. }) => break,
                Ok(Parsed::Frame { frame, consumed }) => {
                    tunnel.frame_since = None;
                    match self.frame(tunnel, frame) {
                        Next::Go => used += consumed,
                        Next::Run => used += self.take_run(tunnel, &bytes[used..]),
                        Next::End => return bytes.len(),
                        Next::Wait(stall) => {
                            self.counters.stalls += 1;
                            tunnel.stalled = Some(stall);
                            break;
                        }
                    }
                    if tunnel.stalled.is_some() {
                        break;
                    }
                }
                Err(diagnostic) => {
                    self.refuse(tunnel, &diagnostic);
                    return bytes.len();
                }
            }
        }
        used
    }

    fn frame(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        let next = match &tunnel.state {
            State::Ready(_) => return self.ready_frame(tunnel, frame),
            State::Hello => self.hello(tunnel, frame),
            State::Proof(_) => self.proof(tunnel, frame),
            State::Looking(_) | State::Recording(_) | State::Opening(_) | State::Attaching(_) => {
                Next::Wait(Stall::Handshake)
            }
            State::Ended => Next::End,
        };
        if next == Next::Go {
            self.counters.frame_in(frame.kind);
            tunnel.last_sequence = Some(frame.sequence);
        }
        next
    }

    /// A codec error: exactly one ERROR, then the end (decisions § 2).
    pub(crate) fn refuse(&mut self, tunnel: &mut Tunnel, diagnostic: &Diagnostic) {
        let detail = diagnostic.to_string();
        self.fail(tunnel, diagnostic.title(), &detail);
    }

    /// Ends a session with an ERROR (CCP-1, Error Frames).
    pub(crate) fn fail(&mut self, tunnel: &mut Tunnel, title: Title, detail: &str) -> Next {
        if tunnel.phase == Phase::Ending {
            return Next::End;
        }
        match tunnel.state {
            State::Ready(_) => self.counters.errors += 1,
            _ => self.counters.handshakes_failed += 1,
        }
        tracing::info!(
            conn = tunnel.conn.slot,
            trace = tunnel.trace.map(tracing::field::display),
            title = title.as_str(),
            detail,
            "session ended with an error"
        );
        self.end(tunnel);
        tunnel.problem = Some(title);
        let mut payload = Vec::new();
        control::write(&Problem::new(title, detail.to_owned()), &mut payload);
        tunnel.outbox.push_control(FrameType::Error, ChannelId::ZERO, &payload);
        Next::End
    }

    /// Ends a session: it leaves the tables at once, its stream ends when what must still be seen has been sent.
    pub(crate) fn end(&mut self, tunnel: &mut Tunnel) {
        if tunnel.phase == Phase::Ending {
            return;
        }
        self.detach(tunnel);
        tunnel.phase = Phase::Ending;
        tunnel.stalled = None;
        let due = self.at.now + self.config.limits.close_timeout;
        tunnel.end_by = Some(due);
        self.arm(tunnel, due);
        self.touch(tunnel);
    }
}

impl State {
    /// Frames that are routed and not acknowledged.
    pub(crate) fn unacked(&self) -> usize {
        match self {
            Self::Ready(ready) => ready.pending.waiting(),
            _ => 0,
        }
    }

    /// Whether the handshake waits for an answer from the store or the home.
    fn waits(&self) -> bool {
        matches!(
            self,
            Self::Looking(_) | Self::Recording(_) | Self::Opening(_) | Self::Attaching(_)
        )
    }
}

fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
