//! Where the devices are that this shard routes to. An answer is the shard of the device's session, or its home shard,
//! which knows more. Kept true by the homes, which tell every subscriber of each change (see `home`).
//!
//! Invariant: a device has an entry exactly while some route of this shard names it, or has named it and not let go yet (see
//! `slices`), and its home knows of it.

use std::sync::Arc;

use commucat_proto::{ChannelId, DeviceId};
use smallvec::SmallVec;

use crate::group::GroupSlot;
use crate::key_table::KeyTable;
use crate::mesh::message::{DeviceKey, Epoch, ShardId, TunnelId};
use crate::mesh::naming::Openly;

/// A route that names a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namer {
    /// One session's, on one channel.
    Route(TunnelId, ChannelId),
    /// That of a group, which all its speakers here share.
    Group(GroupSlot),
}

/// Where a device speaks openly, as its home has told (see `session::naming`).
#[derive(Debug)]
pub(crate) struct Speaks {
    /// The shard of its session.
    pub(crate) to: ShardId,
    pub(crate) tunnel: TunnelId,
    /// By channel.
    pub(crate) openly: Arc<[Openly]>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) device: DeviceId,
    /// None: its home decides.
    pub(crate) at: Option<(ShardId, Epoch)>,
    /// What routes name it.
    routes: SmallVec<[Namer; 1]>,
    /// Rare.
    speaks: Option<Box<Speaks>>,
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    peers: KeyTable<Peer>,
    /// Peers that speak openly somewhere.
    speakers: usize,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn get(&self, key: DeviceKey) -> Option<&Peer> {
        self.peers.get(&key)
    }

    /// A route names the device from now on. True when it is the first one: the home must be told.
    pub(crate) fn name(&mut self, key: DeviceKey, device: &DeviceId, by: Namer) -> bool {
        let mut first = false;
        let peer = self.peers.entry(key).or_insert_with(|| {
            first = true;
            Peer {
                device: device.clone(),
                at: None,
                routes: SmallVec::new(),
                speaks: None,
            }
        });
        peer.routes.push(by);
        first
    }

    /// The route names it no more. True when it was the last one: the home must be told.
    pub(crate) fn unname(&mut self, key: DeviceKey, by: Namer) -> bool {
        let Some(peer) = self.peers.get_mut(&key) else {
            return false;
        };
        if let Some(index) = peer.routes.iter().position(|route| *route == by) {
            peer.routes.swap_remove(index);
        }
        if !peer.routes.is_empty() {
            return false;
        }
        self.speakers -= usize::from(peer.speaks.is_some());
        self.peers.remove(&key);
        true
    }

    /// The home says where the device speaks openly. Gives the routes that name it.
    pub(crate) fn speaks(&mut self, key: DeviceKey, speaks: Speaks) -> SmallVec<[Namer; 1]> {
        let Some(peer) = self.peers.get_mut(&key) else {
            return SmallVec::new();
        };
        self.speakers -= usize::from(peer.speaks.is_some());
        peer.speaks = (!speaks.openly.is_empty()).then(|| Box::new(speaks));
        self.speakers += usize::from(peer.speaks.is_some());
        peer.routes.clone()
    }

    /// Whether any device that a route names speaks openly.
    pub(crate) fn has_speakers(&self) -> bool {
        self.speakers > 0
    }

    /// The session of this device that speaks openly on a channel, and its shard.
    pub(crate) fn speaks_on(&self, key: DeviceKey, channel: ChannelId) -> Option<(ShardId, TunnelId, Openly)> {
        let speaks = self.peers.get(&key)?.speaks.as_ref()?;
        let at = speaks
            .openly
            .binary_search_by_key(&channel, |openly| openly.channel)
            .ok()?;
        Some((speaks.to, speaks.tunnel, speaks.openly[at]))
    }

    /// The home says where it is. Gives the routes that must be planned anew.
    pub(crate) fn locate(&mut self, key: DeviceKey, at: Option<(ShardId, Epoch)>) -> SmallVec<[Namer; 1]> {
        match self.peers.get_mut(&key) {
            Some(peer) if peer.at != at => {
                peer.at = at;
                peer.routes.clone()
            }
            _ => SmallVec::new(),
        }
    }
}
