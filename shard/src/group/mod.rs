//! Groups (CCP-1, Group Channels; decisions § 6, § 7).
//!
//! The roster is in the store. One shard, the group's *home* (`home`), reads it when somebody asks for the group, decides
//! who may join and invite, and tells it, and then each change, to the shards on which members have joined. There the
//! group is *open*: all its speakers share one route (`shared`), so that a session that has joined costs the same
//! whatever the size of the group, and a frame costs one message per shard.
//!
//! ```text
//! session ─JOIN, GROUP_CREATE, GROUP_INVITE─► its shard ─Ask─► home ◄─► store
//!                                    open here ◄─Open, Answer──┘ │
//!                         every shard where it is open ◄──Grown──┘
//!                                                   └──Has──► home ─Answer─► the shard of who has invited: ACK
//! ```
//!
//! Invariants: a shard knows an open group's roster as the home does, but for a `Grown` on its way; nobody is told that
//! somebody is invited before every such shard has answered it. A group stays open while a session is joined, or waits
//! for an answer about it; and for a while after that, so that who joins and leaves all the time makes no work.

pub(crate) mod home;
pub(crate) mod named;
pub(crate) mod open;
pub(crate) mod shared;

use commucat_proto::DeviceId;
use commucat_storage::api::GroupRoster;

use crate::Shard;
use crate::clock::Now;
use crate::directory::Namer;
use crate::group::shared::SharedRoute;
use crate::keys::{GroupMap, device_key};
use crate::mesh::group::{Ask, Denial, GroupMessage};
use crate::mesh::message::{DeviceKey, GroupKey, Message, ShardId, TunnelId};
use crate::session::State;
use crate::session::roster::local_name;
use crate::timer::Owner;

/// Names an open group on its shard. Whoever has one also holds the group open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupSlot(pub(crate) u32);

/// Why a shard concerns itself with a group.
#[derive(Debug, Default)]
struct Interest {
    /// Where it is open.
    slot: Option<GroupSlot>,
    /// Routes to it, and asks that are not done with.
    held: u32,
    /// With nothing held it closes then.
    until: Option<Now>,
    /// A timer will look.
    armed: bool,
}

/// The groups that sessions of this shard speak in or ask for.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    open: Vec<Option<SharedRoute>>,
    free: Vec<GroupSlot>,
    interest: GroupMap<Interest>,
    /// Members of all open groups.
    members: usize,
}

impl Groups {
    #[expect(clippy::expect_used, reason = "whoever has a slot holds its group")]
    pub(crate) fn get(&self, slot: GroupSlot) -> &SharedRoute {
        self.open[slot.0 as usize]
            .as_ref()
            .expect("a group that is held is open")
    }

    #[expect(clippy::expect_used, reason = "whoever has a slot holds its group")]
    pub(crate) fn get_mut(&mut self, slot: GroupSlot) -> &mut SharedRoute {
        self.open[slot.0 as usize]
            .as_mut()
            .expect("a group that is held is open")
    }

    /// A member of the group has moved. Its names may be known for longer than it is open; another one that has its slot
    /// since then makes its plan once more.
    pub(crate) fn mark_moved(&mut self, slot: GroupSlot) {
        if let Some(Some(route)) = self.open.get_mut(slot.0 as usize) {
            route.mark_moved();
        }
    }

    /// Groups this shard has to do with.
    pub(crate) fn len(&self) -> usize {
        self.interest.len()
    }

    /// Members of all open groups.
    pub(crate) fn members(&self) -> usize {
        self.members
    }

    /// Somebody who is in none of them, and hears a speaker for naming it.
    pub(crate) fn count_in(&mut self) {
        self.members += 1;
    }

    /// So many of those less.
    pub(crate) fn count_out(&mut self, named: usize) {
        self.members -= named;
    }

    /// Where the group is open here.
    pub(crate) fn find(&self, group: GroupKey) -> Option<GroupSlot> {
        self.interest.get(&group)?.slot
    }

    /// The group may not be closed until it is let go as often.
    pub(crate) fn hold(&mut self, group: GroupKey) {
        let interest = self.interest.entry(group).or_default();
        interest.held += 1;
        interest.until = None;
    }

    fn insert(&mut self, route: SharedRoute) -> GroupSlot {
        self.members += route.size();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.open.push(None);
            GroupSlot(u32::try_from(self.open.len() - 1).unwrap_or(u32::MAX))
        });
        self.open[slot.0 as usize] = Some(route);
        slot
    }

    #[expect(clippy::expect_used, reason = "called once, by what makes the slot unknown")]
    fn remove(&mut self, slot: GroupSlot) -> SharedRoute {
        let route = self.open[slot.0 as usize].take().expect("an open group");
        self.members -= route.size();
        self.free.push(slot);
        route
    }
}

impl Shard {
    pub(crate) fn group_message(&mut self, from: ShardId, message: &GroupMessage) {
        match message {
            GroupMessage::Ask { group, tunnel, by, ask } => self.group_asked(from, group, *tunnel, by, ask),
            GroupMessage::Has { group, version } => {
                self.group_has(from, *group, *version);
                self.open_has(from, *group, *version);
            }
            GroupMessage::Close { group } => {
                self.group_closed(from, *group);
                self.open_closed(from, *group);
            }
            GroupMessage::Enter { channel, tunnel, by } => self.open_entered(from, *channel, *tunnel, by),
            GroupMessage::Exit { group, tunnel } => self.open_exited(from, *group, *tunnel),
            GroupMessage::Present { group, members } => self.open_present(*group, members),
            GroupMessage::Gone { group, device } => self.open_gone(*group, *device),
            GroupMessage::Open { group, roster } => self.open_group(*group, roster),
            GroupMessage::Grown {
                group,
                version,
                members,
            } => self.group_grown(from, *group, *version, members),
            GroupMessage::Answer { group, tunnel, outcome } => self.group_answered(*group, *tunnel, *outcome),
        }
    }

    pub(crate) fn tell_group(&mut self, to: ShardId, message: GroupMessage) {
        self.mesh.push(to, Message::Group(Box::new(message)));
    }

    /// A session asks a group's home; the group is held until the answer is done with.
    pub(crate) fn ask_group(
        &mut self,
        group: (GroupKey, commucat_proto::GroupId),
        tunnel: TunnelId,
        by: DeviceId,
        ask: Ask,
    ) {
        let (key, group) = group;
        self.groups.hold(key);
        let home = key.home(self.config.shards);
        self.tell_group(home, GroupMessage::Ask { group, tunnel, by, ask });
    }

    /// The home has read the roster for somebody here. One that is too large for this shard is sent back at once; its
    /// `Answer` finds the group closed.
    fn open_group(&mut self, group: GroupKey, roster: &GroupRoster) {
        if !self.room_for(roster.members.len()) {
            self.tell_group(group.home(self.config.shards), GroupMessage::Close { group });
            return;
        }
        let mut local = Vec::with_capacity(roster.members.len());
        let mut foreign = Vec::new();
        for member in roster.members.keys() {
            match local_name(member, &self.config.domain) {
                Some(device) => local.push((device_key(&self.config.hash_key, &device), device)),
                None => foreign.push(member.clone()),
            }
        }
        local.sort_unstable_by_key(|(key, _)| *key);
        local.dedup_by_key(|(key, _)| *key);
        let keys = local.iter().map(|(key, _)| *key).collect();
        self.open_here(group, SharedRoute::new(group, keys, foreign, roster.relay), &local);
    }

    /// Whether so many members more may be known here.
    pub(crate) fn room_for(&mut self, members: usize) -> bool {
        let room = self.config.limits.group_members;
        if self.groups.members + members > room {
            self.close_unneeded();
        }
        self.groups.members + members <= room
    }

    fn open_here(&mut self, group: GroupKey, route: SharedRoute, local: &[(DeviceKey, DeviceId)]) {
        self.counters.groups_opened += 1;
        let slot = self.groups.insert(route);
        self.name(local, Namer::Group(slot));
        if let Some(interest) = self.groups.interest.get_mut(&group) {
            interest.slot = Some(slot);
        }
    }

    /// Frames routed here from now on go to these members, too.
    fn group_grown(&mut self, home: ShardId, group: GroupKey, version: u64, members: &[DeviceId]) {
        // One that was closed meanwhile has said so, which is answer enough.
        let Some(slot) = self.groups.find(group) else { return };
        for member in members {
            let added = match local_name(member, &self.config.domain) {
                Some(device) => {
                    let key = device_key(&self.config.hash_key, &device);
                    let added = self.groups.get_mut(slot).add(key);
                    if added {
                        self.name(&[(key, device)], Namer::Group(slot));
                    }
                    added
                }
                None => self.groups.get_mut(slot).add_foreign(member),
            };
            self.groups.members += usize::from(added);
            self.counters.members_added += u64::from(added);
        }
        self.tell_group(home, GroupMessage::Has { group, version });
    }

    /// The session that asked goes on; if it is over, nobody needs what was held for it.
    fn group_answered(&mut self, group: GroupKey, id: TunnelId, outcome: Result<(), Denial>) {
        if let Some(tunnel) = self.tunnels.get_mut(id)
            && let State::Ready(ready) = &mut tunnel.state
            && let Some(asking) = &mut ready.asking
        {
            asking.answer = Some(outcome);
            self.wakes.push(id);
        } else {
            self.let_go(group);
        }
    }

    /// One reason less for the group to be open.
    pub(crate) fn let_go(&mut self, group: GroupKey) {
        let due = self.at.now + self.config.limits.group_linger;
        let Some(interest) = self.groups.interest.get_mut(&group) else {
            return;
        };
        interest.held -= 1;
        if interest.held > 0 {
            return;
        }
        if interest.slot.is_none() {
            self.close_group(group);
            return;
        }
        interest.until = Some(due);
        if !std::mem::replace(&mut interest.armed, true) {
            self.timers.arm(due, Owner::Group(group));
        }
    }

    /// A session's route to a group is given up.
    pub(crate) fn let_go_of_slot(&mut self, slot: GroupSlot, tunnel: TunnelId) {
        let route = self.groups.get(slot);
        let (group, open) = (route.group, route.open);
        if open {
            self.exit_open(group, tunnel);
        }
        self.let_go(group);
    }

    /// The time may have come to close a group that nobody has needed for a while.
    pub(crate) fn group_expired(&mut self, group: GroupKey) {
        let Some(interest) = self.groups.interest.get_mut(&group) else {
            return;
        };
        interest.armed = false;
        match interest.until {
            Some(due) if due > self.at.now => {
                interest.armed = true;
                self.timers.arm(due, Owner::Group(group));
            }
            _ if interest.held > 0 => {}
            _ => self.close_group(group),
        }
    }

    /// Nothing holds it. A timer that still looks after it forgets it.
    fn close_group(&mut self, group: GroupKey) {
        let slot = self.groups.interest.get_mut(&group).and_then(|it| it.slot.take());
        if let Some(slot) = slot {
            let route = self.groups.remove(slot);
            self.unname(route.members(), Namer::Group(slot));
            self.tell_group(group.home(self.config.shards), GroupMessage::Close { group });
        }
        let forgettable = |it: &Interest| it.held == 0 && !it.armed;
        if self.groups.interest.get(&group).is_some_and(forgettable) {
            self.groups.interest.remove(&group);
        }
    }

    /// Makes room: what nobody has needed for a moment closes before its time.
    fn close_unneeded(&mut self) {
        let unneeded = self.groups.interest.iter().filter(|(_, it)| it.held == 0);
        let mut unneeded: Vec<GroupKey> = unneeded.map(|(group, _)| *group).collect();
        unneeded.sort_unstable();
        for group in unneeded {
            self.close_group(group);
        }
    }
}
