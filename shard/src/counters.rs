//! What a shard has done and what it holds. Plain numbers; the server publishes them.

use commucat_proto::FrameType;

use crate::histogram::Histogram;

/// Why a frame was dropped. Every drop has one, and each reason has its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Voice, video, typing or CALL_STATS: the recipient's queue was full, the oldest went.
    MediaOverflow,
    /// Voice, video, typing or CALL_STATS: the recipient is catching up with its inbox.
    MediaBehind,
    /// Voice, video, typing or CALL_STATS: the recipient is away.
    MediaAway,
    /// The recipient has left the channel.
    Left,
    /// PRESENCE for a session whose control queue is full.
    ControlFull,
    /// Voice or video of a call that is over.
    CallOver,
}

impl Drop {
    /// All reasons, in counter order.
    pub const ALL: [Self; 6] = [
        Self::MediaOverflow,
        Self::MediaBehind,
        Self::MediaAway,
        Self::Left,
        Self::ControlFull,
        Self::CallOver,
    ];

    /// For metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MediaOverflow => "media_overflow",
            Self::MediaBehind => "media_behind",
            Self::MediaAway => "media_away",
            Self::Left => "left",
            Self::ControlFull => "control_full",
            Self::CallOver => "call_over",
        }
    }
}

/// Only ever grows.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that ended.
    pub closed: u64,
    /// Sessions that became ready.
    pub ready: u64,
    /// Handshakes that ended in an ERROR.
    pub handshakes_failed: u64,
    /// Sessions replaced by a later one of the same device.
    pub replaced: u64,
    /// Sessions, ready or about to be, that ended because their device was revoked or got another key.
    pub revoked: u64,
    /// Sessions ended by an ERROR after they were ready.
    pub errors: u64,
    /// TLS, HTTP and HTTP/2 violations that ended a connection.
    pub malformed: u64,
    /// Deadlines that ended a connection or a session.
    pub timeouts: u64,
    /// Frames from clients, by type code.
    pub frames_in: [u64; 20],
    /// Frames to clients, by type code.
    pub frames_out: [u64; 20],
    /// Frames routed to recipients on this shard, counted per recipient.
    pub delivered: u64,
    /// Frames that went to a home because the recipient's queue could not take them.
    pub spilled: u64,
    /// Times a live session's queue was full, and went to its inbox.
    pub overflows: u64,
    /// Frames handed to the store.
    pub appended: u64,
    /// Frames the store could not keep, told to their senders.
    pub refused: u64,
    /// Rows read back from inboxes.
    pub replayed: u64,
    /// Groups opened on this shard.
    pub groups_opened: u64,
    /// JOINs of open channels that were granted.
    pub open_joins: u64,
    /// Sessions that came to hear a speaker of an open channel because they name it.
    pub open_named: u64,
    /// Sessions that name a speaker of an open channel and do not hear it: there were too many, or too many members of
    /// groups on the speaker's shard.
    pub open_unheard: u64,
    /// Members that came to a group while it was open here.
    pub members_added: u64,
    /// JOINs of groups and open channels, GROUP_CREATEs and GROUP_INVITEs that were not allowed, or not possible.
    pub groups_denied: u64,
    /// GROUP_CREATEs of devices that own as many groups as they may.
    pub groups_over: u64,
    /// Frames dropped, by reason.
    pub dropped: [u64; Drop::ALL.len()],
    /// CALL_OFFERs that began a call.
    pub calls: u64,
    /// Offers whose time was over before all had answered.
    pub calls_expired: u64,
    /// CALL_ENDs said for participants whose session had ended.
    pub calls_failed: u64,
    /// Presence entries, or parts of a round of them, that the store did not take.
    pub presence_lost: u64,
    /// Presence entries that the store has forgotten to have room for these.
    pub presence_displaced: u64,
    /// CALL_ENDs said for somebody gone that the store did not keep for somebody away.
    pub call_ends_lost: u64,
    /// Times a sender had to wait.
    pub stalls: u64,
    /// Sends asked of the driver.
    pub sends: u64,
    /// Messages put into lanes.
    pub mesh_messages: u64,
    /// Answers in parts that were ended because their reader was too slow.
    pub slow_readers: u64,
    /// Requests that found the store's port full.
    pub store_full: u64,
    /// Requests that failed because the store could not be used.
    pub store_failed: u64,
    /// From a request's submission to the turn that saw its completion.
    pub store_latency: Histogram,
}

impl Counters {
    pub(crate) fn drop_frame(&mut self, reason: Drop) {
        self.dropped[reason as usize] += 1;
    }

    pub(crate) fn frame_in(&mut self, kind: FrameType) {
        self.frames_in[kind.code() as usize] += 1;
    }
}

/// What is held right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Open connections.
    pub connections: usize,
    /// Sessions, ready or not.
    pub tunnels: usize,
    /// Devices attached here.
    pub attached: usize,
    /// Bytes in all outboxes.
    pub outbox_bytes: usize,
    /// The fullest outbox.
    pub outbox_max: usize,
    /// The most storable frames of one session, in bytes.
    pub bulk_max: usize,
    /// The most droppable frames of one session, in bytes.
    pub media_max: usize,
    /// Payload bytes times recipients that wait for another core or the store.
    pub inflight_bytes: usize,
    /// Frames that wait so.
    pub unacked: usize,
    /// Unparsed body bytes.
    pub unparsed_bytes: usize,
    /// Devices this shard routes to.
    pub peers: usize,
    /// Devices at home here that somebody is interested in.
    pub homes: usize,
    /// Groups that sessions here speak in, did a moment ago, or ask for.
    pub groups: usize,
    /// Members of those that are open.
    pub group_members: usize,
    /// Groups at home here that somebody is interested in.
    pub group_homes: usize,
    /// Storage requests on their way.
    pub store_waiting: usize,
    /// Open calls at home here.
    pub calls: usize,
    /// Calls at home here that have ended a moment ago.
    pub calls_lingering: usize,
    /// Calls whose sessions here have ended and whose homes have not said what that meant.
    pub calls_left: usize,
}
