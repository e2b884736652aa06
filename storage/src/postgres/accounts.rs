//! Bearer sessions, devices, pairing codes, friends.

use commucat_proto::{DeviceId, Handle, UserId};
use subtle::ConstantTimeEq;
use tokio_postgres::{Error, Row};

use super::Answer;
use super::session::Session;
use super::values::{Moment, device_id, key_bytes, profile, text};
use crate::api::{
    AccountRequest, CODES_PER_USER, DeviceRecord, Friend, PAIRING_TRIES, Paired, PairingClaim, PairingOffer, Reply,
    SESSIONS_PER_DEVICE, SessionOwner, StoreError, TokenHash, Wall,
};

pub(super) const OPEN_SESSION: &str = "
    WITH known AS (
        SELECT revoked_at IS NOT NULL AS revoked, public_key = $5 AS same FROM device WHERE device_id = $2 FOR SHARE
    ), old AS (
        DELETE FROM session WHERE token IN (
            SELECT token FROM session WHERE device_id = $2 AND token <> $1 AND EXISTS (
                SELECT 1 FROM known WHERE NOT revoked AND same) ORDER BY number DESC OFFSET $4)
    ), new AS (
        INSERT INTO session (token, device_id, expires_at) SELECT $1, $2, $3 FROM known WHERE NOT revoked AND same
        ON CONFLICT (token) DO NOTHING
    )
    SELECT revoked, same FROM known";

pub(super) const FIND_SESSION: &str = "
    SELECT session.device_id, its.user_id, its.handle, its.display_name, its.avatar_url
    FROM session JOIN device USING (device_id) JOIN user_profile AS its USING (user_id)
    WHERE session.token = $1 AND session.expires_at > $2 AND device.revoked_at IS NULL";

/// Before a statement that counts what a user has: two relays then count one after the other.
pub(super) const LOCK_USER: &str = "SELECT 1 FROM user_profile WHERE user_id = $1 FOR NO KEY UPDATE";

pub(super) const JOIN_PROFILE: &str = "
    WITH found AS (
        SELECT EXISTS (SELECT 1 FROM user_profile WHERE user_id = $3) AS profile,
               EXISTS (SELECT 1 FROM device WHERE device_id = $1) AS device,
               (SELECT count(*) FROM device WHERE user_id = $3 AND revoked_at IS NULL) < $5 AS room
    ), free AS (
        SELECT 1 FROM found WHERE profile AND NOT device AND room
    ), device AS (
        INSERT INTO device (device_id, user_id, public_key, created_at) SELECT $1, $3, $2, $4 FROM free
    ), audit AS (
        INSERT INTO device_key_event (device_id, public_key, kind, created_at)
        SELECT $1, $2, 'approved', $4 FROM free
    ), place AS (
        INSERT INTO inbox (key) SELECT 'inbox:' || $1 FROM free
    )
    SELECT found.profile, found.device, found.room FROM found";

pub(super) const LIST_DEVICES: &str = "
    SELECT device_id, public_key, created_at, revoked_at FROM device WHERE user_id = $1 ORDER BY device_id";

pub(super) const REVOKE_DEVICE: &str = "
    WITH its AS (
        SELECT device_id, public_key, revoked_at FROM device WHERE device_id = $1 AND user_id = $2 FOR UPDATE
    ), audit AS (
        INSERT INTO device_key_event (device_id, public_key, kind, created_at)
        SELECT device_id, public_key, 'revoked', $3 FROM its WHERE revoked_at IS NULL
    ), revoked AS (
        UPDATE device SET revoked_at = $3 FROM its
        WHERE device.device_id = its.device_id AND its.revoked_at IS NULL
    ), sessions AS (
        DELETE FROM session WHERE device_id IN (SELECT device_id FROM its)
    ), codes AS (
        DELETE FROM pairing_code WHERE issuer IN (SELECT device_id FROM its)
    ), place AS (
        DELETE FROM inbox WHERE key IN (SELECT 'inbox:' || device_id FROM its)
    ), frames AS (
        DELETE FROM relay_queue WHERE key IN (SELECT 'inbox:' || device_id FROM its)
    )
    SELECT 1 FROM its";

/// Before the statement that ends sessions: one that was opened meanwhile is then seen by it.
pub(super) const LOCK_DEVICE: &str = "SELECT 1 FROM device WHERE device_id = $1 FOR UPDATE";

pub(super) const ROTATE_KEY: &str = "
    WITH its AS (
        SELECT device_id, revoked_at FROM device WHERE device_id = $1 FOR UPDATE
    ), sessions AS (
        DELETE FROM session WHERE token <> $4 AND device_id IN (SELECT device_id FROM its WHERE revoked_at IS NULL)
    ), audit AS (
        INSERT INTO device_key_event (device_id, public_key, kind, created_at)
        SELECT device_id, $2, 'rotated', $3 FROM its WHERE revoked_at IS NULL
    ), rotated AS (
        UPDATE device SET public_key = $2 FROM its
        WHERE device.device_id = its.device_id AND its.revoked_at IS NULL
    )
    SELECT revoked_at IS NOT NULL FROM its";

pub(super) const OFFER_PAIRING: &str = "
    WITH found AS (
        SELECT revoked_at IS NOT NULL AS revoked,
               (SELECT count(*) FROM pairing_code WHERE user_id = $3 AND expires_at > $5) < $7 AS room
        FROM device WHERE device_id = $4 AND user_id = $3
    ), offer AS (
        INSERT INTO pairing_code (selector, secret, user_id, issuer, issued_at, expires_at)
        SELECT $1, $2, $3, $4, $5, $6 FROM found WHERE room AND NOT revoked
    )
    SELECT revoked, room FROM found";

pub(super) const FIND_PAIRING: &str = "
    SELECT code.secret, code.issuer, code.wrong,
           EXISTS (SELECT 1 FROM device WHERE device_id = $3),
           its.user_id, its.handle, its.display_name, its.avatar_url
    FROM pairing_code AS code JOIN user_profile AS its USING (user_id)
    WHERE code.selector = $1 AND code.expires_at > $2
    FOR UPDATE OF code";

pub(super) const WRONG_PAIRING: &str = "UPDATE pairing_code SET wrong = wrong + 1 WHERE selector = $1";

pub(super) const END_PAIRING: &str = "DELETE FROM pairing_code WHERE selector = $1";

pub(super) const CLAIM_PAIRING: &str = "
    WITH code AS (
        DELETE FROM pairing_code WHERE selector = $1
    ), device AS (
        INSERT INTO device (device_id, user_id, public_key, created_at) VALUES ($2, $4, $3, $5)
    ), audit AS (
        INSERT INTO device_key_event (device_id, public_key, kind, created_at) VALUES ($2, $3, 'approved', $5)
    )
    INSERT INTO inbox (key) VALUES ('inbox:' || $2)";

pub(super) const FRIENDS: &str = "SELECT user_id, handle, alias FROM friend WHERE owner = $1 ORDER BY position";

pub(super) const CLEAR_FRIENDS: &str = "DELETE FROM friend WHERE owner = $1";

pub(super) const PUT_FRIENDS: &str = "
    INSERT INTO friend (owner, position, user_id, handle, alias)
    SELECT $1, position, user_id, handle, alias
    FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS new (user_id, handle, alias, position)";

pub(super) async fn carry_out(session: &Session, request: &AccountRequest) -> Result<Answer, Error> {
    match request {
        AccountRequest::OpenSession {
            token,
            device,
            static_key,
            expires_at,
        } => open_session(session, *token, device, static_key, *expires_at).await,
        AccountRequest::FindSession { token, now } => find_session(session, *token, *now).await,
        AccountRequest::JoinProfile {
            device,
            static_key,
            user,
            limit,
            at,
        } => join_profile(session, device, static_key, user, *limit, *at).await,
        AccountRequest::ListDevices { user } => list_devices(session, user).await,
        AccountRequest::RevokeDevice { user, device, at } => revoke_device(session, user, device, *at).await,
        AccountRequest::RotateKey {
            device,
            static_key,
            keep,
            at,
        } => rotate_key(session, device, static_key, *keep, *at).await,
        AccountRequest::OfferPairing(offer) => offer_pairing(session, offer).await,
        AccountRequest::ClaimPairing(claim) => claim_pairing(session, claim).await,
        AccountRequest::Friends { user } => friends(session, user).await,
        AccountRequest::PutFriends { user, friends } => put_friends(session, user, friends).await,
    }
}

/// Answers with what a row, read once, says.
fn from_row(row: &Row, read: impl FnOnce(&Row) -> Answer) -> Result<Answer, Error> {
    Ok(read(row))
}

async fn open_session(
    session: &Session,
    token: TokenHash,
    device: &DeviceId,
    static_key: &[u8; 32],
    expires_at: Wall,
) -> Result<Answer, Error> {
    // The new one is not among those that the statement sees.
    let others = SESSIONS_PER_DEVICE as i64 - 1;
    let known = session
        .client
        .query_opt(
            &session.sql.open_session,
            &[
                &token.0.as_slice(),
                &device.as_str(),
                &Moment(expires_at),
                &others,
                &static_key.as_slice(),
            ],
        )
        .await?;
    Ok(match known.map(|row| (row.get(0), row.get(1))) {
        None => Err(StoreError::UnknownDevice),
        Some((true, _)) => Err(StoreError::DeviceRevoked),
        Some((_, false)) => Err(StoreError::KeyReplaced),
        Some(_) => Ok(Reply::Done),
    })
}

async fn find_session(session: &Session, token: TokenHash, now: Wall) -> Result<Answer, Error> {
    let found = session
        .client
        .query_opt(&session.sql.find_session, &[&token.0.as_slice(), &Moment(now)])
        .await?;
    let Some(row) = found else {
        return Ok(Ok(Reply::Session(None)));
    };
    from_row(&row, |row| {
        Ok(Reply::Session(Some(SessionOwner {
            device: device_id("session", row.get(0))?,
            user: profile(row, 1)?,
        })))
    })
}

async fn join_profile(
    session: &Session,
    device: &DeviceId,
    static_key: &[u8; 32],
    user: &UserId,
    limit: u32,
    at: Wall,
) -> Result<Answer, Error> {
    let user_id = user.as_str();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&user_id];
    let lock = super::pipeline::started(session.client.execute(&session.sql.lock_user, &parameters)).await;
    let row = session
        .client
        .query_one(
            &session.sql.join_profile,
            &[
                &device.as_str(),
                &static_key.as_slice(),
                &user_id,
                &Moment(at),
                &i64::from(limit),
            ],
        )
        .await?;
    lock.finish().await?;
    Ok(match (row.get(0), row.get(1), row.get(2)) {
        (false, ..) => Err(StoreError::UnknownUser),
        (_, true, _) => Err(StoreError::DeviceExists),
        (.., false) => Err(StoreError::DeviceLimit),
        _ => Ok(Reply::Done),
    })
}

async fn list_devices(session: &Session, user: &UserId) -> Result<Answer, Error> {
    let rows = session
        .client
        .query(&session.sql.list_devices, &[&user.as_str()])
        .await?;
    let record = |row: &Row| {
        let Moment(created_at) = row.get(2);
        let revoked_at: Option<Moment> = row.get(3);
        Ok(DeviceRecord {
            device: device_id("device", row.get(0))?,
            static_key: key_bytes("device", row.get(1))?,
            created_at,
            revoked_at: revoked_at.map(|Moment(at)| at),
        })
    };
    let devices: Result<Vec<_>, StoreError> = rows.iter().map(record).collect();
    Ok(devices.map(Reply::Devices))
}

async fn revoke_device(session: &Session, user: &UserId, device: &DeviceId, at: Wall) -> Result<Answer, Error> {
    let known = session
        .client
        .query_opt(
            &session.sql.revoke_device,
            &[&device.as_str(), &user.as_str(), &Moment(at)],
        )
        .await?;
    Ok(known.map(|_| Reply::Done).ok_or(StoreError::UnknownDevice))
}

async fn rotate_key(
    session: &Session,
    device: &DeviceId,
    static_key: &[u8; 32],
    keep: TokenHash,
    at: Wall,
) -> Result<Answer, Error> {
    let device_id = device.as_str();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&device_id];
    let lock = super::pipeline::started(session.client.execute(&session.sql.lock_device, &parameters)).await;
    let known = session
        .client
        .query_opt(
            &session.sql.rotate_key,
            &[&device_id, &static_key.as_slice(), &Moment(at), &keep.0.as_slice()],
        )
        .await?;
    lock.finish().await?;
    Ok(match known.map(|row| row.get(0)) {
        None => Err(StoreError::UnknownDevice),
        Some(true) => Err(StoreError::DeviceRevoked),
        Some(false) => Ok(Reply::Done),
    })
}

async fn offer_pairing(session: &Session, offer: &PairingOffer) -> Result<Answer, Error> {
    let user_id = offer.user.as_str();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&user_id];
    let lock = super::pipeline::started(session.client.execute(&session.sql.lock_user, &parameters)).await;
    let found = session
        .client
        .query_opt(
            &session.sql.offer_pairing,
            &[
                &offer.selector.0.as_slice(),
                &offer.secret.as_slice(),
                &user_id,
                &offer.issuer.as_str(),
                &Moment(offer.issued_at),
                &Moment(offer.expires_at),
                &(CODES_PER_USER as i64),
            ],
        )
        .await?;
    lock.finish().await?;
    Ok(match found.map(|row| (row.get(0), row.get(1))) {
        None => Err(StoreError::UnknownDevice),
        Some((true, _)) => Err(StoreError::DeviceRevoked),
        Some((_, false)) => Err(StoreError::TooManyCodes),
        Some(_) => Ok(Reply::Done),
    })
}

async fn claim_pairing(session: &Session, claim: &PairingClaim) -> Result<Answer, Error> {
    let (Session { client, sql }, selector) = (session, claim.selector.0.as_slice());
    let found = client
        .query_opt(
            &sql.find_pairing,
            &[&selector, &Moment(claim.at), &claim.device.as_str()],
        )
        .await?;
    let Some(row) = found else {
        return Ok(Err(StoreError::PairingRefused));
    };
    let (secret, wrong): (&[u8], i32) = (row.get(0), row.get(2));
    if !bool::from(secret.ct_eq(claim.secret.as_slice())) {
        let last = wrong.saturating_add(1) >= PAIRING_TRIES as i32;
        let statement = if last { &sql.end_pairing } else { &sql.wrong_pairing };
        client.execute(statement, &[&selector]).await?;
        return Ok(Err(StoreError::PairingRefused));
    }
    if row.get(3) {
        return Ok(Err(StoreError::DeviceExists));
    }
    let paired = || {
        Ok(Paired {
            issuer: device_id("pairing_code", row.get(1))?,
            user: profile(&row, 4)?,
        })
    };
    let paired = match paired() {
        Ok(paired) => paired,
        Err(damaged) => return Ok(Err(damaged)),
    };
    client
        .execute(
            &sql.claim_pairing,
            &[
                &selector,
                &claim.device.as_str(),
                &claim.static_key.as_slice(),
                &paired.user.id.as_str(),
                &Moment(claim.at),
            ],
        )
        .await?;
    Ok(Ok(Reply::Paired(paired)))
}

async fn friends(session: &Session, user: &UserId) -> Result<Answer, Error> {
    let rows = session.client.query(&session.sql.friends, &[&user.as_str()]).await?;
    let friend = |row: &Row| {
        let damaged = |error| super::values::damaged("friend", error);
        let handle: Option<&str> = row.get(1);
        Ok(Friend {
            user: UserId::parse(row.get(0)).map_err(damaged)?,
            handle: handle.map(Handle::parse).transpose().map_err(damaged)?,
            alias: row.get(2),
        })
    };
    let friends: Result<Vec<_>, StoreError> = rows.iter().map(friend).collect();
    Ok(friends.map(Reply::Friends))
}

async fn put_friends(session: &Session, user: &UserId, friends: &[Friend]) -> Result<Answer, Error> {
    let (Session { client, sql }, owner) = (session, user.as_str());
    if client.query_opt(&sql.lock_user, &[&owner]).await?.is_none() {
        return Ok(Err(StoreError::UnknownUser));
    }
    client.execute(&sql.clear_friends, &[&owner]).await?;
    let users: Vec<&str> = friends.iter().map(|friend| friend.user.as_str()).collect();
    let handles: Vec<Option<&str>> = friends
        .iter()
        .map(|friend| friend.handle.as_ref().map(Handle::as_str))
        .collect();
    let aliases: Vec<Option<String>> = friends.iter().map(|friend| text(friend.alias.as_deref())).collect();
    client
        .execute(&sql.put_friends, &[&owner, &users, &handles, &aliases])
        .await?;
    Ok(Ok(Reply::Done))
}
