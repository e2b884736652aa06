//! What the world tells the checkers: facts seen from outside the shard, at its boundary.

use commucat_proto::FrameType;

use crate::ids::{DeviceNo, FrameKey, SessionNo};

/// A frame on its way to a client, as the tap on the wire read it.
#[derive(Clone, Debug)]
pub(crate) struct WireFrame {
    pub(crate) kind: FrameType,
    pub(crate) channel: u32,
    pub(crate) sequence: u32,
    /// Its first bytes were in an earlier send than its last.
    pub(crate) continued: bool,
    pub(crate) body: Body,
}

/// What a checker wants to know of its payload.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// The handshake's AUTH, and whether it accepts `delivery-ack`.
    Auth { delivery_ack: bool },
    /// The final ACK of the handshake.
    Ready,
    /// An ACK of a client's frame, and whom it could not be kept for and why.
    Ack {
        number: u32,
        rejected: Vec<String>,
        reason: String,
    },
    /// An ERROR.
    Error { title: String },
    /// An opaque frame with our mark, and the frame type that the mark tells.
    Marked { key: FrameKey, kind: FrameType },
    /// CALL_END by the relay itself.
    Gone { call: String },
    /// PRESENCE, or an opaque frame that only a hostile person can have sent.
    Other,
}

/// One fact.
#[derive(Clone, Debug)]
pub(crate) enum Fact<'a> {
    /// A person connects.
    Dialled {
        session: SessionNo,
        device: DeviceNo,
        hostile: bool,
    },
    /// A client gave a frame with a mark to its connection.
    Said {
        key: FrameKey,
        kind: FrameType,
        sequence: u32,
        roster: &'a [DeviceNo],
    },
    /// The frame that is about to be said goes to a group: to its roster, and to whoever else may be in it.
    Addressed { key: FrameKey, group: u16 },
    /// A client asked to be in the open channel of this number: from now on its device may be.
    Opened { device: DeviceNo, channel: u32 },
    /// A client asked for a roster of these: what they say openly on this number may be for it from now on.
    Naming {
        device: DeviceNo,
        channel: u32,
        speakers: &'a [DeviceNo],
    },
    /// The frame that is about to be said goes to an open channel, where these certainly are, and maybe others.
    Openly {
        key: FrameKey,
        sessions: &'a [(DeviceNo, SessionNo)],
    },
    /// A client asked for these to be in a group: from now on they may be.
    Gathering { group: u16, devices: &'a [DeviceNo] },
    /// A client asked to speak in a group that nobody has asked it into.
    Trespassed {
        session: SessionNo,
        channel: u32,
        sequence: u32,
        group: u16,
    },
    /// A client gave a GROUP_INVITE to its connection.
    Invited {
        session: SessionNo,
        channel: u32,
        sequence: u32,
    },
    /// The frame that is said next, of this channel, is of a call between these.
    OfCall {
        key: FrameKey,
        call: &'a str,
        people: &'a [DeviceNo],
    },
    /// A client offered or accepted a call on a channel, which it may have left.
    Speaks {
        session: SessionNo,
        channel: u32,
        sequence: u32,
    },
    /// A client repeated a frame under the sequence it had.
    Resent {
        session: SessionNo,
        channel: u32,
        sequence: u32,
    },
    /// A client gave a JOIN to its connection.
    Joined {
        session: SessionNo,
        channel: u32,
        sequence: u32,
    },
    /// A client ends its side, does what may end its session, or somebody writes bytes of its own there: which channels it
    /// is in is not certain any more.
    Wavers { session: SessionNo },
    /// A client asks something of a group under this number. Until it is acknowledged its session may be over without
    /// anybody knowing: the store may not be able to tell, and the ERROR waits behind what is being sent.
    Asks { session: SessionNo, sequence: u32 },
    /// A client gave a LEAVE to its connection.
    Left {
        session: SessionNo,
        channel: u32,
        sequence: u32,
    },
    /// The shard handed a frame to the ring.
    Emitted { session: SessionNo, frame: &'a WireFrame },
    /// The kernel took a send whole; this frame was in it.
    Taken { session: SessionNo, frame: &'a WireFrame },
    /// The client has read the frame.
    Heard { session: SessionNo, frame: &'a WireFrame },
    /// The client acknowledged to the relay what it was given under this number, in its own frame `own` or before.
    Confirmed { session: SessionNo, number: u32, own: u32 },
    /// The shard knows that the connection is over.
    Closed { session: SessionNo },
    /// A row is durable.
    Stored { device: DeviceNo, key: FrameKey },
    /// A row was deleted as delivered.
    Forgotten { device: DeviceNo, key: FrameKey },
    /// A row was deleted because its time was over.
    Expired { device: DeviceNo, key: FrameKey },
    /// Somebody asks for a device to be revoked; whether it is, is not known yet.
    Revoking { device: DeviceNo },
    /// It has been answered: the device is revoked.
    Revoked { device: DeviceNo },
    /// The relay died.
    Crashed,
    /// The relay is asked to end: each session may be over from now on.
    Stopping,
    /// The relay was asked to end, and has ended: it had flushed or stored what it owed.
    Stopped,
    /// Faults have stopped, and everything has come to rest.
    Healed,
}
