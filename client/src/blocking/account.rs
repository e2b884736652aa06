//! The REST calls of people and their devices (decisions § 10): pairing, the devices of a profile, its list of friends.
//!
//! All but [`claim`] are of a session: its token says who asks. A problem of the relay's is
//! [`DriverError::Problem`].

use commucat_crypto::PublicKey;
use commucat_proto::control::{DeviceCertificate, HexKey, Text, UserProfile};
use commucat_proto::{DeviceId, Handle, SessionToken, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::fetch::{Call, call};
use super::{DriverError, Options};
use crate::endpoint::Endpoint;

/// Who asks, and where.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The relay.
    pub endpoint: &'a Endpoint,
    /// How to reach it.
    pub options: &'a Options,
    /// [`Session::token`](crate::Session::token).
    pub token: &'a SessionToken,
}

/// A code by which one more device joins the profile.
#[derive(Clone, Deserialize)]
pub struct PairingOffer {
    /// For a person to type.
    pub pair_code: Zeroizing<String>,
    /// RFC 3339.
    pub issued_at: String,
    /// RFC 3339: worth nothing from then on.
    pub expires_at: String,
    /// Seconds between the two.
    pub ttl: u64,
    /// The seed of the new device, hex, when it brings no key of its own.
    pub device_seed: Zeroizing<String>,
    /// Who asked.
    pub issuer_device_id: DeviceId,
    /// What signs the new device's certificate, Ed25519.
    pub device_ca_public: HexKey,
}

/// A device that has joined.
#[derive(Clone, Deserialize)]
pub struct PairedDevice {
    /// Its name.
    pub device_id: DeviceId,
    /// Its Ed25519 secret, hex; absent when it has brought its own key.
    #[serde(default)]
    pub private_key: Option<Zeroizing<String>>,
    /// The Ed25519 key that goes with it, or the X25519 key that was brought.
    pub public_key: HexKey,
    /// The secret of the pinned X25519 key, hex; absent as well when it has brought its own.
    #[serde(default)]
    pub seed: Option<Zeroizing<String>>,
    /// Who had asked for the code.
    pub issuer_device_id: DeviceId,
    /// The profile.
    pub user: UserProfile,
    /// By the relay's device authority.
    pub device_certificate: DeviceCertificate,
    /// The authority, Ed25519.
    pub device_ca_public: HexKey,
}

impl std::fmt::Debug for PairingOffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PairingOffer(by {}, until {})",
            self.issuer_device_id, self.expires_at
        )
    }
}

impl std::fmt::Debug for PairedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PairedDevice({} of {})", self.device_id, self.user.id)
    }
}

/// A device of the profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DeviceEntry {
    /// Its name.
    pub device_id: DeviceId,
    /// `active` or `revoked`.
    pub status: String,
    /// RFC 3339.
    pub created_at: String,
    /// The pinned X25519 key.
    pub public_key: HexKey,
    /// It is the one that asks.
    pub current: bool,
}

/// A device that has another key.
#[derive(Clone, Debug, Deserialize)]
pub struct RotatedKey {
    /// Its name.
    pub device_id: DeviceId,
    /// The X25519 key from now on.
    pub public_key: HexKey,
    /// For that key.
    pub device_certificate: DeviceCertificate,
}

/// An entry of the user's own list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Friend {
    /// Who.
    pub user_id: UserId,
    /// As the list's owner knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Handle>,
    /// The owner's own word for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Text>,
}

#[derive(Serialize)]
struct Wish {
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

#[derive(Serialize)]
struct Claim<'a> {
    pair_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_static: Option<HexKey>,
}

#[derive(Serialize)]
struct Revocation<'a> {
    device_id: &'a DeviceId,
}

#[derive(Serialize)]
struct Rotation {
    client_static: HexKey,
}

#[derive(Deserialize)]
struct Devices {
    devices: Vec<DeviceEntry>,
}

#[derive(Serialize, Deserialize)]
struct Friends {
    friends: Vec<Friend>,
}

/// Of a success nothing more is wanted.
#[derive(Deserialize)]
struct Done {}

impl Account<'_> {
    /// Asks for a pairing code that is good for `ttl` seconds, or as long as the relay likes.
    ///
    /// # Errors
    /// The relay's problem, or none of its answers.
    pub fn pair(&self, ttl: Option<u64>) -> Result<PairingOffer, DriverError> {
        self.ask("POST", "/api/pair", Some(&Wish { ttl }))
    }

    /// The devices of the profile.
    ///
    /// # Errors
    /// As `pair`.
    pub fn devices(&self) -> Result<Vec<DeviceEntry>, DriverError> {
        let Devices { devices } = self.ask("GET", "/api/devices", None::<&()>)?;
        Ok(devices)
    }

    /// Refuses a device of the profile from now on. Its sessions have ended when this returns.
    ///
    /// # Errors
    /// As `pair`.
    pub fn revoke(&self, device: &DeviceId) -> Result<(), DriverError> {
        let revocation = Revocation { device_id: device };
        let Done {} = self.ask("POST", "/api/devices/revoke", Some(&revocation))?;
        Ok(())
    }

    /// Pins another key for the device that asks. The session that asks has ended when this returns, like every other that
    /// stands on the old key.
    ///
    /// # Errors
    /// As `pair`.
    pub fn rotate_key(&self, key: PublicKey) -> Result<RotatedKey, DriverError> {
        let client_static = HexKey(*key.as_bytes());
        self.ask("POST", "/api/devices/rotate-key", Some(&Rotation { client_static }))
    }

    /// The user's own list.
    ///
    /// # Errors
    /// As `pair`.
    pub fn friends(&self) -> Result<Vec<Friend>, DriverError> {
        let Friends { friends } = self.ask("GET", "/api/friends", None::<&()>)?;
        Ok(friends)
    }

    /// Replaces it.
    ///
    /// # Errors
    /// As `pair`.
    pub fn put_friends(&self, friends: Vec<Friend>) -> Result<(), DriverError> {
        let Friends { .. } = self.ask("PUT", "/api/friends", Some(&Friends { friends }))?;
        Ok(())
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, DriverError> {
        ask(self.endpoint, self.options, (method, path), Some(self.token), body)
    }
}

/// Uses a pairing code. `key` is the new device's own; without it the relay makes one.
///
/// # Errors
/// The relay's problem, or none of its answers.
pub fn claim(
    endpoint: &Endpoint,
    options: &Options,
    code: &str,
    device_name: Option<&str>,
    key: Option<PublicKey>,
) -> Result<PairedDevice, DriverError> {
    let claim = Claim {
        pair_code: code,
        device_name,
        client_static: key.map(|key| HexKey(*key.as_bytes())),
    };
    ask(endpoint, options, ("POST", "/api/pair/claim"), None, Some(&claim))
}

/// What is read of a problem (RFC 9457).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    title: String,
    detail: String,
}

fn ask<T: DeserializeOwned>(
    endpoint: &Endpoint,
    options: &Options,
    (method, path): (&str, &str),
    token: Option<&SessionToken>,
    body: Option<&impl Serialize>,
) -> Result<T, DriverError> {
    let wrong = |what: String| DriverError::Answer {
        endpoint: endpoint.to_string(),
        path: path.to_owned(),
        what,
    };
    let body = body
        .map(serde_json::to_vec)
        .transpose()
        .map_err(|error| wrong(format!("nothing: the question is no JSON: {error}")))?
        .map(Zeroizing::new);
    let answer = call(
        endpoint,
        options,
        &Call {
            method,
            path,
            bearer: token.map(SessionToken::expose),
            body: body.as_ref().map(|body| body.as_slice()),
        },
    )?;
    if answer.status != 200 {
        // What is no problem document is told by its status alone.
        let Told { title, detail } = serde_json::from_slice(&answer.body).unwrap_or_default();
        return Err(DriverError::Problem {
            endpoint: endpoint.to_string(),
            path: path.to_owned(),
            status: answer.status,
            title,
            detail,
        });
    }
    serde_json::from_slice(&answer.body).map_err(|error| wrong(format!("unusable JSON: {error}")))
}
