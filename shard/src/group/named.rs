//! Who hears a speaker of an open channel beside those who have joined it so: the devices that name the speaker in the
//! roster of the same number (decisions § 6). It belongs to the speaker's route alone.
//!
//! Invariants: nobody is both in the plan here and in the shared one, so nobody hears a frame twice. The plan changes only
//! while none of the speaker's frames is on its way (order, see `route`).

use std::collections::BTreeMap;

use super::shared::SharedRoute;
use crate::directory::Directory;
use crate::mesh::message::{DeviceKey, ShardId, TunnelId};
use crate::mesh::naming::Openly;
use crate::route::{Cores, Plan, plan_of};

#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) openly: Openly,
    /// The sessions that name the speaker, and their devices.
    by: BTreeMap<(ShardId, TunnelId), DeviceKey>,
    /// The devices, sorted, each once.
    members: Vec<DeviceKey>,
    /// Of those among them who are not in the open channel.
    plan: Plan,
    /// Of the shared route, when the plan was made.
    edition: Option<u32>,
    /// Somebody has come, gone or moved since.
    dirty: bool,
}

impl Named {
    pub(crate) fn new(openly: Openly) -> Self {
        Self {
            openly,
            by: BTreeMap::new(),
            members: Vec::new(),
            plan: Plan::new(),
            edition: None,
            dirty: false,
        }
    }

    pub(crate) fn members(&self) -> &[DeviceKey] {
        &self.members
    }

    pub(crate) fn sessions(&self) -> usize {
        self.by.len()
    }

    pub(crate) fn has_session(&self, by: (ShardId, TunnelId)) -> bool {
        self.by.contains_key(&by)
    }

    /// One session more; true when its device is new.
    pub(crate) fn add(&mut self, by: (ShardId, TunnelId), key: DeviceKey) -> bool {
        self.by.insert(by, key);
        let Err(place) = self.members.binary_search(&key) else {
            return false;
        };
        self.members.insert(place, key);
        self.dirty = true;
        true
    }

    /// One session less; its device, if no other one of it is left.
    pub(crate) fn remove(&mut self, by: (ShardId, TunnelId)) -> Option<DeviceKey> {
        let key = self.by.remove(&by)?;
        if self.by.values().any(|other| *other == key) {
            return None;
        }
        let place = self.members.binary_search(&key).ok()?;
        self.members.remove(place);
        self.dirty = true;
        Some(key)
    }

    pub(crate) fn mark_dirty(&mut self) {
        self.dirty = true;
    }

    /// Whether the next frame takes another way than the one before.
    pub(crate) fn is_elsewhere(&self, shared: &SharedRoute) -> bool {
        let replanned = || shared.edition().is_none() || shared.edition() != self.edition;
        self.dirty || (!self.members.is_empty() && replanned())
    }

    /// Not while a frame is on its way; the shared route has been planned.
    pub(crate) fn plan_anew(&mut self, shared: &SharedRoute, directory: &Directory, cores: Cores) {
        let others = self.members.iter().copied().filter(|key| !shared.has(*key));
        self.plan = plan_of(&others.collect::<Vec<_>>(), directory, cores);
        self.edition = shared.edition();
        self.dirty = false;
    }

    /// Nobody hears the speaker for this reason.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.plan.is_empty()
    }

    /// Lent out while a frame is being spread.
    pub(crate) fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Namer;
    use crate::group::{GroupSlot, Groups};
    use crate::mesh::message::{Epoch, GroupKey};
    use crate::route::Route;
    use commucat_proto::{ChannelId, DeviceId};

    const CORES: Cores = Cores {
        own: ShardId(0),
        count: 2,
    };
    const ALICE: u128 = 1;
    const BOB: u128 = 2;
    const CAROL: u128 = 3;

    fn key(number: u128) -> DeviceKey {
        DeviceKey(number << 64 | number)
    }

    fn session(slot: u32) -> (ShardId, TunnelId) {
        (ShardId(1), TunnelId { slot, generation: 0 })
    }

    /// Alice's route: she and Bob are in the open channel.
    struct Bed {
        route: Route,
        groups: Groups,
        directory: Directory,
        slot: GroupSlot,
    }

    impl Bed {
        fn new() -> Self {
            let mut directory = Directory::new();
            for number in [ALICE, BOB, CAROL] {
                let device = DeviceId::parse(&format!("device-{number}")).unwrap();
                directory.name(key(number), &device, Namer::Group(GroupSlot(0)));
            }
            let mut groups = Groups::default();
            let members = vec![key(ALICE), key(BOB)];
            let slot = groups.insert(SharedRoute::of_open_channel(GroupKey(1), members));
            let openly = Openly {
                channel: ChannelId::new(5),
                serial: 1,
            };
            let route = Route::to_group(slot, Some(Box::new(Named::new(openly))), true);
            Self {
                route,
                groups,
                directory,
                slot,
            }
        }

        fn named(&mut self) -> &mut Named {
            self.route.named_mut().unwrap()
        }

        fn ready(&mut self) -> bool {
            self.route.ready(&mut self.groups, &self.directory, CORES)
        }

        /// How often each device is in the plans.
        fn recipients(&mut self) -> Vec<DeviceKey> {
            let mut plan = self.route.plan_mut(&mut self.groups).clone();
            plan.extend(self.named().plan_mut().clone());
            let targets = plan.iter().flat_map(|leg| leg.targets.as_slice().to_vec());
            let mut keys: Vec<DeviceKey> = targets.map(|target| target.key).collect();
            keys.sort_unstable();
            keys
        }
    }

    #[test]
    fn a_device_that_is_there_and_names_the_speaker_hears_it_once() {
        let mut bed = Bed::new();
        assert!(bed.named().add(session(1), key(BOB)));
        assert!(bed.named().add(session(2), key(CAROL)));
        assert!(bed.ready());
        assert_eq!(bed.recipients(), [ALICE, BOB, CAROL].map(key));
        // It goes from one to the other, and back.
        assert!(bed.groups.get_mut(bed.slot).remove(key(BOB)));
        assert!(bed.ready());
        assert_eq!(bed.recipients(), [ALICE, BOB, CAROL].map(key));
        assert!(bed.groups.get_mut(bed.slot).add(key(BOB)));
        assert!(bed.groups.get_mut(bed.slot).add(key(CAROL)));
        assert!(bed.ready());
        assert_eq!(bed.recipients(), [ALICE, BOB, CAROL].map(key));
    }

    #[test]
    fn a_speaker_with_frames_on_their_way_waits_when_one_that_names_it_comes_goes_or_moves() {
        let mut bed = Bed::new();
        assert!(bed.ready());
        bed.route.outstanding = 1;
        assert!(bed.ready(), "nothing is new");
        bed.named().add(session(1), key(CAROL));
        assert!(bed.route.is_dirty(&bed.groups) && !bed.ready());
        bed.route.outstanding = 0;
        assert!(bed.ready());
        bed.route.outstanding = 1;
        assert!(bed.ready());
        bed.directory.locate(key(CAROL), Some((ShardId(0), Epoch(9))));
        bed.route.mark_dirty();
        assert!(!bed.ready());
        bed.route.outstanding = 0;
        assert!(bed.ready());
        bed.route.outstanding = 1;
        // Somebody comes into the open channel: it might be the one that names the speaker.
        bed.groups.get_mut(bed.slot).add(key(CAROL));
        assert!(!bed.ready());
        bed.route.outstanding = 0;
        assert!(bed.ready());
        assert_eq!(bed.named().remove(session(1)), Some(key(CAROL)));
        bed.route.outstanding = 1;
        assert!(!bed.ready());
        bed.route.outstanding = 0;
        assert!(bed.ready());
        assert_eq!(bed.recipients(), [ALICE, BOB, CAROL].map(key));
    }

    #[test]
    fn a_device_is_named_while_one_of_its_sessions_names_the_speaker() {
        let mut bed = Bed::new();
        assert!(bed.named().add(session(1), key(CAROL)));
        assert!(!bed.named().add(session(2), key(CAROL)));
        assert_eq!(bed.named().remove(session(1)), None);
        assert!(bed.ready());
        assert_eq!(bed.recipients(), [ALICE, BOB, CAROL].map(key));
        assert_eq!(bed.named().remove(session(2)), Some(key(CAROL)));
        assert!(bed.ready());
        assert_eq!(bed.recipients(), [ALICE, BOB].map(key));
        assert_eq!(bed.named().remove(session(2)), None);
    }
}
