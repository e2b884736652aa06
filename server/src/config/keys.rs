//! The keys themselves, in the order in which a person reads them. `table` says what a key is.

use std::time::Duration;

use super::table::Key;
use super::value::{Kind, Value};
use super::{LogFormat, StoreKind};

/// A key whose field holds what the value holds, or converts from and into it.
macro_rules! key {
    ($name:literal, $kind:expr, $variant:ident, $($field:ident).+, $doc:literal) => {
        Key {
            name: $name,
            flag: None,
            kind: $kind,
            doc: $doc,
            get: |config| Value::$variant(config.$($field).+.clone().into()),
            set: |config, value| {
                if let Value::$variant(value) = value {
                    config.$($field).+ = value;
                }
            },
        }
    };
}

/// A number; its range is that of the key, which must fit the field.
macro_rules! number {
    ($name:literal, $kind:ident, $min:expr, $max:expr, $($field:ident).+, $doc:literal) => {
        Key {
            name: $name,
            flag: None,
            kind: Kind::$kind { min: $min, max: $max },
            doc: $doc,
            get: |config| Value::Number(u64::try_from(config.$($field).+).unwrap_or(u64::MAX)),
            set: |config, value| {
                if let Value::Number(value) = value
                    && let Ok(value) = value.try_into()
                {
                    config.$($field).+ = value;
                }
            },
        }
    };
}

macro_rules! time {
    ($name:literal, $min:expr, $max:expr, $($field:ident).+, $doc:literal) => {
        key!($name, Kind::Time { min: $min, max: $max }, Time, $($field).+, $doc)
    };
}

/// What the engine is built for (`commucat_shard::Shard::new`).
pub const SHARDS: u16 = 128;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// CCP-1, Limits: no frame is longer, whoever configures it.
const FRAME_LEN: u64 = 16 * MIB;
/// CCP-1, Limits: the same for control payloads.
const CONTROL_PAYLOAD: u64 = 256 * KIB;

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A device id with its domain has 128 characters in all (decisions, section 4).
    text.len() <= 100 && text.split('.').all(label)
}

fn is_prologue(text: &str) -> bool {
    text.len() <= 256
}

fn is_filter(text: &str) -> bool {
    text.parse::<tracing_subscriber::filter::Targets>().is_ok()
}

pub(super) static KEYS: &[Key] = &[
    Key {
        name: "listen",
        flag: Some("listen"),
        kind: Kind::Address,
        doc: "Where clients connect, by TLS 1.3.",
        get: |config| Value::Address(Some(config.listen)),
        set: |config, value| {
            if let Value::Address(Some(address)) = value {
                config.listen = address;
            }
        },
    },
    key!(
        "plain_listen",
        Kind::OptionalAddress,
        Address,
        plain_listen,
        "Where a TLS-terminating proxy on this host connects, without TLS."
    )
    .flag("plain-listen"),
    key!(
        "plain_anywhere",
        Kind::Switch,
        Switch,
        plain_anywhere,
        "Lets `plain_listen` be other than a loopback address."
    ),
    Key {
        name: "data",
        flag: Some("data"),
        kind: Kind::Path,
        doc: "The folder of keys, certificate and the embedded store.",
        get: |config| Value::Path(Some(config.data.clone())),
        set: |config, value| {
            if let Value::Path(Some(path)) = value {
                config.data = path;
            }
        },
    },
    number!(
        "shards",
        Count,
        0,
        SHARDS as u64,
        shards,
        "Threads that carry traffic, each pinned to a core; 0 for every core."
    )
    .flag("shards"),
    key!(
        "domain",
        Kind::Text {
            allowed: "a host name in lower case, at most 100 characters",
            check: is_domain
        },
        Text,
        domain,
        "This server's name: `device@domain` is a device of its own."
    )
    .flag("domain"),
    key!(
        "auto_approve_devices",
        Kind::Switch,
        Switch,
        policy.auto_approve_devices,
        "Whether an unknown device may found a new profile by itself."
    ),
    number!(
        "max_auto_devices_per_user",
        Count,
        0,
        1000,
        policy.max_auto_devices_per_user,
        "Devices a profile may gain without a pairing code; its founder counts."
    ),
    time!(
        "session_ttl",
        SECOND,
        YEAR,
        policy.session_ttl,
        "How long a session's token is good for the REST calls."
    ),
    time!(
        "pairing_ttl",
        SECOND,
        YEAR,
        pairing.ttl,
        "How long a pairing code is good when nobody asks for less or more."
    ),
    time!(
        "pairing_ttl_max",
        SECOND,
        YEAR,
        pairing.ttl_max,
        "The longest that anybody can ask for."
    ),
    time!(
        "certificate_ttl",
        SECOND,
        YEAR,
        pairing.certificate_ttl,
        "How long the certificate of a paired device is good."
    ),
    number!(
        "max_devices_per_user",
        Count,
        1,
        65_536,
        pairing.devices,
        "Devices of a profile, revoked ones included, past which it gets no pairing code."
    ),
    Key {
        name: "log",
        flag: Some("log"),
        kind: Kind::Choice(&["text", "json"]),
        doc: "How log lines look: text for people, json for machines.",
        get: |config| Value::Text(if config.log == LogFormat::Json { "json" } else { "text" }.to_owned()),
        set: |config, value| {
            config.log = if value == Value::Text("json".to_owned()) {
                LogFormat::Json
            } else {
                LogFormat::Text
            };
        },
    },
    key!(
        "log_filter",
        Kind::Text {
            allowed: "error, warn, info, debug, trace or off, also by target, like info,commucat_shard=debug",
            check: is_filter,
        },
        Text,
        log_filter,
        "Which log lines there are."
    ),
    key!(
        "admin_token_file",
        Kind::OptionalPath,
        Path,
        admin_token_file,
        "A file with the operator's token; opens `/admin`, and closes `/metrics` to everybody else."
    ),
    key!(
        "tls.certificate",
        Kind::OptionalPath,
        Path,
        tls_certificate,
        "A certificate chain (PEM) instead of the development certificate."
    ),
    key!(
        "tls.private_key",
        Kind::OptionalPath,
        Path,
        tls_private_key,
        "Its private key (PEM), which others on this host must not be able to read."
    ),
    key!(
        "noise.prologue",
        Kind::Text {
            allowed: "at most 256 bytes",
            check: is_prologue
        },
        Text,
        noise_prologue,
        "The Noise prologue; clients must use the same."
    ),
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
        "limits.group_roster",
        Count,
        1,
        1_000_000,
        limits.group_roster,
        "Members of one group."
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
    Key {
        name: "store.kind",
        flag: None,
        kind: Kind::Choice(&["embedded", "postgres"]),
        doc: "Where the relay keeps things: in its data folder, or in PostgreSQL, with Redis for presence.",
        get: |config| {
            let kind = match config.store_kind {
                StoreKind::Embedded => "embedded",
                StoreKind::Postgres => "postgres",
            };
            Value::Text(kind.to_owned())
        },
        set: |config, value| {
            if let Value::Text(text) = value {
                config.store_kind = if text == "postgres" {
                    StoreKind::Postgres
                } else {
                    StoreKind::Embedded
                };
            }
        },
    },
    key!(
        "store.postgres_url",
        Kind::Url(&["postgres", "postgresql"]),
        Url,
        servers.postgres,
        "PostgreSQL; `?sslmode=require`, and TLS to another host without it, verifies its certificate."
    ),
    key!(
        "store.postgres_ca",
        Kind::OptionalPath,
        Path,
        servers.postgres_ca,
        "The authority of PostgreSQL's certificate (PEM), instead of the system's."
    ),
    key!(
        "store.redis_url",
        Kind::Url(&["rediss", "redis"]),
        Url,
        servers.redis,
        "Redis; `rediss` is TLS and verifies its certificate."
    ),
    key!(
        "store.redis_ca",
        Kind::OptionalPath,
        Path,
        servers.redis_ca,
        "The authority of Redis' certificate (PEM), instead of the system's."
    ),
    key!(
        "store.migrate",
        Kind::Switch,
        Switch,
        migrate,
        "Whether the server brings PostgreSQL's schema to its own version when it starts."
    ),
    number!(
        "store.connections",
        Count,
        2,
        128,
        servers.connections,
        "Connections to PostgreSQL."
    ),
    time!(
        "store.timeout",
        Duration::from_millis(100),
        HOUR,
        servers.timeout,
        "How long PostgreSQL may take for a batch before its senders are refused."
    ),
    time!(
        "store.connect_timeout",
        Duration::from_millis(100),
        HOUR,
        servers.connect_timeout,
        "How long a connection to PostgreSQL may take."
    ),
    number!(
        "rest.address_rate",
        Count,
        1,
        1_000_000,
        rest.address_rate,
        "REST calls per second from one address (an IPv6 /64 is one)."
    ),
    number!(
        "rest.address_burst",
        Count,
        1,
        1_000_000,
        rest.address_burst,
        "REST calls at once from an address that was quiet before."
    ),
    number!(
        "rest.session_rate",
        Count,
        1,
        1_000_000,
        rest.session_rate,
        "REST calls per second with one session's token."
    ),
    number!(
        "rest.session_burst",
        Count,
        1,
        1_000_000,
        rest.session_burst,
        "REST calls at once with a token that was quiet before."
    ),
    number!(
        "rest.wrong_codes",
        Count,
        1,
        1_000_000,
        rest.wrong_codes,
        "Wrong pairing codes per minute from one address."
    ),
    number!(
        "rest.buckets",
        Count,
        16,
        16_777_216,
        rest.buckets,
        "Addresses, and sessions, whose rates are remembered; the least recent are forgotten first."
    ),
    key!(
        "rest.trust_forwarded",
        Kind::Switch,
        Switch,
        rest.trust_forwarded,
        "Whether addresses that the plain listener's proxy adds to `Forwarded` or `X-Forwarded-For` count; without it calls through a proxy are limited per session alone."
    ),
    number!(
        "store.disk_reserve",
        Size,
        0,
        1024 * GIB,
        store.disk_reserve,
        "Free bytes on the disk below which the store takes nothing new."
    ),
    number!(
        "store.block_cache",
        Size,
        MIB,
        1024 * GIB,
        store.block_cache,
        "Bytes of stored data kept in memory."
    ),
    number!(
        "store.inbox_cache",
        Count,
        16,
        100_000_000,
        store.inbox_cache,
        "Inboxes whose counters are kept in memory."
    ),
];
