//! The storage port's language: what a shard may ask, what it gets back, and the limits both keep.
//!
//! Invariant: requests that name the same device take effect in the order in which one shard submitted them, and a
//! completion is given only when its effect is durable. Shards submit; the pool (or the simulator's fake) completes.

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType, Handle, UserId};

/// Milliseconds since the Unix epoch. Never compared with the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wall(pub u64);

/// Names one submission; its completion carries it back. Unique per shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The place of a row in one device's inbox: strictly increasing, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RowId(pub u64);

/// A frame on its way to a device that is not there (CCP-1, Offline Delivery).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The frame's type; only storable ones reach the store.
    pub kind: FrameType,
    /// The sender's channel number.
    pub channel: ChannelId,
    /// Ciphertext, never looked at.
    pub payload: Bytes,
    /// Rows are never replayed after this moment.
    pub expires_at: Wall,
}

/// A device as the relay knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The pinned X25519 static key.
    pub static_key: [u8; 32],
    /// The profile it belongs to.
    pub user: Profile,
    /// Revoked devices are refused.
    pub revoked: bool,
}

/// A user's profile (CCP-1, Handshake: profile provisioning).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The user.
    pub id: UserId,
    /// Unique on this server.
    pub handle: Handle,
    /// At most 256 bytes.
    pub display_name: Option<String>,
    /// At most 256 bytes.
    pub avatar_url: Option<String>,
}

/// What a shard asks of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Everything a HELLO needs, read at one moment.
    Lookup {
        /// The device that says hello.
        device: DeviceId,
        /// The profile it wants to join, when it names one.
        user: Option<UserId>,
        /// The handle it wants, when it names one.
        handle: Option<Handle>,
    },
    /// A new device founds a new profile: profile, device and `device_key_event` in one transaction.
    Found {
        /// The device.
        device: DeviceId,
        /// The key Noise has proven.
        static_key: [u8; 32],
        /// The profile; its handle must be free.
        profile: Profile,
        /// The audit row's timestamp.
        at: Wall,
    },
    /// A known device changed its own display name or avatar.
    UpdateProfile {
        /// The profile with the new values.
        profile: Profile,
    },
    /// Keep a frame for an absent device, at the end of its inbox.
    Append {
        /// Whose inbox.
        device: DeviceId,
        /// What to keep.
        envelope: Envelope,
    },
    /// Keep frames whose senders have been told already that they are kept: all or none, in this order, and the inbox
    /// limits do not apply.
    AppendOwed {
        /// Whose inbox.
        device: DeviceId,
        /// What to keep.
        envelopes: Vec<Envelope>,
    },
    /// Read rows in order.
    ReadInbox {
        /// Whose inbox.
        device: DeviceId,
        /// Rows up to and including this one are skipped.
        after: RowId,
        /// At most this many rows, at least 1.
        max_rows: usize,
        /// Stop before the sum of payload lengths exceeds this; the first row comes whatever its size.
        max_bytes: usize,
        /// Rows that expired by now are skipped (and may be deleted).
        now: Wall,
    },
    /// Rows up to and including this one have been delivered: delete them and advance `inbox_offset`.
    Delivered {
        /// Whose inbox.
        device: DeviceId,
        /// The last row delivered.
        upto: RowId,
    },
    /// Is the store reachable and writable?
    Probe,
}

/// The good answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To `Lookup`.
    Found {
        /// The device, when it is known.
        device: Option<Device>,
        /// The named profile, when it exists.
        user: Option<Profile>,
        /// Whether the named handle belongs to somebody.
        handle_taken: bool,
    },
    /// To `ReadInbox`.
    Rows {
        /// In order.
        rows: Vec<(RowId, Envelope)>,
        /// Whether rows after the last one existed at that moment.
        more: bool,
    },
    /// To everything else: it is durable.
    Done,
}

/// Why a request could not be served. The shard turns each into an ERROR title or a `rejected` reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The port is full: nothing was taken.
    #[error("the storage port is full")]
    PortFull,
    /// The device has no record here.
    #[error("unknown device")]
    UnknownDevice,
    /// The device's inbox has reached its limit of rows or bytes.
    #[error("inbox full")]
    InboxFull,
    /// The handle belongs to another profile.
    #[error("handle taken")]
    HandleTaken,
    /// The device exists already, founded by somebody else meanwhile.
    #[error("device exists")]
    DeviceExists,
    /// The store failed; the text is for the log, not for the wire.
    #[error("store unavailable: {0}")]
    Unavailable(String),
}

/// A request with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Carried back by the completion.
    pub ticket: Ticket,
    /// What is asked.
    pub request: Request,
}

/// An answer with the name of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The submission's.
    pub ticket: Ticket,
    /// What came of it.
    pub outcome: Result<Reply, StoreError>,
}

/// What one device's inbox may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxLimits {
    /// Rows; configuration key `limits.inbox_rows`.
    pub rows: u64,
    /// Sum of payload bytes; configuration key `limits.inbox_bytes`.
    pub bytes: u64,
}

impl Default for InboxLimits {
    fn default() -> Self {
        Self {
            rows: 100_000,
            bytes: 256 << 20,
        }
    }
}
