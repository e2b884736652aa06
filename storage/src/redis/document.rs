//! The value of a presence key (CCP-1, Presence Metadata).

use std::borrow::Cow;

use commucat_proto::{DeviceId, Handle, UserId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::{PresenceEntry, Profile, Wall};

/// The last millisecond that RFC 3339 can write: the end of the year 9999.
pub(super) const LAST_MS: u64 = 253_402_300_799_999;

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    entity: Cow<'a, str>,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow)]
    expires_at: Cow<'a, str>,
    #[serde(borrow)]
    user: User<'a>,
}

#[derive(Serialize, Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    handle: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    display_name: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    avatar_url: Option<Cow<'a, str>>,
}

/// The key of a device's presence.
pub(super) fn key(device: &DeviceId) -> String {
    format!("presence:{device}")
}

pub(super) fn write(entry: &PresenceEntry) -> Option<Vec<u8>> {
    let millis = entry.expires_at.0.min(LAST_MS);
    let expires_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    let text = |text: &'_ Option<String>| text.clone().map(Cow::Owned);
    let document = Document {
        entity: entry.device.as_str().into(),
        state: entry.state.as_str().into(),
        expires_at: expires_at.format(&Rfc3339).ok()?.into(),
        user: User {
            id: entry.user.id.as_str().into(),
            handle: entry.user.handle.as_str().into(),
            display_name: text(&entry.user.display_name),
            avatar_url: text(&entry.user.avatar_url),
        },
    };
    serde_json::to_vec(&document).ok()
}

/// Nothing when it is not such a document: others may write to the same Redis.
pub(super) fn read(json: &[u8]) -> Option<PresenceEntry> {
    let document: Document<'_> = serde_json::from_slice(json).ok()?;
    let expires_at = OffsetDateTime::parse(&document.expires_at, &Rfc3339).ok()?;
    Some(PresenceEntry {
        device: DeviceId::parse(&document.entity).ok()?,
        state: document.state.into_owned(),
        expires_at: Wall(u64::try_from(expires_at.unix_timestamp_nanos() / 1_000_000).ok()?),
        user: Profile {
            id: UserId::parse(&document.user.id).ok()?,
            handle: Handle::parse(&document.user.handle).ok()?,
            display_name: document.user.display_name.map(Cow::into_owned),
            avatar_url: document.user.avatar_url.map(Cow::into_owned),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(expires_at: u64, display_name: Option<&str>) -> PresenceEntry {
        PresenceEntry {
            device: DeviceId::parse("ada-phone").unwrap(),
            state: "online".to_owned(),
            expires_at: Wall(expires_at),
            user: Profile {
                id: UserId::parse("user-1").unwrap(),
                handle: Handle::parse("ada").unwrap(),
                display_name: display_name.map(str::to_owned),
                avatar_url: None,
            },
        }
    }

    #[test]
    fn the_document_is_the_specifications() {
        let json = write(&entry(1_700_000_000_000, Some("Ada \"L\""))).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"entity":"ada-phone","state":"online","expires_at":"2023-11-14T22:13:20Z","user":{"id":"user-1","handle":"ada","display_name":"Ada \"L\""}}"#
        );
    }

    #[test]
    fn what_was_written_is_read_and_what_is_foreign_is_nothing() {
        for entry in [entry(1_700_000_000_123, None), entry(LAST_MS, Some("Ä\u{1f408}"))] {
            assert_eq!(read(&write(&entry).unwrap()), Some(entry));
        }
        for foreign in [
            "",
            "1",
            "{}",
            r#"{"entity":"a","state":"b","expires_at":"soon","user":{"id":"c","handle":"d"}}"#,
        ] {
            assert_eq!(read(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
