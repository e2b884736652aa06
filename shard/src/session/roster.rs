//! JOIN and LEAVE: a device declares to whom its frames on a channel go (decisions § 6).

use commucat_proto::control::{self, Join};
use commucat_proto::{ChannelId, DeviceId, Frame, Title};
use smallvec::SmallVec;

use crate::Shard;
use crate::counters::Drop;
use crate::directory::Namer;
use crate::keys::device_key;
use crate::mesh::message::{DeviceKey, Epoch, Message, ShardId, TunnelId};
use crate::route::Route;
use crate::session::{Next, State};
use crate::tunnel::{Stall, Tunnel};

/// The members a JOIN names, sorted out.
pub(crate) struct Roster {
    pub(crate) local: Vec<(DeviceKey, DeviceId)>,
    pub(crate) foreign: Vec<DeviceId>,
}

impl Shard {
    pub(crate) fn join(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if let Some(next) = self.asked_already(tunnel, frame) {
            return next;
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
        let roster = sort_out(&join.members, &ready.device, &self.config.domain, &self.config.hash_key);
        if roster.local.is_empty() && roster.foreign.is_empty() {
            return self.join_open(tunnel, frame, join.relay);
        }
        let local: SmallVec<[DeviceKey; 1]> = roster.local.iter().map(|(key, _)| *key).collect();
        ready.members = ready.members - freed + local.len();
        ready.left.retain(|left| *left != channel);
        ready.calls.iter_mut().for_each(|calls| calls.joined(channel));
        let replaced = ready
            .routes
            .insert(channel, Route::to_members(local, roster.foreign, join.relay));
        let (key, device) = (ready.key, ready.device.clone());
        self.name(&roster.local, Namer::Route(tunnel.id, channel));
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

    pub(crate) fn unname(&mut self, members: &[DeviceKey], by: Namer) {
        for key in members {
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
                Namer::Group(slot) => self.groups.get_mut(slot).mark_moved(),
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

/// Local members without the sender, each once, under their plain names; and those of other domains.
pub(crate) fn sort_out(members: &[DeviceId], sender: &DeviceId, domain: &str, hash_key: &[u8; 32]) -> Roster {
    let mut roster = Roster {
        local: Vec::with_capacity(members.len()),
        foreign: Vec::new(),
    };
    for member in members {
        match local_name(member, domain) {
            Some(device) if device != *sender => roster.local.push((device_key(hash_key, &device), device)),
            Some(_) => {}
            None => roster.foreign.push(member.clone()),
        }
    }
    roster.local.sort_unstable_by_key(|(key, _)| *key);
    roster.local.dedup_by_key(|(key, _)| *key);
    roster.foreign.sort_unstable();
    roster.foreign.dedup();
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
