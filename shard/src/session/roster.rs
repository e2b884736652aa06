//! JOIN and LEAVE: a device declares to whom its frames on a channel go (decisions § 6).

use commucat_proto::control::{self, Join};
use commucat_proto::{ChannelId, DeviceId, Frame, Title};
use smallvec::SmallVec;

use crate::Shard;
use crate::config::ShardConfig;
use crate::counters::Drop;
use crate::directory::Namer;
use crate::keys::device_key;
use crate::mesh::message::{DeviceKey, Epoch, Message, ShardId, TunnelId};
use crate::route::Route;
use crate::session::{Next, State};
use crate::slices::Taking;
use crate::tunnel::{Stall, Tunnel};

/// The members a JOIN names, sorted out.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Under their plain names.
    pub(crate) local: Vec<(DeviceKey, DeviceId)>,
    /// Of other domains.
    pub(crate) foreign: Vec<DeviceId>,
}

/// What tells one member from another.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// The sender is no member of its own roster.
    sender: &'a DeviceId,
    domain: &'a str,
    hash_key: &'a [u8; 32],
}

impl<'a> Names<'a> {
    pub(crate) fn of(sender: &'a DeviceId, config: &'a ShardConfig) -> Self {
        Self {
            sender,
            domain: &config.domain,
            hash_key: &config.hash_key,
        }
    }
}

impl Roster {
    pub(crate) fn add(&mut self, member: DeviceId, names: Names<'_>) {
        match local_name(&member, names.domain) {
            Some(device) if device != *names.sender => {
                self.local.push((device_key(names.hash_key, &device), device));
            }
            Some(_) => {}
            None => self.foreign.push(member),
        }
    }

    /// Once all are in: each once, in order. Gives local ones that were in it more often.
    pub(crate) fn sort(&mut self) -> Vec<DeviceKey> {
        let mut twice = Vec::new();
        self.local.sort_unstable_by_key(|(key, _)| *key);
        self.local.dedup_by(|(key, _), (kept, _)| {
            if key == kept {
                twice.push(*key);
            }
            key == kept
        });
        self.foreign.sort_unstable();
        self.foreign.dedup();
        twice
    }
}

impl Shard {
    pub(crate) fn join(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if let Some(next) = self.asked_already(tunnel, frame) {
            return next;
        }
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        if let Some(taking) = ready.taking.take() {
            return self.go_on_joining(tunnel, frame, taking);
        }
        if !self.may_take(tunnel.id, ready) {
            return Next::Wait(Stall::Names);
        }
        let mut join = match control::parse::<Join>(frame.payload, &mut self.scratch) {
            Ok(join) => join,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        if let Some(group) = join.group_id.take() {
            return self.join_group(tunnel, frame, group, &join);
        }
        let channel = frame.channel;
        if let Err(next) = self.may_open(tunnel, channel) {
            return next;
        }
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let limits = &self.config.limits;
        let freed = ready.routes.get(&channel).map_or(0, |route| route.own_members().len());
        let members = ready.members - freed + join.members.len();
        if join.members.len() > limits.roster || members > limits.session_members {
            let detail = format!(
                "a channel has at most {} members, a session {}",
                limits.roster, limits.session_members
            );
            return self.fail(tunnel, Title::RosterTooLarge, &detail);
        }
        let long = join.members.len() > limits.names_per_turn;
        let taking = Box::new(Taking {
            channel,
            relay: join.relay,
            roster: Roster {
                local: Vec::with_capacity(join.members.len()),
                foreign: Vec::new(),
            },
            left: join.members,
        });
        if long {
            // To read it was work enough for this turn.
            self.take_later(tunnel.id, ready, taking);
            return Next::Wait(Stall::Names);
        }
        self.go_on_joining(tunnel, frame, taking)
    }

    /// The session has the roster once all of it is taken up.
    fn go_on_joining(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>, taking: Box<Taking>) -> Next {
        let Some(taking) = self.take_up(tunnel, taking) else {
            return Next::Wait(Stall::Names);
        };
        let Taking {
            channel, relay, roster, ..
        } = *taking;
        if roster.local.is_empty() && roster.foreign.is_empty() {
            return self.join_open(tunnel, frame, relay);
        }
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        let local: SmallVec<[DeviceKey; 1]> = roster.local.iter().map(|(key, _)| *key).collect();
        ready.members += local.len();
        ready.left.retain(|left| *left != channel);
        ready.calls.iter_mut().for_each(|calls| calls.joined(channel));
        let replaced = ready
            .routes
            .insert(channel, Route::to_members(local, roster.foreign, relay));
        ready.members -= replaced.as_ref().map_or(0, |route| route.own_members().len());
        let (key, device) = (ready.key, ready.device.clone());
        if let Some(replaced) = replaced {
            self.drop_route(key, tunnel.id, channel, &replaced);
        }
        let members = roster.local.iter().map(|(key, _)| *key);
        self.names_speakers(tunnel.id, &device, channel, members);
        self.acknowledge(tunnel, channel, frame.sequence);
        self.announce_join(tunnel, channel);
        Next::Go
    }

    /// Whether a route of this channel may be made, or made anew, now.
    pub(crate) fn may_open(&mut self, tunnel: &mut Tunnel, channel: ChannelId) -> Result<(), Next> {
        let State::Ready(ready) = &tunnel.state else {
            return Err(Next::End);
        };
        match ready.routes.get(&channel) {
            Some(route) if route.outstanding > 0 => Err(Next::Wait(Stall::Route)),
            None if ready.routes.len() >= self.config.limits.channels => {
                let detail = format!("at most {} channels", self.config.limits.channels);
                Err(self.fail(tunnel, Title::TooManyChannels, &detail))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn leave(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if let Err(diagnostic) = control::parse::<control::Leave>(frame.payload, &mut self.scratch) {
            self.refuse(tunnel, &diagnostic);
            return Next::End;
        }
        let channel = frame.channel;
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        if ready.routes.get(&channel).is_some_and(|route| route.outstanding > 0) {
            return Next::Wait(Stall::Route);
        }
        if !ready.left.contains(&channel) {
            if ready.left.len() >= self.config.limits.channels {
                let detail = format!("at most {} channels can be left", self.config.limits.channels);
                return self.fail(tunnel, Title::TooManyChannels, &detail);
            }
            ready.left.push(channel);
        }
        ready.calls.iter_mut().for_each(|calls| calls.release(channel));
        let left = tunnel.outbox.leave(channel);
        self.counters.dropped[Drop::Left as usize] += left as u64;
        if let Some(route) = ready.routes.remove(&channel) {
            ready.members -= route.own_members().len();
            let key = ready.key;
            self.drop_route(key, tunnel.id, channel, &route);
        }
        self.acknowledge(tunnel, channel, frame.sequence);
        Next::Go
    }

    /// A route of a session that goes on is over.
    pub(crate) fn drop_route(&mut self, key: DeviceKey, id: TunnelId, channel: ChannelId, route: &Route) {
        if route.named().is_some() {
            self.falls_silent(key, Some(channel));
        }
        self.release_route(id, channel, route);
    }

    /// A route is over: whom it names is nobody's business any more, or a little less.
    pub(crate) fn release_route(&mut self, id: TunnelId, channel: ChannelId, route: &Route) {
        if let Some(named) = route.named() {
            self.forget_named(id, named);
        }
        match route.group() {
            Some(slot) => self.let_go_of_slot(slot, id),
            None => {
                self.unnames_speakers(id, channel, route.own_members());
                self.unname(route.own_members(), Namer::Route(id, channel));
            }
        }
    }

    pub(crate) fn name(&mut self, members: &[(DeviceKey, DeviceId)], by: Namer) {
        for (key, device) in members {
            if self.directory.name(*key, device, by) {
                let home = key.home(self.config.shards);
                self.mesh.push(home, Message::Subscribe { device: device.clone() });
            }
        }
    }

    pub(crate) fn forget_names(&mut self, names: &[DeviceKey], by: Namer) {
        for key in names {
            if self.directory.unname(*key, by) {
                self.mesh
                    .push(key.home(self.config.shards), Message::Unsubscribe { device: *key });
            }
        }
    }

    /// A home says where a device is: the routes that name it are planned anew.
    pub(crate) fn located(&mut self, key: DeviceKey, at: Option<(ShardId, Epoch)>) {
        for namer in self.directory.locate(key, at) {
            match namer {
                Namer::Group(slot) => self.groups.mark_moved(slot),
                Namer::Route(tunnel, channel) => {
                    if let Some(tunnel) = self.tunnels.get_mut(tunnel)
                        && let State::Ready(ready) = &mut tunnel.state
                    {
                        if let Some(route) = ready.routes.get_mut(&channel) {
                            route.mark_dirty();
                        }
                        ready.calls.iter_mut().for_each(|calls| calls.mark_dirty());
                    }
                }
            }
        }
    }
}

/// All of them at once.
pub(crate) fn sort_out(members: &[DeviceId], names: Names<'_>) -> Roster {
    let mut roster = Roster::default();
    members.iter().for_each(|member| roster.add(member.clone(), names));
    roster.sort();
    roster
}

/// The name a device of this domain has here: `device` and `device@domain` are one.
pub(crate) fn local_name(device: &DeviceId, domain: &str) -> Option<DeviceId> {
    match device.domain() {
        None => Some(device.clone()),
        Some(theirs) if theirs.eq_ignore_ascii_case(domain) => DeviceId::parse(device.local()).ok(),
        Some(_) => None,
    }
}
