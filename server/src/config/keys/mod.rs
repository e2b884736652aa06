//! The keys themselves, in the order in which a person reads them, a file for each part. `table` says what a key is.
//!
//! Invariant: the keys of one section stand together, since a file has each section once.

use std::sync::LazyLock;
use std::time::Duration;

use super::table::Key;

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

mod general;
mod limits;
mod rest;
mod store;

/// All of them.
pub(super) static KEYS: LazyLock<Vec<Key>> =
    LazyLock::new(|| [general::KEYS, limits::KEYS, store::KEYS, rest::KEYS].concat());
