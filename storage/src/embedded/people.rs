//! Devices, profiles and handles: what a handshake reads and writes.

use commucat_proto::{DeviceId, Handle, UserId};
use fjall::OwnedWriteBatch;

use super::error::Fault;
use super::tables::Tables;
use super::values::{self, DeviceValue, HandleValue, KeyEventValue, UserValue};
use crate::api::{Device, Profile, Reply, StoreError, Wall};

/// Everything a HELLO needs.
pub(super) fn lookup(
    tables: &Tables,
    device: &DeviceId,
    user: Option<&UserId>,
    handle: Option<&Handle>,
) -> Result<Reply, Fault> {
    let device = match tables.devices.get(device.as_str())? {
        Some(value) => Some(known(tables, values::decode("devices", &value)?)?),
        None => None,
    };
    let user = match user {
        Some(id) => profile(tables, id)?,
        None => None,
    };
    let handle_taken = match handle {
        Some(handle) => tables.handles.contains_key(handle.as_str())?,
        None => false,
    };
    Ok(Reply::Found {
        device,
        user,
        handle_taken,
    })
}

fn known(tables: &Tables, value: DeviceValue) -> Result<Device, Fault> {
    let id = UserId::parse(&value.user).map_err(|e| values::corrupt("devices", e.to_string()))?;
    let user = profile(tables, &id)?.ok_or_else(|| values::corrupt("devices", format!("its user {id} is missing")))?;
    Ok(Device {
        static_key: value.static_key,
        user,
        revoked: value.revoked_at.is_some(),
    })
}

fn profile(tables: &Tables, id: &UserId) -> Result<Option<Profile>, Fault> {
    let Some(value) = stored_user(tables, id)? else {
        return Ok(None);
    };
    let handle = Handle::parse(&value.handle).map_err(|e| values::corrupt("users", e.to_string()))?;
    let UserValue {
        display_name,
        avatar_url,
        ..
    } = value;
    Ok(Some(Profile {
        id: id.clone(),
        handle,
        display_name,
        avatar_url,
    }))
}

fn stored_user(tables: &Tables, id: &UserId) -> Result<Option<UserValue>, Fault> {
    match tables.users.get(id.as_str())? {
        Some(value) => values::decode("users", &value).map(Some),
        None => Ok(None),
    }
}

/// A new device with a new profile, and its audit row under `event`.
pub(super) struct Founding<'a> {
    pub(super) device: &'a DeviceId,
    pub(super) static_key: [u8; 32],
    pub(super) profile: &'a Profile,
    pub(super) at: Wall,
    pub(super) event: u64,
}

/// Writes all four rows or none.
pub(super) fn found(tables: &Tables, batch: &mut OwnedWriteBatch, new: &Founding<'_>) -> Result<Reply, Fault> {
    let (device, profile) = (new.device.as_str(), new.profile);
    if tables.devices.contains_key(device)? {
        return Err(StoreError::DeviceExists.into());
    }
    if tables.handles.contains_key(profile.handle.as_str())? {
        return Err(StoreError::HandleTaken.into());
    }
    if tables.users.contains_key(profile.id.as_str())? {
        // Ids are made up by the relay: this is its mistake, not the client's.
        let detail = format!("user id {} is in use already", profile.id);
        return Err(StoreError::Unavailable(detail).into());
    }
    let at = new.at.0;
    let device_value = DeviceValue {
        static_key: new.static_key,
        user: profile.id.as_str().to_owned(),
        created_at: at,
        revoked_at: None,
    };
    let event_value = KeyEventValue {
        device: device.to_owned(),
        public_key: new.static_key,
        at,
    };
    let handle_value = HandleValue {
        user: profile.id.as_str().to_owned(),
    };
    let device_value = values::encode("devices", &device_value, 0)?;
    let event_value = values::encode("device_key_event", &event_value, 0)?;
    let handle_value = values::encode("handles", &handle_value, 0)?;
    let user_value = values::encode("users", &user_value(profile, at), 0)?;
    batch.insert(&tables.devices, device, device_value);
    batch.insert(&tables.device_key_event, new.event.to_be_bytes(), event_value);
    batch.insert(&tables.handles, profile.handle.as_str(), handle_value);
    batch.insert(&tables.users, profile.id.as_str(), user_value);
    Ok(Reply::Done)
}

/// Stores the display name and the avatar. The handle stays what it is: it has an index and an owner.
pub(super) fn update_profile(tables: &Tables, batch: &mut OwnedWriteBatch, profile: &Profile) -> Result<Reply, Fault> {
    let Some(stored) = stored_user(tables, &profile.id)? else {
        let detail = format!("user {} is unknown", profile.id);
        return Err(StoreError::Unavailable(detail).into());
    };
    let value = UserValue {
        display_name: profile.display_name.clone(),
        avatar_url: profile.avatar_url.clone(),
        ..stored
    };
    batch.insert(&tables.users, profile.id.as_str(), values::encode("users", &value, 0)?);
    Ok(Reply::Done)
}

fn user_value(profile: &Profile, created_at: u64) -> UserValue {
    UserValue {
        handle: profile.handle.as_str().to_owned(),
        display_name: profile.display_name.clone(),
        avatar_url: profile.avatar_url.clone(),
        created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::values::decode;

    #[test]
    fn a_founding_leaves_its_audit_row() {
        let folder = tempfile::tempdir().unwrap();
        Tables::create(folder.path()).unwrap();
        let tables = Tables::open(folder.path(), 1 << 20).unwrap();
        let device = DeviceId::parse("ada").unwrap();
        let profile = Profile {
            id: UserId::parse("user").unwrap(),
            handle: Handle::parse("ada").unwrap(),
            display_name: None,
            avatar_url: None,
        };
        let new = Founding {
            device: &device,
            static_key: [7; 32],
            profile: &profile,
            at: Wall(42),
            event: 5,
        };
        let mut batch = tables.db.batch();
        found(&tables, &mut batch, &new).unwrap();
        assert!(tables.device_key_event.is_empty().unwrap(), "nothing before the commit");
        batch.commit().unwrap();
        let stored = tables.device_key_event.get(5_u64.to_be_bytes()).unwrap().unwrap();
        let event: KeyEventValue = decode("device_key_event", &stored).unwrap();
        let expected = KeyEventValue {
            device: "ada".to_owned(),
            public_key: [7; 32],
            at: 42,
        };
        assert_eq!(event, expected);
    }
}
