//! Every bound of a shard, in one place. Each has a configuration key of the same name under `[limits]`.

use std::time::Duration;

use commucat_proto::FrameLimits;

/// The bounds one shard keeps. Sizes are bytes unless the name says otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections per shard: the size of the driver's descriptor table.
    pub connections: u32,
    /// Frame and control payload sizes (CCP-1, Limits).
    pub frame: FrameLimits,
    /// Concurrent streams of one HTTP/2 connection (decisions § 1).
    pub streams: u32,
    /// Body of a REST request.
    pub rest_body: usize,
    /// Bytes of a REST answer in parts that wait for a client to read them, before its stream is ended.
    pub answer_bytes: usize,
    /// From accept, or from the end of the last REST answer, to the end of a request head.
    pub head_timeout: Duration,
    /// From the request head to a ready session (decisions § 4).
    pub hello_timeout: Duration,
    /// From the first byte of a frame to its last (decisions § 2).
    pub frame_timeout: Duration,
    /// From the wish to close to giving up on what is still unsent.
    pub close_timeout: Duration,
    /// From drain to giving up on slow readers; what they have not taken goes to their inboxes.
    pub drain_timeout: Duration,
    /// Channels one session may have joined.
    pub channels: usize,
    /// Members of one direct channel.
    pub roster: usize,
    /// Members over all direct channels of one session: what its rosters may cost the directory.
    pub session_members: usize,
    /// Names of rosters that one turn takes up or lets go: the rest waits for the next ones.
    pub names_per_turn: usize,
    /// Devices in one open channel; and sessions that hear one speaker there for naming it.
    pub open_roster: usize,
    /// Members of one group.
    pub group_roster: usize,
    /// Groups that one device owns.
    pub owner_groups: u32,
    /// Members over all groups that are open on one shard: what their rosters may cost it.
    pub group_members: usize,
    /// How long a group stays open on a shard after its last session there has left.
    pub group_linger: Duration,
    /// Open calls at home on one shard, and as many that have ended a moment ago.
    pub calls: usize,
    /// Open calls of one session.
    pub session_calls: usize,
    /// Devices that one CALL_OFFER calls.
    pub call_members: usize,
    /// How long an offer without an earlier `expires_at` of its own waits for an answer.
    pub call_offer_ttl: Duration,
    /// How long what crosses the end of a call on the wire is taken for that and not for an offence.
    pub call_linger: Duration,
    /// Largest channel whose members are told of each other by PRESENCE; in a larger one every JOIN would be told to
    /// everybody.
    pub presence_roster: usize,
    /// Storable frames queued for one session before they spill to its inbox. An empty queue takes one frame of any size.
    pub outbox_bytes: usize,
    /// Voice, video and typing frames queued for one session before the oldest are dropped.
    pub media_bytes: usize,
    /// ACK, ERROR and PRESENCE queued for one session before the server stops reading from it.
    pub control_bytes: usize,
    /// Most plain bytes sealed into one send.
    pub send_bytes: usize,
    /// Frames of one session that wait for another core or the store.
    pub unacked_frames: usize,
    /// Payload bytes (and 64 more) times recipients of those frames; one frame of any size passes when nothing waits.
    pub unacked_bytes: usize,
    /// The same sum over all sessions of the shard: what bounds the lanes between cores.
    pub inflight_bytes: usize,
    /// Unparsed body bytes of one session: half a frame, or what arrived after it was told to wait.
    pub unparsed_bytes: usize,
    /// The same sum over all sessions of the shard.
    pub shard_unparsed_bytes: usize,
    /// Requests of one shard to append to inboxes that the store has not answered; what comes then waits in order. Fewer
    /// than a port takes, so that reads find room.
    pub appends: usize,
    /// Payload bytes of those requests.
    pub append_bytes: usize,
    /// How long what is known of a device's presence holds unless it is said again; a connected one's is.
    pub presence_ttl: Duration,
    /// How long a frame waits in an inbox (`relay_ttl`).
    pub relay_ttl: Duration,
    /// Rows one replay step reads.
    pub replay_rows: usize,
    /// Pause before the store is asked again after it failed.
    pub store_retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            frame: FrameLimits::default(),
            streams: 100,
            rest_body: 256 << 10,
            answer_bytes: 64 << 10,
            head_timeout: Duration::from_secs(10),
            hello_timeout: Duration::from_secs(10),
            frame_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
            channels: 1024,
            roster: 4096,
            session_members: 65_536,
            names_per_turn: 64,
            open_roster: 4_096,
            group_roster: 100_000,
            owner_groups: 1_000,
            group_members: 1_000_000,
            group_linger: Duration::from_secs(30),
            calls: 65_536,
            session_calls: 16,
            call_members: 64,
            call_offer_ttl: Duration::from_secs(120),
            call_linger: Duration::from_secs(10),
            presence_roster: 256,
            outbox_bytes: 1 << 20,
            media_bytes: 256 << 10,
            control_bytes: 64 << 10,
            send_bytes: 256 << 10,
            unacked_frames: 1024,
            unacked_bytes: 4 << 20,
            inflight_bytes: 64 << 20,
            unparsed_bytes: (16 << 20) + (4 << 20),
            shard_unparsed_bytes: 512 << 20,
            appends: 4096,
            append_bytes: 8 << 20,
            presence_ttl: Duration::from_secs(120),
            relay_ttl: Duration::from_secs(24 * 3600),
            replay_rows: 512,
            store_retry: Duration::from_millis(250),
        }
    }
}
