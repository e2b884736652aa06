//! The route that all speakers of one group on one shard share: its roster, and the plan of its frames.
//!
//! Invariant (order, see `route`): the plan counts its *ways*: a speaker that has frames outstanding goes on only by the
//! way which they have taken. A new member is no new way: no frame for it is on its way. One that goes is, since it may come
//! back.

use commucat_proto::DeviceId;

use crate::directory::Directory;
use crate::mesh::message::{DeviceKey, GroupKey};
use crate::route::{Cores, Plan, plan_of_many};

#[derive(Debug)]
pub(crate) struct SharedRoute {
    pub(super) group: GroupKey,
    /// Local members, sorted.
    members: Vec<DeviceKey>,
    /// Members in other domains.
    foreign: Vec<DeviceId>,
    /// It is that of an open channel.
    pub(super) open: bool,
    /// Addresses are private in this group.
    pub(crate) relay: bool,
    plan: Plan,
    /// Plans so far in which somebody's way was another than before.
    way: u32,
    /// Counts the plans.
    edition: u32,
    /// A member has moved since the plan was made.
    moved: bool,
    /// A member has been added since.
    grown: bool,
}

impl SharedRoute {
    /// Planned when the first frame comes. Members are sorted, each once.
    pub(super) fn new(group: GroupKey, members: Vec<DeviceKey>, foreign: Vec<DeviceId>, relay: bool) -> Self {
        debug_assert!(members.is_sorted() && foreign.is_sorted(), "looked up by halves");
        Self {
            group,
            members,
            foreign,
            open: false,
            relay,
            plan: Plan::new(),
            way: 0,
            edition: 0,
            moved: true,
            grown: false,
        }
    }

    /// That of an open channel with these devices in it.
    pub(super) fn of_open_channel(group: GroupKey, members: Vec<DeviceKey>) -> Self {
        Self {
            open: true,
            ..Self::new(group, members, Vec::new(), false)
        }
    }

    pub(crate) fn members(&self) -> &[DeviceKey] {
        &self.members
    }

    pub(crate) fn foreign(&self) -> &[DeviceId] {
        &self.foreign
    }

    /// How many it has, here and elsewhere.
    pub(crate) fn size(&self) -> usize {
        self.members.len() + self.foreign.len()
    }

    pub(crate) fn has(&self, key: DeviceKey) -> bool {
        self.members.binary_search(&key).is_ok()
    }

    /// One more local member; false when it was one already.
    pub(super) fn add(&mut self, key: DeviceKey) -> bool {
        let Err(place) = self.members.binary_search(&key) else {
            return false;
        };
        self.members.insert(place, key);
        self.grown = true;
        true
    }

    /// One local member less; false when it was none.
    pub(super) fn remove(&mut self, key: DeviceKey) -> bool {
        let Ok(place) = self.members.binary_search(&key) else {
            return false;
        };
        self.members.remove(place);
        self.moved = true;
        true
    }

    /// One more member in another domain; false when it was one already.
    pub(super) fn add_foreign(&mut self, device: &DeviceId) -> bool {
        let Err(place) = self.foreign.binary_search(device) else {
            return false;
        };
        self.foreign.insert(place, device.clone());
        true
    }

    pub(crate) fn mark_moved(&mut self) {
        self.moved = true;
    }

    pub(crate) fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Which plan it is, unless the next frame makes another one.
    pub(crate) fn edition(&self) -> Option<u32> {
        (!self.moved && !self.grown).then_some(self.edition)
    }

    /// Whether the next frame of a speaker whose latest one went by `way` takes another one.
    pub(crate) fn is_elsewhere(&self, way: Option<u32>) -> bool {
        self.moved || way != Some(self.way)
    }

    /// Whether a speaker whose latest frame went by `way` may send the next one now, with an up-to-date plan.
    pub(crate) fn ready(&mut self, way: &mut Option<u32>, waits: bool, directory: &Directory, cores: Cores) -> bool {
        if waits && self.is_elsewhere(*way) {
            return false;
        }
        if self.moved || self.grown {
            self.plan = plan_of_many(&self.members, directory, cores);
            self.way = self.way.wrapping_add(u32::from(self.moved));
            self.edition = self.edition.wrapping_add(1);
            (self.moved, self.grown) = (false, false);
        }
        *way = Some(self.way);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Namer;
    use crate::group::GroupSlot;
    use crate::mesh::message::{Epoch, ShardId, Target};

    const CORES: Cores = Cores {
        own: ShardId(0),
        count: 2,
    };

    fn key(number: u128) -> DeviceKey {
        DeviceKey(number << 64 | number)
    }

    fn group(members: &[u128], directory: &mut Directory) -> SharedRoute {
        for number in members {
            let device = DeviceId::parse(&format!("device-{number}")).unwrap();
            directory.name(key(*number), &device, Namer::Group(GroupSlot(0)));
        }
        let members = members.iter().map(|number| key(*number)).collect();
        SharedRoute::new(GroupKey(1), members, Vec::new(), true)
    }

    fn recipients(route: &mut SharedRoute) -> Vec<(ShardId, Vec<Target>)> {
        let plan = route.plan_mut();
        plan.iter()
            .map(|leg| (leg.shard, leg.targets.as_slice().to_vec()))
            .collect()
    }

    #[test]
    fn a_speaker_with_frames_on_their_way_waits_when_a_member_moves_and_others_do_not() {
        let mut directory = Directory::new();
        let mut route = group(&[1, 2, 3], &mut directory);
        let (mut busy, mut idle) = (None, None);
        assert!(route.ready(&mut busy, false, &directory, CORES));
        assert!(
            route.ready(&mut busy, true, &directory, CORES),
            "the way is still the same"
        );
        directory.locate(key(1), Some((ShardId(0), Epoch(9))));
        route.mark_moved();
        assert!(!route.ready(&mut busy, true, &directory, CORES));
        assert!(route.ready(&mut idle, false, &directory, CORES));
        assert!(
            !route.ready(&mut busy, true, &directory, CORES),
            "the plan is another one now, whoever made it"
        );
        assert!(route.ready(&mut busy, false, &directory, CORES));
        assert!(route.ready(&mut busy, true, &directory, CORES));
    }

    #[test]
    fn a_new_member_is_in_the_next_plan_without_a_wait() {
        let mut directory = Directory::new();
        let mut route = group(&[1, 2], &mut directory);
        let mut way = None;
        assert!(route.ready(&mut way, false, &directory, CORES));
        assert!(route.add(key(4)) && !route.add(key(4)));
        assert!(route.ready(&mut way, true, &directory, CORES));
        let members = recipients(&mut route).into_iter().flat_map(|(_, targets)| targets);
        let mut keys: Vec<DeviceKey> = members.map(|target| target.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, [key(1), key(2), key(4)]);
    }

    #[test]
    fn a_member_that_goes_and_comes_back_is_another_way() {
        let mut directory = Directory::new();
        let mut route = group(&[1, 2], &mut directory);
        let (mut busy, mut idle) = (None, None);
        assert!(route.ready(&mut busy, false, &directory, CORES));
        assert!(route.remove(key(2)) && !route.remove(key(2)));
        assert!(route.ready(&mut idle, false, &directory, CORES));
        let left: usize = recipients(&mut route).iter().map(|(_, targets)| targets.len()).sum();
        assert_eq!(left, 1);
        assert!(route.add(key(2)));
        assert!(
            !route.ready(&mut busy, true, &directory, CORES),
            "a frame for the member that went may be on its way"
        );
        assert!(route.ready(&mut idle, true, &directory, CORES));
    }

    #[test]
    fn however_many_members_are_away_the_plan_has_one_message_per_shard() {
        let mut directory = Directory::new();
        let many: Vec<u128> = (1..=10_000).collect();
        let mut route = group(&many, &mut directory);
        assert!(route.ready(&mut None, false, &directory, CORES));
        assert!(route.plan_mut().iter().all(|leg| leg.by_lane));
        let plan = recipients(&mut route);
        assert_eq!(
            plan.iter().map(|(shard, _)| *shard).collect::<Vec<_>>(),
            [ShardId(0), ShardId(1)]
        );
        assert_eq!(plan.iter().map(|(_, targets)| targets.len()).sum::<usize>(), 10_000);
    }
}
