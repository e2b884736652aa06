//! Writes that are not in the tables yet, and what has to be known of them.

use std::collections::HashSet;

use commucat_proto::{DeviceId, GroupId};
use fjall::{Database, OwnedWriteBatch};

use super::groups;
use crate::api::{AccountRequest, Request};

/// One write batch that is being gathered. Bounded by the requests of a batch.
pub(super) struct Staged {
    pub(super) batch: OwnedWriteBatch,
    /// Numbers the batches; `Inbox::staged_in` refers to it.
    pub(super) number: u64,
    /// Requests served since the last batch, whatever came of them: each may have moved the cache on.
    pub(super) requests: usize,
    /// Devices, profiles, handles, codes or lists are among it.
    pub(super) people: bool,
    /// Whose sessions are.
    pub(super) sessions: HashSet<DeviceId>,
    /// Which groups are.
    pub(super) groups: HashSet<GroupId>,
    /// Something has been written, here or in the tables, that somebody waits for until the disk has it.
    pub(super) awaited: bool,
    /// Writes when `note` looked last.
    noted: usize,
}

impl Staged {
    pub(super) fn new(db: &Database) -> Self {
        Self {
            batch: db.batch(),
            number: 1,
            requests: 0,
            people: false,
            sessions: HashSet::new(),
            groups: HashSet::new(),
            awaited: false,
            noted: 0,
        }
    }

    /// After `request` has been served, whatever came of it: a refusal may have written something too.
    pub(super) fn note(&mut self, request: &Request) {
        if self.batch.len() == self.noted {
            return;
        }
        self.noted = self.batch.len();
        match request {
            Request::Account(AccountRequest::OpenSession { device, .. }) => {
                self.sessions.insert(device.clone());
                return;
            }
            Request::Found { .. } | Request::UpdateProfile { .. } | Request::Account(_) => self.people = true,
            Request::Group(group) => {
                self.groups.insert(groups::subject(group).clone());
            }
            _ => {}
        }
        self.awaited = true;
    }

    /// The writes so far, to be put into the tables; the next batch begins. Whether anybody waits stays as it is.
    pub(super) fn take(&mut self, db: &Database) -> OwnedWriteBatch {
        self.number += 1;
        self.requests = 0;
        self.people = false;
        self.sessions.clear();
        self.groups.clear();
        self.noted = 0;
        std::mem::replace(&mut self.batch, db.batch())
    }
}
