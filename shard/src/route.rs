//! A sender's route: to whom its frames on one channel go, and by which shards.
//!
//! Invariant (order): a route's plan changes only while none of its frames is on its way (`outstanding == 0`). A frame
//! on its way may still be returned to a home and stored; one that took a newer way could overtake it. Until then the
//! sender waits, which takes one round of the mesh. The route of a group is shared by its speakers on the shard (see
//! `group`); each of them keeps the invariant for its own frames.

use commucat_proto::DeviceId;
use smallvec::SmallVec;

use crate::directory::Directory;
use crate::group::named::Named;
use crate::group::{GroupSlot, Groups};
use crate::mesh::message::{DeviceKey, Epoch, ShardId, Target, Targets};

/// Which recipients a frame reaches by which way.
pub(crate) type Plan = SmallVec<[Leg; 1]>;

/// The recipients on one shard.
#[derive(Clone, Debug)]
pub(crate) struct Leg {
    pub(crate) shard: ShardId,
    /// In one message by the lane to that shard: to another one, or to the homes on this one of those who are away. Else
    /// straight to the outboxes here.
    pub(crate) by_lane: bool,
    pub(crate) targets: Targets,
}

/// The shard that plans, and how many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) own: ShardId,
    pub(crate) count: u16,
}

#[derive(Debug)]
pub(crate) struct Route {
    to: To,
    /// The sender keeps its address private on this channel.
    pub(crate) relay: bool,
    /// Frames some recipient of which is not settled yet.
    pub(crate) outstanding: u32,
}

#[derive(Debug)]
enum To {
    Members {
        /// Local recipients, without the sender, each once.
        members: SmallVec<[DeviceKey; 1]>,
        /// Recipients in other domains.
        foreign: Vec<DeviceId>,
        plan: Plan,
        dirty: bool,
    },
    Group {
        slot: GroupSlot,
        /// The way (see `group::shared`) that the latest frame took.
        way: Option<u32>,
        /// Of an open channel: who else hears the sender.
        named: Option<Box<Named>>,
    },
}

impl Route {
    /// A route is planned when its first frame comes.
    pub(crate) fn to_members(members: SmallVec<[DeviceKey; 1]>, foreign: Vec<DeviceId>, relay: bool) -> Self {
        let to = To::Members {
            members,
            foreign,
            plan: Plan::new(),
            dirty: true,
        };
        Self {
            to,
            relay,
            outstanding: 0,
        }
    }

    /// The caller has seen to it that the group stays open. An open channel has `named`.
    pub(crate) fn to_group(slot: GroupSlot, named: Option<Box<Named>>, relay: bool) -> Self {
        Self {
            to: To::Group { slot, way: None, named },
            relay,
            outstanding: 0,
        }
    }

    /// The group that it goes to.
    #[inline]
    pub(crate) fn group(&self) -> Option<GroupSlot> {
        match self.to {
            To::Members { .. } => None,
            To::Group { slot, .. } => Some(slot),
        }
    }

    /// Of an open channel: who hears the sender without being there.
    #[inline]
    pub(crate) fn named(&self) -> Option<&Named> {
        match &self.to {
            To::Members { .. } => None,
            To::Group { named, .. } => named.as_deref(),
        }
    }

    pub(crate) fn named_mut(&mut self) -> Option<&mut Named> {
        match &mut self.to {
            To::Members { .. } => None,
            To::Group { named, .. } => named.as_deref_mut(),
        }
    }

    /// The members it holds itself: those of a group are the group's.
    pub(crate) fn own_members(&self) -> &[DeviceKey] {
        match &self.to {
            To::Members { members, .. } => members,
            To::Group { .. } => &[],
        }
    }

    /// Local recipients; in a group the sender is among them.
    #[inline]
    pub(crate) fn members<'a>(&'a self, groups: &'a Groups) -> &'a [DeviceKey] {
        match &self.to {
            To::Members { members, .. } => members,
            To::Group { slot, .. } => groups.get(*slot).members(),
        }
    }

    /// Recipients in other domains.
    #[inline]
    pub(crate) fn foreign<'a>(&'a self, groups: &'a Groups) -> &'a [DeviceId] {
        match &self.to {
            To::Members { foreign, .. } => foreign,
            To::Group { slot, .. } => groups.get(*slot).foreign(),
        }
    }

    /// Every local recipient once; in a group the sender is among them.
    pub(crate) fn recipients<'a>(&'a self, groups: &'a Groups) -> impl Iterator<Item = DeviceKey> {
        let members = self.members(groups);
        let named = self.named().map_or(&[][..], Named::members).iter();
        let beside = named.filter(|key| members.binary_search(key).is_err());
        members.iter().chain(beside).copied()
    }

    /// Whether this device, whose roster on the channel is known to name the sender, is among the recipients. In an open
    /// channel that makes it one.
    pub(crate) fn names(&self, groups: &Groups, key: DeviceKey) -> bool {
        match &self.to {
            To::Members { members, .. } => members.contains(&key),
            To::Group { named: Some(_), .. } => true,
            To::Group { slot, .. } => groups.get(*slot).has(key),
        }
    }

    /// Other recipients from now on.
    pub(crate) fn refill(&mut self, members: SmallVec<[DeviceKey; 1]>, foreign: Vec<DeviceId>) {
        self.to = To::Members {
            members,
            foreign,
            plan: Plan::new(),
            dirty: true,
        };
    }

    /// Only these of its own recipients from now on.
    pub(crate) fn retain(&mut self, stays: impl Fn(&DeviceKey) -> bool, stays_away: impl Fn(&DeviceId) -> bool) {
        if let To::Members {
            members,
            foreign,
            dirty,
            ..
        } = &mut self.to
        {
            members.retain(|key| stays(key));
            foreign.retain(|device| stays_away(device));
            *dirty = true;
        }
    }

    /// The next frame takes another way than the one before: no other route of its channel may have frames on their way
    /// then.
    #[inline]
    pub(crate) fn is_dirty(&self, groups: &Groups) -> bool {
        match &self.to {
            To::Members { dirty, .. } => *dirty,
            To::Group { slot, way, named } => {
                let shared = groups.get(*slot);
                shared.is_elsewhere(*way) || named.as_ref().is_some_and(|named| named.is_elsewhere(shared))
            }
        }
    }

    /// A recipient has moved.
    pub(crate) fn mark_dirty(&mut self) {
        match &mut self.to {
            To::Members { dirty, .. } => *dirty = true,
            To::Group { named, .. } => named.iter_mut().for_each(|named| named.mark_dirty()),
        }
    }

    /// Whether frames may go now, with an up-to-date plan.
    #[inline]
    pub(crate) fn ready(&mut self, groups: &mut Groups, directory: &Directory, cores: Cores) -> bool {
        match &mut self.to {
            To::Members { dirty: false, .. } => true,
            To::Members { .. } => self.plan_anew(directory, cores),
            To::Group { slot, way, named } => {
                let (shared, waits) = (groups.get_mut(*slot), self.outstanding > 0);
                let Some(named) = named.as_mut().filter(|named| named.is_elsewhere(shared)) else {
                    return shared.ready(way, waits, directory, cores);
                };
                if waits || !shared.ready(way, waits, directory, cores) {
                    return false;
                }
                named.plan_anew(shared, directory, cores);
                true
            }
        }
    }

    /// Of members that have moved, or that no frame has gone to yet; not while one is on its way.
    fn plan_anew(&mut self, directory: &Directory, cores: Cores) -> bool {
        if self.outstanding > 0 {
            return false;
        }
        if let To::Members {
            members, plan, dirty, ..
        } = &mut self.to
        {
            *plan = plan_of(members, directory, cores);
            *dirty = false;
        }
        true
    }

    /// Lent out while a frame is being spread.
    #[inline]
    pub(crate) fn plan_mut<'a>(&'a mut self, groups: &'a mut Groups) -> &'a mut Plan {
        match &mut self.to {
            To::Members { plan, .. } => plan,
            To::Group { slot, .. } => groups.get_mut(*slot).plan_mut(),
        }
    }
}

/// Whether a route has one recipient or many, each is reached the same way: a session's routes to a device may not overtake
/// each other.
pub(crate) fn plan_of(members: &[DeviceKey], directory: &Directory, cores: Cores) -> Plan {
    if let [only] = members {
        let (shard, by_lane, target) = way_to(*only, directory, cores);
        let leg = Leg {
            shard,
            by_lane,
            targets: Targets::One(target),
        };
        return SmallVec::from_elem(leg, 1);
    }
    plan_of_many(members, directory, cores)
}

/// One message per shard, whatever the number of members.
pub(crate) fn plan_of_many(members: &[DeviceKey], directory: &Directory, cores: Cores) -> Plan {
    let way = |key: &DeviceKey| way_to(*key, directory, cores);
    let mut ways: Vec<(ShardId, bool, Target)> = members.iter().map(way).collect();
    ways.sort_unstable();
    ways.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .map(|run| Leg {
            shard: run[0].0,
            by_lane: run[0].1,
            targets: Targets::Many(run.iter().map(|(_, _, target)| *target).collect()),
        })
        .collect()
}

/// The shard, whether by its lane, and as whom.
fn way_to(key: DeviceKey, directory: &Directory, cores: Cores) -> (ShardId, bool, Target) {
    let known = directory.get(key).and_then(|peer| peer.at);
    let (shard, epoch) = known.unwrap_or_else(|| (key.home(cores.count), Epoch::default()));
    (shard, shard != cores.own || known.is_none(), Target { key, epoch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Namer;

    /// A device at home on shard 0 and one at home on shard 1, wherever they are.
    #[test]
    fn the_only_recipient_is_reached_as_one_of_many_is() {
        let cores = Cores {
            own: ShardId(0),
            count: 2,
        };
        let keys: Vec<DeviceKey> = (1..=64).map(|number| DeviceKey(number << 64 | number)).collect();
        let at = |shard: u16| Some((ShardId(shard), Epoch(7)));
        for place in [None, at(0), at(1)] {
            let mut directory = Directory::new();
            for key in &keys {
                let device = DeviceId::parse(&format!("device-{}", key.0)).unwrap();
                directory.name(*key, &device, Namer::Group(GroupSlot(0)));
                directory.locate(*key, place);
            }
            let many = plan_of(&keys, &directory, cores);
            for key in &keys {
                let alone = plan_of(&[*key], &directory, cores);
                let [leg] = &alone[..] else { panic!("{alone:?}") };
                let target = leg.targets.as_slice()[0];
                let same = |other: &&Leg| other.targets.as_slice().contains(&target);
                let among = many.iter().find(same).unwrap();
                assert_eq!((leg.shard, leg.by_lane), (among.shard, among.by_lane), "{place:?}");
            }
        }
    }
}
