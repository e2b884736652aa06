//! Who is there (CCP-1, Presence Metadata), and how much waits for those who are not. Whether presence outlives the store
//! is its own affair.

use super::*;

fn entry(id: &str, state: &str, expires_at: Wall) -> PresenceEntry {
    PresenceEntry {
        device: device(id),
        state: state.to_owned(),
        expires_at,
        user: profile(id),
    }
}

fn set(entries: &[PresenceEntry]) -> Request {
    Request::Presence(PresenceRequest::Set(entries.to_vec()))
}

/// What is known of these devices, by name.
async fn known_at(store: &impl Store, ids: &[&str], now: Wall) -> Vec<PresenceEntry> {
    let devices = ids.iter().map(|id| device(id)).collect();
    match one(store, Request::Presence(PresenceRequest::Get { devices, now })).await {
        Ok(Reply::Presence(mut entries)) => {
            entries.sort_by(|a, b| a.device.cmp(&b.device));
            entries
        }
        other => panic!("presence was answered with {other:?}"),
    }
}

/// See its name.
pub async fn what_was_said_last_of_a_device_is_known(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let ada = entry("ada", "online", LATER);
    let bob = entry("bob", "im Zug 🚆", LATER);
    assert_eq!(one(&store, set(&[ada.clone(), bob.clone()])).await, Ok(Reply::Done));
    assert_eq!(known_at(&store, &["ada", "bob", "eve"], NOW).await, [ada, bob.clone()]);
    let plain = Profile {
        display_name: None,
        avatar_url: Some("https://example.org/ä.png".to_owned()),
        ..profile("ada")
    };
    let gone = PresenceEntry {
        user: plain,
        ..entry("ada", "offline", Wall(LATER.0 + 1))
    };
    assert_eq!(one(&store, set(std::slice::from_ref(&gone))).await, Ok(Reply::Done));
    assert_eq!(known_at(&store, &["bob", "ada"], NOW).await, [gone, bob]);
    assert_eq!(known_at(&store, &[], NOW).await, []);
}

/// See its name.
pub async fn what_a_batch_says_its_end_sees(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let (first, second) = (entry("ada", "online", LATER), entry("ada", "away", LATER));
    let get = || {
        Request::Presence(PresenceRequest::Get {
            devices: vec![device("ada")],
            now: NOW,
        })
    };
    let batch = vec![
        get(),
        set(std::slice::from_ref(&first)),
        get(),
        set(std::slice::from_ref(&second)),
        get(),
    ];
    let seen = |entries: &[PresenceEntry]| Ok(Reply::Presence(entries.to_vec()));
    let expected = [
        seen(&[]),
        Ok(Reply::Done),
        seen(&[first]),
        Ok(Reply::Done),
        seen(&[second]),
    ];
    assert_eq!(store.execute(batch).await, expected);
}

/// See its name.
pub async fn presence_ends_by_itself(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let (ada, bob) = (entry("ada", "online", LATER), entry("bob", "online", Wall(LATER.0 + 1)));
    assert_eq!(one(&store, set(&[ada.clone(), bob.clone()])).await, Ok(Reply::Done));
    let before = Wall(LATER.0 - 1);
    assert_eq!(known_at(&store, &["ada", "bob"], before).await, [ada, bob.clone()]);
    let after = known_at(&store, &["ada", "bob"], LATER).await;
    assert_eq!(after, std::slice::from_ref(&bob));
    for _ in 0..8 {
        store.upkeep(LATER).await;
    }
    assert_eq!(known_at(&store, &["ada", "bob"], LATER).await, [bob]);
}

/// Asks until the answer is this one: it may lag behind.
async fn depth_becomes(store: &impl Store, rows: u64, bytes: u64) {
    let expected = Ok(Reply::Depth { rows, bytes });
    let mut answer = one(store, Request::Depth).await;
    for _ in 0..100 {
        if answer == expected {
            break;
        }
        store.upkeep(NOW).await;
        answer = one(store, Request::Depth).await;
    }
    assert_eq!(answer, expected);
}

/// See its name.
pub async fn the_depth_is_what_all_inboxes_hold(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    depth_becomes(&store, 0, 0).await;
    for name in ["ada", "bob", "eve"] {
        found(&store, name).await;
    }
    let batch = vec![
        append("ada", "123"),
        append("ada", "12"),
        append("bob", "1234"),
        append("nobody", "1"),
        append("eve", ""),
    ];
    store.execute(batch).await;
    depth_becomes(&store, 4, 9).await;
    let first = inbox_of(&store, "ada").await[0].0;
    one(&store, delivered("ada", first)).await.expect("known");
    one(&store, delivered("eve", RowId(u64::MAX))).await.expect("known");
    depth_becomes(&store, 2, 6).await;
}

/// See its name.
pub async fn the_depth_is_right_after_reopening(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    for name in ["ada", "bob"] {
        found(&store, name).await;
        store
            .execute(["1", "22", "333"].map(|text| append(name, text)).to_vec())
            .await;
    }
    let first = inbox_of(&store, "bob").await[0].0;
    one(&store, delivered("bob", first)).await.expect("known");
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    depth_becomes(&store, 5, 11).await;
    one(&store, append("bob", "4444")).await.expect("room");
    depth_becomes(&store, 6, 15).await;
    one(&store, delivered("bob", RowId(u64::MAX))).await.expect("known");
    depth_becomes(&store, 3, 6).await;
}

/// See its name.
pub async fn what_expired_and_what_a_revoked_device_had_leave_the_depth(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    for name in ["ada", "bob", "eve"] {
        found(&store, name).await;
    }
    let batch = vec![
        append_until("ada", "over", NOW),
        append("ada", "kept"),
        append("bob", "gone"),
        append("eve", "eve's"),
    ];
    store.execute(batch).await;
    one(&store, super::accounts::revoke("bob", "bob", NOW))
        .await
        .expect("known");
    for _ in 0..8 {
        store.upkeep(NOW).await;
    }
    depth_becomes(&store, 2, 9).await;
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    depth_becomes(&store, 2, 9).await;
}
