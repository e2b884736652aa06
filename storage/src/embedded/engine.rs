//! A batch of requests becomes one write and one `fdatasync`.
//!
//! Requests are served in order against the tables and stage their writes. A request that has to see what an earlier one
//! of the same batch staged first puts the staged writes into the tables, without waiting for the disk; the end of the
//! batch waits for the disk once, when a request that is waited for has written anything. Invariant: what is staged for an inbox and not yet in the
//! tables is in its cached counters, so a cached inbox is never behind.

use std::cell::OnceCell;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use commucat_proto::{DeviceId, UserId};
use fjall::OwnedWriteBatch;

use super::Options;
use super::cache::Cache;
use super::depth::{Depth, Held};
use super::devices::{self, NewDevice};
use super::error::{Fault, OpenError};
use super::inbox::{Inbox, Page};
use super::presence::Presence;
use super::staged::Staged;
use super::tables::{DURABLE, Tables};
use super::{accounts, groups, pairing, people, sessions};
use crate::api::{AccountRequest, GroupRequest, Reply, Request, StoreError, Wall};
use crate::limits::{DEPTH_AT_OPEN, UPKEEP_DEVICES, UPKEEP_ROWS};

/// The open store and what it remembers between batches.
pub(super) struct Engine {
    path: PathBuf,
    options: Options,
    cache: Cache,
    presence: Presence,
    depth: Depth,
    /// The next id in `device_key_event`.
    next_event: u64,
    staged: Staged,
    visited: Visited,
    /// How often it has waited for the disk.
    #[cfg(test)]
    waits: u64,
    // Last: the batch inside `staged` refers to it.
    tables: Tables,
}

/// Where upkeep has got to.
#[derive(Default)]
struct Visited {
    inboxes: Option<DeviceId>,
    sessions: Option<Vec<u8>>,
    codes: Option<Vec<u8>>,
}

impl Engine {
    pub(super) fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let tables = Tables::open(path, options.block_cache)?;
        let next_event = tables.next_event().map_err(|fault| OpenError::Damaged {
            path: path.to_owned(),
            detail: fault.to_string(),
        })?;
        let mut depth = Depth::new();
        depth.count(&tables, DEPTH_AT_OPEN).map_err(OpenError::engine(path))?;
        Ok(Self {
            path: path.to_owned(),
            options,
            cache: Cache::new(options.inbox_cache),
            presence: Presence::with_capacity(options.presence_entries),
            depth,
            next_event,
            staged: Staged::new(&tables.db),
            visited: Visited::default(),
            #[cfg(test)]
            waits: 0,
            tables,
        })
    }

    /// Carries out a batch. An error means that the engine has failed: nothing of the batch is promised.
    pub(super) fn execute(&mut self, batch: &[Request]) -> Result<Vec<Result<Reply, StoreError>>, fjall::Error> {
        let full = OnceCell::new();
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch {
            if self.sees_staged(request) {
                self.apply()?;
            }
            let answer = match grows(request).then(|| full.get_or_init(|| self.disk_full())) {
                Some(Some(error)) => Err(error.clone()),
                _ => self.serve(request).map_err(StoreError::from),
            };
            self.staged.note(request);
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
            Request::Account(account) => self.account_sees_staged(account),
            // It counts the groups of its owner.
            Request::Group(GroupRequest::Create { .. }) => !self.staged.groups.is_empty(),
            Request::Group(group) => self.staged.groups.contains(groups::subject(group)),
            Request::Append { device, .. } | Request::AppendOwed { device, .. } => {
                self.staged.people && self.cache.peek(device).is_none()
            }
            Request::ReadInbox { device, .. } => self.has_staged_rows(device, |_| true),
            Request::Delivered { device, upto } => self.has_staged_rows(device, |inbox| inbox.has_to_look(*upto)),
            Request::Presence(_) | Request::Depth | Request::Probe => false,
        }
    }

    fn account_sees_staged(&self, request: &AccountRequest) -> bool {
        let staged = &self.staged;
        match request {
            AccountRequest::OpenSession { device, .. } | AccountRequest::RotateKey { device, .. } => {
                staged.people || staged.sessions.contains(device)
            }
            AccountRequest::FindSession { .. } => staged.people || !staged.sessions.is_empty(),
            // It takes a whole inbox out, and the sessions.
            AccountRequest::RevokeDevice { .. } => !staged.batch.is_empty(),
            _ => staged.people,
        }
    }

    fn has_staged_rows(&mut self, device: &DeviceId, look: impl Fn(&Inbox) -> bool) -> bool {
        match self.cache.peek(device) {
            Some(inbox) => inbox.staged_in == self.staged.number && look(inbox),
            None => self.staged.people,
        }
    }

    fn serve(&mut self, request: &Request) -> Result<Reply, Fault> {
        self.staged.requests += 1;
        let (tables, batch) = (&self.tables, &mut self.staged.batch);
        match request {
            Request::Lookup { device, user, handle } => people::lookup(tables, device, user.as_ref(), handle.as_ref()),
            Request::Found {
                device,
                static_key,
                profile,
                at,
            } => {
                let new = NewDevice {
                    device,
                    static_key: *static_key,
                    user: &profile.id,
                    at: *at,
                };
                people::found(tables, batch, &mut self.next_event, &new, profile)
            }
            Request::UpdateProfile { profile } => people::update_profile(tables, batch, profile),
            Request::Append { device, envelope } => {
                let (limits, number) = (self.options.inbox, self.staged.number);
                self.on_inbox(device, |inbox, tables, batch| {
                    let reply = inbox.append(tables, batch, device, envelope, &limits)?;
                    inbox.staged_in = number;
                    Ok(reply)
                })
            }
            Request::AppendOwed { device, envelopes } => {
                let number = self.staged.number;
                self.on_inbox(device, |inbox, tables, batch| {
                    let reply = inbox.append_owed(tables, batch, device, envelopes)?;
                    inbox.staged_in = number;
                    Ok(reply)
                })
            }
            Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } => {
                let page = Page {
                    after: *after,
                    max_rows: *max_rows,
                    max_bytes: *max_bytes,
                    now: *now,
                };
                self.on_inbox(device, |inbox, tables, batch| inbox.read(tables, batch, device, &page))
            }
            Request::Delivered { device, upto } => self.on_inbox(device, |inbox, tables, batch| {
                inbox.deliver(tables, batch, device, *upto)
            }),
            Request::Account(AccountRequest::RevokeDevice { user, device, at }) => self.revoke(user, device, *at),
            Request::Account(account) => accounts::serve(tables, batch, &mut self.next_event, account),
            Request::Group(group) => groups::serve(tables, batch, group),
            Request::Presence(presence) => Ok(self.presence.serve(presence)),
            Request::Depth => Ok(self.depth.reply()),
            Request::Probe => {
                tables.stage_probe(batch);
                Ok(Reply::Done)
            }
        }
    }

    /// Does something with a device's inbox, and counts what that changes.
    fn on_inbox(
        &mut self,
        device: &DeviceId,
        act: impl FnOnce(&mut Inbox, &Tables, &mut OwnedWriteBatch) -> Result<Reply, Fault>,
    ) -> Result<Reply, Fault> {
        let inbox = inbox(&mut self.cache, &self.tables, device)?;
        let before = inbox.held();
        let reply = act(inbox, &self.tables, &mut self.staged.batch)?;
        self.depth.change(device, before, inbox.held());
        Ok(reply)
    }

    /// Nothing is staged: whatever the device's inbox holds is in the tables.
    fn revoke(&mut self, user: &UserId, device: &DeviceId, at: Wall) -> Result<Reply, Fault> {
        let (tables, batch) = (&self.tables, &mut self.staged.batch);
        if let Some(inbox) = devices::revoke(tables, batch, &mut self.next_event, user, device, at)? {
            self.depth.change(device, inbox.held(), Held::default());
            self.cache.remove(device);
        }
        Ok(Reply::Done)
    }

    /// Puts what is staged into the tables, without waiting for the disk.
    fn apply(&mut self) -> Result<(), fjall::Error> {
        self.staged.take(&self.tables.db).commit()
    }

    /// Puts what is staged into the tables and waits, when anybody does, until the disk has all of it.
    fn commit(&mut self) -> Result<(), fjall::Error> {
        if !std::mem::take(&mut self.staged.awaited) {
            return self.apply();
        }
        #[cfg(test)]
        {
            self.waits += 1;
        }
        if self.staged.batch.is_empty() {
            self.tables.db.persist(DURABLE)
        } else {
            self.staged.take(&self.tables.db).durability(Some(DURABLE)).commit()
        }
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

    /// A bounded step: takes out what expired at the front of the next few inboxes, and what was delivered and still lies
    /// in the table; sessions, pairing codes and presence whose time is over. Nobody waits for the result, so neither does
    /// this for the disk.
    pub(super) fn upkeep(&mut self, now: Wall) -> Result<(), fjall::Error> {
        let mut rows = 0;
        for device in self.next_devices()? {
            match self.tend(&device, now) {
                Ok(taken) => rows += taken,
                Err(Fault::Engine(error)) => return Err(error),
                Err(fault) => tracing::warn!(%device, %fault, "an inbox could not be tended"),
            }
            self.visited.inboxes = Some(device);
            if rows >= UPKEEP_ROWS {
                break;
            }
        }
        let (tables, batch) = (&self.tables, &mut self.staged.batch);
        sessions::expire(tables, batch, &mut self.visited.sessions, now)?;
        pairing::expire(tables, batch, &mut self.visited.codes, now)?;
        self.presence.expire(now);
        self.apply()?;
        self.depth.count(&self.tables, UPKEEP_DEVICES)
    }

    fn next_devices(&mut self) -> Result<Vec<DeviceId>, fjall::Error> {
        let start = match &self.visited.inboxes {
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
            self.visited.inboxes = None;
        }
        Ok(devices)
    }

    /// Takes what may go from one inbox; tells how many rows.
    fn tend(&mut self, device: &DeviceId, now: Wall) -> Result<u64, Fault> {
        let (tables, batch) = (&self.tables, &mut self.staged.batch);
        if !Inbox::is_untidy(tables, device, now)? {
            return Ok(0);
        }
        let mut of_revoked;
        let inbox = match self.cache.entry(device, || Inbox::load(tables, device))? {
            Some(inbox) => inbox,
            None => {
                of_revoked = Inbox::counters(tables, device)?;
                &mut of_revoked
            }
        };
        let before = inbox.held();
        let taken = inbox.upkeep(tables, batch, device, now)?;
        self.depth.change(device, before, inbox.held());
        Ok(taken)
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
        Request::Account(account) => accounts::grows(account),
        Request::Group(group) => groups::grows(group),
        Request::AppendOwed { .. }
        | Request::Lookup { .. }
        | Request::ReadInbox { .. }
        | Request::Delivered { .. }
        | Request::Presence(_)
        | Request::Depth => false,
    }
}

#[cfg(test)]
mod tests;
