//! What was decided outside the shards: a device was revoked, or got another key (decisions § 4, § 10); the server has
//! another key.
//!
//! Invariant: when [`Input::Command`](crate::input::Input::Command) returns, no session of that device is ready here, and none
//! that stands on what the command has ended can become ready. The store has it before the command is given, so a session
//! whose question to the store came later is refused there; every other is in one of the two tables that are looked
//! through here: those that are ready (`attached`) and those that have said HELLO (`coming`).

use commucat_crypto::PublicKey;
use commucat_proto::{DeviceId, Title};

use crate::Shard;
use crate::input::Command;
use crate::keys::device_key;
use crate::mesh::message::TunnelId;
use crate::session::State;
use crate::tunnel::Tunnel;

/// Tunnels that have said HELLO; also some that are ready or gone, at most as many again.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    tunnels: Vec<TunnelId>,
    /// When so many are listed, those that are not on their way any more are struck out.
    full: usize,
}

/// Below it, nobody counts.
const FEW: usize = 64;

impl Shard {
    /// A tunnel has said HELLO.
    pub(super) fn note_coming(&mut self, id: TunnelId) {
        if self.coming.tunnels.len() >= self.coming.full.max(FEW) {
            let tunnels = &mut self.tunnels;
            // The one that is being worked on is out of its table: it is added below.
            let on_their_way = |id: &TunnelId| {
                tunnels
                    .get_mut(*id)
                    .is_some_and(|tunnel| tunnel.state.device().is_some())
            };
            self.coming.tunnels.retain(on_their_way);
            self.coming.full = 2 * self.coming.tunnels.len();
        }
        self.coming.tunnels.push(id);
    }

    pub(crate) fn command(&mut self, command: Command) {
        match &command {
            Command::Revoked { device } | Command::Rekeyed { device, .. } => self.command_device(device, &command),
            Command::Keys(keys) => self.noise = keys.clone(),
        }
    }

    fn command_device(&mut self, device: &DeviceId, command: &Command) {
        for id in self.coming.tunnels.clone() {
            self.command_coming(id, device, command);
        }
        let key = device_key(&self.config.hash_key, device);
        if let Some((id, _)) = self.attached.get(&key).copied()
            && let Some(mut tunnel) = self.tunnels.take(id)
        {
            match command {
                Command::Revoked { .. } => self.end_revoked(&mut tunnel, Title::DeviceRevoked, REVOKED),
                // Ready sessions do not keep the key they have proven; one that has proven the new one already just
                // connects once more.
                Command::Rekeyed { .. } => self.end_revoked(&mut tunnel, Title::SessionReplaced, REKEYED),
                Command::Keys(_) => {}
            }
            self.tunnels.put(tunnel);
        }
    }

    fn command_coming(&mut self, id: TunnelId, device: &DeviceId, command: &Command) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let Some((coming, key)) = tunnel.state.device()
            && coming == device
        {
            match command {
                Command::Revoked { .. } => self.end_revoked(&mut tunnel, Title::DeviceRevoked, REVOKED),
                Command::Rekeyed { static_key, .. } if !key.ct_eq(&PublicKey::from_bytes(*static_key)) => {
                    self.end_revoked(&mut tunnel, Title::HandshakeFailed, "invalid static key");
                }
                Command::Rekeyed { .. } | Command::Keys(_) => {}
            }
        }
        self.tunnels.put(tunnel);
    }

    fn end_revoked(&mut self, tunnel: &mut Tunnel, title: Title, detail: &str) {
        self.counters.revoked += 1;
        self.fail(tunnel, title, detail);
    }
}

const REVOKED: &str = "this device has been revoked";
const REKEYED: &str = "this device has another key now: connect again with it";

impl State {
    /// Who is on the way from HELLO to a ready session, and the key that it says it has.
    fn device(&self) -> Option<(&DeviceId, &PublicKey)> {
        match self {
            Self::Looking(looking) => Some(looking.device()),
            Self::Proof(proof) => Some((&proof.device, &proof.client_static)),
            Self::Recording(proven) | Self::Opening(proven) => Some((&proven.device, &proven.client_static)),
            Self::Attaching(attaching) => Some((&attaching.device, &attaching.client_static)),
            Self::Hello | Self::Ready(_) | Self::Ended => None,
        }
    }
}
