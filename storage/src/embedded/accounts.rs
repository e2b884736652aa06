//! What is asked about people beside HELLO: which file answers it.

use fjall::OwnedWriteBatch;

use super::devices::NewDevice;
use super::error::Fault;
use super::sessions::Opened;
use super::tables::Tables;
use super::{devices, friends, pairing, sessions};
use crate::api::{AccountRequest, Reply};

/// Carries out what needs the tables alone. `event` is the next id in `device_key_event`.
#[expect(
    clippy::unreachable,
    reason = "the engine answers that one: the only caller is there"
)]
pub(super) fn serve(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    event: &mut u64,
    request: &AccountRequest,
) -> Result<Reply, Fault> {
    match request {
        AccountRequest::OpenSession {
            token,
            device,
            static_key,
            expires_at,
        } => {
            let opened = Opened {
                token: token.0,
                expires_at: expires_at.0,
            };
            sessions::open(tables, batch, device, static_key, opened)
        }
        AccountRequest::FindSession { token, now } => sessions::find(tables, *token, *now),
        AccountRequest::JoinProfile {
            device,
            static_key,
            user,
            limit,
            at,
        } => {
            let new = NewDevice {
                device,
                static_key: *static_key,
                user,
                at: *at,
            };
            devices::join(tables, batch, event, &new, *limit)
        }
        AccountRequest::ListDevices { user } => devices::list(tables, user),
        AccountRequest::RevokeDevice { .. } => unreachable!("the engine revokes: inboxes are its own"),
        AccountRequest::RotateKey {
            device,
            static_key,
            keep,
            at,
        } => {
            let rotated = devices::rotate(tables, batch, event, device, *static_key, *at)?;
            sessions::end_others(tables, batch, device, *keep)?;
            Ok(rotated)
        }
        AccountRequest::OfferPairing(offer) => pairing::offer(tables, batch, offer),
        AccountRequest::ClaimPairing(claim) => pairing::claim(tables, batch, event, claim),
        AccountRequest::Friends { user } => friends::list(tables, user),
        AccountRequest::PutFriends { user, friends } => friends::put(tables, batch, user, friends),
    }
}

/// Whether it makes the store larger. Sessions do not: a device has a few, and without one it could not fetch what is
/// kept for it. Nor does the end of a device, which must be possible whatever the disk is like.
pub(super) fn grows(request: &AccountRequest) -> bool {
    match request {
        AccountRequest::JoinProfile { .. }
        | AccountRequest::RotateKey { .. }
        | AccountRequest::OfferPairing(_)
        | AccountRequest::ClaimPairing(_)
        | AccountRequest::PutFriends { .. } => true,
        AccountRequest::OpenSession { .. }
        | AccountRequest::FindSession { .. }
        | AccountRequest::ListDevices { .. }
        | AccountRequest::RevokeDevice { .. }
        | AccountRequest::Friends { .. } => false,
    }
}
