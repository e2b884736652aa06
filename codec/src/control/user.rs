//! The `user` object: what a client asks for, and what the server says (CCP-1, Handshake: profile provisioning).

use serde::{Deserialize, Serialize};

use crate::control::json::objects;
use crate::control::text::Text;
use crate::ids::{Handle, UserId};

/// HELLO's `user`: an existing profile, or wishes for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Members")]
pub struct UserClaim {
    /// The profile to attach to; `id` or `user_id` on the wire, which must not differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<UserId>,
    /// The handle it should have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<Handle>,
    /// What people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Text>,
    /// What people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<Text>,
}

/// The profile as the server has it: in AUTH, the ready ACK and PRESENCE. Both `id` and `user_id` are on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub struct UserProfile {
    /// The user.
    pub id: UserId,
    /// Its handle.
    pub handle: Handle,
    /// What people read.
    pub display_name: Option<Text>,
    /// What people see.
    pub avatar_url: Option<Text>,
}

/// The object on the wire.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Self")]
struct Members {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<Text>,
}

objects!(Members);

impl TryFrom<Members> for UserClaim {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, Self::Error> {
        let Members {
            id,
            user_id,
            handle,
            display_name,
            avatar_url,
        } = members;
        let id = match (id, user_id) {
            (Some(id), Some(user_id)) if id != user_id => {
                return Err("user.id and user.user_id differ");
            }
            (id, user_id) => id.or(user_id),
        };
        Ok(Self {
            id,
            handle,
            display_name,
            avatar_url,
        })
    }
}

impl TryFrom<Members> for UserProfile {
    type Error = &'static str;

    fn try_from(members: Members) -> Result<Self, Self::Error> {
        let UserClaim {
            id,
            handle,
            display_name,
            avatar_url,
        } = members.try_into()?;
        let id = id.ok_or("user.id is missing")?;
        let handle = handle.ok_or("user.handle is missing")?;
        Ok(Self {
            id,
            handle,
            display_name,
            avatar_url,
        })
    }
}

impl From<UserProfile> for Members {
    fn from(user: UserProfile) -> Self {
        let UserProfile {
            id,
            handle,
            display_name,
            avatar_url,
        } = user;
        Self {
            id: Some(id.clone()),
            user_id: Some(id),
            handle: Some(handle),
            display_name,
            avatar_url,
        }
    }
}
