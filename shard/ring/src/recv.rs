//! Receiving: one multishot receive per connection, buffers picked by the kernel.
//!
//! Invariant: at most one receive of a connection is in flight, and `Conn::receiving` says whether. Whoever wants it to
//! change sets `reading` and lets `steer` find the step; a receive that ends for any reason comes through `on_recv`,
//! which arms it again if it is still wanted.

use std::collections::VecDeque;

use io_uring::{cqueue, opcode, types};

use crate::bufs::GROUP;
use crate::event::Event;
use crate::op::Op;
use crate::ring::Ring;
use crate::slots::{Life, Receiving, SocketId};

/// Connections whose receive found no buffer, in the order in which they will be served.
///
/// At each submission the whole pool is free, so whoever is armed first is served. One connection may take all of it, and
/// those armed behind it in the same turn fail again: they keep their place, since a queue in which a vain attempt costs
/// the place starves whoever always stands behind a large one. While anybody waits, every new receive waits behind it.
pub(crate) struct Starved {
    queue: VecDeque<SocketId>,
    /// Armed with the last submission.
    tried: Vec<SocketId>,
    /// Those of them that failed again, in their order.
    again: Vec<SocketId>,
    /// How many are armed per turn. It doubles while the pool suffices and halves when it does not, so that thousands
    /// of waiting connections do not each fail once per turn.
    budget: usize,
    least: usize,
    enobufs_before: u64,
}

impl Starved {
    pub(crate) fn new(buffers: usize) -> Starved {
        Starved {
            queue: VecDeque::new(),
            tried: Vec::new(),
            again: Vec::new(),
            budget: buffers,
            least: buffers,
            enobufs_before: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.again.is_empty()
    }

    fn adapt(&mut self, enobufs: u64, live: u32) {
        let failed = enobufs > std::mem::replace(&mut self.enobufs_before, enobufs);
        let budget = if failed { self.budget / 2 } else { self.budget * 2 };
        self.budget = budget.clamp(self.least, self.least + live as usize);
    }
}

impl Ring {
    /// Stops receiving from a connection. Completions the kernel has queued already are still delivered.
    pub fn pause(&mut self, id: SocketId) {
        self.want_input(id, false);
    }

    /// Takes `pause` back.
    pub fn resume(&mut self, id: SocketId) {
        self.want_input(id, true);
    }

    fn want_input(&mut self, id: SocketId, wanted: bool) {
        match self.slots.get(id) {
            None => self.queue.counters.stale_ids += 1,
            // While it is being closed, what arrives is discarded and the owner has no say in it.
            Some(conn) if conn.life == Life::Open => {
                conn.reading = wanted;
                self.steer(id);
            }
            Some(_) => {}
        }
    }

    /// Moves the receive of a connection towards what is wanted.
    pub(crate) fn steer(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        match (conn.receiving, conn.wants_input()) {
            (Receiving::Idle, true) if self.starved.is_empty() => self.arm_receive(id),
            (Receiving::Idle, true) => {
                conn.receiving = Receiving::Starved;
                self.starved.queue.push_back(id);
            }
            (Receiving::Armed, false) => {
                conn.receiving = Receiving::Cancelling;
                self.cancel(Op::CancelRecv(id), Op::Recv(id));
            }
            // Whoever waits for a buffer is looked at again when its turn comes.
            (Receiving::Starved, false) if conn.life >= Life::Dying => conn.receiving = Receiving::Idle,
            _ => {}
        }
    }

    fn arm_receive(&mut self, id: SocketId) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        conn.receiving = Receiving::Armed;
        let entry = opcode::RecvMulti::new(types::Fixed(id.slot), GROUP).build();
        // SAFETY: the entry carries no pointer; the kernel picks from the buffer group, whose memory stays registered
        // and allocated until no receive is in flight (`drain`).
        unsafe { self.queue.push(Op::Recv(id), entry) }
    }

    /// Arms receives that found no buffer; every piece lent has been returned by now.
    pub(crate) fn arm_starved(&mut self) {
        for id in std::mem::take(&mut self.starved.tried) {
            if let Some(conn) = self.slots.get(id) {
                conn.first_try = false;
            }
        }
        if self.starved.is_empty() {
            return;
        }
        self.starved.adapt(self.queue.counters.enobufs, self.slots.live());
        while let Some(id) = self.starved.again.pop() {
            self.starved.queue.push_front(id);
        }
        for _ in 0..self.starved.budget {
            let Some(id) = self.starved.queue.pop_front() else {
                break;
            };
            let Some(conn) = self.slots.get(id).filter(|conn| conn.receiving == Receiving::Starved) else {
                continue;
            };
            conn.receiving = Receiving::Idle;
            if conn.wants_input() {
                conn.first_try = true;
                self.starved.tried.push(id);
                self.arm_receive(id);
            }
        }
    }

    pub(crate) fn on_recv(&mut self, id: SocketId, entry: &cqueue::Entry, on: &mut dyn FnMut(Event<'_>)) {
        let result = entry.result();
        let piece = self.bufs.consume(result, entry.flags());
        let life = self.slots.get(id).map(|conn| conn.life);
        if let Some(piece) = piece {
            if let Some(conn) = self.slots.get(id) {
                conn.first_try = false;
            }
            if result > 0 && life == Some(Life::Open) {
                self.queue.counters.received_bytes += result as u64;
                on(Event::Received {
                    id,
                    bytes: self.bufs.lend(&piece),
                });
            } else {
                self.queue.counters.discarded_bytes += result.max(0) as u64;
            }
            self.bufs.release(piece);
        }
        if !cqueue::more(entry.flags()) {
            self.on_recv_ended(id, result, on);
        }
    }

    fn on_recv_ended(&mut self, id: SocketId, result: i32, on: &mut dyn FnMut(Event<'_>)) {
        let Some(conn) = self.slots.get(id) else {
            return;
        };
        conn.receiving = Receiving::Idle;
        if conn.life == Life::Dying {
            return self.settle(id);
        }
        match result {
            0 => {
                conn.eof = true;
                match conn.life {
                    Life::Open => on(Event::Eof { id }),
                    Life::Lingering => self.die(id),
                    _ => {}
                }
            }
            1.. => self.steer(id),
            _ => match -result {
                libc::ENOBUFS => {
                    conn.receiving = Receiving::Starved;
                    self.queue.counters.enobufs += 1;
                    match conn.first_try {
                        true => self.starved.again.push(id),
                        false => self.starved.queue.push_back(id),
                    }
                }
                libc::ECANCELED | libc::EINTR | libc::EAGAIN => self.steer(id),
                _ => self.die(id),
            },
        }
    }

    /// A cancellation found nothing. If the receive has not ended meanwhile, it was between two places of the kernel
    /// (queued to be retried, in neither poll list nor worker), and is asked again.
    pub(crate) fn on_cancel_recv(&mut self, id: SocketId, result: i32) {
        let still = self
            .slots
            .get(id)
            .is_some_and(|conn| conn.receiving == Receiving::Cancelling);
        if result < 0 && still {
            self.queue.counters.cancel_retries += 1;
            self.cancel(Op::CancelRecv(id), Op::Recv(id));
        }
    }
}
