//! What the requests about people mean, with maps and no cleverness: for models that a store, or the relay above one,
//! is compared with.
//!
//! A [`Registry`] knows who there is; it keeps no inboxes. What a full inbox is, when its rows expire and what a crash
//! takes differs from model to model, so each keeps its own and asks [`Registry::has_inbox`] who may have one: a
//! revocation ends the inbox of its device. Invariant: the profile of every device is there, and sessions and open
//! pairing codes belong to devices that are not revoked.

mod accounts;
mod groups;

use std::collections::BTreeMap;

use commucat_proto::{DeviceId, GroupId, Handle, UserId};

use crate::api::{Device, Friend, GroupRoster, PresenceEntry, Profile, Reply, Request, Selector, StoreError, Wall};
use accounts::{Code, Session};

type Answer = Result<Reply, StoreError>;

#[derive(Clone, Debug)]
struct Known {
    static_key: [u8; 32],
    user: UserId,
    created_at: Wall,
    revoked_at: Option<Wall>,
}

/// Devices and users with all that is theirs, but for the inboxes.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    devices: BTreeMap<DeviceId, Known>,
    users: BTreeMap<UserId, Profile>,
    /// In the order of opening.
    sessions: Vec<Session>,
    codes: BTreeMap<Selector, Code>,
    friends: BTreeMap<UserId, Vec<Friend>>,
    groups: BTreeMap<GroupId, GroupRoster>,
    presence: BTreeMap<DeviceId, PresenceEntry>,
}

impl Registry {
    /// Does what is asked, at once.
    ///
    /// # Panics
    ///
    /// On a request about inboxes, which the model answers itself.
    pub fn answer(&mut self, request: &Request) -> Result<Reply, StoreError> {
        match request {
            Request::Lookup { device, user, handle } => Ok(Reply::Found {
                device: self.devices.get(device).map(|known| self.device(known)),
                user: user.as_ref().and_then(|id| self.users.get(id)).cloned(),
                handle_taken: handle.as_ref().is_some_and(|handle| self.is_taken(handle)),
            }),
            Request::Found {
                device,
                static_key,
                profile,
                at,
            } => self.found(device, *static_key, profile, *at),
            Request::UpdateProfile { profile } => self.update(profile),
            Request::Account(request) => self.account(request),
            Request::Group(request) => self.group(request),
            Request::Presence(request) => Ok(self.presence(request)),
            Request::Probe => Ok(Reply::Done),
            Request::Append { .. }
            | Request::AppendOwed { .. }
            | Request::ReadInbox { .. }
            | Request::Delivered { .. }
            | Request::Depth => panic!("the registry keeps no inboxes: {request:?}"),
        }
    }

    /// Whether there is such a device and it has not been revoked. Once an answer of the registry makes this false, what
    /// the inbox held is gone.
    pub fn has_inbox(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|known| known.revoked_at.is_none())
    }

    /// Whose device it is, when it is known.
    pub fn owner(&self, device: &DeviceId) -> Option<UserId> {
        self.devices.get(device).map(|known| known.user.clone())
    }

    /// What is known of whom, whether it has expired or not.
    pub fn told(&self) -> impl Iterator<Item = (&DeviceId, &str)> {
        self.presence.iter().map(|(device, entry)| (device, &*entry.state))
    }

    /// Forgets what is worth nothing any more.
    pub fn upkeep(&mut self, now: Wall) {
        self.sessions.retain(|session| session.expires_at > now);
        self.codes.retain(|_, code| code.offer.expires_at > now);
        self.presence.retain(|_, entry| entry.expires_at > now);
    }

    /// Presence ends with the process, in stores that keep it there.
    pub fn forget_presence(&mut self) {
        self.presence.clear();
    }

    /// A crash may take any session, since its answer does not wait for the disk: `survives` is asked once for each, in
    /// the order of opening.
    pub fn lose_sessions(&mut self, mut survives: impl FnMut() -> bool) {
        self.sessions.retain(|_| survives());
    }

    fn found(&mut self, device: &DeviceId, static_key: [u8; 32], profile: &Profile, at: Wall) -> Answer {
        if self.devices.contains_key(device) {
            return Err(StoreError::DeviceExists);
        }
        if self.is_taken(&profile.handle) {
            return Err(StoreError::HandleTaken);
        }
        if self.users.contains_key(&profile.id) {
            return Err(StoreError::Unavailable("the user exists".to_owned()));
        }
        self.users.insert(profile.id.clone(), profile.clone());
        self.add(device, static_key, &profile.id, at);
        Ok(Reply::Done)
    }

    /// A handle is for ever.
    fn update(&mut self, profile: &Profile) -> Answer {
        let Some(user) = self.users.get_mut(&profile.id) else {
            return Err(StoreError::Unavailable("no such user".to_owned()));
        };
        user.display_name = profile.display_name.clone();
        user.avatar_url = profile.avatar_url.clone();
        Ok(Reply::Done)
    }

    fn add(&mut self, device: &DeviceId, static_key: [u8; 32], user: &UserId, created_at: Wall) {
        assert!(self.users.contains_key(user), "{device} belongs to nobody");
        let known = Known {
            static_key,
            user: user.clone(),
            created_at,
            revoked_at: None,
        };
        let before = self.devices.insert(device.clone(), known);
        assert!(before.is_none(), "{device} was there already");
    }

    fn device(&self, known: &Known) -> Device {
        Device {
            static_key: known.static_key,
            user: self.users[&known.user].clone(),
            revoked: known.revoked_at.is_some(),
        }
    }

    fn is_taken(&self, handle: &Handle) -> bool {
        self.users.values().any(|profile| profile.handle == *handle)
    }
}
