//! A store in memory, which answers when it is told to.

use std::collections::{BTreeMap, VecDeque};

use commucat_proto::DeviceId;
use commucat_storage::api::{AccountRequest, Completion, Envelope, Reply, Request, RowId, StoreError, Submission};
use commucat_storage::suite::naive::Registry;

/// How the store behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// It answers at once.
    #[default]
    Well,
    /// It takes requests and does not answer.
    Silent,
    /// Nothing takes effect, and it says so.
    Failing,
    /// Its port is full.
    Full,
}

/// Rows, and how many there have ever been.
#[derive(Debug, Default)]
struct Inbox {
    count: u64,
    rows: VecDeque<(RowId, Envelope)>,
}

/// The naive registry of the store's own suite, and inboxes.
#[derive(Debug, Default)]
pub struct Store {
    /// See [`Mood`].
    pub mood: Mood,
    registry: Registry,
    inboxes: BTreeMap<DeviceId, Inbox>,
    waiting: VecDeque<Submission>,
}

impl Store {
    /// Takes a request.
    pub fn submit(&mut self, submission: Submission) {
        self.waiting.push_back(submission);
    }

    /// The next answer, if there is one.
    pub fn answer(&mut self) -> Option<Completion> {
        if self.mood == Mood::Silent {
            return None;
        }
        let Submission { ticket, request } = self.waiting.pop_front()?;
        let outcome = match self.mood {
            Mood::Failing => Err(StoreError::Unavailable("it fails".to_owned())),
            Mood::Full => Err(StoreError::PortFull),
            Mood::Well | Mood::Silent => self.apply(&request),
        };
        Some(Completion { ticket, outcome })
    }

    /// Does what is asked, at once.
    ///
    /// # Errors
    /// As a store would.
    pub fn apply(&mut self, request: &Request) -> Result<Reply, StoreError> {
        match request {
            Request::Append { device, envelope } => self.append(device, std::slice::from_ref(envelope)),
            Request::AppendOwed { device, envelopes } => self.append(device, envelopes),
            Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } => {
                if !self.registry.has_inbox(device) {
                    return Err(StoreError::UnknownDevice);
                }
                let kept = &mut self.inboxes.entry(device.clone()).or_default().rows;
                kept.retain(|(_, envelope)| envelope.expires_at > *now);
                let behind: Vec<_> = kept.iter().filter(|(row, _)| row > after).collect();
                let mut room = *max_bytes;
                let fits = behind.iter().enumerate().take_while(|(index, (_, envelope))| {
                    let len = envelope.payload.len();
                    let fits = *index == 0 || len <= room;
                    room = room.saturating_sub(len);
                    fits
                });
                let count = fits.count().min(*max_rows);
                Ok(Reply::Rows {
                    rows: behind[..count].iter().map(|&row| row.clone()).collect(),
                    more: count < behind.len(),
                })
            }
            Request::Delivered { device, upto } => {
                let kept = &mut self.inboxes.entry(device.clone()).or_default().rows;
                kept.retain(|(row, _)| row > upto);
                Ok(Reply::Done)
            }
            Request::Account(AccountRequest::RevokeDevice { device, .. }) => {
                let answer = self.registry.answer(request);
                if let Some(inbox) = self.inboxes.get_mut(device)
                    && !self.registry.has_inbox(device)
                {
                    inbox.rows.clear();
                }
                answer
            }
            Request::Depth => Ok(Reply::Depth { rows: 0, bytes: 0 }),
            _ => self.registry.answer(request),
        }
    }

    fn append(&mut self, device: &DeviceId, envelopes: &[Envelope]) -> Result<Reply, StoreError> {
        if !self.registry.has_inbox(device) {
            return Err(StoreError::UnknownDevice);
        }
        for envelope in envelopes {
            let inbox = self.inboxes.entry(device.clone()).or_default();
            inbox.count += 1;
            inbox.rows.push_back((RowId(inbox.count), envelope.clone()));
        }
        Ok(Reply::Done)
    }
}
