//! What the store has on disk: the suite's registry of people, and inboxes that tell the checkers what became of a row.

use std::collections::{BTreeMap, VecDeque};

use commucat_proto::{DeviceId, UserId};
use commucat_storage::api::{AccountRequest, Envelope, InboxLimits, Reply, Request, RowId, StoreError, Wall};
use commucat_storage::suite::naive::Registry;

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

/// The tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    registry: Registry,
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
            Request::Depth => Ok(Reply::Depth {
                rows: self.inboxes.values().map(|inbox| inbox.rows.len() as u64).sum(),
                bytes: self.inboxes.values().map(|inbox| inbox.bytes).sum(),
            }),
            Request::Account(AccountRequest::RevokeDevice { device, .. }) => {
                let answer = self.registry.answer(request);
                if !self.registry.has_inbox(device) {
                    self.drop_inbox(device, changes);
                }
                answer
            }
            Request::Lookup { .. }
            | Request::Found { .. }
            | Request::UpdateProfile { .. }
            | Request::Account(_)
            | Request::Group(_)
            | Request::Presence(_)
            | Request::Probe => self.registry.answer(request),
        }
    }

    pub(super) fn owner(&self, device: &DeviceId) -> Option<UserId> {
        self.registry.owner(device)
    }

    /// A revoked device's rows are gone.
    fn drop_inbox(&mut self, device: &DeviceId, changes: &mut Vec<Change>) {
        if let Some(inbox) = self.inboxes.get_mut(device) {
            inbox.expire(device, Wall(u64::MAX), changes);
        }
    }

    /// The process is gone, and with it what was never on a disk: presence, and of the sessions any.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        self.registry.forget_presence();
        self.registry.lose_sessions(|| dice.below(2) == 0);
    }

    fn append(
        &mut self,
        device: &DeviceId,
        envelope: &Envelope,
        changes: &mut Vec<Change>,
    ) -> Result<Reply, StoreError> {
        if !self.registry.has_inbox(device) {
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
        if !self.registry.has_inbox(device) {
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
        self.registry.told()
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
