//! Everything but inboxes and presence: one transaction, the requests in their order, their statements on their way
//! without waiting for each other's answers.
//!
//! Each request is one statement that decides and writes, so that nothing happens between the two; the few that are
//! more are waited for before the next begins. A refusal is an answer, not an error: it spoils nothing.

use std::future::Future;
use std::pin::Pin;

use commucat_proto::{DeviceId, Handle, UserId};
use tokio_postgres::Error;

use super::pipeline::started;
use super::session::Session;
use super::values::{Moment, key_bytes, profile, text};
use super::{Answer, Answers, accounts, groups};
use crate::api::{AccountRequest, Device, GroupRequest, PairingClaim, Profile, Reply, Request, StoreError, Wall};

pub(super) const LOOKUP: &str = "
    SELECT device.public_key, device.revoked_at IS NOT NULL,
           its.user_id, its.handle, its.display_name, its.avatar_url,
           named.user_id, named.handle, named.display_name, named.avatar_url,
           EXISTS (SELECT 1 FROM user_profile WHERE handle = $3::text)
    FROM (VALUES (1)) AS one
    LEFT JOIN device ON device.device_id = $1::text
    LEFT JOIN user_profile AS its ON its.user_id = device.user_id
    LEFT JOIN user_profile AS named ON named.user_id = $2::text";

pub(super) const FOUND: &str = "
    WITH clash AS (
        SELECT EXISTS (SELECT 1 FROM device WHERE device_id = $1) AS device,
               EXISTS (SELECT 1 FROM user_profile WHERE handle = $4) AS handle,
               EXISTS (SELECT 1 FROM user_profile WHERE user_id = $3) AS profile
    ), free AS (
        SELECT 1 FROM clash WHERE NOT (device OR handle OR profile)
    ), founder AS (
        INSERT INTO user_profile (user_id, handle, display_name, avatar_url, created_at)
        SELECT $3, $4, $5, $6, $7 FROM free
    ), device AS (
        INSERT INTO device (device_id, user_id, public_key, created_at) SELECT $1, $3, $2, $7 FROM free
    ), audit AS (
        INSERT INTO device_key_event (device_id, public_key, kind, created_at)
        SELECT $1, $2, 'approved', $7 FROM free
    ), place AS (
        INSERT INTO inbox (key) SELECT 'inbox:' || $1 FROM free
    )
    SELECT clash.device, clash.handle, clash.profile FROM clash";

pub(super) const UPDATE_PROFILE: &str = "UPDATE user_profile SET display_name = $2, avatar_url = $3 WHERE user_id = $1";

pub(super) const PROBE: &str =
    "INSERT INTO probe (id, probed_at) VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET probed_at = EXCLUDED.probed_at";

/// How much a request asks of the transaction around it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Reads: needs no transaction.
    Reads,
    /// Writes what the disk is not waited for.
    Lightly,
    /// Writes what is durable when it is answered.
    Durably,
}

fn weight(request: &Request) -> Weight {
    match request {
        Request::Lookup { .. }
        | Request::Account(
            AccountRequest::FindSession { .. } | AccountRequest::ListDevices { .. } | AccountRequest::Friends { .. },
        )
        | Request::Group(GroupRequest::Load { .. }) => Weight::Reads,
        Request::Account(AccountRequest::OpenSession { .. }) | Request::Probe => Weight::Lightly,
        _ => Weight::Durably,
    }
}

/// Whether a request is several round trips.
fn takes_turns(request: &Request) -> bool {
    matches!(
        request,
        Request::Account(AccountRequest::ClaimPairing(_) | AccountRequest::PutFriends { .. })
            | Request::Group(GroupRequest::Create { .. } | GroupRequest::Invite(_))
    )
}

/// The device whose inbox comes or goes with a request: requests about that inbox must not change places with it.
pub(super) fn moves_inbox(request: &Request) -> Option<&DeviceId> {
    match request {
        Request::Found { device, .. }
        | Request::Account(
            AccountRequest::JoinProfile { device, .. }
            | AccountRequest::ClaimPairing(PairingClaim { device, .. })
            | AccountRequest::RevokeDevice { device, .. },
        ) => Some(device),
        _ => None,
    }
}

/// Carries out the requests at `places` of `batch` in one transaction.
pub(super) async fn carry_out(session: &Session, batch: &[Request], places: &[usize]) -> Result<Answers, Error> {
    let heaviest = places.iter().map(|place| weight(&batch[*place])).max();
    let begin = match heaviest {
        None | Some(Weight::Reads) => None,
        Some(Weight::Lightly) => Some("BEGIN; SET LOCAL synchronous_commit = off"),
        Some(Weight::Durably) => Some("BEGIN"),
    };
    let mut answers = Vec::with_capacity(places.len());
    let mut open = Vec::with_capacity(places.len());
    let opened = match begin {
        Some(begin) => Some(started(session.client.batch_execute(begin)).await),
        None => None,
    };
    for &place in places {
        let request = &batch[place];
        if takes_turns(request) {
            for (place, answer) in open.drain(..) {
                finish(place, answer, &mut answers).await?;
            }
            answers.push((place, carry_out_one(session, request).await?));
        } else {
            open.push((place, started(carry_out_one(session, request)).await));
        }
    }
    let commit = match begin {
        Some(_) => Some(started(session.client.batch_execute("COMMIT")).await),
        None => None,
    };
    for (place, answer) in open {
        finish(place, answer, &mut answers).await?;
    }
    if let (Some(opened), Some(commit)) = (opened, commit) {
        opened.finish().await?;
        commit.finish().await?;
    }
    Ok(answers)
}

async fn finish<F>(place: usize, answer: super::pipeline::Started<F>, answers: &mut Answers) -> Result<(), Error>
where
    F: Future<Output = Result<Answer, Error>>,
{
    let answer = answer.finish().await?;
    answers.push((place, answer));
    Ok(())
}

type Carried<'a> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>>;

fn carry_out_one<'a>(session: &'a Session, request: &'a Request) -> Carried<'a> {
    match request {
        Request::Lookup { device, user, handle } => Box::pin(lookup(session, device, user.as_ref(), handle.as_ref())),
        Request::Found {
            device,
            static_key,
            profile,
            at,
        } => Box::pin(found(session, device, static_key, profile, *at)),
        Request::UpdateProfile { profile } => Box::pin(update_profile(session, profile)),
        Request::Account(request) => Box::pin(accounts::carry_out(session, request)),
        Request::Group(request) => Box::pin(groups::carry_out(session, request)),
        Request::Probe => Box::pin(probe(session)),
        // Inboxes, presence and depth do not come here.
        _ => Box::pin(async { Ok(Err(StoreError::Unavailable("the request has lost its way".to_owned()))) }),
    }
}

async fn lookup(
    session: &Session,
    device: &DeviceId,
    user: Option<&UserId>,
    handle: Option<&Handle>,
) -> Result<Answer, Error> {
    let (user, handle) = (user.map(UserId::as_str), handle.map(Handle::as_str));
    let row = session
        .client
        .query_one(&session.sql.lookup, &[&device.as_str(), &user, &handle])
        .await?;
    let read = || {
        let device = match row.get::<_, Option<&[u8]>>(0) {
            Some(key) => Some(Device {
                static_key: key_bytes("device", key)?,
                user: profile(&row, 2)?,
                revoked: row.get(1),
            }),
            None => None,
        };
        let named: Option<&str> = row.get(6);
        Ok(Reply::Found {
            device,
            user: named.map(|_| profile(&row, 6)).transpose()?,
            handle_taken: row.get(10),
        })
    };
    Ok(read())
}

async fn found(
    session: &Session,
    device: &DeviceId,
    static_key: &[u8; 32],
    profile: &Profile,
    at: Wall,
) -> Result<Answer, Error> {
    let row = session
        .client
        .query_one(
            &session.sql.found,
            &[
                &device.as_str(),
                &static_key.as_slice(),
                &profile.id.as_str(),
                &profile.handle.as_str(),
                &text(profile.display_name.as_deref()),
                &text(profile.avatar_url.as_deref()),
                &Moment(at),
            ],
        )
        .await?;
    Ok(match (row.get(0), row.get(1), row.get(2)) {
        (true, ..) => Err(StoreError::DeviceExists),
        (_, true, _) => Err(StoreError::HandleTaken),
        // Ids are made up by the relay: this is its mistake, not the client's.
        (.., true) => Err(StoreError::Unavailable(format!(
            "user id {} is in use already",
            profile.id
        ))),
        _ => Ok(Reply::Done),
    })
}

async fn update_profile(session: &Session, profile: &Profile) -> Result<Answer, Error> {
    let changed = session
        .client
        .execute(
            &session.sql.update_profile,
            &[
                &profile.id.as_str(),
                &text(profile.display_name.as_deref()),
                &text(profile.avatar_url.as_deref()),
            ],
        )
        .await?;
    Ok(match changed {
        0 => Err(StoreError::Unavailable(format!("user {} is unknown", profile.id))),
        _ => Ok(Reply::Done),
    })
}

async fn probe(session: &Session) -> Result<Answer, Error> {
    session.client.execute(&session.sql.probe, &[]).await?;
    Ok(Ok(Reply::Done))
}
