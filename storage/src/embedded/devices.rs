//! The devices of a profile: joining, listing, a new key, the end. Each change of a key leaves its row in
//! `device_key_event` in the same write (CCP-1, Handshake: device key audit).

use commucat_proto::{DeviceId, UserId};
use fjall::OwnedWriteBatch;

use super::error::Fault;
use super::inbox::Inbox;
use super::tables::Tables;
use super::values::{self, DeviceValue, KeyEventValue};
use super::{keys, pairing, people, sessions};
use crate::api::{DeviceRecord, Reply, StoreError, Wall};

/// A device that comes in.
pub(super) struct NewDevice<'a> {
    pub(super) device: &'a DeviceId,
    pub(super) static_key: [u8; 32],
    pub(super) user: &'a UserId,
    pub(super) at: Wall,
}

impl NewDevice<'_> {
    /// Writes the device, its place among its user's, and its audit row. That it may come in has been found out.
    pub(super) fn add(&self, tables: &Tables, batch: &mut OwnedWriteBatch, event: &mut u64) -> Result<(), Fault> {
        let value = DeviceValue {
            static_key: self.static_key,
            user: self.user.as_str().to_owned(),
            created_at: self.at.0,
            revoked_at: None,
        };
        let value = values::encode("devices", &value, 0)?;
        record(
            tables,
            batch,
            event,
            KeyEventValue {
                device: self.device.as_str().to_owned(),
                public_key: self.static_key,
                at: self.at.0,
                what: KeyEventValue::ADDED,
            },
        )?;
        batch.insert(&tables.devices, self.device.as_str(), value);
        let place = keys::owned(self.user.as_str(), self.device.as_str().as_bytes());
        batch.insert(&tables.user_device, place, []);
        Ok(())
    }
}

fn record(tables: &Tables, batch: &mut OwnedWriteBatch, event: &mut u64, value: KeyEventValue) -> Result<(), Fault> {
    batch.insert(&tables.device_key_event, event.to_be_bytes(), value.encode()?);
    *event += 1;
    Ok(())
}

/// A device joins a profile that has room for it.
pub(super) fn join(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    event: &mut u64,
    new: &NewDevice<'_>,
    limit: u32,
) -> Result<Reply, Fault> {
    if !tables.users.contains_key(new.user.as_str())? {
        return Err(StoreError::UnknownUser.into());
    }
    if tables.devices.contains_key(new.device.as_str())? {
        return Err(StoreError::DeviceExists.into());
    }
    let mut room = limit;
    for guard in tables.user_device.prefix(keys::under(new.user.as_str())) {
        let (_, value) = stored(tables, new.user, &guard.key()?)?;
        if value.revoked_at.is_none() {
            room = room.saturating_sub(1);
        }
        if room == 0 {
            break;
        }
    }
    if room == 0 {
        return Err(StoreError::DeviceLimit.into());
    }
    new.add(tables, batch, event)?;
    Ok(Reply::Done)
}

/// All devices of a profile, by name.
pub(super) fn list(tables: &Tables, user: &UserId) -> Result<Reply, Fault> {
    let mut devices = Vec::new();
    for guard in tables.user_device.prefix(keys::under(user.as_str())) {
        let (device, value) = stored(tables, user, &guard.key()?)?;
        devices.push(DeviceRecord {
            device,
            static_key: value.static_key,
            created_at: Wall(value.created_at),
            revoked_at: value.revoked_at.map(Wall),
        });
    }
    Ok(Reply::Devices(devices))
}

/// The device that `place` in `user_device` names.
fn stored(tables: &Tables, user: &UserId, place: &[u8]) -> Result<(DeviceId, DeviceValue), Fault> {
    let device = keys::what(user.as_str(), place)
        .and_then(|id| DeviceId::parse(std::str::from_utf8(id).ok()?).ok())
        .ok_or_else(|| values::corrupt("user_device", "its key names no device".to_owned()))?;
    let value = people::stored_device(tables, &device)?
        .ok_or_else(|| values::corrupt("user_device", format!("its device {device} is missing")))?;
    Ok((device, value))
}

/// Another key for a device.
pub(super) fn rotate(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    event: &mut u64,
    device: &DeviceId,
    static_key: [u8; 32],
    at: Wall,
) -> Result<Reply, Fault> {
    let value = DeviceValue {
        static_key,
        ..people::active_device(tables, device)?
    };
    let value = values::encode("devices", &value, 0)?;
    record(
        tables,
        batch,
        event,
        KeyEventValue {
            device: device.as_str().to_owned(),
            public_key: static_key,
            at: at.0,
            what: KeyEventValue::ROTATED,
        },
    )?;
    batch.insert(&tables.devices, device.as_str(), value);
    Ok(Reply::Done)
}

/// The end of a device: its key is refused, its sessions, its codes and its inbox are gone. Tells what the inbox held;
/// `None` when the device was revoked already. Nothing may be staged for it.
pub(super) fn revoke(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    event: &mut u64,
    user: &UserId,
    device: &DeviceId,
    at: Wall,
) -> Result<Option<Inbox>, Fault> {
    let value = people::stored_device(tables, device)?
        .filter(|value| value.user == user.as_str())
        .ok_or(StoreError::UnknownDevice)?;
    if value.revoked_at.is_some() {
        return Ok(None);
    }
    let mut inbox = Inbox::counters(tables, device)?;
    let held = inbox;
    let revoked = DeviceValue {
        revoked_at: Some(at.0),
        ..value
    };
    let value = values::encode("devices", &revoked, 0)?;
    pairing::withdraw(tables, batch, user, device)?;
    sessions::end_all(tables, batch, device)?;
    record(
        tables,
        batch,
        event,
        KeyEventValue {
            device: device.as_str().to_owned(),
            public_key: revoked.static_key,
            at: at.0,
            what: KeyEventValue::REVOKED,
        },
    )?;
    inbox.drop_all(tables, batch, device)?;
    batch.insert(&tables.devices, device.as_str(), value);
    Ok(Some(held))
}

#[cfg(test)]
mod tests {
    use commucat_proto::Handle;

    use super::*;
    use crate::api::Profile;

    /// The audit rows, in their order.
    fn events(tables: &Tables) -> Vec<(u64, KeyEventValue)> {
        let rows = tables.device_key_event.iter().map(|guard| guard.into_inner().unwrap());
        rows.map(|(key, value)| {
            let id = u64::from_be_bytes(key.as_ref().try_into().unwrap());
            (id, KeyEventValue::decode(&value).unwrap())
        })
        .collect()
    }

    #[test]
    fn every_change_of_a_key_leaves_its_audit_row_in_the_same_write() {
        let folder = tempfile::tempdir().unwrap();
        Tables::create(folder.path()).unwrap();
        let tables = Tables::open(folder.path(), 1 << 20).unwrap();
        let (ada, phone) = (DeviceId::parse("ada").unwrap(), DeviceId::parse("phone").unwrap());
        let profile = Profile {
            id: UserId::parse("user").unwrap(),
            handle: Handle::parse("ada").unwrap(),
            display_name: None,
            avatar_url: None,
        };
        let new = |device, key| NewDevice {
            device,
            static_key: [key; 32],
            user: &profile.id,
            at: Wall(u64::from(key)),
        };
        let mut event = 5;
        let mut commit = |act: &mut dyn FnMut(&mut OwnedWriteBatch, &mut u64)| {
            let mut batch = tables.db.batch();
            let before = events(&tables).len();
            act(&mut batch, &mut event);
            assert_eq!(events(&tables).len(), before, "nothing before the commit");
            batch.commit().unwrap();
            assert_eq!(events(&tables).len(), before + 1);
        };
        commit(&mut |batch, event| {
            people::found(&tables, batch, event, &new(&ada, 1), &profile).unwrap();
        });
        commit(&mut |batch, event| {
            join(&tables, batch, event, &new(&phone, 2), 9).unwrap();
        });
        commit(&mut |batch, event| {
            rotate(&tables, batch, event, &phone, [3; 32], Wall(3)).unwrap();
        });
        commit(&mut |batch, event| {
            revoke(&tables, batch, event, &profile.id, &phone, Wall(4)).unwrap();
        });
        let row = |device: &str, key: u8, at, what| KeyEventValue {
            device: device.to_owned(),
            public_key: [key; 32],
            at,
            what,
        };
        let expected = [
            (5, row("ada", 1, 1, KeyEventValue::ADDED)),
            (6, row("phone", 2, 2, KeyEventValue::ADDED)),
            (7, row("phone", 3, 3, KeyEventValue::ROTATED)),
            (8, row("phone", 3, 4, KeyEventValue::REVOKED)),
        ];
        assert_eq!(events(&tables), expected);
    }
}
