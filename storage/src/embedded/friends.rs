//! Users' own lists (decisions § 10): one value each, replaced as a whole.

use commucat_proto::{Handle, UserId};
use fjall::OwnedWriteBatch;
use rkyv::{Archive, Deserialize, Serialize};

use super::error::Fault;
use super::tables::Tables;
use super::values;
use crate::api::{Friend, Reply, StoreError};

/// Table `friends`, by user id.
#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
struct ListValue {
    friends: Vec<FriendValue>,
}

#[derive(Archive, Serialize, Deserialize, Debug, PartialEq)]
struct FriendValue {
    user: String,
    handle: Option<String>,
    alias: Option<String>,
}

/// The list, in the order in which it was put.
pub(super) fn list(tables: &Tables, user: &UserId) -> Result<Reply, Fault> {
    let Some(value) = tables.friends.get(user.as_str())? else {
        return Ok(Reply::Friends(Vec::new()));
    };
    let ListValue { friends } = values::decode("friends", &value)?;
    let friends = friends.into_iter().map(friend).collect::<Result<_, _>>()?;
    Ok(Reply::Friends(friends))
}

fn friend(value: FriendValue) -> Result<Friend, Fault> {
    let handle = value.handle.as_deref().map(Handle::parse).transpose();
    Ok(Friend {
        user: UserId::parse(&value.user).map_err(|e| values::corrupt("friends", e.to_string()))?,
        handle: handle.map_err(|e| values::corrupt("friends", e.to_string()))?,
        alias: value.alias,
    })
}

/// Another list instead.
pub(super) fn put(
    tables: &Tables,
    batch: &mut OwnedWriteBatch,
    user: &UserId,
    friends: &[Friend],
) -> Result<Reply, Fault> {
    if !tables.users.contains_key(user.as_str())? {
        return Err(StoreError::UnknownUser.into());
    }
    let friends = friends.iter().map(|friend| FriendValue {
        user: friend.user.as_str().to_owned(),
        handle: friend.handle.as_ref().map(|handle| handle.as_str().to_owned()),
        alias: friend.alias.clone(),
    });
    let value = ListValue {
        friends: friends.collect(),
    };
    batch.insert(&tables.friends, user.as_str(), values::encode("friends", &value, 0)?);
    Ok(Reply::Done)
}
