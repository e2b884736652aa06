//! How a ring ends: cancel everything, then wait for the last completions, then free.
//!
//! Invariant: memory the kernel may still touch is never freed. Should operations refuse to end within a bounded time,
//! which would be a kernel's fault, their memory is leaked instead.

use std::mem::MaybeUninit;
use std::time::Instant;

use io_uring::{opcode, types};
use thiserror::Error;

use crate::bufs::GROUP;
use crate::limits;
use crate::op::Op;
use crate::queue::{BATCH, Sleep};
use crate::ring::Ring;

/// A ring ended while the kernel still held memory of it, which was leaked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{operations} io_uring operations did not end when cancelled; their memory is leaked")]
pub struct Undrained {
    /// How many.
    pub operations: u32,
}

impl Ring {
    /// Ends the ring like dropping it does, and says whether everything came home. Connections are closed without
    /// further events.
    ///
    /// # Errors
    ///
    /// [`Undrained`], after which memory has been leaked.
    pub fn shut_down(mut self) -> Result<(), Undrained> {
        self.drain()
    }

    /// After it nothing is in flight, or memory has been leaked. Dropping after `shut_down` comes here again, in vain.
    fn drain(&mut self) -> Result<(), Undrained> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        self.bell.silence();
        let give_up = Instant::now() + limits::DRAIN_LIMIT;
        while self.queue.borrowed() > 0 && Instant::now() < give_up {
            self.cancel_all();
            if self.queue.enter(Sleep::AtMost(limits::DRAIN_WAIT)).is_err() {
                break;
            }
            self.discard_completions();
        }
        let submitter = self.queue.ring().submitter();
        // Other rings' handles keep the io_uring alive; it must not keep sockets or buffers with it. Both fail only if
        // they were never registered, or had been unregistered by an earlier call.
        let _ = submitter.unregister_buf_ring(GROUP);
        let _ = submitter.unregister_files();
        match self.queue.borrowed() {
            0 => Ok(()),
            operations => {
                self.leak();
                Err(Undrained { operations })
            }
        }
    }

    fn cancel_all(&mut self) {
        let entry = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
        // SAFETY: the entry carries neither a pointer nor a plain descriptor.
        unsafe { self.queue.push(Op::CancelAll, entry) }
    }

    fn discard_completions(&mut self) {
        let mut batch = [const { MaybeUninit::uninit() }; BATCH];
        while self.queue.ready() > 0 {
            self.queue.take(&mut batch, BATCH);
        }
    }

    fn leak(&mut self) {
        let Ring {
            slots,
            bufs,
            acceptor,
            sleeper,
            ..
        } = self;
        std::mem::forget(std::mem::take(slots));
        std::mem::forget(std::mem::take(acceptor));
        bufs.leak();
        sleeper.leak();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = self.drain();
    }
}
