//! Groups and their rosters (CCP-1, Group Channels; decisions § 7).

use std::collections::BTreeMap;

use commucat_proto::control::Role;
use commucat_proto::{DeviceId, GroupId};

use super::Wall;

/// A stored group: `chat_group` with its `group_member` rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRoster {
    /// Its owner.
    pub owner: DeviceId,
    /// Every member with its role, the owner included.
    pub members: BTreeMap<DeviceId, Role>,
    /// Whether addresses are kept private in it.
    pub relay: bool,
    /// Counts its changes, from 1.
    pub version: u64,
}

/// One more member, or another role for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// To what.
    pub group: GroupId,
    /// Who asks.
    pub by: DeviceId,
    /// Who joins.
    pub device: DeviceId,
    /// As what; never owner.
    pub role: Role,
    /// The group may have so many members.
    pub limit: usize,
    /// When.
    pub at: Wall,
}

/// What may be asked about groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRequest {
    /// A group comes to be. One that exists is left as it is: its owner gets the stored roster. `Roster`; `NotAllowed`
    /// when it exists and is somebody else's, `TooManyGroups` when it does not and the owner has as many as it may.
    Create {
        /// Which.
        group: GroupId,
        /// As it is to be; its version is 1.
        roster: GroupRoster,
        /// The owner may have so many groups.
        limit: u32,
        /// When.
        at: Wall,
    },
    /// `Roster`; `UnknownGroup`.
    Load {
        /// Which.
        group: GroupId,
    },
    /// One more member, or another role for one: only the owner may change the role of somebody who is a member, and
    /// nobody that of the owner; what an admin asks of a member leaves its role as it is. `Invited`; `UnknownGroup`,
    /// `NotAllowed` when `by` may not invite, `GroupFull`.
    Invite(Invitation),
}

/// What an invite has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The role the device has now.
    pub role: Role,
    /// The roster's version now; the same as before when nothing has changed.
    pub version: u64,
}
