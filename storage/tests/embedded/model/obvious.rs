//! What each request of `storage::api` means: the suite's registry, and the embedded store's inboxes.

use std::collections::BTreeMap;

use commucat_proto::DeviceId;
use commucat_storage::api::{AccountRequest, Envelope, InboxLimits, Reply, Request, RowId, StoreError, Wall};
use commucat_storage::suite::naive::Registry;

use crate::common::Answer;

pub(super) const LIMITS: InboxLimits = InboxLimits { rows: 12, bytes: 60 };

#[derive(Default)]
struct Inbox {
    rows: Vec<(RowId, Envelope)>,
    last: u64,
}

/// The obvious store.
#[derive(Default)]
pub(super) struct Model {
    registry: Registry,
    inboxes: BTreeMap<DeviceId, Inbox>,
}

impl Model {
    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        match request {
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
            Request::Depth => Ok(Reply::Depth {
                rows: self.inboxes.values().map(|inbox| inbox.rows.len() as u64).sum(),
                bytes: self.inboxes.values().map(Inbox::bytes).sum(),
            }),
            Request::Account(AccountRequest::RevokeDevice { device, .. }) => {
                let answer = self.registry.answer(request);
                if !self.registry.has_inbox(device) {
                    self.inboxes.remove(device);
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

    fn inbox(&mut self, device: &DeviceId) -> Result<&mut Inbox, StoreError> {
        match self.registry.has_inbox(device) {
            true => Ok(self.inboxes.entry(device.clone()).or_default()),
            false => Err(StoreError::UnknownDevice),
        }
    }

    pub(super) fn upkeep(&mut self, now: Wall) {
        self.inboxes.values_mut().for_each(|inbox| inbox.drop_expired(now));
        self.registry.upkeep(now);
    }

    /// Of this store, presence ends with the process.
    pub(super) fn forget_presence(&mut self) {
        self.registry.forget_presence();
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
