//! One shard's door to the store: a bounded queue out, an equally bounded queue back, no lock, no waiting.
//!
//! [`Port`] stays with the shard's thread, [`PortEnd`] goes to the pool. Invariants: what a port has taken comes back as
//! exactly one completion; completions never find their queue full, because a request holds its place from `submit`
//! until `try_next` hands out its answer.
//!
//! When it is full, `submit` hands the submission back and nothing was taken: backpressure on the senders concerned.

mod bell;
mod gate;

use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, OnceLock};

use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

use self::bell::Bell;
use self::gate::Gate;

use crate::api::{
    AccountRequest, Completion, FRIENDS_PER_USER, GroupRequest, PresenceRequest, Request, StoreError, Submission,
};
use crate::limits::{FRIEND_OVERHEAD, MEMBER_OVERHEAD, PORT_BYTES, PORT_REQUESTS, REQUEST_OVERHEAD, ROSTER_BYTES};

/// What the bell and the gate are made of: here the machine's, in their model tests loom's.
mod atomics {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
}

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
        gate: Gate::default(),
        owner: Bell::new(true),
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
    gate: Gate,
    /// Awake: it has been woken and has not seen its queue empty since.
    owner: Bell,
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
        if !self.shared.gate.enter() {
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
            self.shared.owner.lie_down();
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
        // Whoever submits now finds the doorbell, or is found by the pool's first look at the queue.
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
        self.shared.gate.shut();
    }

    /// Whether everything the port has taken is answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.shared.gate.is_idle()
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
        self.shared.gate.leave();
    }

    /// Wakes the owner, unless it has been woken and not slept since. Once per batch, after the last `complete`.
    pub(crate) fn wake(&self) {
        if self.shared.owner.must_ring() {
            (self.wake)();
        }
    }
}

/// Wakes the pool's committer, only when it sleeps.
pub(crate) struct Doorbell {
    bell: Bell,
    notify: Notify,
}

impl Default for Doorbell {
    fn default() -> Self {
        Self {
            bell: Bell::new(false),
            notify: Notify::default(),
        }
    }
}

impl Doorbell {
    pub(crate) fn ring(&self) {
        if self.bell.must_ring() {
            self.notify.notify_one();
        }
    }

    /// The sleeper's first half: after it, look at the queues once more, then [`Doorbell::wait`] or [`Doorbell::stay`].
    pub(crate) fn lie_down(&self) {
        self.bell.lie_down();
    }

    pub(crate) fn stay(&self) {
        self.bell.stay();
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
