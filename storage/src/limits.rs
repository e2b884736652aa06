//! Every bound of this package, each with its reason.

/// Requests that one port holds from submission until its owner takes the completion: some milliseconds of a core's
/// traffic at full rate, so that one slow fsync does not push back on senders.
pub const PORT_REQUESTS: usize = 8_192;

/// Bytes of those requests and of the answers they may bring: two frames of the largest size, or a full port of
/// frames of 4 KiB.
pub const PORT_BYTES: usize = 32 << 20;

/// What a request weighs beside its payload: queue slots, ids, the store's key.
pub const REQUEST_OVERHEAD: usize = 256;

/// What a member of a roster weighs on its way: a name and its place in a map.
pub const MEMBER_OVERHEAD: usize = 128;

/// What a roster that is asked for may weigh: most are far smaller, the largest somewhat larger.
pub const ROSTER_BYTES: usize = 256 << 10;

/// Requests that share one commit: enough that an fsync costs each of them next to nothing, few enough that the first
/// of them does not wait for the last.
pub const BATCH_REQUESTS: usize = 4_096;

/// Bytes that share one commit; a single larger request is a batch of its own.
pub const BATCH_BYTES: usize = 16 << 20;

/// Milliseconds between two steps of upkeep (expired rows, free space): often enough that neither runs far ahead.
pub const UPKEEP_INTERVAL_MS: u64 = 250;

/// Devices that one step of upkeep looks at: two point reads each, a few milliseconds even from a cold disk.
pub const UPKEEP_DEVICES: usize = 256;

/// Rows that one step of upkeep, or one `Delivered`, takes from the table: what is above is left for the next step, so
/// that nobody's commit waits for somebody's full inbox.
pub const UPKEEP_ROWS: u64 = 2_048;

/// Inboxes whose counters stay in memory, about 200 bytes each; the rest are read again when they are needed.
pub const INBOX_CACHE: usize = 131_072;

/// Devices whose presence the embedded store knows unless it is told otherwise: more than one machine has connections. An entry is some 300 bytes,
/// and 1 KiB when its client fills every text.
pub const PRESENCE_ENTRIES: usize = 1 << 19;

/// Inboxes that are counted before the embedded store opens: some milliseconds; upkeep counts the rest.
pub const DEPTH_AT_OPEN: usize = 1_024;

/// What an entry of a user's own list weighs on its way beside its texts.
pub const FRIEND_OVERHEAD: usize = 256;

/// Bytes of table blocks that the embedded store caches.
pub const BLOCK_CACHE_BYTES: u64 = 64 << 20;

/// Free bytes on the disk below which the embedded store takes nothing new: an engine that meets the end of the disk
/// in the middle of a write stops for good, one that is stopped before can still deliver and delete.
pub const DISK_RESERVE_BYTES: u64 = 256 << 20;

/// Milliseconds before a store that failed is opened again.
pub const REOPEN_INTERVAL_MS: u64 = 1_000;

/// Milliseconds before a lost server is dialed again, after the first failure.
pub const RECONNECT_MIN_MS: u64 = 100;

/// Milliseconds that the pause between two dials grows to: how much later than the server its clients are back.
pub const RECONNECT_MAX_MS: u64 = 2_000;

/// Milliseconds that Redis may take: presence is worth no longer wait, and messages of the same batch wait with it.
pub const PRESENCE_TIMEOUT_MS: u64 = 500;

/// Inbox requests below which a batch is not spread over several connections: one transaction costs less than two.
pub const LANE_REQUESTS: usize = 64;

/// Steps of upkeep over which PostgreSQL's answer about the depth of all inboxes is repeated: it costs a look at every
/// inbox.
pub const DEPTH_STEPS: u64 = 4;

/// Steps of upkeep between two looks for what has expired in PostgreSQL, when the last one found little.
pub const SWEEP_STEPS: u64 = 4;

/// Days that `inbox_offset` remembers a channel on which nothing more was delivered: long enough for an audit, short
/// enough that made-up channel numbers do not pile up.
pub const OFFSET_DAYS: u32 = 30;

const _: () = assert!(BATCH_BYTES <= PORT_BYTES, "one full port has to fit a few batches");
const _: () = assert!(
    BATCH_REQUESTS <= PORT_REQUESTS,
    "a port that cannot fill a batch never lets fsyncs be shared"
);
