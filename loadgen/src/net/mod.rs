//! Many sessions on one io_uring thread.
//!
//! Each session is a [`Wire`] with two tasks: one reads, one writes. The reader reports events to its [`Handler`], lets
//! it react, and wakes the writer, which seals all that is due into one write. So a turn of the runtime writes each
//! connection at most once, whatever number of frames its neighbours caused.

mod dial;
mod establish;
mod notify;
mod pump;
mod ramp;
mod timer;

use std::cell::{Cell, RefCell};

use commucat_client::{Connection, Event, Link};
use monoio::RuntimeBuilder;

pub(crate) use establish::{Establishing, establish};
pub(crate) use pump::start;
pub(crate) use ramp::ramp;
pub(crate) use timer::Timer;

use crate::error::LoadError;
use notify::Notify;

/// A session whose socket is served by two tasks.
#[derive(Debug)]
pub(crate) struct Wire {
    link: RefCell<Link>,
    out: RefCell<Vec<u8>>,
    notify: Notify,
    alive: Cell<bool>,
    closing: Cell<bool>,
}

impl Wire {
    fn new(link: Link) -> Self {
        Self {
            link: RefCell::new(link),
            out: RefCell::default(),
            notify: Notify::default(),
            alive: Cell::new(true),
            closing: Cell::new(false),
        }
    }

    /// Queues frames and has them written in this turn. Not to be called from [`Handler::event`], which runs inside the
    /// session it is called for.
    pub(crate) fn send<T>(&self, queue: impl FnOnce(&mut Connection) -> T) -> T {
        let result = queue(self.link.borrow_mut().connection());
        self.notify.wake();
        result
    }

    /// Bytes that wait to be written.
    pub(crate) fn unsent(&self) -> usize {
        self.link.borrow_mut().connection().pending() + self.out.borrow().len()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.get()
    }

    /// Ends the session in order: everything queued leaves, then the end. Its handler hears when the relay has ended it, too.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.notify.wake();
    }
}

/// What a command does with a session's events.
pub(crate) trait Handler: 'static {
    /// One event, while the session is being read.
    fn event(&mut self, event: Event<'_>);

    /// All events of one read were reported; frames may be sent on any wire.
    fn turn(&mut self);

    /// The session is over, for this reason.
    fn lost(&mut self, why: &str);
}

/// Runs `future` on an io_uring of this thread.
///
/// # Errors
/// When io_uring is not to be had.
pub(crate) fn run<F: Future>(future: F) -> Result<F::Output, LoadError> {
    let mut ring = monoio_io_uring::IoUring::builder();
    // Completions are then handled when this thread asks for them, not whenever they come: a tenth of the time.
    ring.setup_single_issuer().setup_defer_taskrun();
    let mut runtime = RuntimeBuilder::<monoio::IoUringDriver>::new()
        .uring_builder(ring)
        .with_entries(4096)
        .enable_timer()
        .build()
        .map_err(|source| LoadError::Io {
            doing: "set up io_uring (Linux 6.1 or later is needed)",
            source,
        })?;
    Ok(runtime.block_on(future))
}
