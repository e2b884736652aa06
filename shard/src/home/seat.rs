//! Who holds a device, who wants to know, and where its frames are sent on to.

use std::sync::Arc;

use commucat_proto::DeviceId;
use commucat_proto::control::UserProfile;

use super::published::Published;
use super::{Holder, Kept, Replay, Seat, Waiter, counted};
use crate::Shard;
use crate::counters::Drop;
use crate::keys::device_key;
use crate::mesh::message::{DeviceKey, Epoch, Message, Receipt, ShardId, Target, Targets, TunnelId};
use crate::outbox::Opaque;

impl Shard {
    pub(crate) fn home_subscribe(&mut self, from: ShardId, device: &DeviceId) {
        let key = device_key(&self.config.hash_key, device);
        let home = self.homes.entry(key, device);
        home.subscribers |= 1 << from.0;
        let at = home.known_at();
        self.mesh.push(from, Message::Located { device: key, at });
        self.home_asks_new(key, from);
    }

    pub(crate) fn home_unsubscribe(&mut self, from: ShardId, key: DeviceKey) {
        if let Some(home) = self.homes.map.get_mut(&key) {
            home.subscribers &= !(1 << from.0);
            self.forget_home(key);
        }
    }

    pub(super) fn forget_home(&mut self, key: DeviceKey) {
        if self.homes.map.get(&key).is_some_and(|home| home.is_forgettable()) {
            self.homes.map.remove(&key);
        }
    }

    pub(crate) fn home_attach(&mut self, from: ShardId, device: &DeviceId, tunnel: TunnelId, user: &Arc<UserProfile>) {
        let key = device_key(&self.config.hash_key, device);
        let to = Holder { shard: from, tunnel };
        let home = self.homes.entry(key, device);
        home.published = Some(Box::new(Published::of(Arc::clone(user))));
        match home.seat {
            Seat::Away => self.seat(key, to),
            Seat::Taken { by, epoch } => {
                home.seat = Seat::Handover {
                    from: by,
                    epoch,
                    to: Some(to),
                };
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
            self.publish(key);
        }
    }

    pub(super) fn tell_subscribers(&mut self, key: DeviceKey) {
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
            Seat::Handover { from, to, .. } if from == gone => self.left(key, gone.shard, to),
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

    /// The shard that a device is attached to, as far as its home, which is here, knows.
    pub(crate) fn home_knows(&self, key: DeviceKey) -> Option<ShardId> {
        self.homes.map.get(&key)?.at().map(|(shard, _)| shard)
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
                keep_until,
            } = waiter;
            let frame = Opaque {
                kind,
                channel,
                payload: &payload,
                shared: Some(&payload),
                keep_until,
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
            self.publish(key);
            if let Some(home) = self.homes.map.get_mut(&key) {
                home.published = None;
            }
            self.forget_home(key);
        }
    }

    /// A frame whose recipient is not attached to this shard, which is its home.
    pub(crate) fn home_take(&mut self, key: DeviceKey, receipt: Receipt, frame: Opaque<'_>, sent_on: bool) {
        let Some(home) = self.homes.map.get_mut(&key) else {
            // Nobody names it, and it is not here: it was in an open channel and has gone, or the sender has.
            self.counters.drop_frame(Drop::Left);
            self.settle(receipt, 1, None);
            return;
        };
        if let Some(at) = home.at() {
            home.sent_on = true;
            self.forward(at, key, receipt, frame, true);
        } else if matches!(home.seat, Seat::Sweeping { .. }) && !sent_on {
            let Opaque {
                kind,
                channel,
                keep_until,
                ..
            } = frame;
            home.waiters.push_back(Waiter {
                receipt,
                kind,
                channel,
                payload: counted(frame),
                keep_until,
            });
        } else if frame.kind.is_storable() {
            self.home_keep(key, Some(receipt), frame, Kept::Away);
        } else {
            self.counters.drop_frame(Drop::MediaAway);
            self.settle(receipt, 1, None);
        }
    }

    /// Sends a frame on to another shard, for one recipient.
    pub(crate) fn forward(
        &mut self,
        (to, epoch): (ShardId, Epoch),
        key: DeviceKey,
        receipt: Receipt,
        frame: Opaque<'_>,
        sent_on: bool,
    ) {
        self.push_deliver(to, receipt, frame, Targets::One(Target { key, epoch }), sent_on);
    }
}
