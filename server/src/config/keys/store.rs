//! What is kept, and where.

use std::time::Duration;

use super::{GIB, HOUR, MIB};
use crate::config::StoreKind;
use crate::config::table::Key;
use crate::config::value::{Kind, Value};

pub(super) static KEYS: &[Key] = &[
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
    number!(
        "store.presence_entries",
        Count,
        1,
        100_000_000,
        store.presence_entries,
        "Devices whose presence the embedded store knows; past it, what would expire next is forgotten."
    ),
];
