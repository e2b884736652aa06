//! GROUP_CREATE and GROUP_INVITE (CCP-1, Group Channels; decisions § 7).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::control::json::objects;
use crate::ids::{DeviceId, GroupId};

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Speak.
    #[default]
    Member,
    /// Speak and invite.
    Admin,
    /// The one who created the group.
    Owner,
}

impl Role {
    /// The role that a request for this one gets: nobody is made owner.
    #[must_use]
    pub const fn granted(self) -> Self {
        match self {
            Self::Owner => Self::Admin,
            other => other,
        }
    }

    /// Whether it may extend the roster.
    #[must_use]
    pub const fn may_invite(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

/// A group comes to be, its sender the owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct GroupCreate {
    /// The client's own name for it; the server makes one up otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// The first roster. Its size is the router's to limit, under an ERROR of its own.
    pub members: Vec<DeviceId>,
    /// Roles of those who are more than members.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<DeviceId, Role>,
    /// Keep addresses private.
    pub relay: bool,
}

/// One more member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct GroupInvite {
    /// Which group.
    pub group_id: GroupId,
    /// Who.
    pub device: DeviceId,
    /// As what.
    #[serde(default)]
    pub role: Role,
}

objects!(GroupCreate, GroupInvite);
