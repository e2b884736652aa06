//! What shards and the home of a group say to each other (see `group`). All of it is rare: a JOIN of a group that the
//! shard does not know yet, GROUP_CREATE, GROUP_INVITE, and what follows from them.

use std::sync::Arc;

use commucat_proto::control::Role;
use commucat_proto::{ChannelId, DeviceId, GroupId};
use commucat_storage::api::GroupRoster;

use super::message::{DeviceKey, GroupKey, TunnelId};

/// What a session wants of a group.
#[derive(Clone, Debug)]
pub enum Ask {
    /// To speak in it.
    Join,
    /// It to be there, with this roster; the asker is its owner.
    Create(Arc<GroupRoster>),
    /// One more member.
    Invite {
        /// Who.
        device: DeviceId,
        /// As what; never owner.
        role: Role,
    },
}

/// Why a group's home says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The group does not list the asker, or does not exist: strangers are not told which.
    NotAMember,
    /// The asker's role does not allow it; or, for those who are not members, anything.
    NotAllowed,
    /// The group, or the open channel, has as many members as it may have.
    Full,
    /// The asker has as many groups as it may have.
    TooMany,
    /// The store cannot tell, or take it, now.
    Unavailable,
}

/// One message.
#[derive(Clone, Debug)]
pub enum GroupMessage {
    /// To the home: a session asks, and waits for `Answer`.
    Ask {
        /// Of which group.
        group: GroupId,
        /// The session on the sending shard.
        tunnel: TunnelId,
        /// Its device.
        by: DeviceId,
        /// What.
        ask: Ask,
    },
    /// From the home, before the `Answer` that makes a shard need it: the roster. Its changes follow until `Close`.
    Open {
        /// Which group.
        group: GroupKey,
        /// Everybody.
        roster: Arc<GroupRoster>,
    },
    /// From the home: what has become of an `Ask`. A good answer comes when every shard knows what it promises.
    Answer {
        /// Of which group.
        group: GroupKey,
        /// Echoed.
        tunnel: TunnelId,
        /// Good, or why not.
        outcome: Result<(), Denial>,
    },
    /// From the home: these are members, too, from now on.
    Grown {
        /// Which group.
        group: GroupKey,
        /// The roster's version with them.
        version: u64,
        /// Who.
        members: Arc<[DeviceId]>,
    },
    /// To the home: every frame that is routed on the sending shard from now on goes to the members of this version.
    Has {
        /// Which group.
        group: GroupKey,
        /// Echoed.
        version: u64,
    },
    /// To the home of an open channel: a session wants to be in it, and waits for `Answer`.
    Enter {
        /// Of which number.
        channel: ChannelId,
        /// The session on the sending shard.
        tunnel: TunnelId,
        /// Its device.
        by: DeviceId,
    },
    /// To the home of an open channel: a session is, or will be, in it no more.
    Exit {
        /// Which open channel.
        group: GroupKey,
        /// The session on the sending shard.
        tunnel: TunnelId,
    },
    /// From the home of an open channel, when a shard comes to need it: who is in it. `Grown` and `Gone` follow until
    /// `Close`.
    Present {
        /// Which open channel.
        group: GroupKey,
        /// Everybody.
        members: Arc<[DeviceId]>,
    },
    /// From the home of an open channel: this device is not in it any more.
    Gone {
        /// Which open channel.
        group: GroupKey,
        /// Who.
        device: DeviceKey,
    },
    /// To the home: no session of the sending shard has joined the group any more, and none asks to.
    Close {
        /// Which group.
        group: GroupKey,
    },
}
