//! HELLO, AUTH, AUTH and the final ACK (CCP-1, Handshake; decisions § 4).

use commucat_crypto::{Entropy, Initiator, PublicKey, Transport};
use commucat_proto::control::{self, Auth, AuthProof, AuthSecret, Hello, HexBytes, HexKey, Ready, Text};
use commucat_proto::{ChannelId, Diagnostic, FrameType};

use super::sealed::Sealed;
use super::taken::Taken;
use super::{Connection, Greeted, Stage};
use crate::config::{Acks, Config};
use crate::error::ClientError;
use crate::session::Session;

/// HELLO's payload, and what its answer is checked against.
pub(super) fn hello(config: &Config, entropy: &mut dyn Entropy) -> Result<(Vec<u8>, Greeted), ClientError> {
    let (noise, message) = Initiator::start(config.pattern, &config.key, config.server, &config.prologue, entropy)?;
    let offered = config.capabilities.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let hello = Hello {
        pattern: text(config.pattern.name())?,
        device_id: config.device.clone(),
        client_static: HexKey(*config.key.public().as_bytes()),
        handshake: HexBytes(message),
        protocol_version: None,
        supported_versions: Some(config.versions.iter().copied().map(u64::from).collect()),
        user: config.user.clone(),
        capabilities: offered.clone(),
        device_public: None,
        zkp: None,
        device_certificate: None,
    };
    let mut payload = Vec::new();
    control::write(&hello, &mut payload);
    Ok((
        payload,
        Greeted {
            noise,
            server: config.server,
            versions: config.versions.clone(),
            offered,
        },
    ))
}

fn text(value: impl Into<String>) -> Result<Text, ClientError> {
    Text::new(value).map_err(|error| Diagnostic::invalid(error.to_string()).into())
}

impl Connection {
    /// The tunnel is open: HELLO may leave.
    pub(super) fn greet(&mut self) -> Result<(), ClientError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Opening { hello, greeted } => {
                self.enqueue(FrameType::Hello, ChannelId::ZERO, &hello)?;
                self.stage = Stage::Greeted(greeted);
            }
            other => self.stage = other,
        }
        Ok(())
    }

    /// The server's AUTH came: check it, and prove ourselves.
    pub(super) fn authenticated(&mut self, greeted: Greeted, auth: Auth) -> Result<(), ClientError> {
        let server = PublicKey::from_bytes(auth.server_static.0);
        if server != greeted.server {
            return Err(ClientError::Auth("server_static is not the key that was expected"));
        }
        let (noise, secret) = greeted.noise.read_auth(&auth.handshake.0)?;
        let secret: AuthSecret = control::parse(&secret, &mut self.scratch)?;
        if secret.session != auth.session {
            return Err(ClientError::Auth("session differs from the one encrypted in handshake"));
        }
        if secret.user.id != auth.user.id {
            return Err(ClientError::Auth("user differs from the one encrypted in handshake"));
        }
        if !greeted.versions.contains(&auth.protocol_version) {
            return Err(ClientError::Auth("protocol_version was not offered"));
        }
        if !auth
            .accepted_capabilities
            .iter()
            .all(|accepted| greeted.offered.contains(accepted))
        {
            return Err(ClientError::Auth(
                "accepted_capabilities holds one that was not offered",
            ));
        }
        // They change every byte from here on; to go on in plain would be to misread what follows.
        if auth
            .accepted_capabilities
            .iter()
            .any(|accepted| UNSPOKEN.contains(&accepted.as_str()))
        {
            return Err(ClientError::Auth(
                "a capability was accepted that this client offered but does not speak",
            ));
        }
        let (proof, established) = noise.proof()?;
        let mut payload = Vec::new();
        control::write(
            &AuthProof {
                handshake: HexBytes(proof),
            },
            &mut payload,
        );
        self.enqueue(FrameType::Auth, ChannelId::ZERO, &payload)?;
        self.session = Some(Box::new(Session {
            token: auth.session,
            user: auth.user,
            version: auth.protocol_version,
            capabilities: auth.accepted_capabilities.into_iter().map(String::from).collect(),
            server: established.remote_static,
            handshake_hash: established.handshake_hash,
        }));
        self.stage = Stage::Proven;
        self.agree(established.transport);
        Ok(())
    }

    /// What was accepted begins: the proof was the last frame in plain.
    fn agree(&mut self, transport: Transport) {
        let Some(session) = self.session.as_deref() else { return };
        if session.has("delivery-ack") && self.acks == Acks::Taken {
            self.taken = Some(Box::new(Taken::new(session.has("ack-range"))));
        }
        if session.has("noise-transport") {
            let mut sealed = Box::new(Sealed::new(transport));
            sealed.arrived = self.inbound.split_off(self.read);
            sealed.open(&mut self.inbound);
            self.sealed = Some(sealed);
        }
    }

    /// The final ACK came.
    pub(super) fn readied(&mut self, ready: &Ready) -> Result<(), ClientError> {
        if ready.handshake.as_str() != "ok" {
            return Err(ClientError::Auth("the final ACK does not say that the handshake is ok"));
        }
        self.stage = Stage::Ready;
        Ok(())
    }
}

/// Capabilities that wrap or rekey what follows, which this client cannot.
const UNSPOKEN: [&str; 2] = ["adaptive-obf", "pq-hybrid"];
