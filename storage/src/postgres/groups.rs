//! Groups and their rosters: `chat_group`, whose row is locked by who changes the group, and `group_member`.

use commucat_proto::control::Role;
use commucat_proto::{DeviceId, GroupId};
use tokio_postgres::Error;

use super::Answer;
use super::session::Session;
use super::values::{Moment, device_id, role, role_name, signed, unsigned};
use crate::api::{GroupRequest, GroupRoster, Invitation, Invited, Reply, StoreError, Wall};

pub(super) const CREATE: &str = "
    INSERT INTO chat_group (group_id, owner, relay, version, members, created_at) SELECT $1, $2, $3, $4, $5, $6
    WHERE (SELECT count(*) FROM (SELECT 1 FROM chat_group WHERE owner = $2 LIMIT $7) AS own) < $7
    ON CONFLICT (group_id) DO NOTHING";

pub(super) const ADD_MEMBERS: &str = "
    INSERT INTO group_member (group_id, device_id, role, joined_at)
    SELECT $1, device_id, role, $4 FROM unnest($2::text[], $3::text[]) AS new (device_id, role)";

pub(super) const LOAD: &str = "
    SELECT chat_group.owner, chat_group.relay, chat_group.version, roster.devices, roster.roles
    FROM chat_group LEFT JOIN LATERAL (
        SELECT array_agg(device_id::text ORDER BY device_id) AS devices, array_agg(role ORDER BY device_id) AS roles
        FROM group_member WHERE group_member.group_id = chat_group.group_id
    ) AS roster ON true
    WHERE chat_group.group_id = $1";

/// The group, the role of who asks and of who is invited.
pub(super) const LOCK: &str = "
    SELECT chat_group.version, chat_group.members,
           (SELECT role FROM group_member WHERE group_id = $1 AND device_id = $2),
           (SELECT role FROM group_member WHERE group_id = $1 AND device_id = $3)
    FROM chat_group WHERE group_id = $1 FOR UPDATE";

pub(super) const INVITE: &str = "
    INSERT INTO group_member (group_id, device_id, role, joined_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (group_id, device_id) DO UPDATE SET role = EXCLUDED.role";

pub(super) const TOUCH: &str =
    "UPDATE chat_group SET version = version + 1, members = members + $2 WHERE group_id = $1 RETURNING version";

pub(super) async fn carry_out(session: &Session, request: &GroupRequest) -> Result<Answer, Error> {
    match request {
        GroupRequest::Create {
            group,
            roster,
            limit,
            at,
        } => create(session, group, roster, *limit, *at).await,
        GroupRequest::Load { group } => {
            let found = load(session, group).await?;
            Ok(found.and_then(|roster| roster.map(Reply::Roster).ok_or(StoreError::UnknownGroup)))
        }
        GroupRequest::Invite(invitation) => invite(session, invitation).await,
    }
}

async fn create(
    session: &Session,
    group: &GroupId,
    roster: &GroupRoster,
    limit: u32,
    at: Wall,
) -> Result<Answer, Error> {
    let Session { client, sql } = session;
    // Two that an owner creates at once are counted one after the other.
    client.execute(&sql.lock_device, &[&roster.owner.as_str()]).await?;
    let (id, members) = (group.as_str(), roster.members.len() as u64);
    let made = client
        .execute(
            &sql.create_group,
            &[
                &id,
                &roster.owner.as_str(),
                &roster.relay,
                &signed(roster.version),
                &signed(members),
                &Moment(at),
                &i64::from(limit),
            ],
        )
        .await?;
    if made == 0 {
        return Ok(match load(session, group).await? {
            Ok(Some(stored)) if stored.owner == roster.owner => Ok(Reply::Roster(stored)),
            Ok(Some(_)) => Err(StoreError::NotAllowed),
            Ok(None) => Err(StoreError::TooManyGroups),
            Err(error) => Err(error),
        });
    }
    let (devices, roles): (Vec<&str>, Vec<&str>) = roster
        .members
        .iter()
        .map(|(device, role)| (device.as_str(), role_name(*role)))
        .unzip();
    client
        .execute(&sql.add_members, &[&id, &devices, &roles, &Moment(at)])
        .await?;
    Ok(Ok(Reply::Roster(roster.clone())))
}

async fn load(session: &Session, group: &GroupId) -> Result<Result<Option<GroupRoster>, StoreError>, Error> {
    let row = session
        .client
        .query_opt(&session.sql.load_group, &[&group.as_str()])
        .await?;
    let read = || {
        let Some(row) = &row else { return Ok(None) };
        let devices: Vec<&str> = row.get::<_, Option<_>>(3).unwrap_or_default();
        let roles: Vec<&str> = row.get::<_, Option<_>>(4).unwrap_or_default();
        let member = |(device, name): (&str, &str)| -> Result<(DeviceId, Role), StoreError> {
            Ok((device_id("group_member", device)?, role(name)?))
        };
        Ok(Some(GroupRoster {
            owner: device_id("chat_group", row.get(0))?,
            members: devices.into_iter().zip(roles).map(member).collect::<Result<_, _>>()?,
            relay: row.get(1),
            version: unsigned(row.get(2)),
        }))
    };
    Ok(read())
}

async fn invite(session: &Session, invitation: &Invitation) -> Result<Answer, Error> {
    let (Session { client, sql }, id) = (session, invitation.group.as_str());
    // First the lock, then what it protects: a statement sees what was there when it began.
    client.query_opt(&sql.lock_group, &[&id, &"", &""]).await?;
    let found = client
        .query_opt(
            &sql.lock_group,
            &[&id, &invitation.by.as_str(), &invitation.device.as_str()],
        )
        .await?;
    let Some(row) = found else {
        return Ok(Err(StoreError::UnknownGroup));
    };
    let (version, members) = (unsigned(row.get(0)), unsigned(row.get(1)));
    let its_role = |column| row.get::<_, Option<&str>>(column).map(role).transpose();
    let (by, held) = match (its_role(2), its_role(3)) {
        (Ok(by), Ok(held)) => (by, held),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    let role = match (by, held) {
        (None | Some(Role::Member), _) => return Ok(Err(StoreError::NotAllowed)),
        (_, Some(Role::Owner)) => Role::Owner,
        (Some(Role::Admin), Some(held)) => held,
        (Some(Role::Owner), Some(_)) | (Some(Role::Owner | Role::Admin), None) => invitation.role.granted(),
    };
    if held == Some(role) {
        return Ok(Ok(Reply::Invited(Invited { role, version })));
    }
    if held.is_none() && members >= invitation.limit as u64 {
        return Ok(Err(StoreError::GroupFull));
    }
    client
        .execute(
            &sql.invite,
            &[
                &id,
                &invitation.device.as_str(),
                &role_name(role),
                &Moment(invitation.at),
            ],
        )
        .await?;
    let more = i64::from(held.is_none());
    let version: i64 = client.query_one(&sql.touch_group, &[&id, &more]).await?.get(0);
    let version = unsigned(version);
    Ok(Ok(Reply::Invited(Invited { role, version })))
}
