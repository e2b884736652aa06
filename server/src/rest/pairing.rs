//! Pairing (decisions § 10): a device asks for a code, another one uses it and belongs to the same profile.
//!
//! The store never sees a code or a seed: of the code's secret it keeps a hash, and the seed of the new device follows from
//! the code and a key of this server, so that both calls can tell it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json};
use commucat_crypto::certificate::Claims;
use commucat_crypto::zkp::device_keys;
use commucat_crypto::{DeviceCa, StaticKey};
use commucat_proto::control::{DeviceCertificate, HexKey, Text, UserProfile};
use commucat_proto::{DeviceId, UserId};
use commucat_storage::api::{
    AccountRequest, Paired, PairingClaim, PairingOffer, Profile, Reply, Request, StoreError, Wall,
};
use http::{Method, StatusCode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::Site;
use super::bearer::Bearer;
use super::body::JsonBody;
use super::code::Code;
use super::endpoint::{Endpoint, Operation};
use super::limit::Caller;
use super::problem::Problem;
use super::time::{after, now, rfc3339};

/// What operators can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairingOptions {
    /// How long a code is good when nobody says otherwise.
    pub ttl: Duration,
    /// The longest that anybody can say.
    pub ttl_max: Duration,
    /// How long a device certificate is good.
    pub certificate_ttl: Duration,
    /// Devices of one profile, revoked ones included, past which it gets no code any more.
    pub devices: usize,
}

impl Default for PairingOptions {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(300),
            ttl_max: Duration::from_secs(3600),
            certificate_ttl: Duration::from_secs(365 * 24 * 3600),
            devices: 256,
        }
    }
}

/// What pairing needs beside the store.
pub struct Authority {
    /// Signs certificates.
    pub ca: DeviceCa,
    /// What seeds of new devices follow from, with a code.
    pub seed_key: Zeroizing<[u8; 32]>,
    /// Bounds.
    pub options: PairingOptions,
}

impl Authority {
    /// The authority of `domain` whose Ed25519 seed is this.
    #[must_use]
    pub fn new(seed: &Zeroizing<[u8; 32]>, domain: &str, options: PairingOptions) -> Arc<Self> {
        Arc::new(Self {
            ca: DeviceCa::new(seed, domain),
            seed_key: Zeroizing::new(blake3::derive_key("commucat.pairing.device-seed.v1", &**seed)),
            options,
        })
    }

    /// Its public key, hex.
    #[must_use]
    pub fn public(&self) -> String {
        hex::encode(self.ca.public())
    }

    /// A certificate from `at` on.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn certify(
        &self,
        (user, device): (&UserId, &DeviceId),
        public_key: [u8; 32],
        at: Wall,
    ) -> Result<DeviceCertificate, Problem> {
        let mut serial = [0; 8];
        fill(&mut serial)?;
        let issued_at = at.0 / 1000;
        Ok(self.ca.issue(Claims {
            // Whoever reads JSON numbers as floating point keeps 53 bits.
            serial: u64::from_be_bytes(serial) >> 11,
            user: user.clone(),
            device: device.clone(),
            public_key,
            issued_at,
            expires_at: issued_at.saturating_add(self.options.certificate_ttl.as_secs()),
        }))
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), Problem> {
    getrandom::fill(bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no randomness");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed to answer")
    })
}

#[derive(Debug, Deserialize)]
struct Wish {
    /// Seconds.
    #[serde(default, deserialize_with = "whole")]
    ttl: Option<u64>,
}

/// To JSON Schema 5.0 is an integer as well, and one of any size (JSON Schema 2020-12, section 4.2.3): what is more than
/// fits is the most that fits.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Fits(u64),
        Other(f64),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Fits(number)) => Ok(Some(number)),
        // The cast keeps to what a u64 holds.
        Some(Number::Other(number)) if number.fract() == 0.0 && number >= 0.0 => Ok(Some(number as u64)),
        Some(Number::Other(number)) => Err(D::Error::custom(format!("{number} is no whole number of seconds"))),
    }
}

#[derive(Serialize)]
struct Offer {
    pair_code: Zeroizing<String>,
    issued_at: String,
    expires_at: String,
    ttl: u64,
    device_seed: Zeroizing<String>,
    issuer_device_id: DeviceId,
    device_ca_public: String,
}

async fn offer(
    bearer: Bearer,
    State(site): State<Site>,
    JsonBody(wish): JsonBody<Wish>,
) -> Result<Json<Offer>, Problem> {
    let options = &site.authority.options;
    let ttl = match wish.ttl {
        Some(0) => return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "ttl must be at least 1")),
        Some(seconds) => Duration::from_secs(seconds).min(options.ttl_max),
        None => options.ttl,
    };
    refuse_crowd(&site, &bearer).await?;
    let code =
        Code::generate().map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no code could be made"))?;
    let issued_at = now();
    let offer = PairingOffer {
        selector: code.selector(),
        secret: code.hash(),
        user: bearer.user.id,
        issuer: bearer.device.clone(),
        issued_at,
        expires_at: after(issued_at, ttl),
    };
    let expires_at = rfc3339(offer.expires_at);
    match site
        .store
        .call(Request::Account(AccountRequest::OfferPairing(offer)))
        .await
    {
        Ok(_) => {}
        Err(StoreError::TooManyCodes) => {
            let detail = "too many pairing codes are neither used nor expired";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Json(Offer {
        pair_code: code.text(),
        issued_at: rfc3339(issued_at),
        expires_at,
        ttl: ttl.as_secs(),
        device_seed: Zeroizing::new(hex::encode(code.device_seed(&site.authority.seed_key).as_slice())),
        issuer_device_id: bearer.device,
        device_ca_public: site.authority.public(),
    }))
}

/// A profile's devices are listed whole, and never forgotten: there is an end to them.
async fn refuse_crowd(site: &Site, bearer: &Bearer) -> Result<(), Problem> {
    let user = bearer.user.id.clone();
    let listed = site
        .store
        .call(Request::Account(AccountRequest::ListDevices { user }))
        .await?;
    match listed {
        Reply::Devices(devices) if devices.len() < site.authority.options.devices => Ok(()),
        _ => Err(Problem::new(
            StatusCode::CONFLICT,
            "this profile has as many devices as it may have",
        )),
    }
}

#[derive(Deserialize)]
struct Claim {
    pair_code: Zeroizing<String>,
    /// What existing clients send for people to read. Device ids stay opaque, and nothing of it is kept.
    #[serde(rename = "device_name")]
    _device_name: Option<Text>,
    client_static: Option<HexKey>,
}

#[derive(Serialize)]
struct Claimed {
    device_id: DeviceId,
    #[serde(flatten)]
    keys: Keys,
    issuer_device_id: DeviceId,
    user_id: UserId,
    user: UserProfile,
    device_certificate: DeviceCertificate,
    device_ca_public: String,
}

/// What is told of the new device's key.
#[derive(Serialize)]
struct Keys {
    /// Ed25519; absent when the device has brought its own key.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_key: Option<Zeroizing<String>>,
    /// Ed25519, or the X25519 key that the device has brought.
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<Zeroizing<String>>,
}

async fn claim(
    State(site): State<Site>,
    Extension(caller): Extension<Caller>,
    JsonBody(claim): JsonBody<Claim>,
) -> Result<Json<Claimed>, Problem> {
    site.limits.code(caller)?;
    let refused = || Problem::new(StatusCode::FORBIDDEN, "this pairing code is not worth anything");
    let code = Code::parse(&claim.pair_code).ok_or_else(refused)?;
    let (pinned, public, keys) = keys(&code, claim.client_static, &site.authority.seed_key)
        .inspect_err(|_| site.limits.code_was_right(caller))?;
    let (device, paired, at) = match join(&site, &code, pinned).await {
        Ok(joined) => joined,
        Err(StoreError::PairingRefused) => return Err(refused()),
        Err(error) => {
            // Nobody has guessed anything.
            site.limits.code_was_right(caller);
            return Err(error.into());
        }
    };
    site.limits.code_was_right(caller);
    if !issuer_stands(&site, &paired).await? {
        let user = paired.user.id;
        let revoke = AccountRequest::RevokeDevice { user, device, at };
        site.store.call(Request::Account(revoke)).await?;
        return Err(refused());
    }
    let Paired { issuer, user } = paired;
    let device_certificate = site.authority.certify((&user.id, &device), public, at)?;
    tracing::info!(
        device = device.as_str(),
        issuer = issuer.as_str(),
        "a device was paired"
    );
    Ok(Json(Claimed {
        device_id: device,
        keys,
        issuer_device_id: issuer,
        user_id: user.id.clone(),
        user: wire_profile(user),
        device_certificate,
        device_ca_public: site.authority.public(),
    }))
}

/// The X25519 key to pin, the key to certify, and what is told of them.
fn keys(
    code: &Code,
    brought: Option<HexKey>,
    seed_key: &Zeroizing<[u8; 32]>,
) -> Result<([u8; 32], [u8; 32], Keys), Problem> {
    if let Some(HexKey(key)) = brought {
        let told = Keys {
            private_key: None,
            public_key: hex::encode(key),
            seed: None,
        };
        return Ok((key, key, told));
    }
    let seed = code.device_seed(seed_key);
    let (_, public) = device_keys(&seed);
    let text = Zeroizing::new(hex::encode(seed.as_slice()));
    let told = Keys {
        private_key: Some(text.clone()),
        public_key: hex::encode(public),
        seed: Some(text),
    };
    let Some(key) = StaticKey::try_from_secret(seed) else {
        tracing::error!("there is no memory for a key");
        return Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed to answer",
        ));
    };
    Ok((*key.public().as_bytes(), public, told))
}

/// Uses the code for a device with a new name.
async fn join(site: &Site, code: &Code, static_key: [u8; 32]) -> Result<(DeviceId, Paired, Wall), StoreError> {
    // 128 random bits that somebody has taken already are no chance.
    const TRIES: usize = 3;
    let unusable = |what: String| StoreError::Unavailable(what);
    for _ in 0..TRIES {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| unusable(error.to_string()))?;
        let device =
            DeviceId::parse(&format!("device-{}", hex::encode(random))).map_err(|error| unusable(error.to_string()))?;
        let at = now();
        let request = AccountRequest::ClaimPairing(PairingClaim {
            selector: code.selector(),
            secret: code.hash(),
            device: device.clone(),
            static_key,
            at,
        });
        match site.store.call(Request::Account(request)).await {
            Ok(Reply::Paired(paired)) => return Ok((device, paired, at)),
            Ok(_) => return Err(unusable("the store gave no answer to the question".to_owned())),
            Err(StoreError::DeviceExists) => {}
            Err(error) => return Err(error),
        }
    }
    Err(StoreError::DeviceExists)
}

/// A code is no way around a revocation: one whose issuer was revoked since is worth nothing. The new device's name is not
/// known to anybody yet, so nothing is lost by asking afterwards.
async fn issuer_stands(site: &Site, paired: &Paired) -> Result<bool, Problem> {
    let lookup = Request::Lookup {
        device: paired.issuer.clone(),
        user: None,
        handle: None,
    };
    let Reply::Found { device, .. } = site.store.call(lookup).await? else {
        return Ok(false);
    };
    Ok(device.is_some_and(|device| !device.revoked))
}

fn wire_profile(profile: Profile) -> UserProfile {
    UserProfile {
        id: profile.id,
        handle: profile.handle,
        display_name: profile.display_name.as_deref().map(Text::cut),
        avatar_url: profile.avatar_url.as_deref().map(Text::cut),
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::POST,
            path: "/api/pair",
            handler: post(offer),
            operation: Operation::new(
                "offerPairing",
                "A code by which one more device joins the caller's profile.",
            )
            .bearer()
            .body("PairingWish", false)
            .json("PairingOffer")
            .problem(409, "Too many open codes, or too many devices."),
        },
        Endpoint {
            method: Method::POST,
            path: "/api/pair/claim",
            handler: post(claim),
            operation: Operation::new("claimPairing", "Uses a code: the new device belongs to the profile.")
                .body("PairingClaim", true)
                .json("PairedDevice")
                .problem(403, "The code is wrong, used, or has expired."),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::Wish;

    #[test]
    fn a_ttl_is_any_whole_number_however_json_writes_it() {
        let of = |text: &str| serde_json::from_str::<Wish>(text).map(|wish| wish.ttl).ok();
        for (text, ttl) in [
            ("{}", None),
            (r#"{"ttl": null}"#, None),
            (r#"{"ttl": 5}"#, Some(5)),
            (r#"{"ttl": 5.0}"#, Some(5)),
            (r#"{"ttl": 5e1}"#, Some(50)),
            (r#"{"ttl": 18446744073709551615}"#, Some(u64::MAX)),
            (r#"{"ttl": 1e300}"#, Some(u64::MAX)),
        ] {
            assert_eq!(of(text), Some(ttl), "{text}");
        }
        for wrong in [
            r#"{"ttl": 5.5}"#,
            r#"{"ttl": -1}"#,
            r#"{"ttl": "5"}"#,
            r#"{"ttl": [5]}"#,
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
