//! Sending: one contiguous buffer per connection at a time, taken by value and given back when the kernel has all of it.
//!
//! A send never waits inside the kernel (MSG_DONTWAIT): it takes what fits and completes at once. What is left waits for
//! the socket's word that there is room again, from an edge-triggered watch that is armed the first time a connection
//! stalls and stays for its life. Letting the kernel wait (MSG_WAITALL) is what the operation is made for, but once the
//! peer has half-closed, that wait ends at once each time (the kernel adds RDHUP to what it waits for), is repeated 128
//! times and then blocks one of the kernel's threads: a peer that half-closes and does not read would cost us a thread.
//!
//! Invariant: while `stage` is `Sending` the buffer is neither moved out, changed nor freed, since its heap memory is what
//! the kernel reads; `Stalled` means that the kernel has none of it and the watch is armed or about to end.

use io_uring::{cqueue, opcode, types};

use crate::event::Event;
use crate::limits;
use crate::op::Op;
use crate::ring::Ring;
use crate::slots::{Life, SocketId};

/// Where the one outstanding send is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    None,
    /// With the kernel.
    Sending,
    /// Waiting for room.
    Stalled,
}

/// The watch for room in the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    None,
    Armed,
    Cancelling,
}

/// The sending side of a connection.
pub(crate) struct Outgoing {
    buffer: Vec<u8>,
    taken: usize,
    stage: Stage,
    watch: Watch,
}

impl Outgoing {
    pub(crate) const NONE: Outgoing = Outgoing {
        buffer: Vec::new(),
        taken: 0,
        stage: Stage::None,
        watch: Watch::None,
    };

    /// Whether a send is outstanding, as its owner sees it.
    pub(crate) fn outstanding(&self) -> bool {
        self.stage != Stage::None
    }

    /// Whether no operation of this side is in flight.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stage == Stage::None && self.watch == Watch::None
    }

    fn begin(&mut self, buffer: Vec<u8>) {
        assert!(!self.outstanding(), "a connection has at most one send outstanding");
        self.buffer = buffer;
        self.taken = 0;
    }

    fn finish(&mut self) -> Vec<u8> {
        self.stage = Stage::None;
        std::mem::take(&mut self.buffer)
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
        conn.outgoing.stage = Stage::Sending;
        let rest = conn.outgoing.rest();
        let entry = opcode::Send::new(types::Fixed(id.slot), rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
            .build();
        // SAFETY: the bytes are in the heap memory of `Outgoing::buffer`, which stays as it is while the stage is
        // `Sending`, that is until this operation has completed; the slot cannot be vacated before (asserted there), and
        // a ring that cannot drain leaks its slots.
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
        } else if result > 0 || -result == libc::EAGAIN {
            self.stall(id);
        } else if -result == libc::EINTR {
            self.push_send(id);
        } else {
            drop(outgoing.finish());
            self.die(id);
        }
    }

    /// The socket is full: the rest waits for the watch. If that is armed already, its next edge comes after this send,
    /// which has left the mark in the socket that makes the kernel tell.
    fn stall(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        self.queue.counters.stalls += 1;
        conn.outgoing.stage = Stage::Stalled;
        if conn.outgoing.watch == Watch::None {
            conn.outgoing.watch = Watch::Armed;
            // Edge-triggered, because the level of a half-closed socket is always up.
            let entry = opcode::PollAdd::new(types::Fixed(id.slot), libc::POLLOUT as u32)
                .multi(true)
                .build();
            // SAFETY: the entry carries neither a pointer nor a plain descriptor.
            unsafe { self.queue.push(Op::Watch(id), entry) }
        }
    }

    /// There may be room, or the connection may be broken: the send finds out.
    pub(crate) fn on_watch(&mut self, id: SocketId, entry: &cqueue::Entry) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        if !cqueue::more(entry.flags()) {
            conn.outgoing.watch = Watch::None;
        }
        if conn.life == Life::Dying {
            self.settle(id);
        } else if conn.outgoing.stage == Stage::Stalled {
            self.push_send(id);
        }
    }

    /// Gives up what is outstanding. What is with the kernel completes with this turn's submission.
    pub(crate) fn abandon_output(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        if conn.outgoing.stage == Stage::Stalled {
            drop(conn.outgoing.finish());
        }
        if conn.outgoing.watch == Watch::Armed {
            conn.outgoing.watch = Watch::Cancelling;
            self.cancel(Op::CancelWatch(id), Op::Watch(id));
        }
    }

    /// As for receives: asked again if the watch was not found and has not ended.
    pub(crate) fn on_cancel_watch(&mut self, id: SocketId, result: i32) {
        let still = self
            .slots
            .get(id)
            .is_some_and(|conn| conn.outgoing.watch == Watch::Cancelling);
        if result < 0 && still {
            self.queue.counters.cancel_retries += 1;
            self.cancel(Op::CancelWatch(id), Op::Watch(id));
        }
    }
}
