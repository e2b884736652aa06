//! A sender's route: to whom its frames on one channel go, and by which shards.
//!
//! Invariant (order): a route's plan changes only while none of its frames is on its way (`outstanding == 0`). A frame
//! on its way may still be returned to a home and stored; one that took a newer way could overtake it. Until then the
//! sender waits, which takes one round of the mesh. The route of a group is shared by its speakers on the shard (see
//! `group`); each of them keeps the invariant for its own frames.

use commucat_proto::DeviceId;
use smallvec::SmallVec;

use crate::directory::Directory;
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

    /// The caller has seen to it that the group stays open.
    pub(crate) fn to_group(slot: GroupSlot, relay: bool) -> Self {
        Self {
            to: To::Group { slot, way: None },
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

    /// Whether this device is among the recipients.
    pub(crate) fn names(&self, groups: &Groups, key: DeviceKey) -> bool {
        match &self.to {
            To::Members { members, .. } => members.contains(&key),
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
            To::Group { slot, way } => groups.get(*slot).is_elsewhere(*way),
        }
    }

    /// A recipient has moved.
    pub(crate) fn mark_dirty(&mut self) {
        if let To::Members { dirty, .. } = &mut self.to {
            *dirty = true;
        }
    }

    /// Whether frames may go now, with an up-to-date plan.
    #[inline]
    pub(crate) fn ready(&mut self, groups: &mut Groups, directory: &Directory, cores: Cores) -> bool {
        match &mut self.to {
            To::Members { dirty: false, .. } => true,
            To::Members { .. } => self.plan_anew(directory, cores),
            To::Group { slot, way } => groups.get_mut(*slot).ready(way, self.outstanding > 0, directory, cores),
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

pub(crate) fn plan_of(members: &[DeviceKey], directory: &Directory, cores: Cores) -> Plan {
    if let [only] = members {
        let (shard, target) = way_to(*only, directory, cores);
        let leg = Leg {
            shard,
            by_lane: shard != cores.own,
            targets: Targets::One(target),
        };
        return SmallVec::from_elem(leg, 1);
    }
    plan_of_many(members, directory, cores)
}

/// One message per shard, whatever the number of members.
pub(crate) fn plan_of_many(members: &[DeviceKey], directory: &Directory, cores: Cores) -> Plan {
    let way = |key: &DeviceKey| {
        let (shard, target) = way_to(*key, directory, cores);
        (shard, shard != cores.own || target.epoch == Epoch::default(), target)
    };
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

fn way_to(key: DeviceKey, directory: &Directory, cores: Cores) -> (ShardId, Target) {
    let known = directory.get(key).and_then(|peer| peer.at);
    let (shard, epoch) = known.unwrap_or_else(|| (key.home(cores.count), Epoch::default()));
    (shard, Target { key, epoch })
}
