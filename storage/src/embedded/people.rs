//! Devices, profiles and handles: what a handshake reads and writes.

use commucat_proto::{DeviceId, Handle, UserId};
use fjall::OwnedWriteBatch;

use super::devices::NewDevice;
use super::error::Fault;
use super::tables::Tables;
use super::values::{self, DeviceValue, HandleValue, UserValue};
use crate::api::{Device, Profile, Reply, StoreError};

/// Everything a HELLO needs.
pub(super) fn lookup(
    tables: &Tables,
    id: &DeviceId,
    user: Option<&UserId>,
    handle: Option<&Handle>,
) -> Result<Reply, Fault> {
    let device = device(tables, id)?;
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

/// A device with its user.
pub(super) fn device(tables: &Tables, id: &DeviceId) -> Result<Option<Device>, Fault> {
    let Some(value) = stored_device(tables, id)? else {
        return Ok(None);
    };
    let id = UserId::parse(&value.user).map_err(|e| values::corrupt("devices", e.to_string()))?;
    let user = profile(tables, &id)?.ok_or_else(|| values::corrupt("devices", format!("its user {id} is missing")))?;
    Ok(Some(Device {
        static_key: value.static_key,
        user,
        revoked: value.revoked_at.is_some(),
    }))
}

pub(super) fn stored_device(tables: &Tables, id: &DeviceId) -> Result<Option<DeviceValue>, Fault> {
    match tables.devices.get(id.as_str())? {
        Some(value) => values::decode("devices", &value).map(Some),
        None => Ok(None),
    }
}

/// A device that may still act.
pub(super) fn active_device(tables: &Tables, id: &DeviceId) -> Result<DeviceValue, Fault> {
    match stored_device(tables, id)? {
        None => Err(StoreError::UnknownDevice.into()),
        Some(value) if value.revoked_at.is_some() => Err(StoreError::DeviceRevoked.into()),
        Some(value) => Ok(value),
    }
}

pub(super) fn profile(tables: &Tables, id: &UserId) -> Result<Option<Profile>, Fault> {
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

/// Writes a new device with its audit row, and its new profile with its handle: all of it or nothing.
pub(super) fn found(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    event: &mut u64,
    new: &NewDevice<'_>,
    profile: &Profile,
) -> Result<Reply, Fault> {
    if tables.devices.contains_key(new.device.as_str())? {
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
    let handle_value = HandleValue {
        user: profile.id.as_str().to_owned(),
    };
    let handle_value = values::encode("handles", &handle_value, 0)?;
    let user_value = values::encode("users", &user_value(profile, new.at.0), 0)?;
    new.add(tables, batch, event)?;
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
