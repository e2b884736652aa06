//! Every metric: its name, what it means, where it is read from. A new counter is a new line here; a test fails until it is.

use commucat_proto::FrameType;
use commucat_shard::counters::Drop;

use super::catalogue::{Metric, Source};
use super::snapshot::Snapshot;

macro_rules! metric {
    ($name:literal, $unit:literal, $source:expr, [$($field:literal),*], $help:literal) => {
        Metric {
            name: concat!("commucat_", $name),
            unit: $unit,
            help: $help,
            source: $source,
            fields: &[$($field),*],
        }
    };
}

/// A counter of the engine.
macro_rules! counter {
    ($name:literal, $field:ident, $help:literal) => {
        Metric {
            name: concat!("commucat_", $name),
            unit: "",
            help: $help,
            source: Source::Counter(|snapshot| snapshot.shard.$field as f64),
            fields: &[concat!("shard.", stringify!($field))],
        }
    };
}

/// A counter of the ring; its name is the field's own.
macro_rules! ring {
    ($field:ident, $unit:literal, $help:literal) => {
        Metric {
            name: concat!("commucat_ring_", stringify!($field)),
            unit: $unit,
            help: $help,
            source: Source::Counter(|snapshot| snapshot.ring.$field as f64),
            fields: &[concat!("ring.", stringify!($field))],
        }
    };
}

/// What is held or waits.
macro_rules! gauge {
    ($name:literal, $unit:literal, $part:ident.$field:ident, $help:literal) => {
        metric!(
            $name,
            $unit,
            Source::Gauge(|snapshot| snapshot.$part.$field as f64),
            [],
            $help
        )
    };
}

fn by_type(counts: &[u64; 20]) -> Vec<(&'static str, u64)> {
    let count = |kind: FrameType| (kind.name(), counts[usize::from(kind.code())]);
    FrameType::ALL.into_iter().map(count).collect()
}

fn by_reason(snapshot: &Snapshot) -> Vec<(&'static str, u64)> {
    let count = |reason: Drop| (reason.name(), snapshot.shard.dropped[reason as usize]);
    Drop::ALL.into_iter().map(count).collect()
}

/// All of them, in the order in which they are written.
pub static METRICS: &[Metric] = &[
    metric!(
        "security_noise_handshakes",
        "",
        Source::Total(|view| view.security().noise_handshakes),
        [],
        "Noise handshakes that led to a session."
    ),
    metric!(
        "security_pq_handshakes",
        "",
        Source::Total(|view| view.security().pq_handshakes),
        [],
        "Hybrid post-quantum handshakes that led to a session."
    ),
    metric!(
        "security_fec_packets",
        "",
        Source::Total(|view| view.security().fec_packets),
        [],
        "RaptorQ segments produced."
    ),
    metric!(
        "security_multipath_sessions",
        "",
        Source::Total(|view| view.security().multipath_sessions),
        [],
        "Sessions over more than one path."
    ),
    metric!(
        "security_average_paths",
        "",
        Source::Now(|view| Some(view.security().average_paths)),
        [],
        "Paths used by sessions over more than one path, on average."
    ),
    metric!(
        "security_censorship_deflections",
        "",
        Source::Total(|view| view.security().censorship_deflections),
        [],
        "Attempts to deflect a censor."
    ),
    metric!(
        "build",
        "",
        Source::Info("version", env!("CARGO_PKG_VERSION")),
        [],
        "What runs."
    ),
    metric!(
        "start_time_seconds",
        "seconds",
        Source::Now(|view| Some(view.started.as_secs_f64())),
        [],
        "When the process began to serve, since the Unix epoch."
    ),
    counter!("connections_accepted", accepted, "Connections accepted."),
    counter!("connections_closed", closed, "Connections that ended."),
    metric!(
        "handshakes",
        "",
        Source::CounterBy("outcome", |snapshot| vec![
            ("ready", snapshot.shard.ready),
            ("failed", snapshot.shard.handshakes_failed)
        ]),
        ["shard.ready", "shard.handshakes_failed"],
        "Handshakes by outcome: sessions that became ready, and those that ended in an ERROR before."
    ),
    counter!(
        "sessions_replaced",
        replaced,
        "Sessions replaced by a later one of the same device."
    ),
    counter!(
        "session_errors",
        errors,
        "Sessions ended by an ERROR after they were ready."
    ),
    counter!(
        "malformed",
        malformed,
        "TLS, HTTP and HTTP/2 violations that ended a connection."
    ),
    counter!("timeouts", timeouts, "Deadlines that ended a connection or a session."),
    metric!(
        "frames_received",
        "",
        Source::CounterBy("type", |snapshot| by_type(&snapshot.shard.frames_in)),
        ["shard.frames_in"],
        "Frames from clients."
    ),
    metric!(
        "frames_sent",
        "",
        Source::CounterBy("type", |snapshot| by_type(&snapshot.shard.frames_out)),
        ["shard.frames_out"],
        "Frames to clients."
    ),
    counter!(
        "frames_delivered",
        delivered,
        "Frames routed to recipients of this shard, counted per recipient."
    ),
    counter!(
        "frames_spilled",
        spilled,
        "Frames that went to an inbox because their recipient's queue could not take them."
    ),
    counter!("frames_stored", appended, "Frames handed to the store."),
    counter!(
        "frames_refused",
        refused,
        "Frames the store could not keep, told to their senders."
    ),
    counter!("frames_replayed", replayed, "Frames read back from inboxes."),
    metric!(
        "frames_dropped",
        "",
        Source::CounterBy("reason", by_reason),
        ["shard.dropped"],
        "Frames dropped, by reason."
    ),
    counter!("sender_stalls", stalls, "Times a sender had to wait."),
    counter!("sends", sends, "Sends asked of the ring."),
    counter!(
        "mesh_messages",
        mesh_messages,
        "Messages put into the lanes to other shards."
    ),
    counter!(
        "slow_readers",
        slow_readers,
        "REST answers in parts that were ended because their reader was too slow."
    ),
    counter!("store_full", store_full, "Requests that found the store's port full."),
    counter!(
        "store_failed",
        store_failed,
        "Requests that failed because the store could not be used."
    ),
    counter!(
        "presence_lost",
        presence_lost,
        "Presence entries, or parts of a round of them, that the store did not take."
    ),
    counter!(
        "presence_displaced",
        presence_displaced,
        "Presence entries that the store has forgotten to have room for others."
    ),
    counter!(
        "call_ends_lost",
        call_ends_lost,
        "CALL_ENDs said for somebody gone that the store did not keep for somebody away."
    ),
    counter!(
        "sessions_revoked",
        revoked,
        "Sessions, ready or about to be, that ended because their device was revoked or got another key."
    ),
    counter!(
        "overflows",
        overflows,
        "Times a live session's queue was full, and went to its inbox."
    ),
    counter!("groups_opened", groups_opened, "Groups opened on the shard."),
    counter!("open_joins", open_joins, "JOINs of open channels that were granted."),
    counter!(
        "open_named",
        open_named,
        "Sessions that came to hear a speaker of an open channel because they name it."
    ),
    counter!(
        "open_unheard",
        open_unheard,
        "Sessions that name a speaker of an open channel and do not hear it: there were too many."
    ),
    counter!(
        "members_added",
        members_added,
        "Members that came to a group while it was open."
    ),
    counter!(
        "groups_denied",
        groups_denied,
        "JOINs of groups and open channels, GROUP_CREATEs and GROUP_INVITEs that were not allowed, or not possible."
    ),
    counter!(
        "groups_over",
        groups_over,
        "GROUP_CREATEs of devices that own as many groups as they may."
    ),
    counter!("calls", calls, "CALL_OFFERs that began a call."),
    counter!(
        "calls_expired",
        calls_expired,
        "Offers whose time was over before all had answered."
    ),
    counter!(
        "calls_failed",
        calls_failed,
        "CALL_ENDs said for participants whose session had ended."
    ),
    metric!(
        "store_latency_seconds",
        "seconds",
        Source::Histogram(|snapshot| &snapshot.shard.store_latency),
        ["shard.store_latency"],
        "From a request's submission to the store to the turn that saw its completion."
    ),
    metric!(
        "turn_duration_seconds",
        "seconds",
        Source::Histogram(|snapshot| &snapshot.turns),
        [],
        "Turns of the loop, the wait at their end left out."
    ),
    metric!(
        "cpu_seconds",
        "seconds",
        Source::Counter(|snapshot| snapshot.cpu.as_secs_f64()),
        [],
        "Processor time of the shard's thread, in the kernel and outside."
    ),
    metric!(
        "snapshot_age_seconds",
        "seconds",
        Source::Gauge(|snapshot| snapshot.taken.elapsed().as_secs_f64()),
        [],
        "How old a shard's numbers are: more than a second means that it does not answer."
    ),
    gauge!("connections", "", held.connections, "Open connections."),
    gauge!("tunnels", "", held.tunnels, "Sessions, ready or not."),
    gauge!("devices", "", held.attached, "Devices attached."),
    gauge!(
        "outbox_bytes",
        "bytes",
        held.outbox_bytes,
        "Bytes queued for all recipients."
    ),
    gauge!(
        "outbox_fullest_bytes",
        "bytes",
        held.outbox_max,
        "Bytes queued for the recipient with most of them."
    ),
    gauge!(
        "outbox_bulk_fullest_bytes",
        "bytes",
        held.bulk_max,
        "Storable frames queued for the recipient with most of them."
    ),
    gauge!(
        "outbox_media_fullest_bytes",
        "bytes",
        held.media_max,
        "Droppable frames queued for the recipient with most of them."
    ),
    gauge!(
        "inflight_bytes",
        "bytes",
        held.inflight_bytes,
        "Payload bytes times recipients that wait for another shard or the store."
    ),
    gauge!("unacked_frames", "", held.unacked, "Frames that wait so."),
    gauge!(
        "unparsed_bytes",
        "bytes",
        held.unparsed_bytes,
        "Bytes of frames that have not arrived whole."
    ),
    gauge!("peers", "", held.peers, "Devices this shard routes to."),
    gauge!(
        "homes",
        "",
        held.homes,
        "Devices at home here that somebody is interested in."
    ),
    gauge!(
        "groups",
        "",
        held.groups,
        "Groups that sessions here speak in, did a moment ago, or ask for."
    ),
    gauge!(
        "group_members",
        "",
        held.group_members,
        "Members of groups that are open."
    ),
    gauge!(
        "group_homes",
        "",
        held.group_homes,
        "Groups at home here that somebody is interested in."
    ),
    gauge!("calls_open", "", held.calls, "Open calls at home here."),
    gauge!(
        "calls_lingering",
        "",
        held.calls_lingering,
        "Calls at home here that have ended a moment ago."
    ),
    gauge!(
        "calls_left",
        "",
        held.calls_left,
        "Calls whose sessions here have ended and whose homes have not said what that meant."
    ),
    gauge!(
        "store_waiting",
        "",
        held.store_waiting,
        "Storage requests without an answer."
    ),
    gauge!(
        "store_port_requests",
        "",
        queues.store_requests,
        "Requests that hold a place in the store's port."
    ),
    gauge!(
        "store_port_bytes",
        "bytes",
        queues.store_bytes,
        "Bytes that they hold of it."
    ),
    gauge!(
        "lane_overflow_batches",
        "",
        queues.lane_overflow,
        "Batches that wait for room in a lane to another shard."
    ),
    gauge!("rest_calls", "", queues.rest_calls, "REST calls that the router has."),
    gauge!(
        "rest_streams",
        "",
        queues.rest_streams,
        "REST answers in parts that are not complete."
    ),
    gauge!("sockets", "", queues.sockets, "Sockets the ring holds."),
    metric!(
        "inbox_frames",
        "",
        Source::Now(|view| view.inboxes.map(|kept| kept.frames as f64)),
        [],
        "Frames in all inboxes."
    ),
    metric!(
        "inbox_bytes",
        "bytes",
        Source::Now(|view| view.inboxes.map(|kept| kept.bytes as f64)),
        [],
        "Their payload bytes."
    ),
    ring!(enters, "", "Calls of io_uring_enter at the end of a turn."),
    ring!(
        early_submits,
        "",
        "Further calls because the submission queue was full in mid-turn."
    ),
    ring!(sqes, "", "Operations queued."),
    ring!(cqes, "", "Completions reaped."),
    ring!(overflows, "", "Turns that found the completion queue overflown."),
    ring!(enobufs, "", "Receives that found the buffer pool empty (ENOBUFS)."),
    ring!(accepts, "", "Connections accepted by the kernel."),
    ring!(accept_refused, "", "Accepts refused for want of descriptors or memory."),
    ring!(table_full, "", "Times the table of connections was found full."),
    ring!(closes, "", "Connections closed."),
    ring!(sends, "", "Sends completed."),
    ring!(stalls, "", "Times a socket had no room for all of a send."),
    ring!(received_bytes, "bytes", "Bytes received."),
    ring!(sent_bytes, "bytes", "Bytes sent."),
    ring!(
        discarded_bytes,
        "bytes",
        "Bytes thrown away because they came after the wish to close."
    ),
    ring!(stale_ids, "", "Calls with the id of a connection that is gone."),
    ring!(cancel_retries, "", "Cancellations that had to be repeated."),
    ring!(bells, "", "Bells rung on other rings."),
    ring!(bells_lost, "", "Bells whose ring was gone."),
    ring!(rung, "", "Bells and wakers heard."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_legal_and_end_in_their_unit() {
        let mut names = BTreeSet::new();
        for metric in METRICS {
            assert!(names.insert(metric.name), "{} stands twice", metric.name);
            assert!(
                metric
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
            assert!(
                metric.unit.is_empty() || metric.name.ends_with(metric.unit),
                "{}",
                metric.name
            );
            assert!(
                !metric.name.ends_with("_total"),
                "{}: the suffix is its samples'",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{} is a sentence", metric.help);
        }
    }
}
