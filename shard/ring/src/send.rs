//! Sending: one contiguous buffer per connection at a time, taken by value and given back when the kernel has all of it.
//!
//! Invariant: from `begin` until `finish` the buffer is neither moved out, changed nor freed; its heap memory is what the
//! kernel reads. `finish` is called only for the final completion of the operation.

use io_uring::{opcode, types};

use crate::event::Event;
use crate::limits;
use crate::op::Op;
use crate::ring::Ring;
use crate::slots::{Life, SocketId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    None,
    InFlight,
    Cancelling,
}

/// The one send a connection may have outstanding.
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    taken: usize,
    stage: Stage,
}

impl Outgoing {
    pub(crate) const NONE: Outgoing = Outgoing {
        buffer: Vec::new(),
        taken: 0,
        stage: Stage::None,
    };

    pub(crate) fn in_flight(&self) -> bool {
        self.stage != Stage::None
    }

    fn begin(&mut self, buffer: Vec<u8>) {
        assert!(!self.in_flight(), "a connection has at most one send outstanding");
        *self = Outgoing {
            buffer,
            taken: 0,
            stage: Stage::InFlight,
        };
    }

    fn finish(&mut self) -> Vec<u8> {
        std::mem::replace(self, Outgoing::NONE).buffer
    }

    fn rest(&self) -> &[u8] {
        let rest = &self.buffer[self.taken..];
        &rest[..rest.len().min(limits::SEND_PIECE)]
    }
}

impl Ring {
    /// Sends a buffer. It comes back in [`Event::Sent`], unless the connection ends first.
    ///
    /// A connection has at most one send outstanding: what is owed meanwhile belongs into the next one, since one large
    /// send costs little more than a small one. On a connection that is being closed the bytes are dropped.
    ///
    /// # Panics
    ///
    /// If a send of this connection is outstanding.
    pub fn send(&mut self, id: SocketId, bytes: Vec<u8>) {
        match self.slots.get(id) {
            None => self.queue.counters.stale_ids += 1,
            Some(conn) if conn.life == Life::Open => {
                conn.outgoing.begin(bytes);
                self.push_send(id);
            }
            Some(_) => {}
        }
    }

    fn push_send(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        let rest = conn.outgoing.rest();
        let entry = opcode::Send::new(types::Fixed(id.slot), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build();
        // SAFETY: the bytes are in the heap memory of `Outgoing::buffer`, which stays as it is until this operation's
        // completion calls `finish`; the slot cannot be vacated before (asserted there), and a ring that cannot drain
        // leaks its slots.
        unsafe { self.queue.push(Op::Send(id), entry) }
    }

    pub(crate) fn on_send(&mut self, id: SocketId, result: i32, on: &mut dyn FnMut(Event<'_>)) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        let outgoing = &mut conn.outgoing;
        let taken = result.max(0) as usize;
        outgoing.taken += taken;
        self.queue.counters.sent_bytes += taken as u64;
        let all = result >= 0 && outgoing.taken == outgoing.buffer.len();
        let again = result > 0 || matches!(-result, libc::EINTR | libc::EAGAIN);
        if conn.life == Life::Dying {
            drop(outgoing.finish());
            self.settle(id);
        } else if all {
            let buffer = outgoing.finish();
            let flushing = conn.life == Life::Flushing;
            self.queue.counters.sends += 1;
            on(Event::Sent { id, buffer });
            if flushing {
                self.finish_output(id);
            }
        } else if again {
            self.queue.counters.partial_sends += 1;
            self.push_send(id);
        } else {
            drop(outgoing.finish());
            self.die(id);
        }
    }

    /// Asks the kernel to give up an outstanding send; its buffer stays parked in the slot until it has.
    pub(crate) fn cancel_send(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        if conn.outgoing.stage == Stage::InFlight {
            conn.outgoing.stage = Stage::Cancelling;
            self.cancel(Op::CancelSend(id), Op::Send(id));
        }
    }

    /// As for receives: asked again if the send was between two places when the kernel looked.
    pub(crate) fn on_cancel_send(&mut self, id: SocketId, result: i32) {
        let still = self
            .slots
            .get(id)
            .is_some_and(|conn| conn.outgoing.stage == Stage::Cancelling);
        if result < 0 && still {
            self.queue.counters.cancel_retries += 1;
            self.cancel(Op::CancelSend(id), Op::Send(id));
        }
    }
}
