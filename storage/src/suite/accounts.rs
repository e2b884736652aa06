//! Bearer sessions, devices of a profile, friends (decisions § 4, § 10).

use super::*;

const DONE: Result<Reply, StoreError> = Ok(Reply::Done);

pub(super) fn account(request: AccountRequest) -> Request {
    Request::Account(request)
}

fn token(name: &str) -> TokenHash {
    TokenHash(key(name))
}

fn open_until(name: &str, id: &str, expires_at: Wall) -> Request {
    open_with(name, id, key(id), expires_at)
}

fn open_with(name: &str, id: &str, static_key: [u8; 32], expires_at: Wall) -> Request {
    account(AccountRequest::OpenSession {
        token: token(name),
        device: device(id),
        static_key,
        expires_at,
    })
}

pub(super) fn open(name: &str, id: &str) -> Request {
    open_until(name, id, LATER)
}

pub(super) fn find(name: &str, now: Wall) -> Request {
    account(AccountRequest::FindSession {
        token: token(name),
        now,
    })
}

fn owner(id: &str, user: Profile) -> Result<Reply, StoreError> {
    let device = device(id);
    Ok(Reply::Session(Some(SessionOwner { device, user })))
}

const NOBODY: Result<Reply, StoreError> = Ok(Reply::Session(None));

fn join(id: &str, user: &str, limit: u32) -> Request {
    account(AccountRequest::JoinProfile {
        device: device(id),
        static_key: key(id),
        user: profile(user).id,
        limit,
        at: NOW,
    })
}

fn list(user: &str) -> Request {
    account(AccountRequest::ListDevices { user: profile(user).id })
}

pub(super) fn revoke(user: &str, id: &str, at: Wall) -> Request {
    account(AccountRequest::RevokeDevice {
        user: profile(user).id,
        device: device(id),
        at,
    })
}

/// As the session `one` asks.
fn rotate(id: &str, static_key: [u8; 32]) -> Request {
    account(AccountRequest::RotateKey {
        device: device(id),
        static_key,
        keep: token("one"),
        at: NOW,
    })
}

pub(super) async fn devices_of(store: &impl Store, user: &str) -> Vec<DeviceRecord> {
    match one(store, list(user)).await {
        Ok(Reply::Devices(devices)) => devices,
        other => panic!("a list was answered with {other:?}"),
    }
}

fn record(id: &str, revoked_at: Option<Wall>) -> DeviceRecord {
    DeviceRecord {
        device: device(id),
        static_key: key(id),
        created_at: NOW,
        revoked_at,
    }
}

/// See its name.
pub async fn an_opened_session_is_found_with_its_profile_as_it_is_now(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    assert_eq!(one(&store, open("one", "ada")).await, DONE);
    assert_eq!(one(&store, find("one", NOW)).await, owner("ada", profile("ada")));
    assert_eq!(one(&store, find("two", NOW)).await, NOBODY);
    let renamed = Profile {
        display_name: None,
        ..profile("ada")
    };
    let update = Request::UpdateProfile {
        profile: renamed.clone(),
    };
    assert_eq!(one(&store, update).await, DONE);
    assert_eq!(one(&store, find("one", NOW)).await, owner("ada", renamed));
}

/// See its name.
pub async fn a_session_is_worth_nothing_from_its_end_on(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(one(&store, open("one", "ada")).await, DONE);
    let before = Wall(LATER.0 - 1);
    assert_eq!(one(&store, find("one", before)).await, owner("ada", profile("ada")));
    assert_eq!(one(&store, find("one", LATER)).await, NOBODY);
}

/// See its name.
pub async fn a_session_belongs_to_a_device_that_is_known(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let answers = store
        .execute(vec![
            open("one", "ada"),
            founding("ada", profile("ada")),
            open("two", "ada"),
            find("one", NOW),
            find("two", NOW),
        ])
        .await;
    let expected = [
        Err(StoreError::UnknownDevice),
        DONE,
        DONE,
        NOBODY,
        owner("ada", profile("ada")),
    ];
    assert_eq!(answers, expected);
}

/// See its name.
pub async fn the_ninth_session_of_a_device_ends_the_first(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let names: Vec<String> = (0..SESSIONS_PER_DEVICE + 2).map(|n| format!("s{n}")).collect();
    let (first, rest) = names.split_at(SESSIONS_PER_DEVICE);
    let mut batch: Vec<_> = first.iter().map(|name| open(name, "ada")).collect();
    batch.push(open("bob's", "bob"));
    assert!(store.execute(batch).await.iter().all(|answer| *answer == DONE));
    for name in first {
        assert_eq!(
            one(&store, find(name, NOW)).await,
            owner("ada", profile("ada")),
            "{name}"
        );
    }
    let batch = rest.iter().map(|name| open(name, "ada")).collect();
    assert!(store.execute(batch).await.iter().all(|answer| *answer == DONE));
    for (n, name) in names.iter().enumerate() {
        let expected = if n < 2 { NOBODY } else { owner("ada", profile("ada")) };
        assert_eq!(one(&store, find(name, NOW)).await, expected, "{name}");
    }
    assert_eq!(one(&store, find("bob's", NOW)).await, owner("bob", profile("bob")));
}

/// See its name.
pub async fn a_session_lasts_as_long_as_what_was_kept_after_it(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(one(&store, open("one", "ada")).await, DONE);
    assert_eq!(one(&store, append("ada", "later")).await, DONE);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, find("one", NOW)).await, owner("ada", profile("ada")));
}

/// See its name.
pub async fn upkeep_leaves_live_sessions_alone(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = vec![
        open_until("over", "ada", NOW),
        open("one", "ada"),
        open_until("two", "ada", Wall(NOW.0 + 1)),
    ];
    assert_eq!(store.execute(batch).await, [DONE, DONE, DONE]);
    for _ in 0..8 {
        store.upkeep(NOW).await;
    }
    assert_eq!(one(&store, find("over", NOW)).await, NOBODY);
    for name in ["one", "two"] {
        assert_eq!(
            one(&store, find(name, NOW)).await,
            owner("ada", profile("ada")),
            "{name}"
        );
    }
    for n in 0..SESSIONS_PER_DEVICE - 2 {
        assert_eq!(one(&store, open(&format!("more{n}"), "ada")).await, DONE);
    }
    assert_eq!(one(&store, find("one", NOW)).await, owner("ada", profile("ada")));
}

/// See its name.
pub async fn a_device_joins_a_profile(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    assert_eq!(one(&store, join("phone", "ada", 2)).await, DONE);
    assert_eq!(one(&store, append("phone", "x")).await, DONE);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    let expected = Device {
        static_key: key("phone"),
        user: profile("ada"),
        revoked: false,
    };
    assert_eq!(known(&store, "phone").await, Some(expected));
    assert_eq!(texts_of(&store, "phone").await, ["x"]);
    let devices = devices_of(&store, "ada").await;
    assert_eq!(devices, [record("ada", None), record("phone", None)]);
}

/// See its name.
pub async fn nobody_joins_a_profile_that_is_not_or_as_a_device_that_is(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let unknown = Err(StoreError::UnknownUser);
    assert_eq!(one(&store, join("phone", "eve", 9)).await, unknown);
    assert_eq!(one(&store, join("bob", "ada", 9)).await, Err(StoreError::DeviceExists));
    assert_eq!(known(&store, "phone").await, None);
    assert_eq!(devices_of(&store, "ada").await, [record("ada", None)]);
}

/// See its name.
pub async fn a_profile_has_room_for_so_many_devices_that_are_not_revoked(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let full = Err(StoreError::DeviceLimit);
    assert_eq!(one(&store, join("d1", "ada", 1)).await, full);
    let batch = vec![
        join("d1", "ada", 2),
        join("d2", "ada", 2),
        revoke("ada", "ada", NOW),
        join("d3", "ada", 2),
        join("d4", "ada", 2),
    ];
    assert_eq!(store.execute(batch).await, [DONE, full.clone(), DONE, DONE, full]);
    let names: Vec<_> = devices_of(&store, "ada").await;
    let expected = [record("ada", Some(NOW)), record("d1", None), record("d3", None)];
    assert_eq!(names, expected);
}

/// See its name.
pub async fn devices_are_listed_by_name_for_their_user_alone(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "m").await;
    found(&store, "mm").await;
    for id in ["z", "a", "m!"] {
        assert_eq!(one(&store, join(id, "m", 9)).await, DONE);
    }
    let expected = ["a", "m", "m!", "z"].map(|id| record(id, None));
    assert_eq!(devices_of(&store, "m").await, expected);
    assert_eq!(devices_of(&store, "mm").await, [record("mm", None)]);
    assert_eq!(devices_of(&store, "nobody").await, []);
}

/// See its name.
pub async fn a_revoked_device_is_refused_and_its_sessions_are_gone(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = vec![join("phone", "ada", 2), open("one", "phone"), open("two", "ada")];
    assert_eq!(store.execute(batch).await, [DONE, DONE, DONE]);
    assert_eq!(one(&store, revoke("ada", "phone", LATER)).await, DONE);
    assert_eq!(one(&store, find("one", NOW)).await, NOBODY);
    assert_eq!(one(&store, find("two", NOW)).await, owner("ada", profile("ada")));
    let revoked = Err(StoreError::DeviceRevoked);
    assert_eq!(one(&store, open("three", "phone")).await, revoked);
    assert_eq!(one(&store, rotate("phone", [9; 32])).await, revoked);
    assert_eq!(known(&store, "phone").await.map(|device| device.revoked), Some(true));
    let devices = devices_of(&store, "ada").await;
    assert_eq!(devices, [record("ada", None), record("phone", Some(LATER))]);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, find("one", NOW)).await, NOBODY);
    assert_eq!(known(&store, "phone").await.map(|device| device.revoked), Some(true));
    let again = one(&store, founding("phone", profile("eve"))).await;
    assert_eq!(again, Err(StoreError::DeviceExists), "its name is not free");
}

/// See its name.
pub async fn a_device_is_revoked_once_and_by_its_own_user(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let unknown = Err(StoreError::UnknownDevice);
    assert_eq!(one(&store, revoke("bob", "ada", NOW)).await, unknown);
    assert_eq!(one(&store, revoke("ada", "nothing", NOW)).await, unknown);
    assert_eq!(known(&store, "ada").await.map(|device| device.revoked), Some(false));
    assert_eq!(one(&store, revoke("ada", "ada", NOW)).await, DONE);
    assert_eq!(one(&store, revoke("ada", "ada", LATER)).await, DONE);
    assert_eq!(devices_of(&store, "ada").await, [record("ada", Some(NOW))]);
}

/// See its name.
pub async fn a_revoked_device_has_no_inbox(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    one(&store, append("bob", "bob's")).await.expect("room");
    assert_eq!(one(&store, revoke("ada", "ada", NOW)).await, DONE);
    for _ in 0..8 {
        store.upkeep(NOW).await;
    }
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    let owed = Request::AppendOwed {
        device: device("ada"),
        envelopes: vec![envelope("x")],
    };
    let unknown = Err(StoreError::UnknownDevice);
    for request in [
        append("ada", "x"),
        owed,
        read("ada", RowId(0)),
        delivered("ada", RowId(1)),
    ] {
        assert_eq!(one(&store, request).await, unknown);
    }
    assert_eq!(texts_of(&store, "bob").await, ["bob's"]);
}

/// See its name.
pub async fn a_batch_sees_the_revocation_in_it(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let answers = store
        .execute(vec![
            append("ada", "1"),
            open("one", "ada"),
            rotate("ada", [9; 32]),
            revoke("ada", "ada", NOW),
            append("ada", "2"),
            find("one", NOW),
            open("two", "ada"),
            rotate("ada", [8; 32]),
        ])
        .await;
    assert_eq!(answers[..4], [DONE, DONE, DONE, DONE]);
    let revoked = Err(StoreError::DeviceRevoked);
    let expected = [Err(StoreError::UnknownDevice), NOBODY, revoked.clone(), revoked];
    assert_eq!(answers[4..], expected);
    let known = known(&store, "ada").await.expect("it is known, if only as revoked");
    assert_eq!((known.static_key, known.revoked), ([9; 32], true));
}

/// See its name.
pub async fn a_rotated_key_is_the_devices_key(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let unknown = Err(StoreError::UnknownDevice);
    assert_eq!(one(&store, rotate("bob", [9; 32])).await, unknown);
    assert_eq!(one(&store, open("one", "ada")).await, DONE);
    assert_eq!(one(&store, rotate("ada", [9; 32])).await, DONE);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(
        known(&store, "ada").await.map(|device| device.static_key),
        Some([9; 32])
    );
    let rotated = DeviceRecord {
        static_key: [9; 32],
        ..record("ada", None)
    };
    assert_eq!(devices_of(&store, "ada").await, [rotated]);
    assert_eq!(one(&store, find("one", NOW)).await, owner("ada", profile("ada")));
}

/// See its name.
pub async fn with_a_key_the_sessions_end_that_it_had_but_the_one_that_rotates(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    for (name, id) in [("one", "ada"), ("two", "ada"), ("his", "bob")] {
        assert_eq!(one(&store, open(name, id)).await, DONE);
    }
    // A batch does not hide from the rotation what stands before it, nor the rotation from what comes after.
    let batch = vec![
        open("three", "ada"),
        rotate("ada", [9; 32]),
        open("old", "ada"),
        open_with("new", "ada", [9; 32], LATER),
    ];
    let answers = store.execute(batch).await;
    assert_eq!(answers, [DONE, DONE, Err(StoreError::KeyReplaced), DONE]);
    assert_eq!(one(&store, open("old", "ada")).await, Err(StoreError::KeyReplaced));
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    for ended in ["two", "three", "old"] {
        assert_eq!(one(&store, find(ended, NOW)).await, NOBODY, "{ended}");
    }
    for (name, id) in [("one", "ada"), ("new", "ada"), ("his", "bob")] {
        assert_eq!(one(&store, find(name, NOW)).await, owner(id, profile(id)), "{name}");
    }
}

fn friend(name: &str, handle: Option<&str>, alias: Option<&str>) -> Friend {
    Friend {
        user: profile(name).id,
        handle: handle.map(super::handle),
        alias: alias.map(str::to_owned),
    }
}

fn put(user: &str, friends: &[Friend]) -> Request {
    account(AccountRequest::PutFriends {
        user: profile(user).id,
        friends: friends.to_vec(),
    })
}

fn friends(user: &str) -> Request {
    account(AccountRequest::Friends { user: profile(user).id })
}

/// See its name.
pub async fn a_list_of_friends_is_replaced_as_a_whole_and_keeps_its_order(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let first = [friend("zoe", None, Some("Zoë ✨")), friend("bob", Some("bob"), None)];
    let second = [friend("eve", Some("eve"), Some("")), friend("bob", None, None)];
    let answers = store
        .execute(vec![
            friends("ada"),
            put("ada", &first),
            friends("ada"),
            put("ada", &second),
            friends("bob"),
            put("nobody", &first),
            friends("nobody"),
        ])
        .await;
    let seen = |friends: &[Friend]| Ok(Reply::Friends(friends.to_vec()));
    let unknown = Err(StoreError::UnknownUser);
    let expected = [seen(&[]), DONE, seen(&first), DONE, seen(&[]), unknown, seen(&[])];
    assert_eq!(answers, expected);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, friends("ada")).await, seen(&second));
    assert_eq!(one(&store, put("ada", &[])).await, DONE);
    assert_eq!(one(&store, friends("ada")).await, seen(&[]));
}

/// See its name.
pub async fn the_longest_list_of_friends_is_kept(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let all: Vec<_> = (0..FRIENDS_PER_USER)
        .map(|n| friend(&format!("friend{n:04}"), Some("h"), Some(&"x".repeat(256))))
        .collect();
    assert_eq!(one(&store, put("ada", &all)).await, DONE);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, friends("ada")).await, Ok(Reply::Friends(all)));
}
