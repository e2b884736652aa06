//! Step 3 and the ready ACK (CCP-1, Handshake; decisions § 4): the client has proven its key, the store writes what is
//! new, the home gives the device its seat, and only then the session is real.

use std::sync::Arc;

use commucat_crypto::{PublicKey, ResponderAwait};
use commucat_proto::control::{self, AuthProof, Ready as ReadyAck, UserProfile};
use commucat_proto::{ChannelId, DeviceId, Frame, FrameType, Title};
use commucat_storage::api::{AccountRequest, Profile, Reply, Request, StoreError, TokenHash};

use crate::Shard;
use crate::keys::device_key;
use crate::mesh::message::{Message, TunnelId};
use crate::sealed::Sealed;
use crate::session::agreed::Agreed;
use crate::session::hello::{JOINING_TAKES_A_CODE, wire_profile};
use crate::session::{Next, State};
use crate::store_desk::Waiting;
use crate::tunnel::{Stall, Tunnel};

/// What the store has to do for this device.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Known, nothing new.
    Keep(Profile),
    /// Known, with a new display name or avatar.
    Update(Profile),
    /// New: it founds this profile.
    Found(Profile),
    /// New: it joins this profile, which is there already.
    Join(Profile),
}

impl Plan {
    pub(crate) fn profile(&self) -> &Profile {
        match self {
            Self::Keep(profile) | Self::Update(profile) | Self::Found(profile) | Self::Join(profile) => profile,
        }
    }
}

/// AUTH has been sent.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) noise: ResponderAwait,
    pub(crate) device: DeviceId,
    pub(crate) client_static: PublicKey,
    pub(crate) plan: Plan,
    /// Of the `session` in AUTH.
    pub(crate) token: TokenHash,
    pub(crate) agreed: Agreed,
}

/// The key is proven.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(super) device: DeviceId,
    pub(super) client_static: PublicKey,
    pub(super) profile: Profile,
    pub(super) token: TokenHash,
    pub(super) agreed: Agreed,
}

/// The store is content.
#[derive(Debug)]
pub(crate) struct Attaching {
    pub(crate) device: DeviceId,
    /// The key it has proven.
    pub(crate) client_static: PublicKey,
    /// Whose it is.
    pub(crate) profile: Arc<UserProfile>,
    pub(crate) agreed: Agreed,
}

impl Shard {
    pub(crate) fn proof(&mut self, tunnel: &mut Tunnel, frame: Frame<'_>) -> Next {
        if frame.kind != FrameType::Auth || frame.channel != ChannelId::ZERO {
            return self.fail(tunnel, Title::HandshakeFailed, "step 3 must be AUTH on channel 0");
        }
        if tunnel.last_sequence.is_some_and(|last| frame.sequence <= last) {
            return self.fail(tunnel, Title::HandshakeFailed, "sequence numbers must grow");
        }
        let step = match control::parse::<AuthProof>(frame.payload, &mut self.scratch) {
            Ok(step) => step,
            Err(diagnostic) => {
                self.refuse(tunnel, &diagnostic);
                return Next::End;
            }
        };
        let State::Proof(proof) = std::mem::replace(&mut tunnel.state, State::Ended) else {
            return Next::End;
        };
        let Proof {
            noise,
            device,
            client_static,
            plan,
            token,
            agreed,
        } = *proof;
        let Ok(established) = noise.finish(&step.handshake.0) else {
            return self.fail(tunnel, Title::HandshakeFailed, "noise message 3 is invalid");
        };
        if !established.remote_static.ct_eq(&client_static) {
            return self.fail(tunnel, Title::HandshakeFailed, "invalid static key");
        }
        if agreed.noise_transport {
            tunnel.sealed = Some(Box::new(Sealed::new(established.transport)));
        }
        tunnel.stalled = Some(Stall::Handshake);
        let proven = Proven {
            profile: plan.profile().clone(),
            device,
            client_static,
            token,
            agreed,
        };
        let (device, static_key, at) = (proven.device.clone(), *client_static.as_bytes(), self.at.wall);
        let request = match plan {
            Plan::Keep(_) => {
                self.open_session(tunnel, proven);
                return Next::Go;
            }
            Plan::Update(profile) => Request::UpdateProfile { profile },
            Plan::Found(profile) => Request::Found {
                device,
                static_key,
                profile,
                at,
            },
            Plan::Join(profile) => Request::Account(AccountRequest::JoinProfile {
                device,
                static_key,
                user: profile.id,
                limit: self.config.policy.max_auto_devices_per_user,
                at,
            }),
        };
        self.ask_store(request, Waiting::Record(tunnel.id));
        tunnel.state = State::Recording(Box::new(proven));
        Next::Go
    }

    /// The store has written, or refused to: a device whose audit trail is not kept does not come in.
    pub(crate) fn recorded(&mut self, id: TunnelId, outcome: &Result<Reply, StoreError>) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Recording(recording) = std::mem::replace(&mut tunnel.state, State::Ended) {
            match outcome {
                Ok(_) => self.open_session(&mut tunnel, *recording),
                Err(StoreError::DeviceExists) => {
                    let request = Request::Lookup {
                        device: recording.device.clone(),
                        user: None,
                        handle: None,
                    };
                    self.ask_store(request, Waiting::Recheck(id));
                    tunnel.state = State::Recording(recording);
                }
                Err(StoreError::HandleTaken) => {
                    self.fail(
                        &mut tunnel,
                        Title::HandleTaken,
                        "this handle belongs to another profile",
                    );
                }
                Err(StoreError::DeviceLimit) => {
                    self.fail(&mut tunnel, Title::PairingRequired, JOINING_TAKES_A_CODE);
                }
                Err(StoreError::UnknownUser) => {
                    self.fail(&mut tunnel, Title::UnknownUser, "no such user");
                }
                Err(_) => {
                    self.fail(&mut tunnel, Title::ServiceUnavailable, "the store cannot answer now");
                }
            }
        }
        self.tunnels.put(tunnel);
        self.wakes.push(id);
    }

    /// Two first connections of one device have raced: the loser is as welcome as the winner if its key is the same.
    pub(crate) fn rechecked(&mut self, id: TunnelId, outcome: Result<Reply, StoreError>) {
        let Some(mut tunnel) = self.tunnels.take(id) else {
            return;
        };
        if let State::Recording(recording) = std::mem::replace(&mut tunnel.state, State::Ended) {
            match outcome {
                Ok(Reply::Found {
                    device: Some(known), ..
                }) if PublicKey::from_bytes(known.static_key).ct_eq(&recording.client_static) => {
                    let proven = Proven {
                        profile: known.user,
                        ..*recording
                    };
                    self.open_session(&mut tunnel, proven);
                }
                Ok(_) => {
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

    /// Asks the home for the device's seat.
    pub(super) fn attach(&mut self, tunnel: &mut Tunnel, proven: Proven) {
        let Proven {
            device,
            client_static,
            profile,
            agreed,
            ..
        } = proven;
        let home = device_key(&self.config.hash_key, &device).home(self.config.shards);
        let profile = Arc::new(wire_profile(&profile));
        self.mesh.push(
            home,
            Message::Attach {
                device: device.clone(),
                tunnel: tunnel.id,
                user: Arc::clone(&profile),
            },
        );
        tunnel.state = State::Attaching(Box::new(Attaching {
            device,
            client_static,
            profile,
            agreed,
        }));
    }

    /// The tunnel is ready (CCP-1, Handshake: the final ACK).
    pub(crate) fn greet(&mut self, tunnel: &mut Tunnel, profile: &UserProfile) {
        let mut greeting = Vec::new();
        control::write(&ReadyAck::new(profile.clone()), &mut greeting);
        self.counters.ready += 1;
        tunnel.hello_by = None;
        tunnel.outbox.push_control(FrameType::Ack, ChannelId::ZERO, &greeting);
        self.touch(tunnel);
    }
}
