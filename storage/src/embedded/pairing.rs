//! Pairing codes (decisions § 10): one use, five wrong tries, compared in constant time.
//!
//! Invariant: a code stands in `pairing_code` exactly if it stands under its user in `user_pairing`.

use commucat_proto::{DeviceId, UserId};
use fjall::OwnedWriteBatch;
use rkyv::{Archive, Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::devices::NewDevice;
use super::error::Fault;
use super::tables::Tables;
use super::{keys, people, values};
use crate::api::{
    CODES_PER_USER, PAIRING_TRIES, Paired, PairingClaim, PairingOffer, Reply, Selector, StoreError, Wall,
};
use crate::limits::UPKEEP_DEVICES;

/// Table `pairing_code`, by selector.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
struct CodeValue {
    /// BLAKE3 of the secret half.
    secret: [u8; 32],
    user: String,
    issuer: String,
    issued_at: u64,
    expires_at: u64,
    /// Wrong secrets so far.
    wrong: u32,
}

/// A code is good from now on.
pub(super) fn offer(tables: &Tables, batch: &mut OwnedWriteBatch, offer: &PairingOffer) -> Result<Reply, Fault> {
    let issuer = people::active_device(tables, &offer.issuer)?;
    if issuer.user != offer.user.as_str() {
        return Err(StoreError::UnknownDevice.into());
    }
    if tables.pairing_code.contains_key(offer.selector.0)? {
        // Selectors are made up by the relay.
        return Err(StoreError::Unavailable("a pairing code's selector is in use already".to_owned()).into());
    }
    let (open, over): (Vec<_>, Vec<_>) = codes_of(tables, &offer.user)?
        .into_iter()
        .partition(|(_, code)| code.expires_at > offer.issued_at.0);
    for (selector, _) in over {
        remove(tables, batch, offer.user.as_str(), selector);
    }
    if open.len() >= CODES_PER_USER {
        return Err(StoreError::TooManyCodes.into());
    }
    let code = CodeValue {
        secret: offer.secret,
        user: offer.user.as_str().to_owned(),
        issuer: offer.issuer.as_str().to_owned(),
        issued_at: offer.issued_at.0,
        expires_at: offer.expires_at.0,
        wrong: 0,
    };
    batch.insert(&tables.pairing_code, offer.selector.0, encode(&code)?);
    batch.insert(
        &tables.user_pairing,
        keys::owned(offer.user.as_str(), &offer.selector.0),
        [],
    );
    Ok(Reply::Done)
}

/// A code is used, or one try of it.
pub(super) fn claim(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    event: &mut u64,
    claim: &PairingClaim,
) -> Result<Reply, Fault> {
    let selector = claim.selector;
    let mut code = stored(tables, selector)?.ok_or(StoreError::PairingRefused)?;
    if code.expires_at <= claim.at.0 {
        remove(tables, batch, &code.user, selector);
        return Err(StoreError::PairingRefused.into());
    }
    if !bool::from(code.secret.ct_eq(&claim.secret)) {
        code.wrong += 1;
        if code.wrong >= PAIRING_TRIES {
            remove(tables, batch, &code.user, selector);
        } else {
            batch.insert(&tables.pairing_code, selector.0, encode(&code)?);
        }
        return Err(StoreError::PairingRefused.into());
    }
    if tables.devices.contains_key(claim.device.as_str())? {
        return Err(StoreError::DeviceExists.into());
    }
    let user = UserId::parse(&code.user).map_err(|e| values::corrupt("pairing_code", e.to_string()))?;
    let issuer = DeviceId::parse(&code.issuer).map_err(|e| values::corrupt("pairing_code", e.to_string()))?;
    let profile = people::profile(tables, &user)?
        .ok_or_else(|| values::corrupt("pairing_code", format!("its user {user} is missing")))?;
    let new = NewDevice {
        device: &claim.device,
        static_key: claim.static_key,
        user: &user,
        at: claim.at,
    };
    new.add(tables, batch, event)?;
    remove(tables, batch, &code.user, selector);
    Ok(Reply::Paired(Paired { issuer, user: profile }))
}

/// A device is revoked: what it has offered is worth nothing, whoever has it.
pub(super) fn withdraw(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    user: &UserId,
    issuer: &DeviceId,
) -> Result<(), Fault> {
    for (selector, code) in codes_of(tables, user)? {
        if code.issuer == issuer.as_str() {
            remove(tables, batch, user.as_str(), selector);
        }
    }
    Ok(())
}

/// A user's codes, used ones excepted.
fn codes_of(tables: &Tables, user: &UserId) -> Result<Vec<(Selector, CodeValue)>, Fault> {
    let mut codes = Vec::new();
    for guard in tables.user_pairing.prefix(keys::under(user.as_str())) {
        let key = guard.key()?;
        let selector = keys::what(user.as_str(), &key)
            .and_then(|selector| Some(Selector(selector.try_into().ok()?)))
            .ok_or_else(|| values::corrupt("user_pairing", "its key names no code".to_owned()))?;
        let code = stored(tables, selector)?
            .ok_or_else(|| values::corrupt("user_pairing", "its code is missing".to_owned()))?;
        codes.push((selector, code));
    }
    Ok(codes)
}

fn stored(tables: &Tables, selector: Selector) -> Result<Option<CodeValue>, Fault> {
    match tables.pairing_code.get(selector.0)? {
        Some(value) => values::decode("pairing_code", &value).map(Some),
        None => Ok(None),
    }
}

fn encode(code: &CodeValue) -> Result<Vec<u8>, Fault> {
    values::encode("pairing_code", code, 0)
}

fn remove(tables: &Tables, batch: &mut OwnedWriteBatch, user: &str, selector: Selector) {
    batch.remove(&tables.pairing_code, selector.0);
    batch.remove(&tables.user_pairing, keys::owned(user, &selector.0));
}

/// A bounded step of upkeep: takes out those of the next few codes that have expired.
pub(super) fn expire(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    visited: &mut Option<Vec<u8>>,
    now: Wall,
) -> Result<(), fjall::Error> {
    for (key, value) in tables.next_rows(&tables.pairing_code, visited, UPKEEP_DEVICES)? {
        let code = values::decode::<CodeValue>("pairing_code", &value);
        match (code, <[u8; 8]>::try_from(&key[..])) {
            (Ok(code), Ok(selector)) if code.expires_at <= now.0 => {
                remove(tables, batch, &code.user, Selector(selector));
            }
            (Ok(_), Ok(_)) => {}
            (Err(fault), _) => tracing::warn!(%fault, "a pairing code could not be tended"),
            (_, Err(_)) => tracing::warn!("a pairing code's key is no selector"),
        }
    }
    Ok(())
}
