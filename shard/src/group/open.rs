//! Open channels: those who have joined a number and named nobody (decisions § 6).
//!
//! One shard, the channel's *home*, knows who is there. Nothing of it is stored: a device is there from its JOIN to its
//! LEAVE, another JOIN on the channel, or the end of its session. To the shards it looks like a group (see `group`) whose
//! roster also shrinks: they share one route, and close it as they close that of a group.
//!
//! ```text
//! session ─JOIN─► its shard ─Enter─► home ─Present─► that shard, if the channel is not open there
//!                                     └─Grown─► every other shard where it is open ─Has─► home ─Answer─► JOIN's ACK
//! LEAVE, JOIN, the session's end ─Exit─► home ─Gone─► every shard where it is open
//! ```
//!
//! Who is there is also heard by those who name it (see `session::naming`): those are not in the channel, and belong to
//! the speaker's own route (`named`).
//!
//! Invariants: who is told that it has joined may rely on every shard. A session has one seat at most in a channel; a
//! device is there while it has one, so that a session that takes over does not depend on when the other one goes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use commucat_proto::{ChannelId, DeviceId};

use super::home::{bit, shards_of};
use super::shared::SharedRoute;
use crate::Shard;
use crate::directory::Namer;
use crate::keys::{GroupMap, device_key, open_key};
use crate::mesh::group::{Denial, GroupMessage};
use crate::mesh::message::{DeviceKey, GroupKey, ShardId, TunnelId};

/// A session that waits until every shard knows of it. There is one at a time per session.
#[derive(Debug)]
struct Entering {
    from: ShardId,
    tunnel: TunnelId,
    version: u64,
    /// Shards that have not answered yet.
    waiting: u128,
}

#[derive(Debug, Default)]
struct OpenHome {
    /// The sessions that are there.
    seats: BTreeMap<(ShardId, TunnelId), DeviceKey>,
    /// Their devices, and how many seats each has.
    devices: BTreeMap<DeviceKey, (DeviceId, u32)>,
    /// Counts the devices that have come.
    version: u64,
    /// Shards on which the channel is open, one bit each.
    subscribers: u128,
    /// In the order of their versions.
    entering: VecDeque<Entering>,
}

/// The open channels at home on a shard.
#[derive(Debug, Default)]
pub(crate) struct OpenHomes(GroupMap<OpenHome>);

impl OpenHomes {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl OpenHome {
    /// One seat less; the device, if it has none any more.
    fn stand_up(&mut self, seat: (ShardId, TunnelId)) -> Option<DeviceKey> {
        let key = self.seats.remove(&seat)?;
        let (_, seats) = self.devices.get_mut(&key)?;
        *seats -= 1;
        if *seats > 0 {
            return None;
        }
        self.devices.remove(&key);
        Some(key)
    }

    /// These shards know everything up to this version.
    fn knows(&mut self, shards: u128, version: u64) {
        for entering in self.entering.iter_mut().filter(|it| it.version <= version) {
            entering.waiting &= !shards;
        }
    }
}

impl Shard {
    /// A session asks to be in an open channel; the channel is held until the answer is done with.
    pub(crate) fn ask_to_enter(&mut self, channel: ChannelId, tunnel: TunnelId, by: DeviceId) -> GroupKey {
        let key = open_key(&self.config.hash_key, channel);
        self.groups.hold(key);
        let home = key.home(self.config.shards);
        self.tell_group(home, GroupMessage::Enter { channel, tunnel, by });
        key
    }

    /// A session is in the open channel no more, or does not want to be.
    pub(crate) fn exit_open(&mut self, group: GroupKey, tunnel: TunnelId) {
        self.tell_group(group.home(self.config.shards), GroupMessage::Exit { group, tunnel });
    }

    pub(super) fn open_entered(&mut self, from: ShardId, channel: ChannelId, tunnel: TunnelId, by: &DeviceId) {
        let group = open_key(&self.config.hash_key, channel);
        let key = device_key(&self.config.hash_key, by);
        let home = self.open_homes.0.entry(group).or_default();
        let known = home.devices.get(&key).map(|(_, seats)| *seats);
        if known.is_none() && home.devices.len() >= self.config.limits.open_roster {
            let outcome = Err(Denial::Full);
            self.tell_group(from, GroupMessage::Answer { group, tunnel, outcome });
            self.open_goes_on(group);
            return;
        }
        home.seats.insert((from, tunnel), key);
        home.devices.insert(key, (by.clone(), known.unwrap_or(0) + 1));
        let before = home.subscribers;
        let mut waiting = home.entering.back().map_or(0, |latest| latest.waiting);
        if known.is_none() {
            home.version += 1;
            waiting = before;
        }
        let version = home.version;
        home.subscribers |= bit(from);
        home.entering.push_back(Entering {
            from,
            tunnel,
            version,
            waiting,
        });
        let everybody = (before & bit(from) == 0).then(|| {
            home.devices
                .values()
                .map(|(device, _)| device.clone())
                .collect::<Arc<[_]>>()
        });
        if known.is_none() {
            let members: Arc<[DeviceId]> = Arc::new([by.clone()]);
            for shard in shards_of(before) {
                let members = Arc::clone(&members);
                self.tell_group(
                    shard,
                    GroupMessage::Grown {
                        group,
                        version,
                        members,
                    },
                );
            }
        }
        if let Some(members) = everybody {
            self.tell_group(from, GroupMessage::Present { group, members });
        }
        self.open_goes_on(group);
    }

    pub(super) fn open_exited(&mut self, from: ShardId, group: GroupKey, tunnel: TunnelId) {
        let Some(home) = self.open_homes.0.get_mut(&group) else {
            return;
        };
        if let Some(device) = home.stand_up((from, tunnel)) {
            for shard in shards_of(home.subscribers) {
                self.tell_group(shard, GroupMessage::Gone { group, device });
            }
        }
        self.open_goes_on(group);
    }

    pub(super) fn open_has(&mut self, from: ShardId, group: GroupKey, version: u64) {
        if let Some(home) = self.open_homes.0.get_mut(&group) {
            home.knows(bit(from), version);
            self.open_goes_on(group);
        }
    }

    /// The channel is open there no more.
    pub(super) fn open_closed(&mut self, from: ShardId, group: GroupKey) {
        if let Some(home) = self.open_homes.0.get_mut(&group) {
            home.subscribers &= !bit(from);
            home.knows(bit(from), u64::MAX);
            self.open_goes_on(group);
        }
    }

    /// Answers whom every shard knows; forgets the channel when nobody needs it.
    fn open_goes_on(&mut self, group: GroupKey) {
        loop {
            let Some(home) = self.open_homes.0.get_mut(&group) else {
                return;
            };
            let Some(entered) = home.entering.pop_front_if(|first| first.waiting == 0) else {
                if home.seats.is_empty() && home.subscribers == 0 && home.entering.is_empty() {
                    self.open_homes.0.remove(&group);
                }
                return;
            };
            let answer = GroupMessage::Answer {
                group,
                tunnel: entered.tunnel,
                outcome: Ok(()),
            };
            self.tell_group(entered.from, answer);
        }
    }

    /// Who is in an open channel that somebody here enters. One too large for this shard is sent back at once.
    pub(super) fn open_present(&mut self, group: GroupKey, members: &[DeviceId]) {
        if !self.room_for(members.len()) {
            self.tell_group(group.home(self.config.shards), GroupMessage::Close { group });
            return;
        }
        let hash_key = &self.config.hash_key;
        let mut local: Vec<(DeviceKey, DeviceId)> = members
            .iter()
            .map(|device| (device_key(hash_key, device), device.clone()))
            .collect();
        local.sort_unstable_by_key(|(key, _)| *key);
        let keys = local.iter().map(|(key, _)| *key).collect();
        self.open_here(group, SharedRoute::of_open_channel(group, keys), &local);
    }

    /// Frames routed here from now on do not go to this device.
    pub(super) fn open_gone(&mut self, group: GroupKey, device: DeviceKey) {
        let Some(slot) = self.groups.find(group) else { return };
        if self.groups.get_mut(slot).remove(device) {
            self.groups.members -= 1;
            self.unname(&[device], Namer::Group(slot));
        }
    }
}
