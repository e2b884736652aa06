//! What an inbox may hold, and for how long (decisions § 8).

use super::*;

const FULL: Result<Reply, StoreError> = Err(StoreError::InboxFull);
const DONE: Result<Reply, StoreError> = Ok(Reply::Done);

fn up_to(rows: u64, bytes: u64) -> InboxLimits {
    InboxLimits { rows, bytes }
}

/// See its name.
pub async fn an_inbox_takes_no_more_rows_than_its_limit(place: &impl Fixture) {
    let store = place.open(up_to(2, 1_000)).await;
    found(&store, "ada").await;
    let answers = store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    assert_eq!(answers, [DONE, DONE, FULL]);
    assert_eq!(one(&store, append("ada", "4")).await, FULL);
    assert_eq!(texts_of(&store, "ada").await, ["1", "2"]);
}

/// See its name.
pub async fn an_inbox_takes_no_more_bytes_than_its_limit(place: &impl Fixture) {
    let store = place.open(up_to(100, 10)).await;
    found(&store, "ada").await;
    let texts = ["1234", "1234567", "123456", "", "1"];
    let answers = store.execute(texts.map(|text| append("ada", text)).to_vec()).await;
    assert_eq!(answers, [DONE, FULL, DONE, DONE, FULL]);
    assert_eq!(texts_of(&store, "ada").await, ["1234", "123456", ""]);
}

/// See its name.
pub async fn a_full_inbox_stays_full_after_reopening(place: &impl Fixture) {
    let store = place.open(up_to(3, 10)).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    store
        .execute(vec![append("bob", "12345678"), delivered("ada", RowId(0))])
        .await;
    drop(store);
    let store = place.open(up_to(3, 10)).await;
    assert_eq!(one(&store, append("ada", "4")).await, FULL);
    assert_eq!(one(&store, append("bob", "123")).await, FULL);
    assert_eq!(one(&store, append("bob", "12")).await, DONE);
}

/// See its name.
pub async fn delivery_makes_room(place: &impl Fixture) {
    let store = place.open(up_to(3, 10)).await;
    found(&store, "ada").await;
    store
        .execute(["1234", "12", "1234"].map(|text| append("ada", text)).to_vec())
        .await;
    let all = inbox_of(&store, "ada").await;
    let batch = vec![
        append("ada", "full"),
        delivered("ada", all[0].0),
        append("ada", "12345"),
        append("ada", "1234"),
        append("ada", "full"),
    ];
    let answers = store.execute(batch).await;
    assert_eq!(answers, [FULL, DONE, FULL, DONE, FULL]);
    drop(store);
    let store = place.open(up_to(3, 10)).await;
    assert_eq!(texts_of(&store, "ada").await, ["12", "1234", "1234"]);
    assert_eq!(one(&store, append("ada", "")).await, FULL);
    assert_eq!(one(&store, delivered("ada", RowId(u64::MAX))).await, DONE);
    assert_eq!(one(&store, append("ada", "1234567890")).await, DONE);
}

/// See its name.
pub async fn a_refused_append_costs_no_row_id_and_no_room(place: &impl Fixture) {
    let store = place.open(up_to(10, 10)).await;
    found(&store, "ada").await;
    one(&store, append("ada", "1234")).await.expect("room");
    for _ in 0..5 {
        assert_eq!(one(&store, append("ada", "1234567")).await, FULL);
    }
    assert_eq!(one(&store, append("ada", "123456")).await, DONE);
}

/// See its name.
pub async fn the_limit_is_per_device(place: &impl Fixture) {
    let store = place.open(up_to(1, 10)).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let batch = vec![append("ada", "1"), append("bob", "1"), append("ada", "2")];
    assert_eq!(store.execute(batch).await, [DONE, DONE, FULL]);
}

/// See its name.
pub async fn owed_rows_are_kept_beyond_the_limit(place: &impl Fixture) {
    let store = place.open(up_to(2, 10)).await;
    found(&store, "ada").await;
    let envelopes = ["1", "2", "3", "12345678"].map(envelope).to_vec();
    let owed = Request::AppendOwed {
        device: device("ada"),
        envelopes,
    };
    assert_eq!(one(&store, owed).await, DONE);
    assert_eq!(one(&store, append("ada", "")).await, FULL);
    let all = inbox_of(&store, "ada").await;
    assert_eq!(texts(&all), ["1", "2", "3", "12345678"]);
    one(&store, delivered("ada", all[2].0)).await.expect("known");
    assert_eq!(one(&store, append("ada", "12")).await, DONE);
}

/// See its name.
pub async fn expired_rows_are_not_read(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = vec![
        append_until("ada", "past", Wall(NOW.0 - 1)),
        append_until("ada", "now", NOW),
        append_until("ada", "next", Wall(NOW.0 + 1)),
    ];
    assert_eq!(store.execute(batch).await, [DONE, DONE, DONE]);
    for _ in 0..2 {
        assert_eq!(texts_of(&store, "ada").await, ["next"]);
    }
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    one(&store, append("ada", "last")).await.expect("room");
    assert_eq!(texts_of(&store, "ada").await, ["next", "last"]);
}

/// See its name.
pub async fn an_expired_row_behind_a_live_one_is_skipped(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = vec![
        append("ada", "1"),
        append_until("ada", "expired", NOW),
        append("ada", "2"),
        append_until("ada", "expired", NOW),
    ];
    assert_eq!(store.execute(batch).await, [DONE, DONE, DONE, DONE]);
    let all = inbox_of(&store, "ada").await;
    assert_eq!(texts(&all), ["1", "2"]);
    let (first, more) = rows(one(&store, read_page("ada", RowId(0), 1, 100)).await);
    assert_eq!((texts(&first), more), (vec!["1".to_owned()], true));
    one(&store, delivered("ada", all[0].0)).await.expect("known");
    assert_eq!(texts_of(&store, "ada").await, ["2"]);
    one(&store, append("ada", "3")).await.expect("room");
    assert_eq!(texts_of(&store, "ada").await, ["2", "3"]);
}

/// See its name.
pub async fn a_page_of_nothing_but_expired_rows_is_empty_and_final(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let batch = (0..50).map(|_| append_until("ada", "expired", NOW)).collect();
    store.execute(batch).await;
    assert_eq!(
        rows(one(&store, read_page("ada", RowId(0), 1, 1)).await),
        (vec![], false)
    );
}

/// See its name.
pub async fn upkeep_makes_room_of_expired_rows(place: &impl Fixture) {
    let store = place.open(up_to(2, 100)).await;
    for name in ["ada", "bob"] {
        found(&store, name).await;
        let batch = vec![append_until(name, "1", NOW), append_until(name, "2", NOW)];
        assert_eq!(store.execute(batch).await, [DONE, DONE]);
        assert_eq!(one(&store, append(name, "3")).await, FULL);
    }
    for _ in 0..8 {
        store.upkeep(NOW).await;
    }
    drop(store);
    let store = place.open(up_to(2, 100)).await;
    for name in ["ada", "bob"] {
        let batch = vec![append(name, "3"), append(name, "4"), append(name, "5")];
        assert_eq!(store.execute(batch).await, [DONE, DONE, FULL]);
        assert_eq!(texts_of(&store, name).await, ["3", "4"]);
    }
}

/// See its name.
pub async fn upkeep_leaves_live_rows_alone(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    let all = inbox_of(&store, "ada").await;
    one(&store, delivered("ada", all[0].0)).await.expect("known");
    for _ in 0..8 {
        store.upkeep(NOW).await;
    }
    assert_eq!(inbox_of(&store, "ada").await, all[1..]);
    assert_eq!(inbox_of(&store, "bob").await, []);
}
