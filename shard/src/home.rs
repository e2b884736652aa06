//! The home of a device: the one shard that knows where the device is, decides which of two sessions is the one, and
//! alone writes and reads its inbox.
//!
//! What keeps the order of frames (decisions § 6), together with `route` and `delivery`:
//! - While a device is attached to a shard, everything for it goes to that shard, which queues it or sends it back here
//!   (`Return`) to be stored. Only returned frames are stored.
//! - While it is away, what comes is stored here.
//! - A session that ends sends what it still owed (`Return`s), then `Detached`, on one lane. Until `Detached` is here,
//!   frames are still sent after it; they come back behind it.
//! - A second session waits (`Handover`) until the first one's `Detached`.
//! - Frames that were sent on from here to a shard that the device has left come back. The next one may not overtake
//!   them: until they are back (`Sweep`, `Swept`), what comes waits here.

use std::collections::VecDeque;

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType};
use commucat_storage::api::{Envelope, Reply, Request, RowId, StoreError, Wall};

use crate::Shard;
use crate::counters::Drop;
use crate::keys::{KeyMap, device_key};
use crate::mesh::message::{DeviceKey, Epoch, Message, Receipt, Refusal, ReplayRow, ShardId, Targets, TunnelId};
use crate::outbox::Opaque;
use crate::store_desk::Waiting;
use crate::timer::Owner;

/// A session that holds, or asks for, a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    shard: ShardId,
    tunnel: TunnelId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    Away,
    Taken {
        by: Holder,
        epoch: Epoch,
    },
    /// `from` has been told to go; `to`, if it is still there, takes over once it has.
    Handover {
        from: Holder,
        to: Option<Holder>,
    },
    /// Nobody holds it, and frames sent on are still on their way back; then `to`, if it is still there.
    Sweeping {
        to: Option<Holder>,
    },
}

/// A frame that waits for the way to be clear.
#[derive(Debug)]
struct Waiter {
    receipt: Receipt,
    kind: FrameType,
    channel: ChannelId,
    payload: Bytes,
}

/// A frame that waits for its turn to be stored.
#[derive(Debug)]
struct Queued {
    envelope: Envelope,
    receipt: Option<Receipt>,
}

/// The replay of one attachment.
#[derive(Clone, Copy, Debug, Default)]
struct Replay {
    /// The last row handed out.
    cursor: RowId,
    /// What the holder asked for and has not got.
    wanted: Option<usize>,
    /// A read is on its way.
    reading: bool,
    /// `Inbox::appends` when that read was made.
    appends_then: u64,
}

#[derive(Debug, Default)]
struct Inbox {
    /// Frames given to the store so far.
    appends: u64,
    /// Of which it has not answered.
    pending: u32,
    /// Owed frames that are with the store, or must be tried again: everything later waits in `backlog`.
    owed: Vec<Envelope>,
    backlog: VecDeque<Queued>,
    /// The store refused them: the timer tries again.
    retry: bool,
}

#[derive(Debug)]
pub(crate) struct Home {
    device: DeviceId,
    seat: Seat,
    /// One bit per shard.
    subscribers: u128,
    /// Subscribers may be told of the holder: it has been heard of since it was told to be the one. A frame sent to it
    /// before that would come back here and be overtaken by the next.
    confirmed: bool,
    /// Frames have been sent on to the current holder's shard.
    sent_on: bool,
    /// What came while sweeping; each still counts against its sender's budget.
    waiters: VecDeque<Waiter>,
    inbox: Inbox,
    replay: Replay,
}

/// Shards a process can have: the width of `Home::subscribers`.
pub(crate) const MAX_SHARDS: u16 = 128;

#[derive(Debug, Default)]
pub(crate) struct Homes {
    map: KeyMap<Home>,
    epochs: u64,
}

impl Homes {
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    fn entry(&mut self, key: DeviceKey, device: &DeviceId) -> &mut Home {
        self.map.entry(key).or_insert_with(|| Home {
            device: device.clone(),
            seat: Seat::Away,
            subscribers: 0,
            confirmed: false,
            sent_on: false,
            waiters: VecDeque::new(),
            inbox: Inbox::default(),
            replay: Replay::default(),
        })
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }
}

impl Home {
    /// What subscribers are told.
    fn known_at(&self) -> Option<ShardId> {
        self.at().filter(|_| self.confirmed)
    }

    /// Where frames are sent on to.
    fn at(&self) -> Option<ShardId> {
        match self.seat {
            Seat::Away | Seat::Sweeping { .. } => None,
            Seat::Taken { by, .. } => Some(by.shard),
            Seat::Handover { from, .. } => Some(from.shard),
        }
    }

    fn is_forgettable(&self) -> bool {
        self.seat == Seat::Away
            && self.subscribers == 0
            && self.inbox.pending == 0
            && self.inbox.owed.is_empty()
            && self.inbox.backlog.is_empty()
            && !self.replay.reading
            && self.waiters.is_empty()
    }

    fn holder(&self, epoch: Epoch) -> Option<Holder> {
        match self.seat {
            Seat::Taken { by, epoch: current } if current == epoch => Some(by),
            _ => None,
        }
    }
}

impl Shard {
    pub(crate) fn home_subscribe(&mut self, from: ShardId, device: &DeviceId) {
        let key = device_key(&self.config.hash_key, device);
        let home = self.homes.entry(key, device);
        home.subscribers |= 1 << from.0;
        let at = home.known_at();
        self.mesh.push(from, Message::Located { device: key, at });
    }

    pub(crate) fn home_unsubscribe(&mut self, from: ShardId, key: DeviceKey) {
        if let Some(home) = self.homes.map.get_mut(&key) {
            home.subscribers &= !(1 << from.0);
            self.forget_home(key);
        }
    }

    fn forget_home(&mut self, key: DeviceKey) {
        if self.homes.map.get(&key).is_some_and(Home::is_forgettable) {
            self.homes.map.remove(&key);
        }
    }

    pub(crate) fn home_attach(&mut self, from: ShardId, device: &DeviceId, tunnel: TunnelId) {
        let key = device_key(&self.config.hash_key, device);
        let to = Holder { shard: from, tunnel };
        let home = self.homes.entry(key, device);
        match home.seat {
            Seat::Away => self.seat(key, to),
            Seat::Taken { by, .. } => {
                home.seat = Seat::Handover { from: by, to: Some(to) };
                self.mesh.push(by.shard, Message::Evict { tunnel: by.tunnel });
            }
            Seat::Handover {
                to: ref mut waiting, ..
            }
            | Seat::Sweeping { to: ref mut waiting } => {
                if let Some(earlier) = waiting.replace(to) {
                    self.mesh.push(earlier.shard, Message::Evict { tunnel: earlier.tunnel });
                }
            }
        }
    }

    fn seat(&mut self, key: DeviceKey, to: Holder) {
        let epoch = self.homes.next_epoch();
        if let Some(home) = self.homes.map.get_mut(&key) {
            home.seat = Seat::Taken { by: to, epoch };
            home.replay = Replay {
                reading: home.replay.reading,
                ..Replay::default()
            };
            home.confirmed = false;
            home.sent_on = false;
            self.mesh.push(
                to.shard,
                Message::Attached {
                    device: key,
                    tunnel: to.tunnel,
                    epoch,
                },
            );
        }
    }

    fn tell_subscribers(&mut self, key: DeviceKey) {
        let Some(home) = self.homes.map.get(&key) else { return };
        let at = home.known_at();
        let mut left = home.subscribers;
        while left != 0 {
            #[expect(clippy::cast_possible_truncation, reason = "below MAX_SHARDS")]
            let shard = ShardId(left.trailing_zeros() as u16);
            left &= left - 1;
            self.mesh.push(shard, Message::Located { device: key, at });
        }
    }

    pub(crate) fn home_detached(&mut self, from: ShardId, key: DeviceKey, tunnel: TunnelId) {
        let gone = Holder { shard: from, tunnel };
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        match home.seat {
            Seat::Taken { by, .. } if by == gone => self.left(key, gone.shard, None),
            Seat::Handover { from, to } if from == gone => self.left(key, gone.shard, to),
            Seat::Handover {
                to: ref mut waiting, ..
            }
            | Seat::Sweeping { to: ref mut waiting }
                if *waiting == Some(gone) =>
            {
                *waiting = None;
            }
            _ => {}
        }
    }

    /// The holder has left its shard.
    fn left(&mut self, key: DeviceKey, shard: ShardId, to: Option<Holder>) {
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        if std::mem::take(&mut home.sent_on) {
            home.seat = Seat::Sweeping { to };
            self.mesh.push(shard, Message::Sweep { device: key });
        } else {
            self.reseat(key, to);
        }
    }

    pub(crate) fn home_swept(&mut self, key: DeviceKey) {
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        let Seat::Sweeping { to } = home.seat else { return };
        self.reseat(key, to);
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        for waiter in std::mem::take(&mut home.waiters) {
            let Waiter {
                receipt,
                kind,
                channel,
                payload,
            } = waiter;
            let frame = Opaque {
                kind,
                channel,
                payload: &payload,
                shared: Some(&payload),
            };
            self.home_take(key, receipt, frame, false);
        }
        self.forget_home(key);
    }

    fn reseat(&mut self, key: DeviceKey, to: Option<Holder>) {
        match to {
            Some(to) => self.seat(key, to),
            None => self.vacate(key),
        }
    }

    fn vacate(&mut self, key: DeviceKey) {
        if let Some(home) = self.homes.map.get_mut(&key) {
            home.seat = Seat::Away;
            home.confirmed = false;
            home.replay = Replay {
                reading: home.replay.reading,
                ..Replay::default()
            };
            self.tell_subscribers(key);
            self.forget_home(key);
        }
    }

    /// A frame whose recipient is not attached to this shard, which is its home.
    pub(crate) fn home_take(&mut self, key: DeviceKey, receipt: Receipt, frame: Opaque<'_>, bounced: bool) {
        let Some(home) = self.homes.map.get_mut(&key) else {
            // Nobody routes to it any more, and it is not here: only a sender that has left meanwhile can cause this.
            self.settle(receipt, 1, Some((key, Refusal::Unknown)));
            return;
        };
        if let Some(shard) = home.at() {
            home.sent_on = true;
            self.forward(shard, key, receipt, frame, false);
        } else if matches!(home.seat, Seat::Sweeping { .. }) && !bounced {
            let Opaque { kind, channel, .. } = frame;
            home.waiters.push_back(Waiter {
                receipt,
                kind,
                channel,
                payload: counted(frame),
            });
        } else if frame.kind.is_storable() {
            self.home_keep(key, Some(receipt), frame);
        } else {
            self.counters.drop_frame(Drop::MediaAway);
            self.settle(receipt, 1, None);
        }
    }

    /// Sends a frame on to another shard, for one recipient.
    pub(crate) fn forward(&mut self, to: ShardId, key: DeviceKey, receipt: Receipt, frame: Opaque<'_>, bounced: bool) {
        let payload = self.mesh.payload(to, frame);
        let (kind, channel, targets) = (frame.kind, frame.channel, Targets::One(key));
        self.mesh.push(
            to,
            Message::Deliver {
                receipt,
                kind,
                channel,
                bounced,
                targets,
                payload,
            },
        );
    }

    /// Stores a frame at the end of the inbox. Without a receipt it has been acknowledged already and is owed.
    pub(crate) fn home_keep(&mut self, key: DeviceKey, receipt: Option<Receipt>, frame: Opaque<'_>) {
        let expires_at = Wall(self.at.wall.0.saturating_add(self.relay_ttl_ms));
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

    /// Gives the store what waits, in order. Owed frames go together, and nothing passes them until they are durable.
    fn append_backlog(&mut self, key: DeviceKey) {
        loop {
            let Some(home) = self.homes.map.get_mut(&key) else {
                return;
            };
            let inbox = &mut home.inbox;
            if !inbox.owed.is_empty() {
                return;
            }
            while inbox.backlog.front().is_some_and(|queued| queued.receipt.is_none()) {
                inbox
                    .owed
                    .extend(inbox.backlog.pop_front().map(|queued| queued.envelope));
            }
            let device = home.device.clone();
            let (request, receipt) = if inbox.owed.is_empty() {
                let Some(Queued { envelope, receipt }) = inbox.backlog.pop_front() else {
                    return;
                };
                self.counters.appended += 1;
                (Request::Append { device, envelope }, receipt)
            } else {
                self.counters.appended += inbox.owed.len() as u64;
                (
                    Request::AppendOwed {
                        device,
                        envelopes: inbox.owed.clone(),
                    },
                    None,
                )
            };
            inbox.appends += 1;
            inbox.pending += 1;
            self.ask_store(request, Waiting::Append { device: key, receipt });
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
                self.timers.arm(retry_at, Owner::Home(key));
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

fn counted(frame: Opaque<'_>) -> Bytes {
    frame
        .shared
        .cloned()
        .unwrap_or_else(|| Bytes::copy_from_slice(frame.payload))
}
