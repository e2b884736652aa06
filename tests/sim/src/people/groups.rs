//! Groups of people: who creates one, invites, and speaks in it, and what all of them may rely on.
//!
//! Invariant: what people know of a group they learned from acknowledgements. The roster and the roles that they ask for
//! are the same whenever they ask again, so that it does not matter which of two requests the relay has kept.

use std::collections::BTreeSet;

use super::People;
use crate::check::Violation;
use crate::fact::Fact;
use crate::ground::Ground;
use crate::ids::{DeviceNo, SessionNo};

/// Groups there are, or may be.
const GROUPS: u16 = 3;

/// A group that somebody has thought of.
#[derive(Clone, Debug)]
struct Group {
    owner: DeviceNo,
    /// As it is created, the owner included.
    list: Vec<DeviceNo>,
    /// Who is in it, as far as anybody has been told.
    members: BTreeSet<DeviceNo>,
    /// Who may be in it: somebody has asked.
    asked: BTreeSet<DeviceNo>,
}

/// What people know of their groups.
#[derive(Debug, Default)]
pub(super) struct Groups([Option<Group>; GROUPS as usize]);

/// What a session waits to hear of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    Create(u16),
    Invite(u16, DeviceNo),
    /// An open channel, for the session itself.
    Enter(u32),
}

impl Groups {
    /// To whom a frame of `device` certainly goes.
    pub(super) fn roster(&self, group: u16, device: DeviceNo) -> Vec<DeviceNo> {
        let members = self.0[usize::from(group)].iter().flat_map(|group| &group.members);
        members.copied().filter(|member| *member != device).collect()
    }

    /// The relay has acknowledged it.
    pub(super) fn done(&mut self, deed: Deed) {
        let (Deed::Create(number) | Deed::Invite(number, _)) = deed else {
            return;
        };
        if let Some(group) = &mut self.0[usize::from(number)] {
            match deed {
                Deed::Create(_) => group.members.extend(&group.list),
                Deed::Invite(_, device) => {
                    group.members.insert(device);
                }
                Deed::Enter(_) => {}
            }
        }
    }

    fn of(&self, device: DeviceNo) -> Option<u16> {
        let member = |group: &Option<Group>| group.as_ref().is_some_and(|it| it.members.contains(&device));
        (0..GROUPS).find(|number| member(&self.0[usize::from(*number)]))
    }
}

pub(super) fn name(group: u16) -> String {
    format!("group-{group}")
}

/// Everybody asks for the same.
fn is_admin(group: u16, device: DeviceNo) -> bool {
    (group + device.0).is_multiple_of(3)
}

fn role(group: u16, device: DeviceNo) -> &'static str {
    match (is_admin(group, device), device.0 % 2) {
        (true, 0) => "admin",
        // Nobody is made owner, whoever asks for it.
        (true, _) => "owner",
        _ => "member",
    }
}

impl People {
    /// Something about a group.
    pub(super) fn gather(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let number = self.dice.skewed(u64::from(GROUPS) - 1) as u16;
        let Some(device) = self.sessions.get(&no).map(|session| session.device) else {
            return Ok(());
        };
        let Some(group) = &self.groups.0[usize::from(number)] else {
            self.think_of_group(number, device);
            return self.create(no, number, ground);
        };
        let (owner, member) = (group.owner == device, group.members.contains(&device));
        if owner && (!member || self.dice.below(6) == 0) {
            self.create(no, number, ground)
        } else if member && (owner || is_admin(number, device)) && self.dice.below(2) == 0 {
            self.invite(no, number, ground)
        } else if member {
            self.join_group(no, number, ground)
        } else if !group.asked.contains(&device) && self.dice.below(4) == 0 {
            self.trespass(no, number, ground)
        } else {
            Ok(())
        }
    }

    /// A group of which the person is a member, if there is one.
    pub(super) fn join_own_group(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let device = self.sessions.get(&no).map(|session| session.device);
        match device.and_then(|device| self.groups.of(device)) {
            Some(number) => self.join_group(no, number, ground),
            None => Ok(()),
        }
    }

    fn think_of_group(&mut self, number: u16, owner: DeviceNo) {
        let devices = self.persons.len() as u64 + 1;
        let wanted = self.dice.skewed(devices);
        let mut list: BTreeSet<DeviceNo> = (0..wanted).map(|_| DeviceNo(self.dice.below(devices) as u16)).collect();
        list.insert(owner);
        self.groups.0[usize::from(number)] = Some(Group {
            owner,
            list: list.into_iter().collect(),
            members: BTreeSet::new(),
            asked: BTreeSet::new(),
        });
    }

    fn create(&mut self, no: SessionNo, number: u16, ground: &mut Ground) -> Result<(), Violation> {
        let channel = self.any_channel(ground);
        let (Some(session), Some(group)) = (self.sessions.get_mut(&no), &mut self.groups.0[usize::from(number)]) else {
            return Ok(());
        };
        let roles: serde_json::Map<String, serde_json::Value> = group
            .list
            .iter()
            .map(|device| (device.name(), role(number, *device).into()))
            .collect();
        let names: Vec<String> = group.list.iter().map(|device| device.name()).collect();
        let payload = serde_json::json!({ "group_id": name(number), "members": names, "roles": roles, "relay": true });
        let Some(sequence) = session.client.create_group(channel, &payload.to_string()) else {
            return Ok(());
        };
        session.waiting.insert(sequence, "GROUP_CREATE");
        session.deeds.insert(sequence, Deed::Create(number));
        session.enter(channel, number);
        group.asked.extend(&group.list);
        ground.fact(&Fact::Gathering {
            group: number,
            devices: &group.list,
        })?;
        ground.fact(&Fact::Asks { session: no, sequence })?;
        ground.fact(&Fact::Joined {
            session: no,
            channel,
            sequence,
        })
    }

    fn invite(&mut self, no: SessionNo, number: u16, ground: &mut Ground) -> Result<(), Violation> {
        let device = DeviceNo(self.dice.below(self.persons.len() as u64 + 1) as u16);
        let wire_name = self.dice_name(device);
        let channel = self.any_channel(ground);
        let (Some(session), Some(group)) = (self.sessions.get_mut(&no), &mut self.groups.0[usize::from(number)]) else {
            return Ok(());
        };
        let payload =
            serde_json::json!({ "group_id": name(number), "device": wire_name, "role": role(number, device) });
        let Some(sequence) = session.client.invite(channel, &payload.to_string()) else {
            return Ok(());
        };
        session.waiting.insert(sequence, "GROUP_INVITE");
        session.deeds.insert(sequence, Deed::Invite(number, device));
        group.asked.insert(device);
        ground.fact(&Fact::Gathering {
            group: number,
            devices: &[device],
        })?;
        ground.fact(&Fact::Asks { session: no, sequence })?;
        ground.fact(&Fact::Invited {
            session: no,
            channel,
            sequence,
        })
    }

    fn join_group(&mut self, no: SessionNo, number: u16, ground: &mut Ground) -> Result<(), Violation> {
        let channel = self.any_channel(ground);
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let Some(sequence) = session.client.join_group(channel, &name(number)) else {
            return Ok(());
        };
        session.waiting.insert(sequence, "JOIN of a group");
        session.enter(channel, number);
        ground.fact(&Fact::Asks { session: no, sequence })?;
        ground.fact(&Fact::Joined {
            session: no,
            channel,
            sequence,
        })
    }

    /// A stranger tries to speak in a group.
    fn trespass(&mut self, no: SessionNo, number: u16, ground: &mut Ground) -> Result<(), Violation> {
        let channel = self.any_channel(ground);
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        let Some(sequence) = session.client.join_group(channel, &name(number)) else {
            return Ok(());
        };
        session.trespasses = true;
        // Somebody may invite it just in time: then this is where its frames would go.
        session.channels.entry(channel).or_default().joined = false;
        ground.fact(&Fact::Wavers { session: no })?;
        ground.fact(&Fact::Trespassed {
            session: no,
            channel,
            sequence,
            group: number,
        })
    }

    fn any_channel(&mut self, ground: &Ground) -> u32 {
        1 + self.dice.below(u64::from(ground.weather.channels)) as u32
    }
}
