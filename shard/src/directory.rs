//! Where the devices are that this shard routes to. An answer is the shard of the device's session, or its home shard,
//! which knows more. Kept true by the homes, which tell every subscriber of each change (see `home`).
//!
//! Invariant: a device has an entry exactly while some route of this shard names it, and its home knows of it.

use std::collections::HashMap;

use commucat_proto::{ChannelId, DeviceId};
use smallvec::SmallVec;

use crate::group::GroupSlot;
use crate::keys::KeyMap;
use crate::mesh::message::{DeviceKey, Epoch, ShardId, TunnelId};

/// A route that names a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namer {
    /// One session's, on one channel.
    Route(TunnelId, ChannelId),
    /// That of a group, which all its speakers here share.
    Group(GroupSlot),
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) device: DeviceId,
    /// None: its home decides.
    pub(crate) at: Option<(ShardId, Epoch)>,
    /// What routes name it.
    routes: SmallVec<[Namer; 1]>,
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    peers: KeyMap<Peer>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            peers: HashMap::default(),
        }
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
        self.peers.remove(&key);
        true
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
