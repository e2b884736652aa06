//! Every number the driver relies on, and why it is what it is.

use std::time::Duration;

/// Slots are 24 bits of a token (`op`), so no table can be larger; far above what one core serves.
pub const CONNECTIONS: u32 = 1 << 20;
const _: () = assert!(CONNECTIONS < 1 << 24, "a slot must fit its 24 bits of the token");

/// Listener index is one byte of a token, and a core has two (TLS and plain) plus room for experiments.
pub const LISTENERS: usize = 8;

/// Accepts that may be outstanding on one listener; more than a few dozen only reserve descriptors.
pub const ACCEPTS: u16 = 256;

/// The kernel refuses longer submission queues (IORING_MAX_ENTRIES).
pub const ENTRIES: u32 = 32_768;

/// The kernel refuses larger buffer rings, and a buffer id has 16 bits.
pub const BUFFERS: u16 = 32_768;

/// Completions are 16 bytes against 64 of a submission and come in bursts, so their queue is longer by this factor.
pub const COMPLETIONS_PER_ENTRY: u32 = 4;

/// One send operation carries at most this much, because its length field and the kernel's own cap are below 2 GiB.
pub const SEND_PIECE: usize = 1 << 30;

/// Buffer length when the kernel cannot consume incrementally: then one message takes a whole buffer, so they are smaller.
pub const PLAIN_BUFFER: u32 = 16 * 1024;

/// Connections waiting for `accept`; the kernel caps it with `net.core.somaxconn`, whose default is the same.
pub const BACKLOG: i32 = 4096;

/// Silence after which the kernel asks whether the peer is still there.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// Time between two such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Unanswered questions after which the connection is dead.
pub const KEEPALIVE_COUNT: u32 = 4;

/// Time unacknowledged bytes (or a closed window) may stand before the connection is dead.
pub const USER_TIMEOUT: Duration = Duration::from_secs(120);
const _: () = assert!(
    USER_TIMEOUT.as_secs() == KEEPALIVE_IDLE.as_secs() + KEEPALIVE_INTERVAL.as_secs() * KEEPALIVE_COUNT as u64,
    "TCP_USER_TIMEOUT replaces the keepalive count, so a dead peer must be found by both after the same time",
);

/// Pause after the kernel refused an accept for want of descriptors or memory, so that a full machine does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Threads the kernel may start for operations it cannot do in place; only half-closing a socket is one, and it is brief.
pub const KERNEL_WORKERS: u32 = 2;

/// How long dropping a ring waits for the operations it cancelled; then it leaks their memory. They end at once.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// How long one round of that waits before it cancels again.
pub const DRAIN_WAIT: Duration = Duration::from_millis(100);
