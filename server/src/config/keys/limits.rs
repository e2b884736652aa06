//! Every bound of a shard.

use super::{GIB, HOUR, KIB, MIB, MILLISECOND, SECOND, YEAR};
use crate::config::table::Key;
use crate::config::value::{Kind, Value};

/// CCP-1, Limits: no frame is longer, whoever configures it.
const FRAME_LEN: u64 = 16 * MIB;
/// CCP-1, Limits: the same for control payloads.
const CONTROL_PAYLOAD: u64 = 256 * KIB;

pub(super) static KEYS: &[Key] = &[
    number!(
        "limits.connections",
        Count,
        16,
        commucat_ring::limits::CONNECTIONS as u64,
        limits.connections,
        "Connections of one shard."
    ),
    number!(
        "limits.frame_len",
        Size,
        KIB,
        FRAME_LEN,
        limits.frame.frame_len,
        "The longest frame."
    ),
    number!(
        "limits.control_payload",
        Size,
        KIB,
        CONTROL_PAYLOAD,
        limits.frame.control_payload,
        "The longest control payload."
    ),
    number!(
        "limits.streams",
        Count,
        1,
        10_000,
        limits.streams,
        "Concurrent streams of one HTTP/2 connection."
    ),
    number!(
        "limits.rest_body",
        Size,
        KIB,
        16 * MIB,
        limits.rest_body,
        "The longest body of a REST request."
    ),
    number!(
        "limits.answer_bytes",
        Size,
        KIB,
        16 * MIB,
        limits.answer_bytes,
        "Bytes of an event stream queued for a client that does not read; past it, the stream ends."
    ),
    number!(
        "limits.rest_calls",
        Count,
        1,
        65_536,
        rest_calls,
        "REST calls of one shard that wait for an answer; the next is answered 503."
    ),
    number!(
        "limits.rest_streams",
        Count,
        1,
        65_536,
        rest_streams,
        "Event streams of one shard that are open; the next is answered 503."
    ),
    time!(
        "limits.head_timeout",
        MILLISECOND,
        HOUR,
        limits.head_timeout,
        "From accept to the end of a request head."
    ),
    time!(
        "limits.hello_timeout",
        MILLISECOND,
        HOUR,
        limits.hello_timeout,
        "From the request head to a ready session."
    ),
    time!(
        "limits.frame_timeout",
        MILLISECOND,
        HOUR,
        limits.frame_timeout,
        "From the first byte of a frame to its last."
    ),
    time!(
        "limits.close_timeout",
        MILLISECOND,
        HOUR,
        limits.close_timeout,
        "From the wish to close a connection to giving up on what is still unsent."
    ),
    time!(
        "limits.drain_timeout",
        MILLISECOND,
        HOUR,
        limits.drain_timeout,
        "From SIGTERM to giving up on slow readers; what they have not taken goes to their inboxes."
    ),
    number!(
        "limits.channels",
        Count,
        1,
        65_536,
        limits.channels,
        "Channels one session may have joined."
    ),
    number!(
        "limits.roster",
        Count,
        1,
        65_536,
        limits.roster,
        "Members of one direct channel."
    ),
    number!(
        "limits.session_members",
        Count,
        1,
        16_777_216,
        limits.session_members,
        "Members over all direct channels of one session."
    ),
    number!(
        "limits.names_per_turn",
        Count,
        1,
        65_536,
        limits.names_per_turn,
        "Names of rosters that a shard takes up or lets go in one turn; the rest waits for the next ones."
    ),
    number!(
        "limits.open_roster",
        Count,
        1,
        65_536,
        limits.open_roster,
        "Devices in one open channel; and as many more may hear one speaker there because their rosters name it."
    ),
    number!(
        "limits.group_roster",
        Count,
        1,
        1_000_000,
        limits.group_roster,
        "Members of one group."
    ),
    number!(
        "limits.owner_groups",
        Count,
        1,
        100_000,
        limits.owner_groups,
        "Groups that one device owns."
    ),
    number!(
        "limits.group_members",
        Count,
        1,
        1_000_000_000,
        limits.group_members,
        "Members over all groups in which sessions of one shard speak."
    ),
    time!(
        "limits.group_linger",
        MILLISECOND,
        HOUR,
        limits.group_linger,
        "How long a shard keeps a group's roster after its last session there has left."
    ),
    number!(
        "limits.calls",
        Count,
        1,
        16_777_216,
        limits.calls,
        "Open calls that one shard looks after, and as many that have just ended."
    ),
    number!(
        "limits.session_calls",
        Count,
        1,
        1_024,
        limits.session_calls,
        "Open calls of one session."
    ),
    number!(
        "limits.call_members",
        Count,
        1,
        4_096,
        limits.call_members,
        "Devices that one CALL_OFFER calls."
    ),
    time!(
        "limits.call_offer_ttl",
        SECOND,
        HOUR,
        limits.call_offer_ttl,
        "How long an offer waits for an answer when its `expires_at` does not come earlier."
    ),
    time!(
        "limits.call_linger",
        MILLISECOND,
        HOUR,
        limits.call_linger,
        "How long frames that crossed the end of their call are taken for that and not for an offence."
    ),
    number!(
        "limits.presence_roster",
        Count,
        0,
        65_536,
        limits.presence_roster,
        "Largest channel whose members are told of each other by PRESENCE."
    ),
    number!(
        "limits.outbox_bytes",
        Size,
        KIB,
        GIB,
        limits.outbox_bytes,
        "Frames queued for one session before they spill to its inbox."
    ),
    number!(
        "limits.media_bytes",
        Size,
        KIB,
        GIB,
        limits.media_bytes,
        "Voice, video and typing frames queued for one session before the oldest are dropped."
    ),
    number!(
        "limits.control_bytes",
        Size,
        KIB,
        GIB,
        limits.control_bytes,
        "ACK, ERROR and PRESENCE frames queued for one session before reading from it pauses."
    ),
    number!(
        "limits.send_bytes",
        Size,
        4 * KIB,
        16 * MIB,
        limits.send_bytes,
        "The most that one send carries."
    ),
    number!(
        "limits.unacked_frames",
        Count,
        1,
        1_048_576,
        limits.unacked_frames,
        "Frames of one session that wait for another core or the store."
    ),
    number!(
        "limits.unacked_bytes",
        Size,
        KIB,
        GIB,
        limits.unacked_bytes,
        "Payload bytes, and 64 more, times recipients of those frames."
    ),
    number!(
        "limits.inflight_bytes",
        Size,
        MIB,
        64 * GIB,
        limits.inflight_bytes,
        "The same sum over all sessions of a shard."
    ),
    number!(
        "limits.unparsed_bytes",
        Size,
        KIB,
        64 * MIB,
        limits.unparsed_bytes,
        "Received and not yet parsed bytes of one session."
    ),
    number!(
        "limits.shard_unparsed_bytes",
        Size,
        MIB,
        64 * GIB,
        limits.shard_unparsed_bytes,
        "The same sum over all sessions of a shard."
    ),
    number!(
        "limits.appends",
        Count,
        1,
        8192,
        limits.appends,
        "Frames of one shard that the store is asked to keep at once; more wait their turn."
    ),
    number!(
        "limits.append_bytes",
        Size,
        KIB,
        GIB,
        limits.append_bytes,
        "Payload bytes of those frames."
    ),
    time!(
        "limits.presence_ttl",
        SECOND,
        HOUR,
        limits.presence_ttl,
        "How long a device's presence holds unless it is said again; the relay does so for who is connected."
    ),
    time!(
        "limits.relay_ttl",
        SECOND,
        YEAR,
        limits.relay_ttl,
        "How long a frame waits in an inbox."
    ),
    number!(
        "limits.replay_rows",
        Count,
        1,
        65_536,
        limits.replay_rows,
        "Frames one step of a replay reads."
    ),
    time!(
        "limits.store_retry",
        MILLISECOND,
        HOUR,
        limits.store_retry,
        "The pause before a store that failed is asked again."
    ),
    number!(
        "limits.inbox_rows",
        Count,
        1,
        1_000_000_000,
        store.inbox.rows,
        "Frames in one device's inbox."
    ),
    number!(
        "limits.inbox_bytes",
        Size,
        KIB,
        1024 * GIB,
        store.inbox.bytes,
        "Payload bytes in one device's inbox."
    ),
];
