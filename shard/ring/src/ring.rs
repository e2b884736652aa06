//! The ring as its owner sees it: setting up, and the turn.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use io_uring::cqueue;

use crate::accept::Acceptor;
use crate::bufs::Bufs;
use crate::close::Endings;
use crate::config::RingConfig;
use crate::counters::RingCounters;
use crate::doorbell::{Bell, Sleeper};
use crate::error::SetupError;
use crate::event::Event;
use crate::op::Op;
use crate::queue::{BATCH, Queue, Sleep};
use crate::recv::Starved;
use crate::setup;
use crate::slots::Slots;

/// One core's io_uring. It stays on the thread that made it, as the kernel insists (SINGLE_ISSUER):
///
/// ```compile_fail
/// let ring = commucat_ring::Ring::new(commucat_ring::RingConfig::default()).unwrap();
/// std::thread::spawn(move || drop(ring));
/// ```
pub struct Ring {
    // The order matters: the io_uring is closed before the memory it was told of is freed.
    pub(crate) queue: Queue,
    pub(crate) slots: Slots,
    pub(crate) bufs: Bufs,
    pub(crate) acceptor: Acceptor,
    pub(crate) starved: Starved,
    pub(crate) endings: Endings,
    pub(crate) sleeper: Sleeper,
    pub(crate) bell: Arc<Bell>,
    pub(crate) accepts: u16,
    /// Drained, or given up.
    pub(crate) ended: bool,
    /// Neither `Send` nor `Sync`.
    thread: PhantomData<*mut ()>,
}

impl Ring {
    /// Sets a ring up on this thread.
    ///
    /// # Errors
    ///
    /// Whatever the kernel lacks or refuses, with the way out. [`crate::probe::check`] tells all of it at once.
    pub fn new(config: RingConfig) -> Result<Ring, SetupError> {
        config.validate()?;
        let ring = setup::open(&config)?;
        let bufs = Bufs::register(&ring, &config)?;
        let bell = Bell::new(&ring).map_err(SetupError::io("duplicating the ring's descriptor"))?;
        let sleeper = Sleeper::new().map_err(SetupError::io("making an eventfd"))?;
        let mut ring = Ring {
            queue: Queue::new(ring),
            slots: Slots::new(config.connections),
            starved: Starved::new(bufs.count()),
            bufs,
            acceptor: Acceptor::default(),
            endings: Endings::new(config.flush, config.linger),
            sleeper,
            bell: Arc::new(bell),
            accepts: config.accepts,
            ended: false,
            thread: PhantomData,
        };
        ring.arm_wake();
        Ok(ring)
    }

    /// Submits everything queued, and sleeps until something completes, `timeout` is over, or a deadline of the driver's
    /// own comes. Zero submits and collects without sleeping. It may return early; [`Ring::reap`] then finds nothing.
    ///
    /// # Errors
    ///
    /// Only what no later turn can repair.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.expire();
        self.arm_starved();
        self.arm_accepts();
        let sleep = self.sleep(timeout);
        self.queue.counters.enters += 1;
        self.queue.enter(sleep)
    }

    /// Gives the owner what has happened. The ring itself is used again after it has returned.
    pub fn reap(&mut self, on: &mut dyn FnMut(Event<'_>)) {
        let mut batch = [const { MaybeUninit::uninit() }; BATCH];
        let mut left = self.queue.ready();
        while left > 0 {
            let entries = self.queue.take(&mut batch, left);
            left -= entries.len();
            for entry in entries {
                self.dispatch(entry, on);
            }
        }
    }

    /// What the ring has counted.
    #[must_use]
    pub fn counters(&self) -> &RingCounters {
        &self.queue.counters
    }

    /// Connections that have a slot, those being closed included.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.slots.live()
    }

    /// Whether receives share buffers; if not, the kernel is older than 6.12 or the configuration forbade it.
    #[must_use]
    pub fn is_incremental(&self) -> bool {
        self.bufs.incremental()
    }

    fn sleep(&self, timeout: Option<Duration>) -> Sleep {
        if !self.starved.is_empty() {
            return Sleep::No;
        }
        let own = self.endings.next().into_iter().chain(self.acceptor.retry_at()).min();
        let own = own.map(|at| at.saturating_duration_since(Instant::now()));
        match own.into_iter().chain(timeout).min() {
            None => Sleep::Unbounded,
            Some(Duration::ZERO) => Sleep::No,
            Some(time) => Sleep::AtMost(time),
        }
    }

    fn dispatch(&mut self, entry: &cqueue::Entry, on: &mut dyn FnMut(Event<'_>)) {
        let result = entry.result();
        match Op::from_token(entry.user_data()) {
            Some(Op::Recv(id)) => self.on_recv(id, entry, on),
            Some(Op::Send(id)) => self.on_send(id, result, on),
            Some(Op::Accept(id)) => self.on_accept(id, result, on),
            Some(Op::Close(id)) => self.on_close(id, on),
            Some(Op::Rung) => self.on_rung(on),
            Some(Op::Wake) => self.on_wake(on),
            Some(Op::Bell) => self.on_bell(),
            Some(Op::CancelRecv(id)) => self.on_cancel_recv(id, result),
            Some(Op::Watch(id)) => self.on_watch(id, entry),
            Some(Op::CancelWatch(id)) => self.on_cancel_watch(id, result),
            Some(Op::CancelAccept(id)) => self.on_cancel_accept(id, result),
            // A half-close fails only on a connection that its peer has reset, which its receive tells.
            Some(Op::Shutdown(id)) => self.on_shutdown(id),
            Some(Op::CancelAll) | None => {}
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("connections", &self.connections())
            .field("counters", self.counters())
            .finish()
    }
}
