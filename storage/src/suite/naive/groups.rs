//! Groups and presence.

use commucat_proto::control::Role;

use super::{Answer, Registry};
use crate::api::{GroupRequest, Invitation, Invited, PresenceRequest, Reply, StoreError};

impl Registry {
    pub(super) fn group(&mut self, request: &GroupRequest) -> Answer {
        match request {
            GroupRequest::Create {
                group, roster, limit, ..
            } => {
                let own = self.groups.values().filter(|one| one.owner == roster.owner).count();
                if own >= *limit as usize && !self.groups.contains_key(group) {
                    return Err(StoreError::TooManyGroups);
                }
                let stored = self.groups.entry(group.clone()).or_insert_with(|| roster.clone());
                match stored.owner == roster.owner {
                    true => Ok(Reply::Roster(stored.clone())),
                    false => Err(StoreError::NotAllowed),
                }
            }
            GroupRequest::Load { group } => {
                let stored = self.groups.get(group).ok_or(StoreError::UnknownGroup)?;
                Ok(Reply::Roster(stored.clone()))
            }
            GroupRequest::Invite(Invitation {
                group,
                by,
                device,
                role,
                limit,
                ..
            }) => {
                let stored = self.groups.get_mut(group).ok_or(StoreError::UnknownGroup)?;
                let by = stored.members.get(by).filter(|role| role.may_invite());
                let by = *by.ok_or(StoreError::NotAllowed)?;
                let before = stored.members.get(device).copied();
                if before.is_none() && stored.members.len() >= *limit {
                    return Err(StoreError::GroupFull);
                }
                let now = match before {
                    None => role.granted(),
                    Some(Role::Admin | Role::Member) if by == Role::Owner => role.granted(),
                    Some(role) => role,
                };
                stored.members.insert(device.clone(), now);
                stored.version += u64::from(before != Some(now));
                Ok(Reply::Invited(Invited {
                    role: now,
                    version: stored.version,
                }))
            }
        }
    }

    pub(super) fn presence(&mut self, request: &PresenceRequest) -> Reply {
        match request {
            PresenceRequest::Set(entries) => {
                let said = entries.iter().map(|entry| (entry.device.clone(), entry.clone()));
                self.presence.extend(said);
                Reply::Done
            }
            PresenceRequest::Get { devices, now } => {
                let known = devices.iter().filter_map(|device| self.presence.get(device));
                Reply::Presence(known.filter(|entry| entry.expires_at > *now).cloned().collect())
            }
        }
    }
}
