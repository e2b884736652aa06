//! Groups (CCP-1, Group Channels): one row for the group, one for each member, so that an invite does not depend on how
//! many there are.
//!
//! Invariant: `members` of `chat_group` is the number of rows under the group in `group_member`, one of which is the
//! owner's. Each group stands under its owner in `owner_group`.

use std::collections::BTreeMap;

use commucat_proto::control::Role;
use commucat_proto::{DeviceId, GroupId};
use fjall::OwnedWriteBatch;
use rkyv::{Archive, Deserialize, Serialize};

use super::error::Fault;
use super::tables::Tables;
use super::{keys, values};
use crate::api::{GroupRequest, GroupRoster, Invitation, Invited, Reply, StoreError, Wall};

/// Table `chat_group`, by group id.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
struct GroupValue {
    owner: String,
    relay: bool,
    version: u64,
    members: u64,
    created_at: u64,
}

/// Table `group_member`, by group id and device id.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
struct MemberValue {
    /// 1 member, 2 admin, 3 owner.
    role: u8,
    joined_at: u64,
}

/// The row of `owner_group` that goes with a row of `chat_group`.
pub(super) fn place_of(group: &[u8], value: &[u8]) -> Result<Vec<u8>, Fault> {
    let value: GroupValue = values::decode("chat_group", value)?;
    Ok(keys::owned(&value.owner, group))
}

/// Which group a request is about.
pub(super) fn subject(request: &GroupRequest) -> &GroupId {
    match request {
        GroupRequest::Create { group, .. }
        | GroupRequest::Load { group }
        | GroupRequest::Invite(Invitation { group, .. }) => group,
    }
}

/// Whether it makes the store larger.
pub(super) fn grows(request: &GroupRequest) -> bool {
    match request {
        GroupRequest::Create { .. } | GroupRequest::Invite(_) => true,
        GroupRequest::Load { .. } => false,
    }
}

pub(super) fn serve(tables: &Tables, batch: &mut OwnedWriteBatch, request: &GroupRequest) -> Result<Reply, Fault> {
    match request {
        GroupRequest::Create {
            group,
            roster,
            limit,
            at,
        } => create(tables, batch, group, roster, *limit, *at),
        GroupRequest::Load { group } => {
            let value = stored(tables, group)?.ok_or(StoreError::UnknownGroup)?;
            load(tables, group, &value)
        }
        GroupRequest::Invite(invitation) => invite(tables, batch, invitation).map(Reply::Invited),
    }
}

fn create(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    group: &GroupId,
    roster: &GroupRoster,
    limit: u32,
    at: Wall,
) -> Result<Reply, Fault> {
    if let Some(value) = stored(tables, group)? {
        return match value.owner == roster.owner.as_str() {
            true => load(tables, group, &value),
            false => Err(StoreError::NotAllowed.into()),
        };
    }
    let owner = roster.owner.as_str();
    if tables
        .owner_group
        .prefix(keys::under(owner))
        .take(limit as usize)
        .count()
        >= limit as usize
    {
        return Err(StoreError::TooManyGroups.into());
    }
    let value = GroupValue {
        owner: roster.owner.as_str().to_owned(),
        relay: roster.relay,
        version: 1,
        members: roster.members.len() as u64,
        created_at: at.0,
    };
    let value = values::encode("chat_group", &value, 0)?;
    let mut rows = Vec::with_capacity(roster.members.len());
    for (device, role) in &roster.members {
        rows.push((member_key(group, device), encode_member(*role, at)?));
    }
    for (key, value) in rows {
        batch.insert(&tables.group_member, key, value);
    }
    batch.insert(&tables.chat_group, group.as_str(), value);
    batch.insert(&tables.owner_group, keys::owned(owner, group.as_str().as_bytes()), []);
    Ok(Reply::Roster(GroupRoster {
        version: 1,
        ..roster.clone()
    }))
}

fn load(tables: &Tables, group: &GroupId, value: &GroupValue) -> Result<Reply, Fault> {
    let mut members = BTreeMap::new();
    for guard in tables.group_member.prefix(keys::under(group.as_str())) {
        let (key, value) = guard.into_inner()?;
        let device = keys::what(group.as_str(), &key)
            .and_then(|id| DeviceId::parse(std::str::from_utf8(id).ok()?).ok())
            .ok_or_else(|| values::corrupt("group_member", "its key names no device".to_owned()))?;
        members.insert(device, decode_member(&value)?.0);
    }
    if members.len() as u64 != value.members {
        let detail = format!("{} members, and {} rows", value.members, members.len());
        return Err(values::corrupt("chat_group", detail));
    }
    Ok(Reply::Roster(GroupRoster {
        owner: DeviceId::parse(&value.owner).map_err(|e| values::corrupt("chat_group", e.to_string()))?,
        members,
        relay: value.relay,
        version: value.version,
    }))
}

fn invite(tables: &Tables, batch: &mut OwnedWriteBatch, invitation: &Invitation) -> Result<Invited, Fault> {
    let Invitation { group, by, device, .. } = invitation;
    let mut value = stored(tables, group)?.ok_or(StoreError::UnknownGroup)?;
    let (by, _) = member(tables, group, by)?
        .filter(|(role, _)| role.may_invite())
        .ok_or(StoreError::NotAllowed)?;
    let (before, wanted) = (member(tables, group, device)?, invitation.role.granted());
    let (role, joined_at) = match before {
        None if value.members >= invitation.limit as u64 => return Err(StoreError::GroupFull.into()),
        None => (wanted, invitation.at),
        Some((role, joined_at)) if role != Role::Owner && by == Role::Owner => (wanted, joined_at),
        Some(unchanged) => unchanged,
    };
    if before != Some((role, joined_at)) {
        value.members += u64::from(before.is_none());
        value.version += 1;
        let member = encode_member(role, joined_at)?;
        let row = values::encode("chat_group", &value, 0)?;
        batch.insert(&tables.group_member, member_key(group, device), member);
        batch.insert(&tables.chat_group, group.as_str(), row);
    }
    Ok(Invited {
        role,
        version: value.version,
    })
}

fn stored(tables: &Tables, group: &GroupId) -> Result<Option<GroupValue>, Fault> {
    match tables.chat_group.get(group.as_str())? {
        Some(value) => values::decode("chat_group", &value).map(Some),
        None => Ok(None),
    }
}

/// A member's role, and since when it is one.
fn member(tables: &Tables, group: &GroupId, device: &DeviceId) -> Result<Option<(Role, Wall)>, Fault> {
    match tables.group_member.get(member_key(group, device))? {
        Some(value) => decode_member(&value).map(Some),
        None => Ok(None),
    }
}

fn member_key(group: &GroupId, device: &DeviceId) -> Vec<u8> {
    keys::owned(group.as_str(), device.as_str().as_bytes())
}

fn encode_member(role: Role, joined_at: Wall) -> Result<Vec<u8>, Fault> {
    let role = match role {
        Role::Member => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    };
    let value = MemberValue {
        role,
        joined_at: joined_at.0,
    };
    values::encode("group_member", &value, 0)
}

fn decode_member(value: &[u8]) -> Result<(Role, Wall), Fault> {
    let member = values::access::<ArchivedMemberValue>("group_member", value)?;
    let role = match member.role {
        1 => Role::Member,
        2 => Role::Admin,
        3 => Role::Owner,
        other => return Err(values::corrupt("group_member", format!("role {other}"))),
    };
    Ok((role, Wall(member.joined_at.to_native())))
}
