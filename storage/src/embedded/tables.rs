//! The engine with its tables open. Whoever holds [`Tables`] holds the engine; dropping it closes everything.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::error::{Fault, OpenError};
use super::journal;
use super::values::FORMAT;

/// What a commit waits for. `fdatasync` writes the data and the metadata that is needed to find it again (the file's
/// length); what it leaves out, the times, no reader of ours looks at. The engine itself syncs the folder when it makes
/// a journal.
pub(super) const DURABLE: PersistMode = PersistMode::SyncData;

const FORMAT_KEY: &str = "format";
const PROBE_KEY: &str = "probe";

/// The names are the specification's; `handles` and `meta` are ours.
pub(super) struct Tables {
    pub(super) db: Database,
    pub(super) devices: Keyspace,
    pub(super) users: Keyspace,
    pub(super) handles: Keyspace,
    pub(super) device_key_event: Keyspace,
    pub(super) relay_queue: Keyspace,
    pub(super) inbox_offset: Keyspace,
    meta: Keyspace,
}

impl Tables {
    /// Makes a new store in the empty folder `path`.
    pub(super) fn create(path: &Path) -> Result<(), OpenError> {
        let tables = Self::attach(path, 1 << 20)?;
        tables
            .meta
            .insert(FORMAT_KEY, FORMAT.to_be_bytes())
            .and_then(|()| tables.db.persist(PersistMode::SyncAll))
            .map_err(OpenError::engine(path))
    }

    /// Opens the store in `path`: its journal is looked over before the engine may touch it.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        if !path.join("version").is_file() {
            let detail = "the engine's file `version` is missing".to_owned();
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                detail,
            });
        }
        journal::inspect_all(path)?;
        let tables = Self::attach(path, cache_bytes)?;
        tables.check_format(path)?;
        Ok(tables)
    }

    fn attach(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let db = Database::builder(path)
            .cache_size(cache_bytes)
            .open()
            .map_err(OpenError::engine(path))?;
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
            meta: table("meta")?,
            db,
        })
    }

    fn check_format(&self, path: &Path) -> Result<(), OpenError> {
        let value = self.meta.get(FORMAT_KEY).map_err(OpenError::engine(path))?;
        let found = value.as_deref().and_then(|v| v.try_into().ok()).map(u32::from_be_bytes);
        match found {
            Some(FORMAT) => Ok(()),
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
            .map_err(|_| super::values::corrupt("device_key_event", "its key is no event id".to_owned()))?;
        Ok(id + 1)
    }

    /// A write that proves the store takes writes.
    pub(super) fn stage_probe(&self, batch: &mut fjall::OwnedWriteBatch) {
        batch.insert(&self.meta, PROBE_KEY, [1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
