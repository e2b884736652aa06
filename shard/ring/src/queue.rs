//! Submission and completion: the only place that enters the kernel during a turn.
//!
//! Invariants: no operation is lost (a full submission queue is submitted early, and what even then does not fit waits
//! in `backlog`, in order), and `borrowed` is the number of operations in flight behind which memory of ours stands.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, squeue};

use crate::counters::RingCounters;
use crate::doorbell::Bell;
use crate::op::Op;

/// Completions copied out of the shared queue at a time, so that handling them may queue new operations.
pub(crate) const BATCH: usize = 64;

/// How long an entry may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// Not at all: submit, collect what is there.
    No,
    /// Until something completes or the time is over.
    AtMost(Duration),
    /// Until something completes.
    Unbounded,
}

/// The two queues shared with the kernel.
pub(crate) struct Queue {
    ring: IoUring,
    backlog: VecDeque<squeue::Entry>,
    /// Bells whose descriptor numbers stand in operations not yet submitted.
    bells: Vec<Arc<Bell>>,
    borrowed: u32,
    pub(crate) counters: RingCounters,
}

impl Queue {
    pub(crate) fn new(ring: IoUring) -> Queue {
        let (backlog, bells, counters) = Default::default();
        Queue {
            ring,
            backlog,
            bells,
            borrowed: 0,
            counters,
        }
    }

    pub(crate) fn ring(&self) -> &IoUring {
        &self.ring
    }

    /// Operations in flight that the kernel may write to or read from memory of ours for.
    pub(crate) fn borrowed(&self) -> u32 {
        self.borrowed
    }

    /// Queues one operation under its token.
    ///
    /// # Safety
    ///
    /// Every pointer in `entry` must stay valid, unaliased by Rust code where the kernel writes and unchanged where it
    /// reads, until the operation's final completion has been reaped; every plain descriptor number must stay open
    /// until the entry has been submitted.
    pub(crate) unsafe fn push(&mut self, op: Op, entry: squeue::Entry) {
        self.counters.sqes += 1;
        self.borrowed += u32::from(op.borrows_memory());
        let entry = entry.user_data(op.token());
        if self.backlog.is_empty() && self.try_push(&entry) {
            return;
        }
        if self.backlog.is_empty() {
            self.counters.early_submits += 1;
            self.submit_early();
            if self.try_push(&entry) {
                return;
            }
        }
        self.backlog.push_back(entry);
    }

    /// Keeps a bell's descriptor open until everything queued so far has been submitted.
    pub(crate) fn hold(&mut self, bell: Arc<Bell>) {
        self.bells.push(bell);
    }

    /// Submits everything and collects completions, sleeping as told. A signal, a time-out and a kernel that wants its
    /// completions reaped first all count as success: the caller reaps and comes again.
    pub(crate) fn enter(&mut self, sleep: Sleep) -> io::Result<()> {
        self.refill();
        let submit = self.ring.submission().len() as u32;
        let timespec;
        let mut args = SubmitArgs::new();
        let mut wanted = 1;
        match sleep {
            Sleep::No => wanted = 0,
            Sleep::AtMost(time) => {
                timespec = Timespec::from(time);
                args = args.timespec(&timespec);
            }
            Sleep::Unbounded => {}
        }
        if !self.backlog.is_empty() {
            wanted = 0;
        }
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        // SAFETY: `args` is the argument EXT_ARG asks for and outlives the call, as does the timespec it points to.
        let entered = unsafe { self.ring.submitter().enter(submit, wanted, flags.bits(), Some(&args)) };
        self.release_bells();
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Completions that wait to be reaped.
    pub(crate) fn ready(&mut self) -> usize {
        if self.ring.submission().cq_overflow() {
            self.counters.overflows += 1;
        }
        self.ring.completion().len()
    }

    /// Takes up to `limit` completions out of the shared queue and settles the account of borrowed memory.
    pub(crate) fn take<'a>(
        &mut self,
        batch: &'a mut [MaybeUninit<cqueue::Entry>; BATCH],
        limit: usize,
    ) -> &'a [cqueue::Entry] {
        let taken = self.ring.completion().fill(&mut batch[..limit.min(BATCH)]);
        self.counters.cqes += taken.len() as u64;
        for entry in taken.iter() {
            let last = !cqueue::more(entry.flags());
            if last && Op::from_token(entry.user_data()).is_some_and(Op::borrows_memory) {
                self.borrowed -= 1;
            }
        }
        taken
    }

    fn try_push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: entries come from `push`, whose caller promised what the kernel needs of them.
        unsafe { self.ring.submission().push(entry) }.is_ok()
    }

    fn refill(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.try_push(&entry) {
                self.backlog.push_front(entry);
                break;
            }
        }
    }

    /// Submits without collecting: completions that are produced wait for the turn's `enter`. What the kernel does not
    /// take stays queued.
    fn submit_early(&mut self) {
        let submit = self.ring.submission().len() as u32;
        // SAFETY: no argument is passed, and no flag asks for one.
        let _ = unsafe { self.ring.submitter().enter::<libc::sigset_t>(submit, 0, 0, None) };
    }

    fn release_bells(&mut self) {
        if !self.bells.is_empty() && self.backlog.is_empty() && self.ring.submission().is_empty() {
            self.bells.clear();
        }
    }
}
