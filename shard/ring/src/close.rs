//! Ending connections.
//!
//! ```text
//! Open ──Graceful──► Flushing ──send done──► Lingering ──peer's FIN──► Dying ──last completions──► Closing ──► Free
//!   └────Abort, reset, error, deadline──────────────────────────────────►┘
//! ```
//!
//! Invariant: the descriptor is closed only when no receive, send, watch or FIN is in flight, and `Closed` is given when
//! the kernel says that the slot of its table is free. So a later tenant cannot meet an earlier one's completions.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use io_uring::squeue::Flags;
use io_uring::{opcode, types};

use crate::event::{Ending, Event};
use crate::op::Op;
use crate::ring::Ring;
use crate::slots::{Life, SocketId};

/// Deadlines of graceful closes. Each queue has one duration, so its front is always the next to expire.
pub(crate) struct Endings {
    flushing: VecDeque<(Instant, SocketId)>,
    lingering: VecDeque<(Instant, SocketId)>,
    flush: Duration,
    linger: Duration,
}

impl Endings {
    pub(crate) fn new(flush: Duration, linger: Duration) -> Endings {
        Endings {
            flushing: VecDeque::new(),
            lingering: VecDeque::new(),
            flush,
            linger,
        }
    }

    /// The next deadline, which may turn out to be one that no longer matters.
    pub(crate) fn next(&self) -> Option<Instant> {
        let front = |queue: &VecDeque<(Instant, SocketId)>| queue.front().map(|(at, _)| *at);
        front(&self.flushing).into_iter().chain(front(&self.lingering)).min()
    }
}

impl Ring {
    /// Ends a connection. [`Event::Closed`] follows; until then at most `Sent` does. `Abort` may follow `Graceful`.
    pub fn close(&mut self, id: SocketId, ending: Ending) {
        let Some(conn) = self.slots.get(id) else {
            self.queue.counters.stale_ids += 1;
            return;
        };
        match (conn.life, ending) {
            (Life::Open, Ending::Graceful) => {
                conn.life = Life::Flushing;
                conn.reading = true;
                if conn.outgoing.outstanding() {
                    self.endings
                        .flushing
                        .push_back((Instant::now() + self.endings.flush, id));
                    self.steer(id);
                } else {
                    self.finish_output(id);
                }
            }
            (Life::Open | Life::Flushing | Life::Lingering, Ending::Abort) => self.die(id),
            _ => {}
        }
    }

    /// Nothing is left to send: half-close and linger, or close at once if the peer has finished too.
    pub(crate) fn finish_output(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        if conn.eof {
            return self.die(id);
        }
        conn.life = Life::Lingering;
        conn.finning = true;
        let entry = opcode::Shutdown::new(types::Fixed(id.slot), libc::SHUT_WR).build();
        // SAFETY: the entry carries neither a pointer nor a plain descriptor.
        unsafe { self.queue.push(Op::Shutdown(id), entry) }
        self.endings
            .lingering
            .push_back((Instant::now() + self.endings.linger, id));
        self.steer(id);
    }

    /// Cancels what is in flight; the descriptor is closed when nothing is.
    pub(crate) fn die(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        if conn.life >= Life::Dying {
            return;
        }
        conn.life = Life::Dying;
        self.steer(id);
        self.abandon_output(id);
        self.settle(id);
    }

    /// Closes the descriptor of a dying connection once its operations have ended.
    pub(crate) fn settle(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        if conn.life == Life::Dying && conn.is_quiet() {
            conn.life = Life::Closing;
            let entry = opcode::Close::new(types::Fixed(id.slot)).build();
            // SAFETY: the entry carries no pointer, and the descriptor is the ring's own.
            unsafe { self.queue.push(Op::Close(id), entry) }
        }
    }

    /// The FIN is out, or could not be sent: either way no worker looks for the descriptor any more.
    pub(crate) fn on_shutdown(&mut self, id: SocketId) {
        if let Some(conn) = self.slots.get(id) {
            conn.finning = false;
            self.settle(id);
        }
    }

    pub(crate) fn on_close(&mut self, id: SocketId, on: &mut dyn FnMut(Event<'_>)) {
        if self.slots.vacate(id) {
            self.queue.counters.closes += 1;
            self.acceptor.room_again();
            on(Event::Closed { id });
        }
    }

    /// Ends graceful closes that took too long. Reads the clock only if there are any.
    pub(crate) fn expire(&mut self) {
        if self.endings.next().is_none() {
            return;
        }
        let now = Instant::now();
        while let Some(&(at, id)) = self.endings.flushing.front() {
            if !self.overdue(id, Life::Flushing, at, now) {
                break;
            }
            self.endings.flushing.pop_front();
        }
        while let Some(&(at, id)) = self.endings.lingering.front() {
            if !self.overdue(id, Life::Lingering, at, now) {
                break;
            }
            self.endings.lingering.pop_front();
        }
    }

    /// Whether a deadline is done with: its connection has moved on, or is ended now.
    fn overdue(&mut self, id: SocketId, life: Life, at: Instant, now: Instant) -> bool {
        if self.slots.get(id).is_none_or(|conn| conn.life != life) {
            return true;
        }
        if at > now {
            return false;
        }
        self.die(id);
        true
    }

    /// Asks for one operation to be given up, by its token. Silent when it succeeds.
    pub(crate) fn cancel(&mut self, op: Op, target: Op) {
        let entry = opcode::AsyncCancel::new(target.token())
            .build()
            .flags(Flags::SKIP_SUCCESS);
        // SAFETY: the entry carries neither a pointer nor a plain descriptor.
        unsafe { self.queue.push(op, entry) }
    }
}
