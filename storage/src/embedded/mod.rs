//! The store that needs no set-up: one folder, one process, fjall's log-structured tables.
//!
//! | table | key | value |
//! |---|---|---|
//! | `devices` | device id | static key, user, created, revoked |
//! | `users` | user id | handle, display name, avatar, created |
//! | `handles` | handle | user |
//! | `user_device` | user 0 device id | nothing |
//! | `device_key_event` | event id, big endian | device, public key, time, what happened |
//! | `bearer_session` | token hash | device, expiry |
//! | `device_sessions` | device id | its sessions, oldest first |
//! | `pairing_code` | selector | hash of the secret, user, issuer, times, wrong tries |
//! | `user_pairing` | user 0 selector | nothing |
//! | `friends` | user id | the list |
//! | `chat_group` | group id | owner, relay, version, members, created |
//! | `group_member` | group 0 device id | role, since |
//! | `relay_queue` | `inbox:{device}` 0 row id, big endian | type, channel, expiry, bytes so far, payload |
//! | `inbox_offset` | `inbox:{device}` | delivered, gone, bytes gone, swept |
//! | `meta` | name | format version, probe |
//!
//! An answer of [`EmbeddedStore`] is durable: the journal has been written and `fdatasync` has returned, so it survives
//! a power cut as far as the disk keeps what it promised. One batch costs one `fdatasync`; a batch that only reads, or
//! writes only what nobody waits for (sessions), none. Presence and the depth of all inboxes are in memory.
//!
//! Read in this order: `folder` (who may enter), `journal` and `keyspaces` (is it whole), `tables` (the engine), `values` and `keys`,
//! `engine` and `staged` (a batch becomes a write), then what each request means: `people`, `inbox`, `cache` and `depth`;
//! `accounts` with `devices`, `sessions`, `pairing` and `friends`; `groups`; `presence`.

mod accounts;
mod cache;
mod depth;
mod devices;
mod engine;
mod error;
mod folder;
mod friends;
mod groups;
mod inbox;
mod journal;
mod keys;
mod keyspaces;
mod pairing;
mod people;
mod presence;
mod sessions;
mod staged;
mod tables;
mod values;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub use error::OpenError;
pub use values::FORMAT;

use crate::api::{InboxLimits, Reply, Request, StoreError, Wall};
use crate::limits::{BLOCK_CACHE_BYTES, DISK_RESERVE_BYTES, INBOX_CACHE, PRESENCE_ENTRIES, REOPEN_INTERVAL_MS};
use crate::store::Store;
use engine::Engine;
use folder::Folder;
use tables::Tables;

/// What an operator can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What one inbox may hold.
    pub inbox: InboxLimits,
    /// Free bytes on the disk below which nothing new is taken.
    pub disk_reserve: u64,
    /// Bytes of table blocks kept in memory.
    pub block_cache: u64,
    /// Inboxes whose counters are kept in memory.
    pub inbox_cache: usize,
    /// Devices whose presence is known.
    pub presence_entries: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            inbox: InboxLimits::default(),
            disk_reserve: DISK_RESERVE_BYTES,
            block_cache: BLOCK_CACHE_BYTES,
            inbox_cache: INBOX_CACHE,
            presence_entries: PRESENCE_ENTRIES,
        }
    }
}

/// A folder with everything the relay keeps. One process at a time; batches are carried out one after another.
///
/// When the engine fails, a full disk for one, every answer is [`StoreError::Unavailable`] and the store is opened
/// again, once a second at most, until it works; the process need not be restarted.
pub struct EmbeddedStore {
    // Before `folder`: the engine closes while the folder is still ours.
    state: Mutex<State>,
    folder: Folder,
    options: Options,
}

enum State {
    Open(Box<Engine>),
    Failed { why: String, retry_at: Instant },
}

impl EmbeddedStore {
    /// Opens the store in `path`, making it when there is none.
    ///
    /// # Errors
    /// [`OpenError`] names the cause and the way out. Damaged data is refused, not repaired.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let folder = Folder::enter(path.as_ref())?;
        folder.ensure_store(Tables::create)?;
        let engine = Engine::open(&folder.store(), options)?;
        Ok(Self {
            state: Mutex::new(State::Open(Box::new(engine))),
            folder,
            options,
        })
    }

    fn carry_out(&self, batch: &[Request]) -> Vec<Result<Reply, StoreError>> {
        let mut state = self.lock();
        let outcome = match self.engine(&mut state) {
            Ok(engine) => engine.execute(batch).map_err(|error| error.to_string()),
            Err(why) => return refuse(batch, &why),
        };
        outcome.unwrap_or_else(|why| {
            tracing::error!(%why, "the embedded store failed and will be opened again");
            let refused = refuse(batch, &why);
            fail(&mut state, why);
            refused
        })
    }

    fn step(&self, now: Wall) {
        let mut state = self.lock();
        if let State::Open(engine) = &mut *state
            && let Err(error) = engine.upkeep(now)
        {
            tracing::error!(%error, "the embedded store failed and will be opened again");
            fail(&mut state, error.to_string());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // A panic left the counters in an unknown state: read them again from the tables.
            self.state.clear_poison();
            let mut state = poisoned.into_inner();
            fail(&mut state, "a batch ended in a panic".to_owned());
            state
        })
    }

    fn engine<'a>(&self, state: &'a mut State) -> Result<&'a mut Engine, String> {
        if let State::Failed { why, retry_at } = state {
            if Instant::now() < *retry_at {
                return Err(why.clone());
            }
            match Engine::open(&self.folder.store(), self.options) {
                Ok(engine) => *state = State::Open(Box::new(engine)),
                Err(error) => {
                    tracing::error!(%error, "the embedded store cannot be opened again");
                    fail(state, error.to_string());
                }
            }
        }
        match state {
            State::Open(engine) => Ok(engine),
            State::Failed { why, .. } => Err(why.clone()),
        }
    }
}

fn fail(state: &mut State, why: String) {
    let retry_at = Instant::now() + Duration::from_millis(REOPEN_INTERVAL_MS);
    *state = State::Failed { why, retry_at };
}

fn refuse(batch: &[Request], why: &str) -> Vec<Result<Reply, StoreError>> {
    batch
        .iter()
        .map(|_| Err(StoreError::Unavailable(why.to_owned())))
        .collect()
}

impl Store for EmbeddedStore {
    async fn execute(&self, batch: Vec<Request>) -> Vec<Result<Reply, StoreError>> {
        self.carry_out(&batch)
    }

    async fn upkeep(&self, now: Wall) {
        self.step(now);
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::DeviceId;

    use super::values::DeviceValue;
    use super::*;

    fn opened() -> (tempfile::TempDir, EmbeddedStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
        (folder, store)
    }

    fn probe(store: &EmbeddedStore) -> Result<Reply, StoreError> {
        store.carry_out(&[Request::Probe]).remove(0)
    }

    #[test]
    fn a_failed_store_says_why_and_works_again_after_a_while() {
        let (_folder, store) = opened();
        fail(&mut store.lock(), "the disk went away".to_owned());
        let why = StoreError::Unavailable("the disk went away".to_owned());
        assert_eq!(probe(&store), Err(why.clone()));
        store.step(Wall(0));
        assert_eq!(probe(&store), Err(why), "not before its time");
        if let State::Failed { retry_at, .. } = &mut *store.lock() {
            *retry_at = Instant::now();
        }
        assert_eq!(probe(&store), Ok(Reply::Done));
    }

    #[test]
    fn a_panic_in_a_batch_fails_the_store_instead_of_going_on_with_what_it_left() {
        let (_folder, store) = opened();
        std::thread::scope(|scope| {
            let panicked = scope.spawn(|| {
                let _held = store.lock();
                panic!("on purpose");
            });
            assert!(panicked.join().is_err());
        });
        assert!(matches!(probe(&store), Err(StoreError::Unavailable(_))));
    }

    #[test]
    fn one_corrupt_inbox_leaves_the_others_alone() {
        let (folder, store) = opened();
        drop(store);
        let tables = Tables::open(&folder.path().join("store"), 1 << 20).unwrap();
        let (ada, bob) = (DeviceId::parse("ada").unwrap(), DeviceId::parse("bob").unwrap());
        for device in [&ada, &bob] {
            let value = DeviceValue {
                static_key: [1; 32],
                user: "user".to_owned(),
                created_at: 1,
                revoked_at: None,
            };
            let value = values::encode("devices", &value, 0).unwrap();
            tables.devices.insert(device.as_str(), value).unwrap();
        }
        tables.inbox_offset.insert(keys::inbox(&ada), [1, 2, 3]).unwrap();
        drop(tables);
        let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
        let upto = crate::api::RowId(1);
        let answers = store.carry_out(&[
            Request::Delivered { device: ada, upto },
            Request::Delivered { device: bob, upto },
        ]);
        let Err(StoreError::Unavailable(why)) = &answers[0] else {
            panic!("{answers:?}")
        };
        assert!(why.contains("inbox_offset"), "{why}");
        assert_eq!(answers[1], Ok(Reply::Done));
        store.step(Wall(0));
    }
}
