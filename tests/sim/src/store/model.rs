//! What the store has on disk: the naive meaning of every request of `storage::api`, one obvious function each.

use std::collections::{BTreeMap, VecDeque};

use commucat_proto::{DeviceId, Handle, UserId};
use commucat_storage::api::{
    AccountRequest, Device, Envelope, InboxLimits, Profile, Reply, Request, RowId, StoreError, Wall,
};

/// What a request changed, for the checkers.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A row is durable.
    Appended { device: DeviceId, payload: bytes::Bytes },
    /// A row is gone because it was delivered.
    Forgotten { device: DeviceId, payload: bytes::Bytes },
    /// A row is gone because its time was over.
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

/// The tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    devices: BTreeMap<DeviceId, Device>,
    profiles: BTreeMap<UserId, Profile>,
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
                ..
            } => self.found(device, *static_key, profile),
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
            Request::Account(AccountRequest::OpenSession { device, .. }) => self.open_session(device),
            Request::Account(AccountRequest::RevokeDevice { device, .. }) => self.revoke(device),
            Request::Account(_) | Request::Group(_) | Request::Presence(_) | Request::Depth => {
                Err(StoreError::Unavailable("the model does not keep this".to_owned()))
            }
        }
    }

    fn lookup(&self, device: &DeviceId, user: Option<&UserId>, handle: Option<&Handle>) -> Reply {
        Reply::Found {
            device: self.devices.get(device).map(|known| {
                let user = self
                    .profiles
                    .get(&known.user.id)
                    .cloned()
                    .unwrap_or_else(|| known.user.clone());
                Device { user, ..known.clone() }
            }),
            user: user.and_then(|id| self.profiles.get(id)).cloned(),
            handle_taken: handle.is_some_and(|handle| self.handles.contains_key(handle)),
        }
    }

    fn found(&mut self, device: &DeviceId, static_key: [u8; 32], profile: &Profile) -> Result<Reply, StoreError> {
        if self.devices.contains_key(device) {
            return Err(StoreError::DeviceExists);
        }
        if self.handles.contains_key(&profile.handle) {
            return Err(StoreError::HandleTaken);
        }
        self.handles.insert(profile.handle.clone(), profile.id.clone());
        self.profiles.insert(profile.id.clone(), profile.clone());
        self.devices.insert(
            device.clone(),
            Device {
                static_key,
                user: profile.clone(),
                revoked: false,
            },
        );
        Ok(Reply::Done)
    }

    fn open_session(&self, device: &DeviceId) -> Result<Reply, StoreError> {
        match self.devices.get(device) {
            None => Err(StoreError::UnknownDevice),
            Some(known) if known.revoked => Err(StoreError::DeviceRevoked),
            Some(_) => Ok(Reply::Done),
        }
    }

    fn revoke(&mut self, device: &DeviceId) -> Result<Reply, StoreError> {
        let known = self.devices.get_mut(device).ok_or(StoreError::UnknownDevice)?;
        known.revoked = true;
        Ok(Reply::Done)
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
        if !self.devices.contains_key(device) {
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
        if !self.devices.contains_key(device) {
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
