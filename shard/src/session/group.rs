//! What a session says of groups: GROUP_CREATE, GROUP_INVITE, and JOIN with `group_id` (CCP-1, Group Channels; decisions
//! § 7). What the group's home has to decide is asked of it; the frame stays where it is until the answer comes, so that
//! what is said after it finds the group as it left it.

use std::sync::Arc;

use commucat_proto::control::{self, Ack, GroupCreate, GroupInvite, Join, Role, Text};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, GroupId, Title};
use commucat_storage::api::GroupRoster;

use crate::Shard;
use crate::group::GroupSlot;
use crate::group::named::Named;
use crate::keys::group_key;
use crate::mesh::group::{Ask, Denial};
use crate::mesh::message::{GroupKey, Refusal, TunnelId};
use crate::route::Route;
use crate::session::ready::Ready;
use crate::session::roster::local_name;
use crate::session::{Next, State};
use crate::tunnel::{Stall, Tunnel};

/// What the frame at the front of the session's bytes has asked of a group's home.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) group: GroupKey,
    pub(crate) about: About,
    pub(crate) answer: Option<Result<(), Denial>>,
}

/// What the frame is about.
#[derive(Debug)]
pub(crate) enum About {
    /// A group.
    Group { name: GroupId, want: Want },
    /// The open channel of its number.
    Open {
        relay: bool,
        /// Who else will hear the session.
        named: Box<Named>,
        /// Those who may name it are being asked.
        asked: bool,
    },
}

/// What happens when the answer is good.
#[derive(Debug)]
pub(crate) enum Want {
    Join { relay: bool },
    Create { relay: bool },
    Invite { device: DeviceId },
}

impl Shard {
    /// JOIN that names a group: `members` beside it mean nothing.
    pub(crate) fn join_group(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>, group: GroupId, join: &Join) -> Next {
        let key = group_key(&self.config.hash_key, &group);
        if let Err(next) = self.may_open(tunnel, frame.channel) {
            return next;
        }
        let Some(slot) = self.groups.find(key) else {
            return self.ask_home(tunnel, group, Want::Join { relay: join.relay }, Ask::Join);
        };
        let State::Ready(ready) = &tunnel.state else {
            return Next::End;
        };
        if !self.groups.get(slot).has(ready.key) {
            return self.deny(tunnel, Denial::NotAMember, &group);
        }
        self.groups.hold(key);
        self.enter(tunnel, frame.channel, slot, None, join.relay);
        self.acknowledge(tunnel, frame.channel, frame.sequence);
        self.announce_join(tunnel, frame.channel);
        Next::Go
    }

    pub(crate) fn group_create(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if let Some(next) = self.asked_already(tunnel, frame) {
            return next;
        }
        let create = match control::parse::<GroupCreate>(frame.payload, &mut self.scratch) {
            Ok(create) => create,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        if frame.channel != ChannelId::ZERO
            && let Err(next) = self.may_open(tunnel, frame.channel)
        {
            return next;
        }
        let State::Ready(ready) = &tunnel.state else {
            return Next::End;
        };
        let roster = first_roster(&create, &ready.device, &self.config.domain);
        if roster.members.len() > self.config.limits.group_roster {
            let detail = format!("a group has at most {} members", self.config.limits.group_roster);
            return self.fail(tunnel, Title::GroupTooLarge, &detail);
        }
        let group = create.group_id.unwrap_or_else(|| self.new_group_id());
        let want = Want::Create { relay: create.relay };
        self.ask_home(tunnel, group, want, Ask::Create(Arc::new(roster)))
    }

    pub(crate) fn group_invite(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if let Some(next) = self.asked_already(tunnel, frame) {
            return next;
        }
        let invite = match control::parse::<GroupInvite>(frame.payload, &mut self.scratch) {
            Ok(invite) => invite,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        let device = plain_name(&invite.device, &self.config.domain);
        let role = invite.role.granted();
        let want = Want::Invite { device: invite.device };
        self.ask_home(tunnel, invite.group_id, want, Ask::Invite { device, role })
    }

    /// The frame has asked a home before: it waits on, or does what the answer allows.
    pub(crate) fn asked_already(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Option<Next> {
        let State::Ready(ready) = &mut tunnel.state else {
            return None;
        };
        let asking = ready.asking.as_ref()?;
        let Some(answer) = asking.answer else {
            return Some(Next::Wait(Stall::Group));
        };
        if let About::Open { asked, .. } = asking.about
            && answer.is_ok()
            && (!asked || ready.questions.as_mut().is_some_and(|questions| questions.wait()))
        {
            return Some(Next::Wait(Stall::Group));
        }
        let Asking { group, about, .. } = *ready.asking.take()?;
        Some(match about {
            About::Group { name, want } => self.go_on_asked(tunnel, frame, (group, name, want), answer),
            About::Open { relay, named, .. } => self.go_on_open(tunnel, frame, (group, relay, named), answer),
        })
    }

    fn ask_home(&mut self, tunnel: &mut Tunnel, name: GroupId, want: Want, ask: Ask) -> Next {
        let group = group_key(&self.config.hash_key, &name);
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let by = ready.device.clone();
        ready.asking = Some(Box::new(Asking {
            group,
            about: About::Group {
                name: name.clone(),
                want,
            },
            answer: None,
        }));
        self.ask_group((group, name), tunnel.id, by, ask);
        Next::Wait(Stall::Group)
    }

    /// What the home's answer allows.
    fn go_on_asked(
        &mut self,
        tunnel: &mut Tunnel,
        frame: Frame<'_>,
        (group, name, want): (GroupKey, GroupId, Want),
        answer: Result<(), Denial>,
    ) -> Next {
        let ack = Ack::of(frame.sequence);
        let ack = match (want, answer) {
            (Want::Invite { device }, Ok(())) => Ack {
                group_id: Some(name),
                device: Some(device),
                ..ack
            },
            (Want::Invite { device }, Err(Denial::Unavailable)) => {
                self.counters.refused += 1;
                Ack {
                    group_id: Some(name),
                    rejected: vec![device],
                    reason: Some(Text::cut(Refusal::StoreUnavailable.reason())),
                    ..ack
                }
            }
            (_, Err(denial)) => {
                self.let_go(group);
                return self.deny(tunnel, denial, &name);
            }
            (Want::Create { .. }, Ok(())) if frame.channel == ChannelId::ZERO => Ack {
                group_id: Some(name),
                ..ack
            },
            (Want::Create { relay }, Ok(())) => {
                let ack = Ack {
                    group_id: Some(name),
                    ..ack
                };
                return self.enter_held(tunnel, frame.channel, (group, relay), &ack);
            }
            (Want::Join { relay }, Ok(())) => return self.enter_held(tunnel, frame.channel, (group, relay), &ack),
        };
        self.let_go(group);
        self.acknowledge_more(tunnel, frame.channel, &ack);
        Next::Go
    }

    /// The group has been opened for the session: what held it for the answer holds it for the route.
    fn enter_held(
        &mut self,
        tunnel: &mut Tunnel,
        channel: ChannelId,
        (group, relay): (GroupKey, bool),
        ack: &Ack,
    ) -> Next {
        let Some(slot) = self.groups.find(group) else {
            self.let_go(group);
            let detail = "this core holds as many group members as it may";
            return self.fail(tunnel, Title::ServiceUnavailable, detail);
        };
        self.enter(tunnel, channel, slot, None, relay);
        self.acknowledge_more(tunnel, channel, ack);
        self.announce_join(tunnel, channel);
        Next::Go
    }

    /// The session's frames on the channel go to the group from now on.
    pub(crate) fn enter(
        &mut self,
        tunnel: &mut Tunnel,
        channel: ChannelId,
        slot: GroupSlot,
        named: Option<Box<Named>>,
        relay: bool,
    ) {
        let relay = relay || self.groups.get(slot).relay;
        let State::Ready(ready) = &mut tunnel.state else { return };
        ready.left.retain(|left| *left != channel);
        let replaced = ready.routes.insert(channel, Route::to_group(slot, named, relay));
        ready.members -= replaced.as_ref().map_or(0, |route| route.own_members().len());
        let key = ready.key;
        if let Some(replaced) = replaced {
            self.drop_route(key, tunnel.id, channel, &replaced);
        }
    }

    fn deny(&mut self, tunnel: &mut Tunnel, denial: Denial, group: &GroupId) -> Next {
        self.counters.groups_denied += 1;
        let group = group.as_str();
        let (title, detail) = match denial {
            Denial::NotAMember => (
                Title::NotAMember,
                format!("this device is not a member of group {group}"),
            ),
            Denial::NotAllowed => (
                Title::NotAllowed,
                format!("this device may not do that in group {group}"),
            ),
            Denial::Full => (
                Title::GroupTooLarge,
                format!("a group has at most {} members", self.config.limits.group_roster),
            ),
            Denial::TooMany => (
                Title::TooManyGroups,
                format!("a device owns at most {} groups", self.config.limits.owner_groups),
            ),
            Denial::Unavailable => (
                Title::ServiceUnavailable,
                format!("the store cannot serve group {group} now"),
            ),
        };
        self.fail(tunnel, title, &detail)
    }

    /// An ACK that says more than its number.
    pub(crate) fn acknowledge_more(&mut self, tunnel: &mut Tunnel, channel: ChannelId, ack: &Ack) {
        let mut payload = Vec::new();
        control::write(ack, &mut payload);
        tunnel.outbox.push_control(FrameType::Ack, channel, &payload);
        self.touch(tunnel);
    }

    /// What the session still held of a group when it ended. An answer that is on its way lets go of what it is for.
    pub(crate) fn forget_asking(&mut self, id: TunnelId, ready: &Ready) {
        if let Some(asking) = &ready.asking
            && let About::Open { named, .. } = &asking.about
        {
            self.exit_open(asking.group, id);
            self.forget_named(id, named);
        }
        if let Some(asking) = &ready.asking
            && asking.answer.is_some()
        {
            self.let_go(asking.group);
        }
    }

    #[expect(clippy::expect_used, reason = "hexadecimal digits are a group id")]
    fn new_group_id(&mut self) -> GroupId {
        let mut bits = [0; 16];
        self.entropy.fill(&mut bits);
        GroupId::parse(&hex::encode(bits)).expect("a group id")
    }
}

/// The roster that GROUP_CREATE asks for: its sender the owner, and nobody else.
fn first_roster(create: &GroupCreate, sender: &DeviceId, domain: &str) -> GroupRoster {
    let roles = create
        .roles
        .iter()
        .map(|(device, role)| (plain_name(device, domain), *role));
    let roles: std::collections::BTreeMap<DeviceId, Role> = roles.collect();
    let members = create.members.iter().map(|member| plain_name(member, domain));
    let mut members: std::collections::BTreeMap<DeviceId, Role> = members
        .map(|member| {
            let role = roles.get(&member).copied().unwrap_or_default().granted();
            (member, role)
        })
        .collect();
    members.insert(sender.clone(), Role::Owner);
    GroupRoster {
        owner: sender.clone(),
        members,
        relay: create.relay,
        version: 1,
    }
}

/// One name for each device: that of this domain is left out.
fn plain_name(device: &DeviceId, domain: &str) -> DeviceId {
    local_name(device, domain).unwrap_or_else(|| device.clone())
}
