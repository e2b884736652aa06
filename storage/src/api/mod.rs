//! The storage port's language: what a shard may ask, what it gets back, and the limits both keep.
//!
//! Invariant: requests that name the same device take effect in the order in which one shard submitted them, and a
//! completion is given only when its effect is durable, unless the request says otherwise. Shards submit; the pool (or the simulator's fake) completes.

mod accounts;
mod groups;
mod presence;

pub use accounts::{
    AccountRequest, DeviceRecord, Friend, Paired, PairingClaim, PairingOffer, Selector, SessionOwner, TokenHash,
};
pub use groups::{GroupRequest, GroupRoster, Invitation, Invited};
pub use presence::{PresenceEntry, PresenceRequest};

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
    /// Of people and their devices.
    Account(AccountRequest),
    /// Of groups.
    Group(GroupRequest),
    /// Of presence.
    Presence(PresenceRequest),
    /// How much is kept for those who are away? `Depth`; may lag behind what was just appended.
    Depth,
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
    /// To `FindSession`: none when the token is worth nothing.
    Session(Option<SessionOwner>),
    /// To `ListDevices`.
    Devices(Vec<DeviceRecord>),
    /// To `ClaimPairing`.
    Paired(Paired),
    /// To `Friends`.
    Friends(Vec<Friend>),
    /// To `Create` and `Load` of a group.
    Roster(GroupRoster),
    /// To `Invite`.
    Invited(Invited),
    /// To `Set` of presence: done, and so many others, which would have expired next, are forgotten for it.
    Displaced(u64),
    /// To `Get` of presence.
    Presence(Vec<PresenceEntry>),
    /// To `Depth`.
    Depth {
        /// Frames in all inboxes.
        rows: u64,
        /// Their payload bytes.
        bytes: u64,
    },
    /// To everything else: it is durable, unless the request says otherwise.
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
    /// There is no such user.
    #[error("unknown user")]
    UnknownUser,
    /// The device has been revoked.
    #[error("device revoked")]
    DeviceRevoked,
    /// The device has another static key than the one it has proven.
    #[error("key replaced")]
    KeyReplaced,
    /// The profile has as many devices as it may have without a pairing code.
    #[error("too many devices")]
    DeviceLimit,
    /// The user has as many open pairing codes as anybody may have.
    #[error("too many pairing codes")]
    TooManyCodes,
    /// The pairing code is not, or no more, worth anything; which of these is nobody's business.
    #[error("pairing refused")]
    PairingRefused,
    /// There is no such group.
    #[error("unknown group")]
    UnknownGroup,
    /// The asker's role does not allow it.
    #[error("not allowed")]
    NotAllowed,
    /// The group has as many members as it may have.
    #[error("group full")]
    GroupFull,
    /// The owner has as many groups as anybody may have.
    #[error("too many groups")]
    TooManyGroups,
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

/// Bearer sessions of one device that are kept; an older one ends when one more is opened.
pub const SESSIONS_PER_DEVICE: usize = 8;

/// Pairing codes of one user that are neither used nor expired.
pub const CODES_PER_USER: usize = 16;

/// Wrong secrets that a pairing code survives, less one.
pub const PAIRING_TRIES: u32 = 5;

/// Entries of a user's own list (decisions § 10).
pub const FRIENDS_PER_USER: usize = 512;

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
