//! The engine with its tables open. Whoever holds [`Tables`] holds the engine; dropping it closes everything.

use std::ops::Bound;
use std::path::Path;

use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, UserKey, UserValue,
};

use super::error::{Fault, OpenError};
use super::values::{self, DeviceValue, FORMAT};
use super::{groups, journal, keys, keyspaces};

/// What a commit waits for. `fdatasync` writes the data and the metadata that is needed to find it again (the file's
/// length); what it leaves out, the times, no reader of ours looks at. The engine itself syncs the folder when it makes
/// a journal.
pub(super) const DURABLE: PersistMode = PersistMode::SyncData;

const FORMAT_KEY: &str = "format";
const PROBE_KEY: &str = "probe";

/// Rows that one step of the way from an earlier format writes.
const UPGRADE_ROWS: usize = 4_096;

/// The tables of the first format, and what later ones have added.
const SINCE_1: &[&str] = &[
    "devices",
    "users",
    "handles",
    "device_key_event",
    "relay_queue",
    "inbox_offset",
    "meta",
];
const SINCE_2: &[&str] = &[
    "user_device",
    "bearer_session",
    "device_sessions",
    "pairing_code",
    "user_pairing",
    "friends",
    "chat_group",
    "group_member",
];
const SINCE_3: &[&str] = &["owner_group"];

/// The names are the specification's where it has them.
pub(super) struct Tables {
    pub(super) db: Database,
    pub(super) devices: Keyspace,
    pub(super) users: Keyspace,
    pub(super) handles: Keyspace,
    pub(super) device_key_event: Keyspace,
    pub(super) relay_queue: Keyspace,
    pub(super) inbox_offset: Keyspace,
    pub(super) user_device: Keyspace,
    pub(super) bearer_session: Keyspace,
    pub(super) device_sessions: Keyspace,
    pub(super) pairing_code: Keyspace,
    pub(super) user_pairing: Keyspace,
    pub(super) friends: Keyspace,
    pub(super) chat_group: Keyspace,
    pub(super) group_member: Keyspace,
    pub(super) owner_group: Keyspace,
    meta: Keyspace,
}

impl Tables {
    /// Makes a new store in the empty folder `path`.
    pub(super) fn create(path: &Path) -> Result<(), OpenError> {
        let tables = Self::attach(start(path, 1 << 20)?, path)?;
        tables
            .meta
            .insert(FORMAT_KEY, FORMAT.to_be_bytes())
            .and_then(|()| tables.db.persist(PersistMode::SyncAll))
            .map_err(OpenError::engine(path))
    }

    /// Opens the store in `path`: its files are looked over before the engine may touch them.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        if !path.join("version").is_file() {
            let detail = "the engine's file `version` is missing".to_owned();
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                detail,
            });
        }
        keyspaces::inspect_all(path)?;
        journal::inspect_all(path)?;
        let db = start(path, cache_bytes)?;
        is_complete(&db, path)?;
        let tables = Self::attach(db, path)?;
        tables.check_format(path)?;
        Ok(tables)
    }

    /// Opens all tables; makes those that are not there.
    fn attach(db: Database, path: &Path) -> Result<Self, OpenError> {
        let table = |name: &str| {
            db.keyspace(name, KeyspaceCreateOptions::default)
                .map_err(OpenError::engine(path))
        };
        Ok(Self {
            devices: table("devices")?,
            users: table("users")?,
            handles: table("handles")?,
            device_key_event: table("device_key_event")?,
            relay_queue: table("relay_queue")?,
            inbox_offset: table("inbox_offset")?,
            user_device: table("user_device")?,
            bearer_session: table("bearer_session")?,
            device_sessions: table("device_sessions")?,
            pairing_code: table("pairing_code")?,
            user_pairing: table("user_pairing")?,
            friends: table("friends")?,
            chat_group: table("chat_group")?,
            group_member: table("group_member")?,
            owner_group: table("owner_group")?,
            meta: table("meta")?,
            db,
        })
    }

    fn check_format(&self, path: &Path) -> Result<(), OpenError> {
        match format(&self.meta, path)? {
            Some(FORMAT) => Ok(()),
            Some(found @ (1 | 2)) => self.upgrade().map_err(|fault| OpenError::Damaged {
                path: path.to_owned(),
                detail: format!("it cannot be brought from format {found} to {FORMAT}: {fault}"),
            }),
            Some(found) => Err(OpenError::UnknownFormat {
                path: path.to_owned(),
                found,
                known: FORMAT,
            }),
            None => {
                let detail = "table `meta` holds no format".to_owned();
                Err(OpenError::Damaged {
                    path: path.to_owned(),
                    detail,
                })
            }
        }
    }

    /// Fills what came with format 2, `user_device`, and with format 3, `owner_group`. The format is written last, so that one which was interrupted begins again.
    fn upgrade(&self) -> Result<(), Fault> {
        let mut batch = self.db.batch();
        for guard in self.devices.iter() {
            let (device, value) = guard.into_inner()?;
            let DeviceValue { user, .. } = values::decode("devices", &value)?;
            batch.insert(&self.user_device, keys::owned(&user, &device), []);
            self.hand_over(&mut batch)?;
        }
        for guard in self.chat_group.iter() {
            let (group, value) = guard.into_inner()?;
            batch.insert(&self.owner_group, groups::place_of(&group, &value)?, []);
            self.hand_over(&mut batch)?;
        }
        batch.insert(&self.meta, FORMAT_KEY, FORMAT.to_be_bytes());
        batch.durability(Some(DURABLE)).commit()?;
        Ok(())
    }

    /// Writes what an upgrade has gathered, when it is much.
    fn hand_over(&self, batch: &mut OwnedWriteBatch) -> Result<(), Fault> {
        if batch.len() >= UPGRADE_ROWS {
            std::mem::replace(batch, self.db.batch()).commit()?;
        }
        Ok(())
    }

    /// Up to `max` rows of `table` after `visited`, which moves on; at the end of the table it begins again with the next
    /// call.
    pub(super) fn next_rows(
        &self,
        table: &Keyspace,
        visited: &mut Option<Vec<u8>>,
        max: usize,
    ) -> Result<Vec<(UserKey, UserValue)>, fjall::Error> {
        let start = match visited {
            Some(key) => Bound::Excluded(&key[..]),
            None => Bound::Unbounded,
        };
        let rows = table.range::<&[u8], _>((start, Bound::Unbounded)).take(max);
        let rows: Vec<_> = rows.map(Guard::into_inner).collect::<Result<_, _>>()?;
        *visited = rows.last().map(|(key, _)| key.to_vec());
        Ok(rows)
    }

    /// The id of the next `device_key_event`.
    pub(super) fn next_event(&self) -> Result<u64, Fault> {
        let snapshot = self.db.snapshot();
        let Some(last) = snapshot.last_key_value(&self.device_key_event) else {
            return Ok(1);
        };
        let key = last.key()?;
        let id = key
            .as_ref()
            .try_into()
            .map(u64::from_be_bytes)
            .map_err(|_| values::corrupt("device_key_event", "its key is no event id".to_owned()))?;
        Ok(id + 1)
    }

    /// A write that proves the store takes writes.
    pub(super) fn stage_probe(&self, batch: &mut OwnedWriteBatch) {
        batch.insert(&self.meta, PROBE_KEY, [1]);
    }
}

fn start(path: &Path, cache_bytes: u64) -> Result<Database, OpenError> {
    Database::builder(path)
        .cache_size(cache_bytes)
        .open()
        .map_err(OpenError::engine(path))
}

/// The format that a store says it has.
fn format(meta: &Keyspace, path: &Path) -> Result<Option<u32>, OpenError> {
    let value = meta.get(FORMAT_KEY).map_err(OpenError::engine(path))?;
    Ok(value.as_deref().and_then(|v| v.try_into().ok()).map(u32::from_be_bytes))
}

/// Every table that a store of this format has is there. One that is gone would be made anew, and its rows be forgotten:
/// whose device it is, for one.
fn is_complete(db: &Database, path: &Path) -> Result<(), OpenError> {
    let missing = |name: &&str| !db.keyspace_exists(name);
    let mut gone = SINCE_1.iter().find(|name| missing(name));
    if gone.is_none() {
        let meta = db.keyspace("meta", KeyspaceCreateOptions::default);
        let format = format(&meta.map_err(OpenError::engine(path))?, path)?.unwrap_or(0);
        let later = [(2, SINCE_2), (3, SINCE_3)];
        let promised = later.iter().filter(|(since, _)| format >= *since);
        gone = promised.flat_map(|(_, names)| *names).find(|name| missing(name));
    }
    match gone {
        Some(name) => Err(OpenError::Damaged {
            path: path.to_owned(),
            detail: format!("table `{name}` is missing"),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::control::Role;
    use commucat_proto::{DeviceId, GroupId};

    use super::*;
    use crate::api::{GroupRequest, GroupRoster, StoreError, Wall};

    fn created() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        Tables::create(folder.path()).unwrap();
        folder
    }

    fn rewrite_format(folder: &Path, change: impl FnOnce(&Keyspace) -> fjall::Result<()>) {
        let tables = Tables::open(folder, 1 << 20).unwrap();
        change(&tables.meta).unwrap();
        tables.db.persist(DURABLE).unwrap();
    }

    #[test]
    fn a_format_of_another_release_is_refused_with_what_to_do() {
        let folder = created();
        rewrite_format(folder.path(), |meta| meta.insert(FORMAT_KEY, 9_u32.to_be_bytes()));
        let error = Tables::open(folder.path(), 1 << 20).map(|_| ()).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::UnknownFormat {
                    found: 9,
                    known: FORMAT,
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("upgrade this one"), "{error}");
    }

    #[test]
    fn format_1_becomes_this_one_also_when_that_was_interrupted() {
        let folder = created();
        rewrite_format(folder.path(), |meta| meta.insert(FORMAT_KEY, 1_u32.to_be_bytes()));
        let tables = Tables::attach(start(folder.path(), 1 << 20).unwrap(), folder.path()).unwrap();
        for n in 0..UPGRADE_ROWS + 2 {
            let value = DeviceValue {
                static_key: [1; 32],
                user: format!("user-{}", n % 2),
                created_at: 1,
                revoked_at: None,
            };
            let value = values::encode("devices", &value, 0).unwrap();
            tables.devices.insert(format!("d{n:05}"), value).unwrap();
        }
        tables.user_device.insert(keys::owned("user-0", b"d00000"), []).unwrap();
        drop(tables);
        for _ in 0..2 {
            let tables = Tables::open(folder.path(), 1 << 20).unwrap();
            let format = tables.meta.get(FORMAT_KEY).unwrap().unwrap();
            assert_eq!(format.as_ref(), FORMAT.to_be_bytes());
            assert_eq!(tables.user_device.len().unwrap(), UPGRADE_ROWS + 2);
            let last = keys::owned("user-1", format!("d{:05}", UPGRADE_ROWS + 1).as_bytes());
            assert!(tables.user_device.contains_key(last).unwrap());
        }
    }

    #[test]
    fn groups_of_format_2_count_for_their_owners() {
        let folder = created();
        let create = |name: &str, limit| {
            let owner = DeviceId::parse("ada").unwrap();
            GroupRequest::Create {
                group: GroupId::parse(name).unwrap(),
                roster: GroupRoster {
                    members: [(owner.clone(), Role::Owner)].into(),
                    owner,
                    relay: true,
                    version: 1,
                },
                limit,
                at: Wall(1),
            }
        };
        let tables = Tables::open(folder.path(), 1 << 20).unwrap();
        for name in ["one", "two"] {
            let mut batch = tables.db.batch();
            groups::serve(&tables, &mut batch, &create(name, 9)).unwrap();
            batch.commit().unwrap();
            // As format 2 had it.
            tables.owner_group.remove(keys::owned("ada", name.as_bytes())).unwrap();
        }
        assert!(groups::serve(&tables, &mut tables.db.batch(), &create("three", 2)).is_ok());
        tables.meta.insert(FORMAT_KEY, 2_u32.to_be_bytes()).unwrap();
        tables.db.persist(DURABLE).unwrap();
        drop(tables);
        let tables = Tables::open(folder.path(), 1 << 20).unwrap();
        let mut batch = tables.db.batch();
        let refused = groups::serve(&tables, &mut batch, &create("three", 2)).map_err(StoreError::from);
        assert_eq!(refused, Err(StoreError::TooManyGroups));
        assert!(groups::serve(&tables, &mut batch, &create("three", 3)).is_ok());
    }

    #[test]
    fn a_store_without_a_readable_format_is_damaged() {
        for change in [None, Some(&b"x"[..])] {
            let folder = created();
            rewrite_format(folder.path(), |meta| match change {
                None => meta.remove(FORMAT_KEY),
                Some(text) => meta.insert(FORMAT_KEY, text),
            });
            let error = Tables::open(folder.path(), 1 << 20).map(|_| ()).unwrap_err();
            assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn key_events_are_numbered_on_from_the_last() {
        let folder = created();
        let tables = Tables::open(folder.path(), 1 << 20).unwrap();
        assert_eq!(tables.next_event().unwrap(), 1);
        tables.device_key_event.insert(255_u64.to_be_bytes(), "x").unwrap();
        tables.device_key_event.insert(256_u64.to_be_bytes(), "x").unwrap();
        assert_eq!(tables.next_event().unwrap(), 257);
    }
}
