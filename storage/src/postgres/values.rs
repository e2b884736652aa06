//! Values on their way to PostgreSQL and back.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use commucat_proto::control::Role;
use commucat_proto::{DeviceId, Handle, UserId};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::api::{Profile, StoreError, Wall};

/// A [`Wall`] as `timestamptz`. What PostgreSQL's calendar does not reach is `infinity`, and the largest [`Wall`] again
/// on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(pub(super) Wall);

/// The beginning of PostgreSQL's time, 2000-01-01, in milliseconds since 1970.
const EPOCH_MS: i64 = 946_684_800_000;
/// A moment in the year 200,000: PostgreSQL's calendar ends in 294,276.
const LAST_MS: u64 = 6_000_000_000_000_000;

impl ToSql for Moment {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let micros = match i64::try_from(self.0.0) {
            Ok(millis) if self.0.0 <= LAST_MS => (millis - EPOCH_MS) * 1_000,
            _ => i64::MAX,
        };
        out.put_i64(micros);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Moment {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let micros = i64::from_be_bytes(raw.try_into()?);
        let millis = match micros {
            i64::MAX => u64::MAX,
            micros => u64::try_from(micros.div_euclid(1_000).saturating_add(EPOCH_MS)).unwrap_or(0),
        };
        Ok(Self(Wall(millis)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// A number that is never negative, as PostgreSQL counts.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// And back.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Text without NUL, the one character that PostgreSQL's text cannot hold.
pub(super) fn text(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

/// Something in a table is not what this server writes.
pub(super) fn damaged(table: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{table} is damaged: {what}"))
}

/// The profile in four columns from `first`.
pub(super) fn profile(row: &Row, first: usize) -> Result<Profile, StoreError> {
    let id: &str = row.get(first);
    let handle: &str = row.get(first + 1);
    Ok(Profile {
        id: UserId::parse(id).map_err(|error| damaged("user_profile", error))?,
        handle: Handle::parse(handle).map_err(|error| damaged("user_profile", error))?,
        display_name: row.get(first + 2),
        avatar_url: row.get(first + 3),
    })
}

pub(super) fn device_id(table: &str, text: &str) -> Result<DeviceId, StoreError> {
    DeviceId::parse(text).map_err(|error| damaged(table, error))
}

pub(super) fn key_bytes(table: &str, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|_| damaged(table, format_args!("a key of {} bytes", bytes.len())))
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

pub(super) fn role(text: &str) -> Result<Role, StoreError> {
    match text {
        "owner" => Ok(Role::Owner),
        "admin" => Ok(Role::Admin),
        "member" => Ok(Role::Member),
        other => Err(damaged("group_member", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_to_the_millisecond_and_the_end_of_time_is_infinity() {
        let there_and_back = |millis: u64| {
            let mut bytes = BytesMut::new();
            Moment(Wall(millis)).to_sql(&Type::TIMESTAMPTZ, &mut bytes).unwrap();
            let Moment(Wall(back)) = Moment::from_sql(&Type::TIMESTAMPTZ, &bytes).unwrap();
            back
        };
        for millis in [0, 1, 946_684_799_999, 1_700_000_000_123, LAST_MS] {
            assert_eq!(there_and_back(millis), millis);
        }
        for millis in [LAST_MS + 1, u64::MAX] {
            assert_eq!(there_and_back(millis), u64::MAX);
        }
    }
}
