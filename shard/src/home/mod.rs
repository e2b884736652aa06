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

mod inbox;
mod published;
mod seat;
mod speaking;

use std::collections::VecDeque;

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType};
use commucat_storage::api::{Envelope, RowId, Wall};

use crate::key_table::KeyTable;
use crate::mesh::message::{DeviceKey, Epoch, Receipt, ShardId, TunnelId};
use crate::outbox::Opaque;
use published::{Published, Rounds};
use speaking::Speaking;

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
        epoch: Epoch,
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
    keep_until: Wall,
}

/// Why a frame is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Its recipient is away: what is worth nothing any more is refused.
    Away,
    /// Its recipient is, or was, here and slow.
    Owed,
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
    /// Owed frames that are with the store, or must be tried again: everything later waits in `backlog`, until the store
    /// answers or fails.
    owed: Vec<Envelope>,
    backlog: VecDeque<Queued>,
    /// The store desk has been told that there is a backlog.
    held_back: bool,
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
    /// What the store is told of it; nothing before its first session.
    published: Option<Box<Published>>,
    /// Where its session speaks openly.
    speaking: Option<Box<Speaking>>,
}

/// Shards a process can have: the width of `Home::subscribers`.
pub(crate) const MAX_SHARDS: u16 = 128;

#[derive(Debug, Default)]
pub(crate) struct Homes {
    /// Boxed: a table has up to twice the places that are taken, and a place is ten times smaller so.
    map: KeyTable<Box<Home>>,
    epochs: u64,
    questions: u64,
    rounds: Rounds,
}

impl Homes {
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    fn entry(&mut self, key: DeviceKey, device: &DeviceId) -> &mut Home {
        self.map.entry(key).or_insert_with(|| {
            Box::new(Home {
                device: device.clone(),
                seat: Seat::Away,
                subscribers: 0,
                confirmed: false,
                sent_on: false,
                waiters: VecDeque::new(),
                inbox: Inbox::default(),
                replay: Replay::default(),
                published: None,
                speaking: None,
            })
        })
    }

    /// Whether a frame waits here to be stored. Walks all homes: for the end of a drain.
    pub(crate) fn owe(&self) -> bool {
        let waits =
            |home: &Home| !home.inbox.owed.is_empty() || !home.inbox.backlog.is_empty() || !home.waiters.is_empty();
        self.map.values().map(Box::as_ref).any(waits)
    }

    fn next_epoch(&mut self) -> Epoch {
        self.epochs += 1;
        Epoch(self.epochs)
    }

    fn next_question(&mut self) -> u64 {
        self.questions += 1;
        self.questions
    }
}

impl Home {
    /// What subscribers are told.
    fn known_at(&self) -> Option<(ShardId, Epoch)> {
        self.at().filter(|_| self.confirmed)
    }

    /// Where frames are sent on to.
    fn at(&self) -> Option<(ShardId, Epoch)> {
        match self.seat {
            Seat::Away | Seat::Sweeping { .. } => None,
            Seat::Taken { by, epoch } => Some((by.shard, epoch)),
            Seat::Handover { from, epoch, .. } => Some((from.shard, epoch)),
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

fn counted(frame: Opaque<'_>) -> Bytes {
    frame
        .shared
        .cloned()
        .unwrap_or_else(|| Bytes::copy_from_slice(frame.payload))
}
