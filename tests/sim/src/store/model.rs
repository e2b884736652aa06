//! What the store has on disk: the naive meaning of every request of `storage::api`, one obvious function each.

use std::collections::{BTreeMap, VecDeque};

use commucat_proto::{DeviceId, GroupId, Handle, UserId};
use commucat_storage::api::{
    Device, Envelope, Friend, GroupRoster, InboxLimits, PresenceEntry, Profile, Reply, Request, RowId, Selector,
    StoreError, Wall,
};

use super::accounts::{Code, Session};
use crate::dice::Dice;

/// What a request changed, for the checkers.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A row is durable.
    Appended { device: DeviceId, payload: bytes::Bytes },
    /// A row is gone because it was delivered.
    Forgotten { device: DeviceId, payload: bytes::Bytes },
    /// A row is gone because its time was over, or its device's.
    Expired { device: DeviceId, payload: bytes::Bytes },
}

/// One device's inbox.
#[derive(Clone, Debug, Default)]
struct Inbox {
    next: u64,
    rows: VecDeque<(RowId, Envelope)>,
    bytes: u64,
    offset: RowId,
}

/// A device.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) static_key: [u8; 32],
    pub(super) user: UserId,
    pub(super) created_at: Wall,
    pub(super) revoked_at: Option<Wall>,
}

/// The tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(super) devices: BTreeMap<DeviceId, Known>,
    pub(super) profiles: BTreeMap<UserId, Profile>,
    /// In the order of opening.
    pub(super) sessions: Vec<Session>,
    pub(super) codes: BTreeMap<Selector, Code>,
    pub(super) friends: BTreeMap<UserId, Vec<Friend>>,
    pub(super) groups: BTreeMap<GroupId, GroupRoster>,
    pub(super) presence: BTreeMap<DeviceId, PresenceEntry>,
    handles: BTreeMap<Handle, UserId>,
    inboxes: BTreeMap<DeviceId, Inbox>,
    limits: InboxLimits,
}

impl Model {
    pub(crate) fn new(limits: InboxLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Does what is asked, at once and durably.
    pub(crate) fn apply(&mut self, request: &Request, changes: &mut Vec<Change>) -> Result<Reply, StoreError> {
        match request {
            Request::Lookup { device, user, handle } => Ok(self.lookup(device, user.as_ref(), handle.as_ref())),
            Request::Found {
                device,
                static_key,
                profile,
                at,
            } => self.found(device, *static_key, profile, *at),
            Request::UpdateProfile { profile } => Ok(self.update(profile)),
            Request::Append { device, envelope } => self.append(device, envelope, changes),
            Request::AppendOwed { device, envelopes } => self.append_owed(device, envelopes, changes),
            Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } => Ok(self.read(device, *after, *max_rows, *max_bytes, *now, changes)),
            Request::Delivered { device, upto } => Ok(self.delivered(device, *upto, changes)),
            Request::Probe => Ok(Reply::Done),
            Request::Account(request) => self.account(request, changes),
            Request::Group(request) => self.group(request),
            Request::Presence(request) => Ok(self.presence(request)),
            Request::Depth => Ok(Reply::Depth {
                rows: self.inboxes.values().map(|inbox| inbox.rows.len() as u64).sum(),
                bytes: self.inboxes.values().map(|inbox| inbox.bytes).sum(),
            }),
        }
    }

    fn lookup(&self, device: &DeviceId, user: Option<&UserId>, handle: Option<&Handle>) -> Reply {
        Reply::Found {
            device: self.devices.get(device).map(|known| Device {
                static_key: known.static_key,
                user: self.profiles[&known.user].clone(),
                revoked: known.revoked_at.is_some(),
            }),
            user: user.and_then(|id| self.profiles.get(id)).cloned(),
            handle_taken: handle.is_some_and(|handle| self.handles.contains_key(handle)),
        }
    }

    fn found(
        &mut self,
        device: &DeviceId,
        static_key: [u8; 32],
        profile: &Profile,
        at: Wall,
    ) -> Result<Reply, StoreError> {
        if self.devices.contains_key(device) {
            return Err(StoreError::DeviceExists);
        }
        if self.handles.contains_key(&profile.handle) {
            return Err(StoreError::HandleTaken);
        }
        self.handles.insert(profile.handle.clone(), profile.id.clone());
        self.profiles.insert(profile.id.clone(), profile.clone());
        self.add(device, static_key, &profile.id, at);
        Ok(Reply::Done)
    }

    pub(super) fn add(&mut self, device: &DeviceId, static_key: [u8; 32], user: &UserId, created_at: Wall) {
        let known = Known {
            static_key,
            user: user.clone(),
            created_at,
            revoked_at: None,
        };
        self.devices.insert(device.clone(), known);
    }

    pub(super) fn owner(&self, device: &DeviceId) -> Option<UserId> {
        self.devices.get(device).map(|known| known.user.clone())
    }

    /// Whether there is such a device and it has not been revoked.
    fn has_inbox(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|known| known.revoked_at.is_none())
    }

    /// A revoked device's rows are gone.
    pub(super) fn drop_inbox(&mut self, device: &DeviceId, changes: &mut Vec<Change>) {
        if let Some(inbox) = self.inboxes.get_mut(device) {
            inbox.expire(device, Wall(u64::MAX), changes);
        }
    }

    /// The process is gone, and with it what was never on a disk: presence, and of the sessions any.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        self.presence.clear();
        self.sessions.retain(|_| dice.below(2) == 0);
    }

    fn update(&mut self, profile: &Profile) -> Reply {
        self.profiles.insert(profile.id.clone(), profile.clone());
        Reply::Done
    }

    fn append(
        &mut self,
        device: &DeviceId,
        envelope: &Envelope,
        changes: &mut Vec<Change>,
    ) -> Result<Reply, StoreError> {
        if !self.has_inbox(device) {
            return Err(StoreError::UnknownDevice);
        }
        let inbox = self.inboxes.entry(device.clone()).or_default();
        let len = envelope.payload.len() as u64;
        if inbox.rows.len() as u64 >= self.limits.rows || inbox.bytes + len > self.limits.bytes {
            return Err(StoreError::InboxFull);
        }
        inbox.push(device, envelope, changes);
        Ok(Reply::Done)
    }

    fn append_owed(
        &mut self,
        device: &DeviceId,
        envelopes: &[Envelope],
        changes: &mut Vec<Change>,
    ) -> Result<Reply, StoreError> {
        if !self.has_inbox(device) {
            return Err(StoreError::UnknownDevice);
        }
        let inbox = self.inboxes.entry(device.clone()).or_default();
        for envelope in envelopes {
            inbox.push(device, envelope, changes);
        }
        Ok(Reply::Done)
    }

    fn read(
        &mut self,
        device: &DeviceId,
        after: RowId,
        max_rows: usize,
        max_bytes: usize,
        now: Wall,
        changes: &mut Vec<Change>,
    ) -> Reply {
        let Some(inbox) = self.inboxes.get_mut(device) else {
            return Reply::Rows {
                rows: Vec::new(),
                more: false,
            };
        };
        inbox.expire(device, now, changes);
        let mut rows = Vec::new();
        let mut room = max_bytes;
        let mut more = false;
        for (row, envelope) in inbox.rows.iter().filter(|(row, _)| *row > after) {
            let fits = rows.is_empty() || envelope.payload.len() <= room;
            if rows.len() == max_rows.max(1) || !fits {
                more = true;
                break;
            }
            room = room.saturating_sub(envelope.payload.len());
            rows.push((*row, envelope.clone()));
        }
        Reply::Rows { rows, more }
    }

    fn delivered(&mut self, device: &DeviceId, upto: RowId, changes: &mut Vec<Change>) -> Reply {
        let Some(inbox) = self.inboxes.get_mut(device) else {
            return Reply::Done;
        };
        inbox.offset = inbox.offset.max(upto);
        while inbox.rows.front().is_some_and(|(row, _)| *row <= upto) {
            let Some((_, envelope)) = inbox.rows.pop_front() else {
                break;
            };
            inbox.bytes -= envelope.payload.len() as u64;
            changes.push(Change::Forgotten {
                device: device.clone(),
                payload: envelope.payload,
            });
        }
        Reply::Done
    }

    /// Removes the newest row of a device: a fault that only the canary tests use.
    pub(crate) fn lose_newest(&mut self, device: &DeviceId) {
        if let Some(inbox) = self.inboxes.get_mut(device)
            && let Some((_, envelope)) = inbox.rows.pop_back()
        {
            inbox.bytes -= envelope.payload.len() as u64;
        }
    }

    /// What is known of whom, whether it has expired or not.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&DeviceId, &str)> {
        self.presence.iter().map(|(device, entry)| (device, &*entry.state))
    }

    /// Every row that is kept.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&DeviceId, &Envelope)> {
        self.inboxes
            .iter()
            .flat_map(|(device, inbox)| inbox.rows.iter().map(move |(_, envelope)| (device, envelope)))
    }
}

impl Inbox {
    fn push(&mut self, device: &DeviceId, envelope: &Envelope, changes: &mut Vec<Change>) {
        self.next += 1;
        let row = RowId(self.next);
        self.bytes += envelope.payload.len() as u64;
        self.rows.push_back((row, envelope.clone()));
        changes.push(Change::Appended {
            device: device.clone(),
            payload: envelope.payload.clone(),
        });
    }

    fn expire(&mut self, device: &DeviceId, now: Wall, changes: &mut Vec<Change>) {
        let (kept, over): (VecDeque<_>, VecDeque<_>) =
            self.rows.drain(..).partition(|(_, envelope)| envelope.expires_at > now);
        self.rows = kept;
        for (_, envelope) in over {
            self.bytes -= envelope.payload.len() as u64;
            changes.push(Change::Expired {
                device: device.clone(),
                payload: envelope.payload,
            });
        }
    }
}
