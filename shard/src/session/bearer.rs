//! The `session` of AUTH becomes a bearer token (decisions § 4): the store keeps its hash before the ready ACK.
//!
//! This is also where a device that was revoked or got another key during its handshake is found out: the store opens no
//! session for it.

use commucat_proto::Title;
use commucat_storage::api::{AccountRequest, Reply, Request, StoreError, TokenHash, Wall};

use crate::Shard;
use crate::mesh::message::TunnelId;
use crate::session::State;
use crate::session::proof::Proven;
use crate::store_desk::Waiting;
use crate::tunnel::Tunnel;

/// How a bearer token is known to the store.
#[must_use]
pub fn token_hash(token: &str) -> TokenHash {
    TokenHash(*blake3::hash(token.as_bytes()).as_bytes())
}

impl Shard {
    pub(super) fn open_session(&mut self, tunnel: &mut Tunnel, proven: Proven) {
        let ttl = u64::try_from(self.config.policy.session_ttl.as_millis()).unwrap_or(u64::MAX);
        let request = Request::Account(AccountRequest::OpenSession {
            token: proven.token,
            device: proven.device.clone(),
            static_key: *proven.client_static.as_bytes(),
            expires_at: Wall(self.at.wall.0.saturating_add(ttl)),
        });
        self.ask_store(request, Waiting::Open(tunnel.id));
        tunnel.state = State::Opening(Box::new(proven));
    }

    /// The store keeps the token, or not: without it the session is none.
    pub(crate) fn opened(&mut self, id: TunnelId, outcome: &Result<Reply, StoreError>) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Opening(proven) = std::mem::replace(&mut tunnel.state, State::Ended) {
            match outcome {
                Ok(_) => self.attach(&mut tunnel, *proven),
                Err(StoreError::DeviceRevoked) => {
                    self.fail(&mut tunnel, Title::DeviceRevoked, "this device has been revoked");
                }
                Err(StoreError::KeyReplaced) => {
                    self.fail(&mut tunnel, Title::HandshakeFailed, "invalid static key");
                }
                Err(_) => {
                    self.fail(&mut tunnel, Title::ServiceUnavailable, "the store cannot answer now");
                }
            }
        }
        self.tunnels.put(tunnel);
        self.wakes.push(id);
    }
}
