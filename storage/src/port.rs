//! One shard's door to the store: a bounded queue out, an equally bounded queue back, no lock, no waiting.
//!
//! [`Port`] stays with the shard's thread, [`PortEnd`] goes to the pool. Invariants: what a port has taken comes back as
//! exactly one completion; completions never find their queue full, because a request holds its place from `submit`
//! until `try_next` hands out its answer.
//!
//! When it is full, `submit` hands the submission back and nothing was taken: backpressure on the senders concerned.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

use crate::api::{
    AccountRequest, Completion, FRIENDS_PER_USER, GroupRequest, PresenceRequest, Request, StoreError, Submission,
};
use crate::limits::{FRIEND_OVERHEAD, MEMBER_OVERHEAD, PORT_BYTES, PORT_REQUESTS, REQUEST_OVERHEAD, ROSTER_BYTES};

/// Called when completions are ready and the port's owner may be asleep. It runs on the pool's thread and must not wait.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// What one port holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortLimits {
    /// Requests between `submit` and `try_next`.
    pub requests: usize,
    /// Their bytes and those of the answers they may bring. An empty port takes one request of any size.
    pub bytes: usize,
}

impl Default for PortLimits {
    fn default() -> Self {
        Self {
            requests: PORT_REQUESTS,
            bytes: PORT_BYTES,
        }
    }
}

/// Makes both ends of a port.
#[must_use]
pub fn port(limits: PortLimits, wake: Wake) -> (Port, PortEnd) {
    let requests = limits.requests.max(1);
    let shared = Arc::new(Shared {
        submissions: ArrayQueue::new(requests),
        completions: ArrayQueue::new(requests),
        in_flight: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
        rung: AtomicBool::new(false),
        doorbell: OnceLock::new(),
    });
    let end = PortEnd {
        shared: Arc::clone(&shared),
        wake,
    };
    (
        Port {
            shared,
            limits: PortLimits { requests, ..limits },
            held: 0,
            held_bytes: 0,
        },
        end,
    )
}

struct Shared {
    /// Full: cannot be, `Port` counts.
    submissions: ArrayQueue<Weighed<Submission>>,
    /// Full: cannot be, see the module's invariant.
    completions: ArrayQueue<Weighed<Completion>>,
    /// Taken from the shard and not answered yet; lets the pool's shutdown see a submission that is being pushed.
    in_flight: AtomicUsize,
    /// Nothing more is taken.
    closed: AtomicBool,
    /// The owner has been woken and has not seen its queue empty since.
    rung: AtomicBool,
    /// The pool's; absent until one has started.
    doorbell: OnceLock<Arc<Doorbell>>,
}

/// Something in a queue with the bytes it holds of the port's budget.
struct Weighed<T> {
    what: T,
    bytes: usize,
}

/// The shard's end. Not shared: one thread submits and takes completions.
pub struct Port {
    shared: Arc<Shared>,
    limits: PortLimits,
    held: usize,
    held_bytes: usize,
}

impl Port {
    /// Gives a request to the store, without waiting.
    ///
    /// # Errors
    /// The submission itself, when the port is full or the pool has shut down: nothing was taken.
    #[expect(clippy::result_large_err, reason = "the submission is handed back, not described")]
    #[expect(clippy::unreachable, reason = "`held` is below the size of the queue here")]
    pub fn submit(&mut self, submission: Submission) -> Result<(), Submission> {
        let bytes = weight(&submission.request);
        let full = self.held == self.limits.requests
            || (self.held > 0 && self.held_bytes.saturating_add(bytes) > self.limits.bytes);
        if full {
            return Err(submission);
        }
        // Before the look at `closed`: the pool's shutdown closes, then waits until nothing is in flight.
        self.shared.in_flight.fetch_add(1, Ordering::SeqCst);
        if self.shared.closed.load(Ordering::SeqCst) {
            self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
            return Err(submission);
        }
        self.held += 1;
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if let Err(back) = self.shared.submissions.push(Weighed {
            what: submission,
            bytes,
        }) {
            unreachable!("a port holds no more than its queue: {:?}", back.what.ticket);
        }
        if let Some(doorbell) = self.shared.doorbell.get() {
            doorbell.ring();
        }
        Ok(())
    }

    /// The next answer. Only after `None` does the next answer wake the owner again: whoever goes to sleep has seen `None`
    /// first.
    pub fn try_next(&mut self) -> Option<Completion> {
        let Weighed { what, bytes } = self.shared.completions.pop().or_else(|| {
            // From here on a completion rings again; one that came just before is found by the second look.
            self.shared.rung.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            self.shared.completions.pop()
        })?;
        self.held -= 1;
        self.held_bytes -= bytes;
        Some(what)
    }

    /// Requests between `submit` and `try_next`.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Their bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

/// The pool's end.
pub struct PortEnd {
    shared: Arc<Shared>,
    wake: Wake,
}

/// A submission on its way through the pool.
pub(crate) struct Taken {
    pub(crate) submission: Submission,
    pub(crate) bytes: usize,
}

impl PortEnd {
    pub(crate) fn attach(&self, doorbell: &Arc<Doorbell>) {
        // A second pool over the same port would be two answers to one request; the first keeps it.
        let first = self.shared.doorbell.set(Arc::clone(doorbell)).is_ok();
        assert!(first, "a port belongs to one pool");
        fence(Ordering::SeqCst);
    }

    pub(crate) fn take(&self) -> Option<Taken> {
        let Weighed { what, bytes } = self.shared.submissions.pop()?;
        Some(Taken {
            submission: what,
            bytes,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shared.submissions.is_empty()
    }

    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
    }

    /// Whether everything the port has taken is answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.shared.in_flight.load(Ordering::SeqCst) == 0
    }

    #[expect(
        clippy::unreachable,
        reason = "both queues have one size, and a request keeps its place in it"
    )]
    pub(crate) fn complete(&self, completion: Completion, bytes: usize) {
        if let Err(back) = self.shared.completions.push(Weighed {
            what: completion,
            bytes,
        }) {
            unreachable!("a request holds its place until it is answered: {:?}", back.what.ticket);
        }
        self.shared.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes the owner, unless it has been woken and not slept since. Once per batch, after the last `complete`.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if !self.shared.rung.swap(true, Ordering::SeqCst) {
            (self.wake)();
        }
    }
}

/// Wakes the pool's committer, only when it sleeps.
#[derive(Default)]
pub(crate) struct Doorbell {
    asleep: AtomicBool,
    notify: Notify,
}

impl Doorbell {
    pub(crate) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.notify.notify_one();
        }
    }

    /// The sleeper's first half: after it, look at the queues once more, then [`Doorbell::wait`] or [`Doorbell::stay`].
    pub(crate) fn lie_down(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn stay(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}

/// What a request and its answer may hold of the port's budget.
fn weight(request: &Request) -> usize {
    let brings = match request {
        Request::Append { envelope, .. } => envelope.payload.len(),
        Request::AppendOwed { envelopes, .. } => envelopes
            .iter()
            .map(|envelope| REQUEST_OVERHEAD + envelope.payload.len())
            .sum(),
        Request::ReadInbox { max_bytes, .. } => *max_bytes,
        Request::Group(GroupRequest::Create { roster, .. }) => roster.members.len() * MEMBER_OVERHEAD,
        Request::Group(GroupRequest::Load { .. }) => ROSTER_BYTES,
        Request::Account(AccountRequest::Friends { .. }) => FRIENDS_PER_USER * FRIEND_OVERHEAD,
        Request::Account(AccountRequest::PutFriends { friends, .. }) => friends.len() * FRIEND_OVERHEAD,
        Request::Presence(PresenceRequest::Set(entries)) => entries.len() * REQUEST_OVERHEAD,
        Request::Presence(PresenceRequest::Get { devices, .. }) => devices.len() * REQUEST_OVERHEAD,
        Request::Lookup { .. }
        | Request::Found { .. }
        | Request::UpdateProfile { .. }
        | Request::Delivered { .. }
        | Request::Account(_)
        | Request::Group(GroupRequest::Invite(_))
        | Request::Depth
        | Request::Probe => 0,
    };
    brings.saturating_add(REQUEST_OVERHEAD)
}

/// What a port's owner sees when the store answered too few of a batch.
pub(crate) fn unanswered() -> StoreError {
    StoreError::Unavailable("the store left the request unanswered".to_owned())
}
