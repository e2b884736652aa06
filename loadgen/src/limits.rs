//! The bounds of the load generator, each with its reason.

use std::time::Duration;

/// TCP, TLS, Noise and JOIN of one connection: far beyond what a busy relay needs, short of a person's patience.
pub(crate) const ESTABLISH: Duration = Duration::from_secs(30);

/// How long a run waits, after it stopped sending, for frames that are still on their way.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// How long a spawned relay may take to answer its first call.
pub(crate) const SPAWN: Duration = Duration::from_secs(20);

/// How long a spawned relay may take to drain after SIGTERM before it is killed.
pub(crate) const STOP: Duration = Duration::from_secs(20);

/// What a busy connection reads at once: four full TLS records.
pub(crate) const BUSY_READ: usize = 64 * 1024;

/// What an idle connection reads at once. Ten thousand of them wait with a buffer each.
pub(crate) const IDLE_READ: usize = 4 * 1024;

/// What one of very many busy connections reads at once: one full TLS record.
pub(crate) const SMALL_READ: usize = 16 * 1024;

/// What the read buffers of all busy connections may take together before they become small.
pub(crate) const READ_MEMORY: usize = 512 * 1024 * 1024;

/// Sessions of one load generator. A million of them take some 30 GB of its memory.
pub(crate) const SESSIONS: u64 = 1_000_000;

/// Books of recipients, one per sender whom a member of a group hears: 40 bytes each.
pub(crate) const INCOMING: u64 = 20_000_000;

/// Pairs, groups and the like that one thread opens at once: enough to keep a relay busy, few enough for its backlog.
pub(crate) const OPENING: usize = 32;

/// Invitations to a group that wait for their ACKs at once.
pub(crate) const INVITES: usize = 256;

/// An orderly end of one session: the relay flushes what it owes and closes.
pub(crate) const CLOSE: Duration = Duration::from_secs(10);

/// Offers and ends of calls that are not answered in so many nanoseconds are failures.
pub(crate) const SIGNAL: u64 = 10_000_000_000;

/// After both parties of a call fell silent, so many nanoseconds are given to what is under way.
pub(crate) const SILENCE: u64 = 1_000_000_000;

/// Newcomers of one thread who are due and have no lane; more are counted as turned away.
pub(crate) const WAITING: usize = 1_000_000;

/// Frames in flight are also bounded in bytes: a window of large payloads must not fill the relay's send queue for
/// its recipient (1 MiB by default), or a run would measure the inbox instead of the relay.
pub(crate) const FLIGHT_BYTES: usize = 768 * 1024;

/// An open-loop sender whose connection holds this many unsent bytes waits; the schedule, and so the latency, goes on.
pub(crate) const UNSENT_BYTES: usize = 1024 * 1024;

/// How often a thread looks at the phase of the run, when nothing is due earlier.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// What is due within this time is sent together: finer would cost a wake-up per message, and the wait is part of the
/// latency.
pub(crate) const FINEST: Duration = Duration::from_micros(50);

/// Connections per loopback source address when it was not said how many there are: below the 28,000 ports of one.
pub(crate) const PER_SOURCE: u64 = 20_000;

/// First wait of the chat before it connects again; it doubles up to [`RECONNECT_MAX`].
pub(crate) const RECONNECT: Duration = Duration::from_millis(300);

/// Longest wait of the chat before it connects again.
pub(crate) const RECONNECT_MAX: Duration = Duration::from_secs(10);

/// How often the chat sends a line again that the relay could not keep.
pub(crate) const CHAT_RETRY: Duration = Duration::from_secs(2);

/// Lines of the chat that may wait for the relay; past that the keyboard waits.
pub(crate) const CHAT_WAITING: usize = 1_000;

/// Ids of received lines the chat remembers, to show a line once that was sent twice.
pub(crate) const CHAT_SEEN: usize = 10_000;

/// Longest line of the chat.
pub(crate) const CHAT_LINE: usize = 16 * 1024;

/// A recipient that returns takes at most so long to receive what was stored for it.
pub(crate) const REPLAY: Duration = Duration::from_secs(600);

/// Storing or replaying that brings nothing new for so long is given up.
pub(crate) const STALLED: Duration = Duration::from_secs(30);

/// How long each of several addresses of a relay may take to accept a connection before the next is tried.
pub(crate) const PROBE: Duration = Duration::from_secs(2);

/// Messages of one sender that wait for their ACK; with more it stops until some come. A relay that keeps its promises is far
/// below that.
pub(crate) const UNACKNOWLEDGED: u64 = 1_000_000;

/// At the end of a run all sessions of a thread leave at once; who is not done by then is cut off.
pub(crate) const PARTING: Duration = Duration::from_secs(5);
