//! Waking a ring that sleeps: by another ring, or by a thread that has none.
//!
//! Either shows as [`Event::Rung`] and carries nothing: whoever rings has put its message elsewhere before.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, types};

use crate::event::Event;
use crate::op::Op;
use crate::ring::Ring;

/// What another ring needs to reach ours: a descriptor of its own, so that the number cannot come to mean another file.
/// It is never handed out, because who holds it could forge completions.
#[derive(Debug)]
pub(crate) struct Bell {
    ring: OwnedFd,
    gone: AtomicBool,
}

impl Bell {
    pub(crate) fn new(ring: &IoUring) -> io::Result<Bell> {
        // SAFETY: the descriptor is open for as long as `ring` is borrowed.
        let ring = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
        Ok(Bell {
            ring: ring.try_clone_to_owned()?,
            gone: AtomicBool::new(false),
        })
    }

    /// The ring is being dropped.
    pub(crate) fn silence(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// Names a ring to others, on any thread, before or after it starts. Ringing one that is gone does nothing.
#[derive(Clone, Debug)]
pub struct RingHandle {
    pub(crate) bell: Arc<Bell>,
}

/// Wakes a ring from a thread that has none. Cheap to call often: calls that the ring has not yet answered become one.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    event: OwnedFd,
    /// A wake is on its way. Set by whoever writes to the eventfd, cleared by the ring before it says `Rung`.
    pending: AtomicBool,
}

impl Waker {
    /// Makes the ring's next or current `wait` end with [`Event::Rung`]. What was written before this call is visible to
    /// the ring's thread when it sees the event.
    pub fn wake(&self) {
        if self.shared.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let one = 1u64.to_ne_bytes();
        // SAFETY: the descriptor is open and the eight bytes are readable. The write cannot fail in a way that matters:
        // the counter is far from full, since it is written once per answer.
        unsafe { libc::write(self.shared.event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

/// The ring's side of its waker.
pub(crate) struct Sleeper {
    shared: Arc<Shared>,
    /// Where the kernel puts the eventfd's counter; nobody reads it.
    count: Box<UnsafeCell<u64>>,
}

impl Sleeper {
    pub(crate) fn new() -> io::Result<Sleeper> {
        // SAFETY: a call without pointers. Not EFD_NONBLOCK: the ring's read is to wait.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if event < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        let shared = Arc::new(Shared {
            event,
            pending: AtomicBool::new(false),
        });
        Ok(Sleeper {
            shared,
            count: Box::new(UnsafeCell::new(0)),
        })
    }

    /// Gives the cell up: the kernel may still write to it. The new one is never used.
    pub(crate) fn leak(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.count, Box::new(UnsafeCell::new(0))));
    }
}

impl Ring {
    /// What other rings need to ring this one.
    #[must_use]
    pub fn handle(&self) -> RingHandle {
        RingHandle {
            bell: self.bell.clone(),
        }
    }

    /// What a thread without a ring needs to wake this one.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker {
            shared: self.sleeper.shared.clone(),
        }
    }

    /// Rings another ring, with the next `wait`. Costs the sender about a microsecond and a sleeper about twenty, so the
    /// caller asks first whether the other side is asleep.
    pub fn ring_bell(&mut self, other: &RingHandle) {
        if other.bell.gone.load(Ordering::Acquire) {
            self.queue.counters.bells_lost += 1;
            return;
        }
        let target = types::Fd(other.bell.ring.as_raw_fd());
        let entry = opcode::MsgRingData::new(target, 0, Op::Rung.token(), None)
            .build()
            .flags(Flags::SKIP_SUCCESS);
        self.queue.hold(other.bell.clone());
        // SAFETY: the entry carries no pointer, and `hold` keeps the descriptor open until it has been submitted. The
        // completion it makes on the other side has the token of an operation without memory.
        unsafe { self.queue.push(Op::Bell, entry) }
        self.queue.counters.bells += 1;
    }

    /// Only failures complete. A ring whose thread died without dropping it swallows bells in silence.
    pub(crate) fn on_bell(&mut self) {
        self.queue.counters.bells_lost += 1;
    }

    pub(crate) fn arm_wake(&mut self) {
        let event = types::Fd(self.sleeper.shared.event.as_raw_fd());
        let entry = opcode::Read::new(event, self.sleeper.count.get().cast(), 8).build();
        // SAFETY: the eight bytes are a heap cell that nobody else touches and that is freed only when this read has
        // ended (`drain`), or leaked; the eventfd is open as long as the sleeper is.
        unsafe { self.queue.push(Op::Wake, entry) }
    }

    pub(crate) fn on_wake(&mut self, on: &mut dyn FnMut(Event<'_>)) {
        // An acquiring exchange, not a store: it must see what every wake that it swallows has published.
        self.sleeper.shared.pending.swap(false, Ordering::AcqRel);
        self.arm_wake();
        self.on_rung(on);
    }

    pub(crate) fn on_rung(&mut self, on: &mut dyn FnMut(Event<'_>)) {
        self.queue.counters.rung += 1;
        on(Event::Rung);
    }
}
