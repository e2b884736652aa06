//! What shards say to each other, and the batch in which one turn's messages travel.
//!
//! One lane per ordered pair of shards, first in, first out: what follows relies on it. A frame travels once per shard,
//! with all its recipients there; small payloads stand in the batch's own arena, large ones are shared.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use commucat_proto::control::{Text, UserProfile};
use commucat_proto::{ChannelId, DeviceId, FrameType};
use commucat_storage::api::{RowId, StoreError, Wall};

use super::call::CallMessage;

use super::group::GroupMessage;
use super::naming::NamingMessage;

/// Index of a shard, below the number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A device id's keyed 128-bit hash: what routing tables and messages carry instead of a string. All shards of a
/// process share the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceKey(pub u128);

/// A group id's keyed 128-bit hash, as [`DeviceKey`] is a device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(pub u128);

/// Names one session for its shard: slot and generation of the tunnel table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId {
    /// Index into the shard's tunnel table.
    pub slot: u32,
    /// Counts the tenants of the slot.
    pub generation: u32,
}

/// Counts a device's attachments; a later one is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Which frame of which sender a receipt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The sender's shard.
    pub shard: ShardId,
    /// The sender's session there.
    pub tunnel: TunnelId,
    /// The frame's place in that session's list of unacknowledged frames.
    pub ordinal: u32,
}

impl Receipt {
    /// Of a CALL_END that is said for a session that has ended: nobody waits for what becomes of it. No session has so
    /// many frames: its sequence numbers would have run out before.
    pub(crate) const SYNTHESIZED: u32 = u32::MAX;
}

/// A payload inside a batch.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A range of the batch's arena.
    Inline(Range<usize>),
    /// Counted; for payloads too large to copy again.
    Shared(Bytes),
}

/// One recipient, as its sender's shard knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The device.
    pub key: DeviceKey,
    /// The attachment that was meant; the default one leaves it to the device's home. A frame meant for an attachment
    /// that is over goes back to the home, even if the device is attached to the same shard again: it left before
    /// frames that the home has stored or sent on since, and may not meet the new session in their stead.
    pub epoch: Epoch,
}

/// The recipients of a frame on one shard.
#[derive(Clone, Debug)]
pub enum Targets {
    /// The common case.
    One(Target),
    /// Shared with the sender's route.
    Many(Arc<[Target]>),
    /// Shared with everybody who speaks in the group. The sender is settled and hears nothing of its own.
    Group {
        /// Members there, perhaps the sender, too.
        members: Arc<[Target]>,
        /// The sender.
        sender: DeviceKey,
    },
}

impl Targets {
    /// The recipients.
    #[must_use]
    pub fn as_slice(&self) -> &[Target] {
        match self {
            Self::One(target) => std::slice::from_ref(target),
            Self::Many(targets) | Self::Group { members: targets, .. } => targets,
        }
    }

    /// The same recipients, the sender of a group to be passed over.
    pub(crate) fn without(&self, sender: Option<DeviceKey>) -> Self {
        match (self, sender) {
            (Self::Many(members), Some(sender)) => Self::Group {
                members: Arc::clone(members),
                sender,
            },
            (targets, _) => targets.clone(),
        }
    }

    /// The one among them who is passed over.
    pub(crate) fn sender(&self) -> Option<DeviceKey> {
        match self {
            Self::One(_) | Self::Many(_) => None,
            Self::Group { sender, .. } => Some(*sender),
        }
    }
}

/// Why a frame could not be kept for a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No such device.
    Unknown,
    /// Its inbox is full.
    InboxFull,
    /// The store cannot take it now.
    StoreUnavailable,
    /// With other numbers in its header the frame would be over the limit.
    TooLarge,
    /// It lives in another domain that this server does not reach.
    Federation,
    /// It is away, and the offer of the call has expired.
    Expired,
}

impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::UnknownDevice => Self::Unknown,
            StoreError::InboxFull => Self::InboxFull,
            _ => Self::StoreUnavailable,
        }
    }
}

/// A row on its way from an inbox to its owner.
#[derive(Clone, Debug)]
pub struct ReplayRow {
    /// Deleted once the owner has it.
    pub row: RowId,
    /// The stored frame.
    pub kind: FrameType,
    /// The stored frame.
    pub channel: ChannelId,
    /// The stored frame.
    pub payload: Bytes,
}

/// What one session lets the members of a channel know (CCP-1, Presence Metadata, P2P Negotiation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Who.
    pub key: DeviceKey,
    /// Who, by name.
    pub device: DeviceId,
    /// On which channel.
    pub channel: ChannelId,
    /// `online`, `offline`, or the client's own word.
    pub state: Text,
    /// Whose device it is.
    pub user: Arc<UserProfile>,
    /// Its observed address, when it has joined without `relay`.
    pub direct: Option<SocketAddr>,
    /// Why it is said.
    pub occasion: Occasion,
}

/// Why PRESENCE is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// This session has joined; it is told of those who are there.
    Joined(ShardId, TunnelId),
    /// The session is over, or answers one that has joined.
    Seen,
    /// The client says so.
    Said,
}

/// A frame on its way to recipients on one shard.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// Who waits for a receipt; none for frames nobody waits for.
    pub receipt: Receipt,
    /// Opaque frame type.
    pub kind: FrameType,
    /// The sender's channel.
    pub channel: ChannelId,
    /// The home has sent it on. If it comes back, the device has left that shard, and nothing may pass it.
    pub sent_on: bool,
    /// Recipients there.
    pub targets: Targets,
    /// Ciphertext.
    pub payload: Payload,
    /// Worth nothing in an inbox from then on.
    pub keep_until: Wall,
}

/// One message.
#[derive(Clone, Debug)]
pub enum Message {
    /// A frame for devices believed to be attached to, or at home on, the receiving shard.
    Deliver(Deliver),
    /// To the home: a frame that a device's own shard could not queue. Goes to the inbox, in order.
    Return {
        /// Whose frame it would have been.
        device: DeviceKey,
        /// Who waits; none when the sender has been told already.
        receipt: Option<Receipt>,
        /// Storable frame type.
        kind: FrameType,
        /// The sender's channel.
        channel: ChannelId,
        /// Ciphertext.
        payload: Payload,
        /// Worth nothing in an inbox from then on.
        keep_until: Wall,
    },
    /// To the sender's shard: so many recipients have the frame queued or durably stored.
    Settled {
        /// Which frame.
        receipt: Receipt,
        /// How many recipients this settles, refused ones included.
        count: u32,
        /// Whom it could not be kept for.
        refused: Option<(DeviceKey, Refusal)>,
    },
    /// To the home: a shard routes to this device and wants to know where it is.
    Subscribe {
        /// The device.
        device: DeviceId,
    },
    /// To the home: no route of that shard names it any more.
    Unsubscribe {
        /// The device.
        device: DeviceKey,
    },
    /// To subscribers: where a device is now.
    Located {
        /// The device.
        device: DeviceKey,
        /// Its shard and the attachment there; none when it is away.
        at: Option<(ShardId, Epoch)>,
    },
    /// To the home: a session of this device has passed its handshake here and asks to be the one.
    Attach {
        /// The device.
        device: DeviceId,
        /// Its session on the sending shard.
        tunnel: TunnelId,
        /// Whose it is.
        user: Arc<UserProfile>,
    },
    /// To the home: what the client of the session that holds the device says of itself.
    Said {
        /// The device.
        device: DeviceKey,
        /// The session.
        tunnel: TunnelId,
        /// The client's own word.
        state: Text,
    },
    /// From the home: it is the one.
    Attached {
        /// The device.
        device: DeviceKey,
        /// Echoed.
        tunnel: TunnelId,
        /// This attachment.
        epoch: Epoch,
    },
    /// From the home: a later session took over; end this one and send `Detached`.
    Evict {
        /// Which session.
        tunnel: TunnelId,
    },
    /// To the home: the session is over; everything it still owed was sent before this in `Return`s.
    Detached {
        /// The device.
        device: DeviceKey,
        /// The session, also when it was never attached.
        tunnel: TunnelId,
    },
    /// From the home, after the last frame it sent on to a shard that the device has left.
    Sweep {
        /// The device.
        device: DeviceKey,
    },
    /// To the home: every frame sent on before `Sweep` is back.
    Swept {
        /// The device.
        device: DeviceKey,
    },
    /// To the home: send stored rows.
    Fetch {
        /// The device.
        device: DeviceKey,
        /// By which attachment; an earlier one is ignored.
        epoch: Epoch,
        /// Room for payload bytes; the first row may exceed it.
        room: usize,
    },
    /// From the home: the next rows in order. Empty and `drained` when the inbox held nothing more.
    Replay {
        /// The device.
        device: DeviceKey,
        /// For which attachment.
        epoch: Epoch,
        /// The rows.
        rows: Vec<ReplayRow>,
        /// Nothing is left, and nothing was on its way into the inbox.
        drained: bool,
    },
    /// To a home shard of some of these devices, and from there, as `Announced`, to the shards where they are.
    Announce {
        /// What there is to know.
        about: Arc<Announcement>,
        /// Who may care.
        members: Vec<DeviceKey>,
    },
    /// To a shard to which these devices are attached.
    Announced {
        /// What there is to know.
        about: Arc<Announcement>,
        /// Who may care.
        members: Vec<DeviceKey>,
    },
    /// To the shard of a session that has joined: who is there already.
    Met {
        /// The session.
        tunnel: TunnelId,
        /// About each of them.
        peers: Vec<Arc<Announcement>>,
    },
    /// To the home: rows up to this one have reached the device.
    Delivered {
        /// The device.
        device: DeviceKey,
        /// The last of them.
        upto: RowId,
    },
    /// Of groups.
    Group(Box<GroupMessage>),
    /// Of calls.
    Call(Box<CallMessage>),
    /// Of speakers of open channels and those who name them.
    Naming(Box<NamingMessage>),
}

/// One turn's messages to one shard, with the bytes of their small payloads.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order.
    pub messages: Vec<Message>,
    /// Small payloads.
    pub arena: Vec<u8>,
}

impl Batch {
    /// The bytes of a payload of this batch.
    #[must_use]
    pub fn payload<'a>(&'a self, payload: &'a Payload) -> &'a [u8] {
        match payload {
            Payload::Inline(range) => &self.arena[range.clone()],
            Payload::Shared(bytes) => bytes,
        }
    }

    /// Nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
