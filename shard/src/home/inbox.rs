//! The inbox of a device: what is given to the store, in which order, and what comes back.

use commucat_proto::FrameType;
use commucat_storage::api::{Envelope, Reply, Request, RowId, StoreError, Wall};

use super::{Kept, Queued, Seat, counted};
use crate::Shard;
use crate::mesh::message::{DeviceKey, Epoch, Message, Receipt, Refusal, ReplayRow};
use crate::outbox::Opaque;
use crate::store_desk::Waiting;
use crate::timer::Owner;

impl Shard {
    /// Stores a frame at the end of the inbox. Without a receipt it has been acknowledged already and is owed.
    pub(crate) fn home_keep(&mut self, key: DeviceKey, receipt: Option<Receipt>, frame: Opaque<'_>, why: Kept) {
        let expires_at = self.kept_until(frame, why);
        if why == Kept::Away
            && expires_at <= self.at.wall
            && let Some(receipt) = receipt
        {
            self.settle(receipt, 1, Some((key, Refusal::Expired)));
            return;
        }
        let envelope = Envelope {
            kind: frame.kind,
            channel: frame.channel,
            payload: counted(frame),
            expires_at,
        };
        let Some(home) = self.homes.map.get_mut(&key) else {
            if let Some(receipt) = receipt {
                self.settle(receipt, 1, Some((key, Refusal::Unknown)));
            }
            return;
        };

        home.inbox.backlog.push_back(Queued { envelope, receipt });
        self.append_backlog(key);
    }

    /// How long an inbox keeps the frame: what belongs to a call no longer than its offer (decisions § 7). Who is, or was,
    /// there loses no answer and no end to being slow.
    fn kept_until(&self, frame: Opaque<'_>, why: Kept) -> Wall {
        let longest = Wall(self.at.wall.0.saturating_add(self.relay_ttl_ms));
        match (why, frame.kind) {
            (Kept::Owed, FrameType::CallAnswer | FrameType::CallEnd) => longest,
            _ => frame.keep_until.min(longest),
        }
    }

    /// Gives the store what waits, in order. Owed frames go together, and nothing passes them until they are durable.
    fn append_backlog(&mut self, key: DeviceKey) {
        loop {
            let full = self.store.is_full(&self.config.limits);
            let Some(home) = self.homes.map.get_mut(&key) else {
                return;
            };
            let inbox = &mut home.inbox;
            if !inbox.owed.is_empty() || inbox.backlog.is_empty() {
                return;
            }
            if full {
                if !std::mem::replace(&mut inbox.held_back, true) {
                    self.store.hold_back(key);
                }
                return;
            }
            while inbox.backlog.front().is_some_and(|queued| queued.receipt.is_none()) {
                inbox
                    .owed
                    .extend(inbox.backlog.pop_front().map(|queued| queued.envelope));
            }
            let device = home.device.clone();
            let (request, receipt, bytes) = if inbox.owed.is_empty() {
                let Some(Queued { envelope, receipt }) = inbox.backlog.pop_front() else {
                    return;
                };
                self.counters.appended += 1;
                let bytes = envelope.payload.len();
                (Request::Append { device, envelope }, receipt, bytes)
            } else {
                self.counters.appended += inbox.owed.len() as u64;
                let envelopes = inbox.owed.clone();
                let bytes = envelopes.iter().map(|envelope| envelope.payload.len()).sum();
                (Request::AppendOwed { device, envelopes }, None, bytes)
            };
            inbox.appends += 1;
            inbox.pending += 1;
            let device = key;
            self.ask_store(request, Waiting::Append { device, receipt, bytes });
        }
    }

    /// There is room for what waits here.
    pub(crate) fn home_append_on(&mut self, key: DeviceKey) {
        if let Some(home) = self.homes.map.get_mut(&key) {
            home.inbox.held_back = false;
            self.append_backlog(key);
        }
    }

    pub(crate) fn home_appended(
        &mut self,
        key: DeviceKey,
        receipt: Option<Receipt>,
        outcome: &Result<Reply, StoreError>,
    ) {
        let retry_at = self.at.now + self.config.limits.store_retry;
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        home.inbox.pending -= 1;
        match (receipt, outcome) {
            (Some(receipt), Ok(_)) => self.settle(receipt, 1, None),
            (Some(receipt), Err(error)) => self.settle(receipt, 1, Some((key, error.into()))),
            (None, Ok(_) | Err(StoreError::UnknownDevice)) => home.inbox.owed = Vec::new(),
            (None, Err(error)) => {
                tracing::warn!(%error, "acknowledged frames could not be stored; they are kept and tried again");
                home.inbox.retry = true;
                // What has come behind them is refused like everything else that the store cannot keep. If it waited, its
                // senders would wait with it, and could not talk to others either.
                let behind: Vec<Receipt> = home.inbox.backlog.iter().filter_map(|queued| queued.receipt).collect();
                home.inbox.backlog.retain(|queued| queued.receipt.is_none());
                self.timers.arm(retry_at, Owner::Home(key));
                for receipt in behind {
                    self.settle(receipt, 1, Some((key, error.into())));
                }
                return;
            }
        }
        self.append_backlog(key);
        self.continue_replay(key);
        self.forget_home(key);
    }

    /// The pause after a failure is over.
    pub(crate) fn home_expired(&mut self, key: DeviceKey) {
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        if std::mem::take(&mut home.inbox.retry) {
            let owed = std::mem::take(&mut home.inbox.owed);
            for envelope in owed.into_iter().rev() {
                home.inbox.backlog.push_front(Queued {
                    envelope,
                    receipt: None,
                });
            }
            self.append_backlog(key);
        }
        self.continue_replay(key);
    }

    pub(crate) fn home_fetch(&mut self, key: DeviceKey, epoch: Epoch, room: usize) {
        if let Some(home) = self.homes.map.get_mut(&key)
            && home.holder(epoch).is_some()
        {
            home.replay.wanted = Some(room);
            if !std::mem::replace(&mut home.confirmed, true) {
                self.tell_subscribers(key);
            }
            self.continue_replay(key);
        }
    }

    /// Reads on if the holder waits for rows and there may be some.
    fn continue_replay(&mut self, key: DeviceKey) {
        let (now, rows) = (self.at.wall, self.config.limits.replay_rows);
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        let Seat::Taken { epoch, .. } = home.seat else { return };
        let Some(room) = home.replay.wanted else { return };
        if home.replay.reading {
            return;
        }
        home.replay.reading = true;
        home.replay.appends_then = home.inbox.appends;
        let request = Request::ReadInbox {
            device: home.device.clone(),
            after: home.replay.cursor,
            max_rows: rows,
            max_bytes: room,
            now,
        };
        self.ask_store(request, Waiting::Read { device: key, epoch });
    }

    pub(crate) fn home_read(&mut self, key: DeviceKey, epoch: Epoch, outcome: Result<Reply, StoreError>) {
        let retry_at = self.at.now + self.config.limits.store_retry;
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        home.replay.reading = false;
        let Some(holder) = home.holder(epoch) else {
            // A later session asks for itself.
            self.continue_replay(key);
            self.forget_home(key);
            return;
        };
        let rows = match outcome {
            Ok(Reply::Rows { rows, .. }) => rows,
            Ok(_) => Vec::new(),
            Err(StoreError::UnknownDevice) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "an inbox could not be read; it is tried again");
                self.timers.arm(retry_at, Owner::Home(key));
                return;
            }
        };
        let still = home.inbox.pending == 0 && home.inbox.backlog.is_empty() && home.inbox.owed.is_empty();
        let drained = rows.is_empty() && still && home.inbox.appends == home.replay.appends_then;
        if rows.is_empty() && !drained {
            if still {
                self.continue_replay(key);
            }
            return; // the next completion of an append reads on
        }
        home.replay.wanted = None;
        home.replay.cursor = rows.last().map_or(home.replay.cursor, |(row, _)| *row);
        self.counters.replayed += rows.len() as u64;
        let rows = rows
            .into_iter()
            .map(|(row, envelope)| ReplayRow {
                row,
                kind: envelope.kind,
                channel: envelope.channel,
                payload: envelope.payload,
            })
            .collect();
        self.mesh.push(
            holder.shard,
            Message::Replay {
                device: key,
                epoch,
                rows,
                drained,
            },
        );
    }

    pub(crate) fn home_delivered(&mut self, key: DeviceKey, upto: RowId) {
        if let Some(home) = self.homes.map.get(&key) {
            let request = Request::Delivered {
                device: home.device.clone(),
                upto,
            };
            self.ask_store(request, Waiting::Nothing);
        }
    }
}
