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

/// Frames in flight are also bounded in bytes: a window of large payloads must not fill the relay's send queue for
/// its recipient (1 MiB by default), or a run would measure the inbox instead of the relay.
pub(crate) const FLIGHT_BYTES: usize = 768 * 1024;

/// An open-loop sender whose connection holds this many unsent bytes waits; the schedule, and so the latency, goes on.
pub(crate) const UNSENT_BYTES: usize = 1024 * 1024;

/// The tick of an open-loop sender.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Connections per loopback source address, well below the 28,000 ephemeral ports of one.
pub(crate) const PER_SOURCE: usize = 1_000;

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
