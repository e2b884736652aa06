//! A sender's route: to whom its frames on one channel go, and by which shards.
//!
//! Invariant (order): a route's plan changes only while none of its frames is on its way (`outstanding == 0`). A frame
//! on its way may still be returned to a home and stored; one that took a newer way could overtake it. Until then the
//! sender waits, which takes one round of the mesh.

use std::sync::Arc;

use commucat_proto::DeviceId;
use smallvec::SmallVec;

use crate::directory::Directory;
use crate::mesh::message::{DeviceKey, Epoch, ShardId, Target, Targets};

/// Which recipients a frame reaches through which shard.
pub(crate) type Plan = SmallVec<[(ShardId, Targets); 1]>;

#[derive(Debug)]
pub(crate) struct Route {
    /// Local recipients, without the sender, each once.
    pub(crate) members: SmallVec<[DeviceKey; 1]>,
    /// Recipients in other domains.
    pub(crate) foreign: Vec<DeviceId>,
    /// The sender keeps its address private on this channel.
    pub(crate) relay: bool,
    plan: Plan,
    /// Frames some recipient of which is not settled yet.
    pub(crate) outstanding: u32,
    dirty: bool,
}

impl Route {
    /// A route is planned when its first frame comes.
    pub(crate) fn new(members: SmallVec<[DeviceKey; 1]>, foreign: Vec<DeviceId>, relay: bool) -> Self {
        Self {
            members,
            foreign,
            relay,
            plan: Plan::new(),
            outstanding: 0,
            dirty: true,
        }
    }

    /// Other recipients from now on.
    pub(crate) fn refill(&mut self, members: SmallVec<[DeviceKey; 1]>, foreign: Vec<DeviceId>) {
        self.members = members;
        self.foreign = foreign;
        self.dirty = true;
    }

    /// The next frame needs a plan: no other route of its channel may have frames on their way then.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// A recipient has moved.
    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Whether frames may go now, with an up-to-date plan.
    pub(crate) fn ready(&mut self, directory: &Directory, shards: u16) -> bool {
        if self.dirty {
            if self.outstanding > 0 {
                return false;
            }
            self.plan = plan(&self.members, directory, shards);
            self.dirty = false;
        }
        true
    }

    /// Lent out while a frame is being spread.
    pub(crate) fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }
}

pub(crate) fn plan(members: &[DeviceKey], directory: &Directory, shards: u16) -> Plan {
    let way = |key: &DeviceKey| {
        let known = directory.get(*key).and_then(|peer| peer.at);
        let (shard, epoch) = known.unwrap_or_else(|| (key.home(shards), Epoch::default()));
        (shard, Target { key: *key, epoch })
    };
    if let [only] = members {
        let (shard, target) = way(only);
        return SmallVec::from_elem((shard, Targets::One(target)), 1);
    }
    let mut by_shard: Vec<(ShardId, Target)> = members.iter().map(way).collect();
    by_shard.sort_unstable();
    by_shard
        .chunk_by(|a, b| a.0 == b.0)
        .map(|run| {
            let targets: Arc<[Target]> = run.iter().map(|(_, target)| *target).collect();
            (run[0].0, Targets::Many(targets))
        })
        .collect()
}
