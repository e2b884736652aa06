//! Bearer sessions (decisions § 4): found by the hash of their token, listed by their device.
//!
//! Invariant: a token stands in `bearer_session` exactly if it stands in its device's list in `device_sessions`, whose
//! order is that of opening.

use commucat_proto::DeviceId;
use fjall::OwnedWriteBatch;
use rkyv::{Archive, Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::error::Fault;
use super::people;
use super::tables::Tables;
use super::values;
use crate::api::{Reply, SESSIONS_PER_DEVICE, SessionOwner, StoreError, TokenHash, Wall};
use crate::limits::UPKEEP_DEVICES;

/// Table `bearer_session`, by token hash.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
struct SessionValue {
    device: String,
    expires_at: u64,
}

/// Table `device_sessions`, by device id: oldest first.
#[derive(Archive, Serialize, Deserialize, Debug, Default, PartialEq)]
struct ListValue {
    sessions: Vec<Opened>,
}

/// A session as its device's list has it.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
pub(super) struct Opened {
    pub(super) token: [u8; 32],
    pub(super) expires_at: u64,
}

/// One more session; the oldest make room for it.
pub(super) fn open(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    device: &DeviceId,
    static_key: &[u8; 32],
    opened: Opened,
) -> Result<Reply, Fault> {
    if !bool::from(people::active_device(tables, device)?.static_key.ct_eq(static_key)) {
        return Err(StoreError::KeyReplaced.into());
    }
    let (token, mut list) = (opened.token, list_of(tables, device)?);
    list.sessions.retain(|other| other.token != token);
    let surplus = (list.sessions.len() + 1).saturating_sub(SESSIONS_PER_DEVICE);
    for oldest in list.sessions.drain(..surplus) {
        batch.remove(&tables.bearer_session, oldest.token);
    }
    let session = SessionValue {
        device: device.as_str().to_owned(),
        expires_at: opened.expires_at,
    };
    list.sessions.push(opened);
    let session = values::encode("bearer_session", &session, 0)?;
    let list = values::encode("device_sessions", &list, 0)?;
    batch.insert(&tables.bearer_session, token, session);
    batch.insert(&tables.device_sessions, device.as_str(), list);
    Ok(Reply::Done)
}

/// Whose token it is.
pub(super) fn find(tables: &Tables, token: TokenHash, now: Wall) -> Result<Reply, Fault> {
    let Some(value) = tables.bearer_session.get(token.0)? else {
        return Ok(Reply::Session(None));
    };
    let session: SessionValue = values::decode("bearer_session", &value)?;
    if session.expires_at <= now.0 {
        return Ok(Reply::Session(None));
    }
    let device = DeviceId::parse(&session.device).map_err(|e| values::corrupt("bearer_session", e.to_string()))?;
    let known = people::device(tables, &device)?
        .ok_or_else(|| values::corrupt("bearer_session", format!("its device {device} is missing")))?;
    Ok(Reply::Session((!known.revoked).then_some(SessionOwner {
        device,
        user: known.user,
    })))
}

/// Ends all sessions of a device.
pub(super) fn end_all(tables: &Tables, batch: &mut OwnedWriteBatch, device: &DeviceId) -> Result<(), Fault> {
    for opened in list_of(tables, device)?.sessions {
        batch.remove(&tables.bearer_session, opened.token);
    }
    batch.remove(&tables.device_sessions, device.as_str());
    Ok(())
}

/// Ends all sessions of a device but one.
pub(super) fn end_others(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    device: &DeviceId,
    keep: TokenHash,
) -> Result<(), Fault> {
    let (kept, ended): (Vec<_>, Vec<_>) = list_of(tables, device)?
        .sessions
        .into_iter()
        .partition(|opened| opened.token == keep.0);
    for opened in ended {
        batch.remove(&tables.bearer_session, opened.token);
    }
    let list = values::encode("device_sessions", &ListValue { sessions: kept }, 0)?;
    batch.insert(&tables.device_sessions, device.as_str(), list);
    Ok(())
}

fn list_of(tables: &Tables, device: &DeviceId) -> Result<ListValue, Fault> {
    match tables.device_sessions.get(device.as_str())? {
        Some(value) => values::decode("device_sessions", &value),
        None => Ok(ListValue::default()),
    }
}

/// A bounded step of upkeep: takes out what has expired of the next few devices.
pub(super) fn expire(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    visited: &mut Option<Vec<u8>>,
    now: Wall,
) -> Result<(), fjall::Error> {
    let some = tables.next_rows(&tables.device_sessions, visited, UPKEEP_DEVICES)?;
    for (device, value) in some {
        match without_expired(&value, now) {
            Ok(None) => {}
            Ok(Some((kept, expired))) => {
                for token in expired {
                    batch.remove(&tables.bearer_session, token);
                }
                match kept {
                    Some(list) => batch.insert(&tables.device_sessions, device, list),
                    None => batch.remove(&tables.device_sessions, device),
                }
            }
            Err(fault) => tracing::warn!(?device, %fault, "a device's sessions could not be tended"),
        }
    }
    Ok(())
}

/// What a device's list is to be (nothing when it is empty), and the tokens that have expired; `None` when none has.
type Trimmed = Option<(Option<Vec<u8>>, Vec<[u8; 32]>)>;

fn without_expired(value: &[u8], now: Wall) -> Result<Trimmed, Fault> {
    let ListValue { sessions } = values::decode("device_sessions", value)?;
    let (expired, sessions): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|one| one.expires_at <= now.0);
    if expired.is_empty() {
        return Ok(None);
    }
    let tokens = expired.into_iter().map(|one| one.token).collect();
    let kept = match sessions.is_empty() {
        true => None,
        false => Some(values::encode("device_sessions", &ListValue { sessions }, 0)?),
    };
    Ok(Some((kept, tokens)))
}
