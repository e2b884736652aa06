//! What is asked about people beside HELLO.

use commucat_proto::DeviceId;

use super::{Answer, Known, Registry};
use crate::api::{
    AccountRequest, CODES_PER_USER, DeviceRecord, PAIRING_TRIES, Paired, PairingClaim, PairingOffer, Reply,
    SESSIONS_PER_DEVICE, SessionOwner, StoreError, TokenHash, Wall,
};

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) token: TokenHash,
    pub(super) device: DeviceId,
    pub(super) expires_at: Wall,
}

#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) offer: PairingOffer,
    pub(super) wrong: u32,
}

impl Registry {
    pub(super) fn account(&mut self, request: &AccountRequest) -> Answer {
        match request {
            AccountRequest::OpenSession {
                token,
                device,
                static_key,
                expires_at,
            } => self.open_session(*token, device, *static_key, *expires_at),
            AccountRequest::FindSession { token, now } => {
                let session = self.sessions.iter().find(|session| session.token == *token);
                let owner = session
                    .filter(|session| session.expires_at > *now)
                    .map(|session| SessionOwner {
                        device: session.device.clone(),
                        user: self.users[&self.devices[&session.device].user].clone(),
                    });
                Ok(Reply::Session(owner))
            }
            AccountRequest::JoinProfile {
                device,
                static_key,
                user,
                limit,
                at,
            } => {
                if !self.users.contains_key(user) {
                    return Err(StoreError::UnknownUser);
                }
                if self.devices.contains_key(device) {
                    return Err(StoreError::DeviceExists);
                }
                let active = self
                    .devices
                    .values()
                    .filter(|one| one.user == *user && one.revoked_at.is_none());
                if active.count() >= *limit as usize {
                    return Err(StoreError::DeviceLimit);
                }
                self.add(device, *static_key, user, *at);
                Ok(Reply::Done)
            }
            AccountRequest::ListDevices { user } => {
                let own = self.devices.iter().filter(|(_, known)| known.user == *user);
                Ok(Reply::Devices(own.map(|(id, known)| record(id, known)).collect()))
            }
            AccountRequest::RevokeDevice { user, device, at } => {
                let known = self.devices.get_mut(device).filter(|known| known.user == *user);
                let known = known.ok_or(StoreError::UnknownDevice)?;
                if known.revoked_at.is_none() {
                    known.revoked_at = Some(*at);
                    self.sessions.retain(|session| session.device != *device);
                    self.codes.retain(|_, code| code.offer.issuer != *device);
                }
                Ok(Reply::Done)
            }
            AccountRequest::RotateKey {
                device,
                static_key,
                keep,
                ..
            } => {
                self.active(device)?.static_key = *static_key;
                self.sessions
                    .retain(|session| session.device != *device || session.token == *keep);
                Ok(Reply::Done)
            }
            AccountRequest::OfferPairing(offer) => self.offer(offer),
            AccountRequest::ClaimPairing(claim) => self.claim(claim),
            AccountRequest::Friends { user } => Ok(Reply::Friends(self.friends.get(user).cloned().unwrap_or_default())),
            AccountRequest::PutFriends { user, friends } => {
                if !self.users.contains_key(user) {
                    return Err(StoreError::UnknownUser);
                }
                self.friends.insert(user.clone(), friends.clone());
                Ok(Reply::Done)
            }
        }
    }

    fn active(&mut self, device: &DeviceId) -> Result<&mut Known, StoreError> {
        match self.devices.get_mut(device) {
            None => Err(StoreError::UnknownDevice),
            Some(known) if known.revoked_at.is_some() => Err(StoreError::DeviceRevoked),
            Some(known) => Ok(known),
        }
    }

    fn open_session(&mut self, token: TokenHash, device: &DeviceId, static_key: [u8; 32], expires_at: Wall) -> Answer {
        if self.active(device)?.static_key != static_key {
            return Err(StoreError::KeyReplaced);
        }
        self.sessions.retain(|session| session.token != token);
        self.sessions.push(Session {
            token,
            device: device.clone(),
            expires_at,
        });
        let mut own = self.sessions.iter().rev().filter(|one| one.device == *device);
        if let Some(oldest) = own.nth(SESSIONS_PER_DEVICE).map(|one| one.token) {
            self.sessions.retain(|session| session.token != oldest);
        }
        Ok(Reply::Done)
    }

    fn offer(&mut self, offer: &PairingOffer) -> Answer {
        if self.active(&offer.issuer)?.user != offer.user {
            return Err(StoreError::UnknownDevice);
        }
        if self.codes.contains_key(&offer.selector) {
            return Err(StoreError::Unavailable("the selector is in use".to_owned()));
        }
        let now = offer.issued_at;
        self.codes
            .retain(|_, code| code.offer.user != offer.user || code.offer.expires_at > now);
        if self.codes.values().filter(|code| code.offer.user == offer.user).count() >= CODES_PER_USER {
            return Err(StoreError::TooManyCodes);
        }
        let offer = offer.clone();
        self.codes.insert(offer.selector, Code { offer, wrong: 0 });
        Ok(Reply::Done)
    }

    fn claim(&mut self, claim: &PairingClaim) -> Answer {
        let PairingClaim { selector, device, .. } = claim;
        let code = self.codes.get_mut(selector).ok_or(StoreError::PairingRefused)?;
        let offer = code.offer.clone();
        let expired = offer.expires_at <= claim.at;
        code.wrong += u32::from(!expired && offer.secret != claim.secret);
        if expired || code.wrong >= PAIRING_TRIES {
            self.codes.remove(selector);
        }
        if expired || offer.secret != claim.secret {
            return Err(StoreError::PairingRefused);
        }
        if self.devices.contains_key(device) {
            return Err(StoreError::DeviceExists);
        }
        self.codes.remove(selector);
        self.add(device, claim.static_key, &offer.user, claim.at);
        Ok(Reply::Paired(Paired {
            issuer: offer.issuer,
            user: self.users[&offer.user].clone(),
        }))
    }
}

fn record(device: &DeviceId, known: &Known) -> DeviceRecord {
    DeviceRecord {
        device: device.clone(),
        static_key: known.static_key,
        created_at: known.created_at,
        revoked_at: known.revoked_at,
    }
}
