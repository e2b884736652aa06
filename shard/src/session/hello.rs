//! HELLO and AUTH (CCP-1, Handshake, steps 1 and 2; decisions § 4).
//!
//! Nothing is written before the client has proven its key in step 3: what a HELLO would create is only drafted here.

use commucat_crypto::certificate::{self, CertificateError};
use commucat_crypto::zkp::{self, Context};
use commucat_crypto::{Pattern, PublicKey, Responder, ResponderHello};
use commucat_proto::control::{self, Auth, Hello, HexKey, Text, UserClaim, UserProfile};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, Handle, SessionToken, Title, UserId};
use commucat_storage::api::{Profile, Reply, Request, StoreError};

use crate::Shard;
use crate::mesh::message::TunnelId;
use crate::session::agreed::{Agreed, CAPABILITIES};
use crate::session::bearer::token_hash;
use crate::session::proof::{Plan, Proof};
use crate::session::roster::local_name;
use crate::session::{Next, State};
use crate::store_desk::Waiting;
use crate::tunnel::{Stall, Tunnel};

/// Protocol versions this server speaks.
pub const VERSIONS: &[u16] = &[1];

/// A HELLO that was understood.
#[derive(Debug)]
pub(crate) struct Looking {
    noise: ResponderHello,
    /// Which of the server's keys it was made for.
    server_static: PublicKey,
    device: DeviceId,
    client_static: PublicKey,
    version: u16,
    claim: Option<UserClaim>,
    /// Whose device it is, by a certificate that has been verified.
    certified: Option<UserId>,
    capabilities: Vec<&'static str>,
}

impl Looking {
    pub(super) fn device(&self) -> (&DeviceId, &PublicKey) {
        (&self.device, &self.client_static)
    }
}

/// What a device hears that may not join a profile by itself.
pub(super) const JOINING_TAKES_A_CODE: &str = "joining an existing profile takes a pairing code";

/// Why a HELLO is refused.
struct Refused(Title, &'static str);

impl Shard {
    pub(crate) fn hello(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if frame.kind != FrameType::Hello || frame.channel != ChannelId::ZERO {
            return self.fail(
                tunnel,
                Title::HandshakeFailed,
                "the first frame must be HELLO on channel 0",
            );
        }
        let hello = match control::parse::<Hello>(frame.payload, &mut self.scratch) {
            Ok(hello) => hello,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        let version = match control::negotiate(hello.protocol_version, hello.supported_versions.as_deref(), VERSIONS) {
            Ok(version) => version,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        match self.read_hello(hello, version) {
            Ok(looking) => {
                let claim = looking.claim.as_ref();
                let request = Request::Lookup {
                    device: looking.device.clone(),
                    user: claim.and_then(|claim| claim.id.clone()),
                    handle: claim.and_then(|claim| claim.handle.clone()),
                };
                self.ask_store(request, Waiting::Lookup(tunnel.id));
                tunnel.state = State::Looking(Box::new(looking));
                self.note_coming(tunnel.id);
                tunnel.stalled = Some(Stall::Handshake);
                Next::Go
            }
            Err(Refused(title, detail)) => self.fail(tunnel, title, detail),
        }
    }

    fn read_hello(&mut self, hello: Hello, version: u16) -> Result<Looking, Refused> {
        let failed = |detail| Refused(Title::HandshakeFailed, detail);
        let pattern = Pattern::from_name(hello.pattern.as_str()).ok_or(failed("pattern must be XK or IK"))?;
        let device = local_name(&hello.device_id, &self.config.domain).ok_or(failed("device of another domain"))?;
        let client_static = PublicKey::from_bytes(hello.client_static.0);
        self.check_zkp(&hello).map_err(failed)?;
        let certified = self.check_certificate(&hello, &device).map_err(failed)?;
        let (noise, server_static) = self
            .read_noise(pattern, &hello.handshake.0)
            .ok_or(failed("noise message 1 is invalid"))?;
        if noise
            .proven_static()
            .is_some_and(|proven| !proven.ct_eq(&client_static))
        {
            return Err(failed("invalid static key"));
        }
        let capabilities = CAPABILITIES
            .iter()
            .copied()
            .filter(|ours| hello.capabilities.iter().any(|theirs| theirs.as_str() == *ours));
        Ok(Looking {
            noise,
            server_static,
            device,
            client_static,
            version,
            claim: hello.user,
            certified,
            capabilities: capabilities.collect(),
        })
    }

    /// Message 1 was made for one of the server's keys, or for none.
    fn read_noise(&mut self, pattern: Pattern, message: &[u8]) -> Option<(ResponderHello, PublicKey)> {
        self.noise.valid(self.at.wall).find_map(|key| {
            Responder::read_hello(pattern, key, &self.config.prologue, message, &mut *self.entropy)
                .ok()
                .map(|noise| (noise, key.public()))
        })
    }

    /// A proof of the device's Ed25519 key need not be there; one that is there must hold (decisions § 4).
    fn check_zkp(&self, hello: &Hello) -> Result<(), &'static str> {
        let Some(zkp) = &hello.zkp else { return Ok(()) };
        let device_public = &hello.device_public.as_ref().ok_or("zkp without device_public")?.0;
        let context = Context {
            domain: &self.config.domain,
            device_id: hello.device_id.as_str(),
            device_public,
            client_static: &hello.client_static.0,
        };
        let proof = zkp::Proof {
            commitment: zkp.commitment.0,
            response: zkp.response.0,
        };
        context.verify(&proof).then_some(()).ok_or("zkp does not verify")
    }

    /// A certificate need not be there either; one that is there must be ours, about this device and a key it has named.
    /// Gives whose device it says this is.
    fn check_certificate(&self, hello: &Hello, device: &DeviceId) -> Result<Option<UserId>, &'static str> {
        let Some(certificate) = &hello.device_certificate else {
            return Ok(None);
        };
        let ca = self
            .config
            .device_ca
            .as_ref()
            .ok_or("device_certificate of no authority")?;
        certificate::verify(certificate, ca, self.at.wall.0 / 1000).map_err(|error| match error {
            CertificateError::Signature => "device_certificate does not verify",
            CertificateError::Expired => "device_certificate has expired",
        })?;
        if local_name(&certificate.device_id, &self.config.domain).as_ref() != Some(device) {
            return Err("device_certificate of another device");
        }
        let key = PublicKey::from_bytes(certificate.public_key.0);
        let named = |public: &HexKey| PublicKey::from_bytes(public.0).ct_eq(&key);
        if !named(&hello.client_static) && !hello.device_public.as_ref().is_some_and(named) {
            return Err("device_certificate of another key");
        }
        Ok(Some(certificate.user_id.clone()))
    }

    /// The store has told what it knows.
    pub(crate) fn looked_up(&mut self, id: TunnelId, outcome: Result<Reply, StoreError>) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Looking(looking) = std::mem::replace(&mut tunnel.state, State::Ended) {
            self.answer_hello(&mut tunnel, *looking, outcome);
        }
        self.tunnels.put(tunnel);
        self.wakes.push(id);
    }

    fn answer_hello(&mut self, tunnel: &mut Tunnel, looking: Looking, outcome: Result<Reply, StoreError>) {
        let decided = match outcome {
            Ok(reply) => self.decide(&looking, reply),
            Err(_) => Err(Refused(Title::ServiceUnavailable, "the store cannot answer now")),
        };
        let decided = decided.and_then(|plan| match &looking.certified {
            Some(user) if *user != plan.profile().id => {
                Err(Refused(Title::HandshakeFailed, "device_certificate of another user"))
            }
            _ => Ok(plan),
        });
        let sent = decided.and_then(|plan| self.send_auth(tunnel, looking, plan));
        if let Err(Refused(title, detail)) = sent {
            self.fail(tunnel, title, detail);
        }
    }

    /// Who this device is, or will be.
    fn decide(&mut self, looking: &Looking, reply: Reply) -> Result<Plan, Refused> {
        let Reply::Found {
            device,
            user,
            handle_taken,
        } = reply
        else {
            return Err(Refused(
                Title::ServiceUnavailable,
                "the store gave no answer to the question",
            ));
        };
        let claim = looking.claim.as_ref();
        if let Some(known) = device {
            if known.revoked {
                return Err(Refused(Title::DeviceRevoked, "this device has been revoked"));
            }
            if !PublicKey::from_bytes(known.static_key).ct_eq(&looking.client_static) {
                return Err(Refused(Title::HandshakeFailed, "invalid static key"));
            }
            return Ok(known_profile(known.user, claim));
        }
        let policy = self.config.policy;
        if claim.is_some_and(|claim| claim.id.is_some()) {
            return match user {
                // How many it has is for the store to count, when it writes.
                Some(user) if policy.auto_approve_devices && policy.max_auto_devices_per_user > 1 => {
                    Ok(Plan::Join(user))
                }
                Some(_) => Err(Refused(Title::PairingRequired, JOINING_TAKES_A_CODE)),
                None => Err(Refused(Title::UnknownUser, "no such user")),
            };
        }
        if !policy.auto_approve_devices || policy.max_auto_devices_per_user == 0 {
            return Err(Refused(Title::PairingRequired, "new devices take a pairing code"));
        }
        if handle_taken {
            return Err(Refused(Title::HandleTaken, "this handle belongs to another profile"));
        }
        self.new_profile(claim).map(Plan::Found)
    }

    fn new_profile(&mut self, claim: Option<&UserClaim>) -> Result<Profile, Refused> {
        let mut random = [0; 16];
        self.entropy.fill(&mut random);
        let id = hex::encode(random);
        let unusable = |_| Refused(Title::ServiceUnavailable, "no identifier could be made");
        let handle = match claim.and_then(|claim| claim.handle.clone()) {
            Some(handle) => handle,
            None => Handle::parse(&format!("user-{}", &id[..12])).map_err(unusable)?,
        };
        Ok(Profile {
            id: UserId::parse(&id).map_err(unusable)?,
            handle,
            display_name: claim.and_then(|claim| text(claim.display_name.as_ref())),
            avatar_url: claim.and_then(|claim| text(claim.avatar_url.as_ref())),
        })
    }

    /// Step 2. The encrypted payload of the Noise message repeats `session` and `user` (decisions § 4).
    fn send_auth(&mut self, tunnel: &mut Tunnel, looking: Looking, plan: Plan) -> Result<(), Refused> {
        let mut bits = [0; 32];
        self.entropy.fill(&mut bits);
        let session = SessionToken::from_random(&bits);
        let user = wire_profile(plan.profile());
        let mut secret = Vec::new();
        control::write(
            &control::AuthSecret {
                session: session.clone(),
                user: user.clone(),
            },
            &mut secret,
        );
        let mut message = Vec::new();
        let noise = looking
            .noise
            .write_auth(&secret, &mut message)
            .map_err(|_| Refused(Title::HandshakeFailed, "noise message 2 could not be made"))?;
        let agreed = Agreed::of(&looking.capabilities);
        let token = token_hash(session.expose());
        let auth = Auth {
            session,
            handshake: control::HexBytes(message),
            server_static: control::HexKey(*looking.server_static.as_bytes()),
            protocol_version: looking.version,
            supported_versions: VERSIONS.to_vec(),
            user: user.clone(),
            pairing_required: false,
            accepted_capabilities: looking.capabilities.iter().map(|name| Text::cut(name)).collect(),
        };
        let mut payload = Vec::new();
        control::write(&auth, &mut payload);
        tunnel.outbox.push_control(FrameType::Auth, ChannelId::ZERO, &payload);
        tunnel.state = State::Proof(Box::new(Proof {
            noise,
            device: looking.device,
            client_static: looking.client_static,
            plan,
            token,
            agreed,
        }));
        self.touch(tunnel);
        Ok(())
    }
}

/// For a known device the stored profile wins; only its display name and avatar can be changed (decisions § 4).
fn known_profile(stored: Profile, claim: Option<&UserClaim>) -> Plan {
    let mut wanted = stored.clone();
    if let Some(claim) = claim {
        wanted.display_name = text(claim.display_name.as_ref()).or(wanted.display_name);
        wanted.avatar_url = text(claim.avatar_url.as_ref()).or(wanted.avatar_url);
    }
    if wanted == stored {
        Plan::Keep(stored)
    } else {
        Plan::Update(wanted)
    }
}

fn text(text: Option<&Text>) -> Option<String> {
    text.map(|text| text.as_str().to_owned())
}

/// A profile as the wire has it.
pub(crate) fn wire_profile(profile: &Profile) -> UserProfile {
    UserProfile {
        id: profile.id.clone(),
        handle: profile.handle.clone(),
        display_name: profile.display_name.as_deref().map(Text::cut),
        avatar_url: profile.avatar_url.as_deref().map(Text::cut),
    }
}
