//! What is kept of people beside HELLO (decisions § 4, § 10): bearer sessions, devices, pairing codes, friends.
//!
//! Secrets do not reach the store: of a token or a code it keeps a hash.

use commucat_proto::{DeviceId, Handle, UserId};

use super::{Profile, Wall};

/// BLAKE3 of a bearer token: what a stolen table is worth nothing with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// The public half of a pairing code, by which its row is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(pub [u8; 8]);

/// A pairing code that somebody may use once until it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingOffer {
    /// Finds it.
    pub selector: Selector,
    /// BLAKE3 of the secret half; compared in constant time.
    pub secret: [u8; 32],
    /// Whose profile the new device joins.
    pub user: UserId,
    /// The device that asked for the code.
    pub issuer: DeviceId,
    /// When.
    pub issued_at: Wall,
    /// It is worth nothing from then on.
    pub expires_at: Wall,
}

/// What somebody shows who wants to use a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingClaim {
    /// Finds the code.
    pub selector: Selector,
    /// BLAKE3 of the secret half.
    pub secret: [u8; 32],
    /// The new device.
    pub device: DeviceId,
    /// Its static key.
    pub static_key: [u8; 32],
    /// Now, and the audit row's timestamp.
    pub at: Wall,
}

/// One entry of a user's own list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Friend {
    /// Who; not checked against the users of this server.
    pub user: UserId,
    /// As the list's owner knows it.
    pub handle: Option<Handle>,
    /// The owner's own word for them, at most 256 bytes.
    pub alias: Option<String>,
}

/// A device as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its name.
    pub device: DeviceId,
    /// The pinned X25519 static key.
    pub static_key: [u8; 32],
    /// When it came in.
    pub created_at: Wall,
    /// When it was revoked.
    pub revoked_at: Option<Wall>,
}

/// What may be asked about people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRequest {
    /// A device's session is about to be ready: its token is good until `expires_at`. Not waited for by the disk. The
    /// newest [`SESSIONS_PER_DEVICE`](super::SESSIONS_PER_DEVICE) of a device are kept. `Done`; `UnknownDevice`,
    /// `DeviceRevoked` when it was revoked meanwhile, and `KeyReplaced` when its key is another by now.
    OpenSession {
        /// Finds it.
        token: TokenHash,
        /// Whose it is.
        device: DeviceId,
        /// The key it has proven.
        static_key: [u8; 32],
        /// It is worth nothing from then on.
        expires_at: Wall,
    },
    /// Whose token is this? `Session`.
    FindSession {
        /// The token.
        token: TokenHash,
        /// Expired ones are not found.
        now: Wall,
    },
    /// A new device joins an existing profile without a pairing code: device and `device_key_event` in one transaction.
    /// `Done`; `UnknownUser`, `DeviceExists`, `DeviceLimit`.
    JoinProfile {
        /// The device.
        device: DeviceId,
        /// The key Noise has proven.
        static_key: [u8; 32],
        /// The profile.
        user: UserId,
        /// The profile may have so many devices, revoked ones not counted.
        limit: u32,
        /// The audit row's timestamp.
        at: Wall,
    },
    /// All devices of a profile, by name. `Devices`.
    ListDevices {
        /// Whose.
        user: UserId,
    },
    /// A device is refused from now on; its sessions, the pairing codes it has offered and its inbox are gone: whoever
    /// appends to it hears `UnknownDevice`. Its audit row is written with it. `Done`, also when it was revoked already;
    /// `UnknownDevice` when it is not the user's.
    RevokeDevice {
        /// Whose it must be.
        user: UserId,
        /// Which.
        device: DeviceId,
        /// When.
        at: Wall,
    },
    /// A device has another static key from now on, and no session but the one that asked; `device_key_event` in the
    /// same transaction. Whoever has a token that was had by the old key has nothing. `Done`; `UnknownDevice`,
    /// `DeviceRevoked`.
    RotateKey {
        /// Which.
        device: DeviceId,
        /// The new key.
        static_key: [u8; 32],
        /// The token of the session that asked: it stays.
        keep: TokenHash,
        /// The audit row's timestamp.
        at: Wall,
    },
    /// A pairing code is good from now on. `Done`; `UnknownDevice` when the issuer is no device of the user,
    /// `DeviceRevoked` when it was revoked meanwhile; `TooManyCodes` when the user has
    /// [`CODES_PER_USER`](super::CODES_PER_USER) that are neither used nor expired.
    OfferPairing(PairingOffer),
    /// A code is used: it is gone, and the new device with its `device_key_event` is there, in one transaction.
    /// `Paired`; `PairingRefused` when there is no such code, it has expired by `at`, or the secret is wrong: the fifth
    /// wrong secret ends the code. `DeviceExists` leaves the code as it was.
    ClaimPairing(PairingClaim),
    /// The user's own list. `Friends`.
    Friends {
        /// Whose.
        user: UserId,
    },
    /// Replaces it. `Done`; `UnknownUser`.
    PutFriends {
        /// Whose.
        user: UserId,
        /// At most [`FRIENDS_PER_USER`](super::FRIENDS_PER_USER), which the asker checks.
        friends: Vec<Friend>,
    },
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOwner {
    /// The device whose session it was issued to.
    pub device: DeviceId,
    /// Its user, as the profile is now.
    pub user: Profile,
}

/// What a used code led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    /// The device that asked for the code.
    pub issuer: DeviceId,
    /// The profile that was joined.
    pub user: Profile,
}
