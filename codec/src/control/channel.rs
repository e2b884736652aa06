//! JOIN, LEAVE and PRESENCE (CCP-1, Routing Semantics; decisions § 6, § 7).

use serde::{Deserialize, Serialize};

use crate::control::json::objects;
use crate::control::text::Text;
use crate::control::user::UserProfile;
use crate::ids::{ChannelId, DeviceId, GroupId};

/// To whom the sender's frames on this channel go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Join {
    /// The roster. Its size is the router's to limit, under an ERROR of its own.
    pub members: Vec<DeviceId>,
    /// Keep addresses private.
    pub relay: bool,
    /// The stored roster of this group instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
}

/// Nothing to say but that it is an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Leave {}

/// The client's PRESENCE: of itself, so all that counts is the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct PresenceUpdate {
    /// `online` when it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Text>,
}

/// The server's PRESENCE, whatever its occasion: `entity` and `state` are always there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Presence {
    /// About whom.
    pub entity: DeviceId,
    /// `online`, `offline`, or the client's own word.
    pub state: Text,
    /// The channel that makes this the reader's business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// Its profile, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserProfile>,
    /// Whose address `candidate` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<DeviceId>,
    /// An observed socket address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Text>,
    /// When the state ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Text>,
}

objects!(Join, Leave, PresenceUpdate, Presence);

impl Presence {
    /// `entity` is online.
    #[must_use]
    pub fn online(entity: DeviceId) -> Self {
        Self::new(entity, Text::cut("online"))
    }

    /// `entity` is offline.
    #[must_use]
    pub fn offline(entity: DeviceId) -> Self {
        Self::new(entity, Text::cut("offline"))
    }

    /// `entity` is in `state`, to which more may be added.
    #[must_use]
    pub fn new(entity: DeviceId, state: Text) -> Self {
        Self {
            entity,
            state,
            channel: None,
            user: None,
            peer: None,
            candidate: None,
            expires_at: None,
        }
    }
}
