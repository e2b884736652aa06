//! PRESENCE: who of a channel is there, and where it can be reached beside the relay (CCP-1, P2P Negotiation; decisions
//! § 6, § 7).
//!
//! Invariant: the server speaks of a device only to devices that name it in the roster of the same channel, and whom it
//! names; who is in an open channel names all who are there, and all who name it on that number. An address goes only
//! from one that joined without `relay` to one that did, too. What a client says of itself goes to its roster. Rosters
//! above `presence_roster` are told nothing.
//!
//! ```text
//! JOIN, PRESENCE, the end of a session ─Announce─► homes of the roster ─Announced─► their shards: PRESENCE
//!                                                              the session that joined ◄─Met─┘
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use commucat_proto::control::{self, Presence, PresenceUpdate, Text, UserProfile};
use commucat_proto::{ChannelId, Frame, FrameType, Title};

use crate::Shard;
use crate::counters::Drop;
use crate::mesh::message::{Announcement, DeviceKey, Message, Occasion, ShardId, TunnelId};
use crate::session::ready::Ready;
use crate::session::{Next, State};
use crate::tunnel::Tunnel;

pub(crate) const ONLINE: &str = "online";
pub(crate) const OFFLINE: &str = "offline";

impl Shard {
    /// A session has joined `channel`.
    pub(crate) fn announce_join(&mut self, tunnel: &Tunnel, channel: ChannelId) {
        if let State::Ready(ready) = &tunnel.state {
            let occasion = Occasion::Joined(self.config.id, tunnel.id);
            self.announce(ready, channel, ready.presence.clone(), tunnel.peer, occasion);
        }
    }

    /// A session is over.
    pub(crate) fn announce_end(&mut self, ready: &Ready) {
        for channel in ready.routes.keys() {
            self.announce(ready, *channel, Text::cut(OFFLINE), None, Occasion::Seen);
        }
    }

    /// The client's word about itself; on a channel it has joined its roster hears it.
    pub(crate) fn client_presence(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        let update = match control::parse::<PresenceUpdate>(frame.payload, &mut self.scratch) {
            Ok(update) => update,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        let State::Ready(ready) = &mut tunnel.state else {
            return Next::End;
        };
        if frame.channel != ChannelId::ZERO && !ready.routes.contains_key(&frame.channel) {
            let detail = format!("channel {} has not been joined", frame.channel.get());
            return self.fail(tunnel, Title::NotJoined, &detail);
        }
        ready.presence = update.state.unwrap_or_else(|| Text::cut(ONLINE));
        let ready = &*ready;
        self.mesh.push(
            ready.key.home(self.config.shards),
            Message::Said {
                device: ready.key,
                tunnel: tunnel.id,
                state: ready.presence.clone(),
            },
        );
        self.announce(ready, frame.channel, ready.presence.clone(), None, Occasion::Said);
        self.acknowledge(tunnel, frame.channel, frame.sequence);
        Next::Go
    }

    fn announce(
        &mut self,
        ready: &Ready,
        channel: ChannelId,
        state: Text,
        peer: Option<SocketAddr>,
        occasion: Occasion,
    ) {
        let Some(route) = ready.routes.get(&channel) else {
            return;
        };
        let named = route.named().map_or(0, |named| named.members().len());
        if route.members(&self.groups).len() + named > self.config.limits.presence_roster {
            return;
        }
        let about = Arc::new(Announcement {
            key: ready.key,
            device: ready.device.clone(),
            channel,
            state,
            user: Arc::clone(&ready.profile),
            direct: peer.filter(|_| !route.relay),
            occasion,
        });
        let shards = self.config.shards;
        let others = route.recipients(&self.groups).filter(|key| *key != ready.key);
        for (home, members) in by_shard(others.map(|key| (key.home(shards), key))) {
            let about = Arc::clone(&about);
            self.mesh.push(home, Message::Announce { about, members });
        }
    }

    /// These devices are at home here: those who are attached somewhere hear it there.
    pub(crate) fn home_announce(&mut self, about: &Arc<Announcement>, members: &[DeviceKey]) {
        let there = members.iter().filter_map(|key| Some((self.home_knows(*key)?, *key)));
        for (shard, members) in by_shard(there) {
            let about = Arc::clone(about);
            self.mesh.push(shard, Message::Announced { about, members });
        }
    }

    /// These devices are attached here, or were.
    pub(crate) fn announced(&mut self, about: &Arc<Announcement>, members: &[DeviceKey]) {
        let mut met = Vec::new();
        for key in members {
            let Some((id, _)) = self.attached.get(key).copied() else {
                continue;
            };
            let Some(mut tunnel) = self.tunnels.take(id) else {
                continue;
            };
            if let State::Ready(ready) = &tunnel.state {
                let channel = about.channel;
                let route = ready.routes.get(&channel);
                let mutual = route.filter(|route| route.names(&self.groups, about.key));
                if mutual.is_some() || (about.occasion == Occasion::Said && !ready.left.contains(&channel)) {
                    let open = mutual.is_some_and(|route| !route.relay);
                    met.extend(mutual.map(|route| Arc::new(answer(ready, tunnel.peer, channel, route.relay))));
                    self.tell(&mut tunnel, about, open);
                }
            }
            self.tunnels.put(tunnel);
        }
        if let Occasion::Joined(shard, tunnel) = about.occasion
            && !met.is_empty()
        {
            self.mesh.push(shard, Message::Met { tunnel, peers: met });
        }
    }

    /// Whom a session that has joined finds there.
    pub(crate) fn met(&mut self, id: TunnelId, peers: &[Arc<Announcement>]) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        for about in peers {
            if let State::Ready(ready) = &tunnel.state
                && let Some(route) = ready.routes.get(&about.channel)
                && route.names(&self.groups, about.key)
            {
                let open = !route.relay;
                self.tell(&mut tunnel, about, open);
            }
        }
        self.tunnels.put(tunnel);
    }

    /// PRESENCE for one session; a client that does not read loses it.
    fn tell(&mut self, tunnel: &mut Tunnel, about: &Announcement, open: bool) {
        if tunnel.outbox.control_over(&self.config.limits) {
            self.counters.drop_frame(Drop::ControlFull);
            return;
        }
        let direct = about.direct.filter(|_| open);
        let presence = Presence {
            channel: Some(about.channel),
            user: Some(UserProfile::clone(&about.user)),
            peer: direct.map(|_| about.device.clone()),
            candidate: direct.map(|address| Text::cut(&address.to_string())),
            ..Presence::new(about.device.clone(), about.state.clone())
        };
        let mut payload = Vec::new();
        control::write(&presence, &mut payload);
        tunnel.outbox.push_control(FrameType::Presence, about.channel, &payload);
        self.touch(tunnel);
    }
}

fn answer(ready: &Ready, peer: Option<SocketAddr>, channel: ChannelId, relay: bool) -> Announcement {
    Announcement {
        key: ready.key,
        device: ready.device.clone(),
        channel,
        state: ready.presence.clone(),
        user: Arc::clone(&ready.profile),
        direct: peer.filter(|_| !relay),
        occasion: Occasion::Seen,
    }
}

/// In the order of shards, so that equal inputs make equal messages.
fn by_shard(keys: impl Iterator<Item = (ShardId, DeviceKey)>) -> BTreeMap<ShardId, Vec<DeviceKey>> {
    let mut shards: BTreeMap<ShardId, Vec<DeviceKey>> = BTreeMap::new();
    for (shard, key) in keys {
        shards.entry(shard).or_default().push(key);
    }
    shards
}
