//! What each request of `storage::api` means, with maps and no cleverness.

use std::collections::BTreeMap;

use commucat_proto::{DeviceId, GroupId, Handle, UserId};
use commucat_storage::api::{
    Device, Envelope, Friend, GroupRoster, InboxLimits, PresenceEntry, Profile, Reply, Request, RowId, Selector,
    StoreError, Wall,
};

use super::accounts::{Code, Session};
use crate::common::Answer;

pub(super) const LIMITS: InboxLimits = InboxLimits { rows: 12, bytes: 60 };

#[derive(Clone, Default)]
pub(super) struct Inbox {
    pub(super) rows: Vec<(RowId, Envelope)>,
    last: u64,
}

/// A device with its inbox.
pub(super) struct Known {
    pub(super) static_key: [u8; 32],
    pub(super) user: UserId,
    pub(super) created_at: Wall,
    pub(super) revoked_at: Option<Wall>,
    pub(super) inbox: Inbox,
}

/// The obvious store.
#[derive(Default)]
pub(super) struct Model {
    pub(super) devices: BTreeMap<DeviceId, Known>,
    pub(super) users: BTreeMap<UserId, Profile>,
    /// In the order of opening.
    pub(super) sessions: Vec<Session>,
    pub(super) codes: BTreeMap<Selector, Code>,
    pub(super) friends: BTreeMap<UserId, Vec<Friend>>,
    pub(super) groups: BTreeMap<GroupId, GroupRoster>,
    pub(super) presence: BTreeMap<DeviceId, PresenceEntry>,
}

impl Model {
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        match request {
            Request::Lookup { device, user, handle } => Ok(Reply::Found {
                device: self.devices.get(device).map(|known| self.device(known)),
                user: user.as_ref().and_then(|id| self.users.get(id)).cloned(),
                handle_taken: handle.as_ref().is_some_and(|handle| self.is_taken(handle)),
            }),
            Request::Found {
                device,
                static_key,
                profile,
                at,
            } => {
                if self.devices.contains_key(device) {
                    return Err(StoreError::DeviceExists);
                }
                if self.is_taken(&profile.handle) {
                    return Err(StoreError::HandleTaken);
                }
                if self.users.contains_key(&profile.id) {
                    return Err(StoreError::Unavailable(String::new()));
                }
                self.users.insert(profile.id.clone(), profile.clone());
                self.add(device, *static_key, &profile.id, *at);
                Ok(Reply::Done)
            }
            Request::UpdateProfile { profile } => {
                let Some(user) = self.users.get_mut(&profile.id) else {
                    return Err(StoreError::Unavailable(String::new()));
                };
                user.display_name = profile.display_name.clone();
                user.avatar_url = profile.avatar_url.clone();
                Ok(Reply::Done)
            }
            Request::Append { device, envelope } => {
                let inbox = self.inbox(device)?;
                let bytes = inbox.bytes() + envelope.payload.len() as u64;
                if inbox.rows.len() as u64 >= LIMITS.rows || bytes > LIMITS.bytes {
                    return Err(StoreError::InboxFull);
                }
                inbox.push(envelope.clone());
                Ok(Reply::Done)
            }
            Request::AppendOwed { device, envelopes } => {
                let inbox = self.inbox(device)?;
                envelopes.iter().cloned().for_each(|envelope| inbox.push(envelope));
                Ok(Reply::Done)
            }
            Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } => Ok(self.inbox(device)?.read(*after, *max_rows, *max_bytes, *now)),
            Request::Delivered { device, upto } => {
                self.inbox(device)?.rows.retain(|(row, _)| row > upto);
                Ok(Reply::Done)
            }
            Request::Account(request) => self.account(request),
            Request::Group(request) => self.group(request),
            Request::Presence(request) => Ok(self.presence(request)),
            Request::Depth => Ok(Reply::Depth {
                rows: self.devices.values().map(|known| known.inbox.rows.len() as u64).sum(),
                bytes: self.devices.values().map(|known| known.inbox.bytes()).sum(),
            }),
            Request::Probe => Ok(Reply::Done),
        }
    }

    pub(super) fn add(&mut self, device: &DeviceId, static_key: [u8; 32], user: &UserId, at: Wall) {
        let known = Known {
            static_key,
            user: user.clone(),
            created_at: at,
            revoked_at: None,
            inbox: Inbox::default(),
        };
        self.devices.insert(device.clone(), known);
    }

    fn device(&self, known: &Known) -> Device {
        Device {
            static_key: known.static_key,
            user: self.users[&known.user].clone(),
            revoked: known.revoked_at.is_some(),
        }
    }

    fn is_taken(&self, handle: &Handle) -> bool {
        self.users.values().any(|profile| profile.handle == *handle)
    }

    fn inbox(&mut self, device: &DeviceId) -> Result<&mut Inbox, StoreError> {
        match self.devices.get_mut(device) {
            Some(known) if known.revoked_at.is_none() => Ok(&mut known.inbox),
            _ => Err(StoreError::UnknownDevice),
        }
    }

    pub(super) fn upkeep(&mut self, now: Wall) {
        self.devices
            .values_mut()
            .for_each(|known| known.inbox.drop_expired(now));
        self.sessions.retain(|session| session.expires_at > now);
        self.codes.retain(|_, code| code.offer.expires_at > now);
        self.presence.retain(|_, entry| entry.expires_at > now);
    }

    /// Of this store, presence ends with the process.
    pub(super) fn forget_presence(&mut self) {
        self.presence.clear();
    }
}

impl Inbox {
    fn bytes(&self) -> u64 {
        self.rows.iter().map(|(_, row)| row.payload.len() as u64).sum()
    }

    fn push(&mut self, envelope: Envelope) {
        self.last += 1;
        self.rows.push((RowId(self.last), envelope));
    }

    /// Rows leave from the front; one that expired behind a live one stays until it is there.
    fn drop_expired(&mut self, now: Wall) {
        let live = self.rows.iter().position(|(_, row)| row.expires_at > now);
        self.rows.drain(..live.unwrap_or(self.rows.len()));
    }

    fn read(&mut self, after: RowId, max_rows: usize, max_bytes: usize, now: Wall) -> Reply {
        // A read that begins at the front takes out what expired there, as far as the page reaches: all of it, because
        // the page ends at live rows only.
        if self.rows.first().is_none_or(|(first, _)| after < *first) {
            self.drop_expired(now);
        }
        let (mut rows, mut bytes, mut more) = (Vec::new(), 0, false);
        let live = self
            .rows
            .iter()
            .filter(|(row, envelope)| *row > after && envelope.expires_at > now);
        for (row, envelope) in live {
            bytes += envelope.payload.len();
            if !rows.is_empty() && (rows.len() == max_rows.max(1) || bytes > max_bytes) {
                more = true;
                break;
            }
            rows.push((*row, envelope.clone()));
        }
        Reply::Rows { rows, more }
    }
}
