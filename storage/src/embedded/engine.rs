//! A batch of requests becomes one write and one `fdatasync`.
//!
//! Requests are served in order against the tables and stage their writes. A request that has to see what an earlier one
//! of the same batch staged first puts the staged writes into the tables, without waiting for the disk; the end of the
//! batch waits for the disk once, whatever happened before. Invariant: what is staged for an inbox and not yet in the
//! tables is in its cached counters, so a cached inbox is never behind.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use commucat_proto::DeviceId;
use fjall::OwnedWriteBatch;

use super::Options;
use super::cache::Cache;
use super::error::{Fault, OpenError};
use super::inbox::{Inbox, Page};
use super::people::{self, Founding};
use super::tables::{DURABLE, Tables};
use crate::api::{Reply, Request, StoreError, Wall};
use crate::limits::{UPKEEP_DEVICES, UPKEEP_ROWS};

/// The open store and what it remembers between batches.
pub(super) struct Engine {
    path: PathBuf,
    options: Options,
    cache: Cache,
    /// The next id in `device_key_event`.
    next_event: u64,
    staged: Staged,
    /// The device that upkeep looked at last.
    visited: Option<DeviceId>,
    // Last: the batch inside `staged` refers to it.
    tables: Tables,
}

/// Writes that are not in the tables yet.
struct Staged {
    batch: OwnedWriteBatch,
    /// Numbers the batches; `Inbox::staged_in` refers to it.
    number: u64,
    /// Requests served since the last batch, whatever came of them: each may have moved the cache on.
    requests: usize,
    /// Devices, profiles or handles are among it.
    people: bool,
    /// Something is in the tables that the disk has not confirmed.
    unsynced: bool,
}

impl Engine {
    pub(super) fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let tables = Tables::open(path, options.block_cache)?;
        let next_event = tables.next_event().map_err(|fault| OpenError::Damaged {
            path: path.to_owned(),
            detail: fault.to_string(),
        })?;
        let staged = Staged {
            batch: tables.db.batch(),
            number: 1,
            requests: 0,
            people: false,
            unsynced: false,
        };
        let cache = Cache::new(options.inbox_cache);
        Ok(Self {
            path: path.to_owned(),
            options,
            cache,
            next_event,
            staged,
            visited: None,
            tables,
        })
    }

    /// Carries out a batch. An error means that the engine has failed: nothing of the batch is promised.
    pub(super) fn execute(&mut self, batch: &[Request]) -> Result<Vec<Result<Reply, StoreError>>, fjall::Error> {
        let full = self.disk_full();
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch {
            if self.sees_staged(request) {
                self.apply()?;
            }
            let answer = match &full {
                Some(error) if grows(request) => Err(error.clone()),
                _ => self.serve(request).map_err(StoreError::from),
            };
            answers.push(answer);
        }
        self.commit()?;
        Ok(answers)
    }

    /// Whether `request` has to read what is only staged. Also bounds the batch, so that the cache, which forgets no
    /// entry within half its capacity of others, keeps every inbox that has something staged.
    fn sees_staged(&mut self, request: &Request) -> bool {
        if self.staged.requests >= self.cache.safe_run() {
            return true;
        }
        match request {
            Request::Lookup { .. } | Request::Found { .. } | Request::UpdateProfile { .. } => self.staged.people,
            Request::Append { device, .. } | Request::AppendOwed { device, .. } => {
                self.staged.people && self.cache.peek(device).is_none()
            }
            Request::ReadInbox { device, .. } => self.has_staged_rows(device, |_| true),
            Request::Delivered { device, upto } => self.has_staged_rows(device, |inbox| inbox.has_to_look(*upto)),
            Request::Account(_) | Request::Group(_) | Request::Presence(_) | Request::Depth | Request::Probe => false,
        }
    }

    fn has_staged_rows(&mut self, device: &DeviceId, look: impl Fn(&Inbox) -> bool) -> bool {
        match self.cache.peek(device) {
            Some(inbox) => inbox.staged_in == self.staged.number && look(inbox),
            None => self.staged.people,
        }
    }

    fn serve(&mut self, request: &Request) -> Result<Reply, Fault> {
        let (tables, staged) = (&self.tables, &mut self.staged);
        staged.requests += 1;
        let reply = match request {
            Request::Lookup { device, user, handle } => {
                return people::lookup(tables, device, user.as_ref(), handle.as_ref());
            }
            Request::Found {
                device,
                static_key,
                profile,
                at,
            } => {
                let (static_key, at, event) = (*static_key, *at, self.next_event);
                let new = Founding {
                    device,
                    static_key,
                    profile,
                    at,
                    event,
                };
                let reply = people::found(tables, &mut staged.batch, &new)?;
                self.next_event += 1;
                staged.people = true;
                reply
            }
            Request::UpdateProfile { profile } => {
                let reply = people::update_profile(tables, &mut staged.batch, profile)?;
                staged.people = true;
                reply
            }
            Request::Append { device, envelope } => {
                let inbox = inbox(&mut self.cache, tables, device)?;
                let limits = &self.options.inbox;
                let reply = inbox.append(tables, &mut staged.batch, device, envelope, limits)?;
                inbox.staged_in = staged.number;
                reply
            }
            Request::AppendOwed { device, envelopes } => {
                let inbox = inbox(&mut self.cache, tables, device)?;
                let reply = inbox.append_owed(tables, &mut staged.batch, device, envelopes)?;
                inbox.staged_in = staged.number;
                reply
            }
            Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } => {
                let (after, max_rows, max_bytes, now) = (*after, *max_rows, *max_bytes, *now);
                let page = Page {
                    after,
                    max_rows,
                    max_bytes,
                    now,
                };
                let inbox = inbox(&mut self.cache, tables, device)?;
                inbox.read(tables, &mut staged.batch, device, &page)?
            }
            Request::Delivered { device, upto } => {
                let inbox = inbox(&mut self.cache, tables, device)?;
                inbox.deliver(tables, &mut staged.batch, device, *upto)?
            }
            Request::Account(_) | Request::Group(_) | Request::Presence(_) | Request::Depth => {
                return Err(StoreError::Unavailable("the embedded store does not keep this".to_owned()).into());
            }
            Request::Probe => {
                tables.stage_probe(&mut staged.batch);
                Reply::Done
            }
        };
        Ok(reply)
    }

    /// Puts what is staged into the tables. The operating system has it, the disk may not.
    fn apply(&mut self) -> Result<(), fjall::Error> {
        self.staged.unsynced |= !self.staged.batch.is_empty();
        self.next_batch().commit()
    }

    /// Puts what is staged into the tables and waits until the disk has all of it.
    fn commit(&mut self) -> Result<(), fjall::Error> {
        if !self.staged.batch.is_empty() {
            self.next_batch().durability(Some(DURABLE)).commit()?;
        } else if self.staged.unsynced {
            self.tables.db.persist(DURABLE)?;
        }
        self.staged.unsynced = false;
        Ok(())
    }

    fn next_batch(&mut self) -> OwnedWriteBatch {
        self.staged.number += 1;
        self.staged.requests = 0;
        self.staged.people = false;
        std::mem::replace(&mut self.staged.batch, self.tables.db.batch())
    }

    fn disk_full(&self) -> Option<StoreError> {
        let stat = rustix::fs::statvfs(&self.path).ok()?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        (free < self.options.disk_reserve).then(|| {
            StoreError::Unavailable(format!(
                "the disk of {} has {free} bytes left, less than the reserve of {}: free some space",
                self.path.display(),
                self.options.disk_reserve
            ))
        })
    }

    /// Looks at the next few devices: takes out what expired at the front of their inboxes, and what was delivered and
    /// still lies in the table. Nobody waits for the result, so neither does this for the disk.
    pub(super) fn upkeep(&mut self, now: Wall) -> Result<(), fjall::Error> {
        let mut rows = 0;
        for device in self.next_devices()? {
            match self.tend(&device, now) {
                Ok(taken) => rows += taken,
                Err(Fault::Engine(error)) => return Err(error),
                Err(fault) => tracing::warn!(%device, %fault, "an inbox could not be tended"),
            }
            self.visited = Some(device);
            if rows >= UPKEEP_ROWS {
                break;
            }
        }
        self.apply()
    }

    fn next_devices(&mut self) -> Result<Vec<DeviceId>, fjall::Error> {
        let start = match &self.visited {
            Some(device) => Bound::Excluded(device.as_str()),
            None => Bound::Unbounded,
        };
        let mut devices = Vec::new();
        for guard in self
            .tables
            .devices
            .range::<&str, _>((start, Bound::Unbounded))
            .take(UPKEEP_DEVICES)
        {
            let key = guard.key()?;
            let id = std::str::from_utf8(&key).ok().and_then(|id| DeviceId::parse(id).ok());
            match id {
                Some(id) => devices.push(id),
                None => tracing::warn!(?key, "a device's key is no device id"),
            }
        }
        if devices.is_empty() {
            self.visited = None;
        }
        Ok(devices)
    }

    /// Takes what may go from one inbox; tells how many rows.
    fn tend(&mut self, device: &DeviceId, now: Wall) -> Result<u64, Fault> {
        if !Inbox::is_untidy(&self.tables, device, now)? {
            return Ok(0);
        }
        let inbox = inbox(&mut self.cache, &self.tables, device)?;
        inbox.upkeep(&self.tables, &mut self.staged.batch, device, now)
    }
}

fn inbox<'a>(cache: &'a mut Cache, tables: &Tables, device: &DeviceId) -> Result<&'a mut Inbox, Fault> {
    let inbox = cache.entry(device, || Inbox::load(tables, device))?;
    inbox.ok_or_else(|| StoreError::UnknownDevice.into())
}

/// Whether a request is something new to keep. What is owed was taken when there was room: the reserve is for it.
fn grows(request: &Request) -> bool {
    match request {
        Request::Found { .. } | Request::UpdateProfile { .. } | Request::Append { .. } | Request::Probe => true,
        Request::AppendOwed { .. }
        | Request::Lookup { .. }
        | Request::ReadInbox { .. }
        | Request::Delivered { .. }
        | Request::Account(_)
        | Request::Group(_)
        | Request::Presence(_)
        | Request::Depth => false,
    }
}
