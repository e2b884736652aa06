//! The recipient's side: frames for a device that is attached to this shard meet its outbox.
//!
//! A session is in one of three modes:
//! - *live*: frames are queued. When the queue is full it becomes
//! - *spilling*: storable frames go to the home, which stores them; the session fetches them back as it gets room.
//!   When the home has handed out what was stored it becomes
//! - *holding*: new frames wait behind the rest of the replay. When the home says that nothing is left, they are
//!   released and the session is live. If they become too many, they are sent home too, and it is spilling again.
//!
//! A new session begins *holding*: replay on connect is the same thing as recovery from a full queue, and a live frame
//! that arrives during the replay waits behind it (decisions § 8).

use std::sync::Arc;

use commucat_proto::Title;
use commucat_storage::api::RowId;

use crate::Shard;
use crate::counters::Drop;
use crate::keys::device_key;
use crate::mesh::message::{
    Deliver, DeviceKey, Epoch, Message, Receipt, Refusal, ReplayRow, ShardId, Target, Targets, TunnelId,
};
use crate::outbox::{KEEP, Opaque, Pushed};
use crate::session::State;
use crate::session::proof::Attaching;
use crate::session::ready::Ready;
use crate::tunnel::{Phase, Tunnel};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Live,
    Spilling,
    Holding,
}

/// A recipient's standing with its inbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) mode: Mode,
    /// A `Fetch` has not been answered.
    fetching: bool,
    /// Something was sent home since that `Fetch`.
    returned: bool,
}

impl Delivery {
    pub(crate) fn begin() -> Self {
        Self {
            mode: Mode::Holding,
            fetching: false,
            returned: false,
        }
    }
}

impl Shard {
    /// A frame for devices that are, or were, attached to this shard, or are at home here. Gives how many of them are
    /// settled at once.
    pub(crate) fn deliver(&mut self, deliver: &Deliver, frame: Opaque<'_>) -> u32 {
        let (receipt, sent_on) = (deliver.receipt, deliver.sent_on);
        let mut settled = 0;
        let sender = deliver.targets.sender();
        for target in deliver.targets.as_slice() {
            let key = target.key;
            if sender == Some(key) {
                settled += 1;
                continue;
            }
            if let Some(tunnel) = self.attached_as(*target) {
                settled += u32::from(self.offer(key, tunnel, receipt, frame));
                continue;
            }
            self.deliver_away(key, receipt, frame, sent_on);
        }
        settled
    }

    /// For a device that is not, or no longer, attached here as was meant: its home knows more.
    pub(crate) fn deliver_away(&mut self, key: DeviceKey, receipt: Receipt, frame: Opaque<'_>, sent_on: bool) {
        let home = key.home(self.config.shards);
        if home == self.config.id {
            self.home_take(key, receipt, frame, sent_on);
        } else {
            self.forward((home, Epoch::default()), key, receipt, frame, sent_on);
        }
    }

    /// To the recipients on one shard, by the lane to it.
    pub(crate) fn push_deliver(
        &mut self,
        to: ShardId,
        receipt: Receipt,
        frame: Opaque<'_>,
        targets: Targets,
        sent_on: bool,
    ) {
        let payload = self.mesh.payload(to, frame);
        let deliver = Deliver {
            receipt,
            kind: frame.kind,
            channel: frame.channel,
            sent_on,
            targets,
            payload,
            keep_until: frame.keep_until,
        };
        self.mesh.push(to, Message::Deliver(deliver));
    }

    /// The session of this device here, if it is the one that was meant, or if its home, which is here, may choose.
    pub(crate) fn attached_as(&self, target: Target) -> Option<TunnelId> {
        let (tunnel, epoch) = self.attached.get(&target.key).copied()?;
        (epoch == target.epoch || target.key.home(self.config.shards) == self.config.id).then_some(tunnel)
    }

    /// Offers a frame to an attached session; true when that settles it.
    pub(crate) fn offer(&mut self, key: DeviceKey, id: TunnelId, receipt: Receipt, frame: Opaque<'_>) -> bool {
        let limits = &self.config.limits;
        let Some(tunnel) = self.tunnels.get_mut(id) else {
            self.return_home(key, Some(receipt), frame);
            return false;
        };
        let State::Ready(ready) = &mut tunnel.state else {
            self.return_home(key, Some(receipt), frame);
            return false;
        };
        if ready.left.contains(&frame.channel) {
            self.counters.drop_frame(Drop::Left);
            return true;
        }
        let mode = ready.delivery.mode;
        if frame.kind.is_storable() {
            let pushed = match mode {
                Mode::Live => tunnel.outbox.offer_bulk(frame, limits),
                Mode::Holding => tunnel.outbox.offer_held(frame, limits),
                Mode::Spilling => Pushed::Full,
            };
            if pushed == Pushed::Full {
                self.spill(id, mode);
                self.return_home(key, Some(receipt), frame);
                self.fetch(id);
                return false;
            }
        } else if mode == Mode::Live {
            let dropped = tunnel.outbox.push_media(frame, limits);
            self.counters.dropped[Drop::MediaOverflow as usize] += dropped as u64;
        } else {
            self.counters.drop_frame(Drop::MediaBehind);
        }
        self.counters.delivered += 1;
        if !std::mem::replace(&mut tunnel.dirty, true) {
            self.dirty.push(id);
        }
        true
    }

    /// The queue, or what waits behind the replay, is full: it is stored, and so is what comes next.
    fn spill(&mut self, id: TunnelId, from: Mode) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Ready(ready) = &mut tunnel.state {
            ready.delivery.mode = Mode::Spilling;
            ready.delivery.returned = true;
            let key = ready.key;
            self.counters.overflows += u64::from(from == Mode::Live);
            let each = |frame: Opaque<'_>| self.return_home(key, None, frame);
            match from {
                Mode::Live => tunnel.outbox.spill(each),
                Mode::Holding => tunnel.outbox.take_held(each),
                Mode::Spilling => {}
            }
        }
        self.tunnels.put(tunnel);
    }

    /// To the inbox, by way of the home; without a receipt the sender has been told already that it is kept.
    pub(crate) fn return_home(&mut self, device: DeviceKey, receipt: Option<Receipt>, frame: Opaque<'_>) {
        let home = device.home(self.config.shards);
        self.counters.spilled += 1;
        if let Some((tunnel, _)) = self.attached.get(&device).copied()
            && let Some(tunnel) = self.tunnels.get_mut(tunnel)
            && let State::Ready(ready) = &mut tunnel.state
        {
            ready.delivery.returned = true;
        }
        let payload = self.mesh.payload(home, frame);
        let (kind, channel) = (frame.kind, frame.channel);
        self.mesh.push(
            home,
            Message::Return {
                device,
                receipt,
                kind,
                channel,
                payload,
                keep_until: frame.keep_until,
            },
        );
    }

    /// Asks the home for stored rows, when there is room and no question is open.
    pub(crate) fn fetch(&mut self, id: TunnelId) {
        let live =
            |tunnel: &mut Tunnel| !matches!(&tunnel.state, State::Ready(ready) if ready.delivery.mode != Mode::Live);
        if self.tunnels.get_mut(id).is_none_or(live) {
            return;
        }
        if let Some(mut tunnel) = self.tunnels.take(id) {
            self.fetch_for(&mut tunnel);
            self.tunnels.put(tunnel);
        }
    }

    /// The same for a tunnel that is being worked on.
    pub(crate) fn fetch_for(&mut self, tunnel: &mut Tunnel) {
        let shards = self.config.shards;
        let State::Ready(ready) = &mut tunnel.state else { return };
        if tunnel.phase != Phase::Open || ready.delivery.mode == Mode::Live || ready.delivery.fetching {
            return;
        }
        let Some(room) = tunnel.outbox.replay_room(&self.config.limits) else {
            return;
        };
        ready.delivery.fetching = true;
        ready.delivery.returned = false;
        let (device, epoch) = (ready.key, ready.epoch);
        self.mesh
            .push(device.home(shards), Message::Fetch { device, epoch, room });
    }

    /// The home's answer to `Fetch`.
    pub(crate) fn replay(&mut self, key: DeviceKey, epoch: Epoch, rows: &[ReplayRow], drained: bool) {
        let Some((id, _)) = self.attached.get(&key).copied() else {
            return;
        };
        let Some(tunnel) = self.tunnels.get_mut(id) else { return };
        let State::Ready(ready) = &mut tunnel.state else { return };
        if ready.epoch != epoch {
            return;
        }
        ready.delivery.fetching = false;
        let mut arrived = None;
        for row in rows {
            let frame = Opaque {
                kind: row.kind,
                channel: row.channel,
                payload: &row.payload,
                shared: Some(&row.payload),
                keep_until: KEEP,
            };
            if tunnel
                .outbox
                .push_row(frame, row.row, ready.left.contains(&row.channel))
            {
                arrived = Some(row.row);
            }
        }
        if drained && !ready.delivery.returned {
            tunnel.outbox.release_held();
            ready.delivery.mode = Mode::Live;
        } else {
            // The end of the replay is near: what comes now waits here instead of taking the way through the store.
            ready.delivery.mode = Mode::Holding;
        }
        if let Some(row) = arrived {
            self.rows_arrived(key, row);
        }
        self.mark_dirty(id);
        self.fetch(id);
    }

    /// Stored rows up to this one have arrived: the kernel has taken them, or the client has acknowledged them.
    pub(crate) fn rows_arrived(&mut self, device: DeviceKey, upto: RowId) {
        self.mesh
            .push(device.home(self.config.shards), Message::Delivered { device, upto });
    }

    /// The home says that this session is the one.
    pub(crate) fn attached(&mut self, key: DeviceKey, id: TunnelId, epoch: Epoch) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Attaching(attaching) = std::mem::replace(&mut tunnel.state, State::Ended) {
            let Attaching {
                device,
                profile,
                agreed,
                ..
            } = *attaching;
            if agreed.delivery_ack {
                tunnel.outbox.await_acks();
            }
            tunnel.state = State::Ready(Box::new(Ready {
                agreed,
                ..Ready::new(device, key, epoch, Arc::clone(&profile))
            }));
            self.attached.insert(key, (id, epoch));
            self.greet(&mut tunnel, &profile);
        }
        self.tunnels.put(tunnel);
        self.fetch(id);
        self.wakes.push(id);
    }

    /// A later session of the device takes over.
    pub(crate) fn evicted(&mut self, id: TunnelId) {
        if let Some(mut tunnel) = self.tunnels.take(id) {
            self.counters.replaced += 1;
            self.fail(&mut tunnel, Title::SessionReplaced, "this device has connected again");
            self.tunnels.put(tunnel);
        }
    }

    /// The session takes nothing any more: what it still owed goes to the inbox, and the home is told. The one path by
    /// which a session leaves the tables, whatever ended it.
    pub(crate) fn detach(&mut self, tunnel: &mut Tunnel) {
        let key = match std::mem::replace(&mut tunnel.state, State::Ended) {
            State::Ready(ready) => {
                let mut ready = *ready;
                let key = ready.key;
                if self
                    .attached
                    .get(&key)
                    .is_some_and(|(attached, _)| *attached == tunnel.id)
                {
                    self.attached.remove(&key);
                }
                let live = ready.delivery.mode == Mode::Live;
                self.leave_calls(tunnel.id, &mut ready);
                self.announce_end(&ready);
                self.forget_routes(tunnel.id, ready);
                tunnel.outbox.residue(live, |frame| self.return_home(key, None, frame));
                key
            }
            State::Attaching(attaching) => device_key(&self.config.hash_key, &attaching.device),
            _ => return,
        };
        self.mesh.push(
            key.home(self.config.shards),
            Message::Detached {
                device: key,
                tunnel: tunnel.id,
            },
        );
    }

    /// Tells the sender's shard that so many recipients are settled.
    pub(crate) fn settle(&mut self, receipt: Receipt, count: u32, refused: Option<(DeviceKey, Refusal)>) {
        if count > 0 {
            self.mesh.push(
                receipt.shard,
                Message::Settled {
                    receipt,
                    count,
                    refused,
                },
            );
        }
    }
}
