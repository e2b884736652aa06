//! The user's own list of people (decisions § 10). The server keeps it and looks at nothing in it.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::routing::{get, put};
use commucat_proto::control::Text;
use commucat_proto::{Handle, UserId};
use commucat_storage::api::{AccountRequest, FRIENDS_PER_USER, Friend, Reply, Request, StoreError};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::Site;
use super::bearer::Bearer;
use super::body::JsonBody;
use super::endpoint::{Endpoint, Operation};
use super::problem::Problem;

#[derive(Debug, Serialize, Deserialize)]
struct Friends {
    friends: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<Handle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<Text>,
}

async fn read(bearer: Bearer, State(site): State<Site>) -> Result<Json<Friends>, Problem> {
    let user = bearer.user.id;
    let Reply::Friends(friends) = site
        .store
        .call(Request::Account(AccountRequest::Friends { user }))
        .await?
    else {
        return Err(StoreError::Unavailable("no list came".to_owned()).into());
    };
    let entry = |friend: Friend| Entry {
        user_id: friend.user,
        handle: friend.handle,
        alias: friend.alias.as_deref().map(Text::cut),
    };
    Ok(Json(Friends {
        friends: friends.into_iter().map(entry).collect(),
    }))
}

async fn replace(
    bearer: Bearer,
    State(site): State<Site>,
    JsonBody(list): JsonBody<Friends>,
) -> Result<Json<Friends>, Problem> {
    check(&list)?;
    let friend = |entry: &Entry| Friend {
        user: entry.user_id.clone(),
        handle: entry.handle.clone(),
        alias: entry.alias.as_ref().map(|alias| alias.as_str().to_owned()),
    };
    let request = AccountRequest::PutFriends {
        user: bearer.user.id,
        friends: list.friends.iter().map(friend).collect(),
    };
    site.store.call(Request::Account(request)).await?;
    Ok(Json(list))
}

fn check(list: &Friends) -> Result<(), Problem> {
    let wrong = |detail: String| Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    if list.friends.len() > FRIENDS_PER_USER {
        return wrong(format!("a list has at most {FRIENDS_PER_USER} entries"));
    }
    let mut seen = HashSet::new();
    match list.friends.iter().find(|entry| !seen.insert(&entry.user_id)) {
        Some(twice) => wrong(format!("{} is listed twice", twice.user_id)),
        None => Ok(()),
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint {
            method: Method::GET,
            path: "/api/friends",
            handler: get(read),
            operation: Operation::new("readFriends", "The caller's own list of people.")
                .bearer()
                .json("Friends"),
        },
        Endpoint {
            method: Method::PUT,
            path: "/api/friends",
            handler: put(replace),
            operation: Operation::new("replaceFriends", "Replaces the caller's own list of people.")
                .bearer()
                .body("Friends", true)
                .json("Friends"),
        },
    ]
}
