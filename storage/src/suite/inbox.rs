//! Rows: kept in order, read in pages, delivered once, their ids never used again (CCP-1, Offline Delivery).

use super::*;

/// See its name.
pub async fn rows_come_back_in_the_order_they_were_appended(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let expected: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    for some in expected.chunks(250) {
        let batch = some.iter().map(|text| append("ada", text.clone())).collect();
        assert!(
            store
                .execute(batch)
                .await
                .iter()
                .all(|answer| *answer == Ok(Reply::Done))
        );
    }
    assert_eq!(texts_of(&store, "ada").await, expected);
}

/// See its name.
pub async fn rows_are_there_after_reopening(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    store.execute(vec![append("ada", "one"), append("ada", "two")]).await;
    let before = inbox_of(&store, "ada").await;
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(inbox_of(&store, "ada").await, before);
    assert_eq!(texts(&before), ["one", "two"]);
}

/// See its name.
pub async fn an_envelope_survives_byte_for_byte(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let kinds = FrameType::ALL.into_iter().filter(|kind| kind.is_storable());
    let payloads = [Bytes::new(), Bytes::from_iter(0..=255), Bytes::from_static(&[0])];
    let channels = [0, 1, u32::MAX].map(ChannelId::new);
    let sent: Vec<Envelope> = kinds
        .flat_map(|kind| payloads.iter().zip(channels).map(move |(p, c)| (kind, p.clone(), c)))
        .map(|(kind, payload, channel)| Envelope {
            kind,
            channel,
            payload,
            expires_at: LATER,
        })
        .collect();
    for envelope in sent.clone() {
        one(
            &store,
            Request::Append {
                device: device("ada"),
                envelope,
            },
        )
        .await
        .expect("room");
    }
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    let kept: Vec<_> = inbox_of(&store, "ada").await.into_iter().map(|(_, row)| row).collect();
    assert_eq!(kept, sent);
}

/// See its name.
pub async fn the_largest_payload_survives(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let large: Bytes = (0..16u32 << 20).map(|n| (n >> 8 ^ n) as u8).collect();
    assert_eq!(one(&store, append("ada", large.clone())).await, Ok(Reply::Done));
    let rows = inbox_of(&store, "ada").await;
    assert!(rows.len() == 1 && rows[0].1.payload == large, "the payload differs");
}

/// See its name.
pub async fn a_device_without_a_record_has_no_inbox(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let unknown = Err(StoreError::UnknownDevice);
    assert_eq!(one(&store, append("bob", "x")).await, unknown);
    let owed = Request::AppendOwed {
        device: device("bob"),
        envelopes: vec![envelope("x")],
    };
    assert_eq!(one(&store, owed).await, unknown);
    assert_eq!(one(&store, read("bob", RowId(0))).await, unknown);
    assert_eq!(one(&store, delivered("bob", RowId(1))).await, unknown);
    found(&store, "bob").await;
    assert_eq!(inbox_of(&store, "bob").await, []);
}

/// See its name.
pub async fn inboxes_of_similar_names_are_kept_apart(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let names = ["a", "a!", "aa", "a@b", "A"];
    for name in names {
        found_as(&store, name).await;
    }
    for round in 0..3 {
        let batch = names
            .iter()
            .map(|name| append(name, format!("{name}{round}")))
            .collect();
        store.execute(batch).await;
    }
    one(&store, delivered("a", RowId(u64::MAX))).await.expect("known");
    assert_eq!(texts_of(&store, "a").await, [""; 0]);
    for name in &names[1..] {
        let expected = [0, 1, 2].map(|round| format!("{name}{round}"));
        assert_eq!(texts_of(&store, name).await, expected, "{name}");
    }
}

/// Founds a device whose id is no handle.
async fn found_as(store: &impl Store, id: &str) {
    let name = id.replace('@', "-at-");
    assert_eq!(one(store, founding(id, profile(&name))).await, Ok(Reply::Done));
}

/// See its name.
pub async fn a_page_ends_at_its_rows(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    store
        .execute(["1", "2", "3", "4", "5"].map(|text| append("ada", text)).to_vec())
        .await;
    let mut seen = Vec::new();
    let mut after = RowId(0);
    for expected in [2, 2, 1] {
        let (rows, more) = rows(one(&store, read_page("ada", after, 2, usize::MAX)).await);
        assert_eq!((rows.len(), more), (expected, seen.len() + rows.len() < 5));
        after = rows.last().expect("a page with rows").0;
        seen.extend(texts(&rows));
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);
    assert_eq!(rows(one(&store, read_page("ada", after, 2, 9)).await), (vec![], false));
}

/// See its name.
pub async fn a_page_ends_at_its_bytes(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    store
        .execute(["123456", "78", "9", "0"].map(|text| append("ada", text)).to_vec())
        .await;
    let (first, more) = rows(one(&store, read_page("ada", RowId(0), 9, 4)).await);
    assert_eq!(
        (texts(&first), more),
        (vec!["123456".to_owned()], true),
        "the first comes anyway"
    );
    let (next, more) = rows(one(&store, read_page("ada", first[0].0, 9, 3)).await);
    assert_eq!((texts(&next), more), (vec!["78".to_owned(), "9".to_owned()], true));
    let (all, more) = rows(one(&store, read_page("ada", RowId(0), 9, 10)).await);
    assert_eq!((all.len(), more), (4, false), "exactly full is not too much");
}

/// See its name.
pub async fn rows_up_to_after_are_skipped(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    let all = inbox_of(&store, "ada").await;
    for (at, (id, _)) in all.iter().enumerate() {
        let (rest, more) = rows(one(&store, read("ada", *id)).await);
        assert_eq!((&rest[..], more), (&all[at + 1..], false));
    }
    assert_eq!(rows(one(&store, read("ada", RowId(u64::MAX))).await), (vec![], false));
}

/// See its name.
pub async fn delivered_rows_are_gone_for_good(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    let all = inbox_of(&store, "ada").await;
    assert_eq!(one(&store, delivered("ada", all[1].0)).await, Ok(Reply::Done));
    assert_eq!(texts_of(&store, "ada").await, ["3"]);
    drop(store);
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(inbox_of(&store, "ada").await, all[2..]);
}

/// See its name.
pub async fn delivering_twice_or_too_far_takes_nothing_else(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    store
        .execute(["1", "2", "3"].map(|text| append("ada", text)).to_vec())
        .await;
    let all = inbox_of(&store, "ada").await;
    for upto in [RowId(0), all[1].0, all[1].0, all[0].0] {
        assert_eq!(one(&store, delivered("ada", upto)).await, Ok(Reply::Done));
    }
    assert_eq!(texts_of(&store, "ada").await, ["3"]);
    assert_eq!(one(&store, delivered("ada", RowId(u64::MAX))).await, Ok(Reply::Done));
    one(&store, append("ada", "4")).await.expect("room");
    assert_eq!(
        texts_of(&store, "ada").await,
        ["4"],
        "what came after was not delivered"
    );
}

/// See its name.
pub async fn row_ids_are_never_used_again(place: &impl Fixture) {
    let mut highest = RowId(0);
    for round in 0..4 {
        let store = place.open(InboxLimits::default()).await;
        if round == 0 {
            found(&store, "ada").await;
        }
        store.execute(["x", "y"].map(|text| append("ada", text)).to_vec()).await;
        for (id, _) in inbox_of(&store, "ada").await {
            assert!(id > highest, "{id:?} came after {highest:?}");
            highest = id;
        }
        one(&store, delivered("ada", highest)).await.expect("known");
    }
}

/// See its name.
pub async fn requests_of_one_device_take_effect_in_their_order(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let mut answers = store
        .execute(vec![
            append("ada", "1"),
            read("ada", RowId(0)),
            append("ada", "2"),
            append("ada", "3"),
            read("ada", RowId(0)),
            delivered("ada", RowId(u64::MAX)),
            append("ada", "4"),
            read("ada", RowId(0)),
        ])
        .await;
    let third = texts(&rows(answers.remove(7)).0);
    let second = texts(&rows(answers.remove(4)).0);
    let first = texts(&rows(answers.remove(1)).0);
    assert_eq!(
        (first, second),
        (vec!["1".into()], vec!["1".into(), "2".into(), "3".into()])
    );
    assert_eq!(third, ["4"]);
    assert!(answers.iter().all(|answer| *answer == Ok(Reply::Done)), "{answers:?}");
}

/// See its name.
pub async fn answers_stand_in_the_order_of_their_requests(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    let answers = store
        .execute(vec![
            append("ada", "lost"),
            founding("ada", profile("ada")),
            append("ada", "kept"),
            founding("ada", profile("eve")),
            read("ada", RowId(0)),
            lookup("eve", None, Some("eve")),
            Request::Probe,
        ])
        .await;
    assert_eq!(answers.len(), 7);
    assert_eq!(answers[..2], [Err(StoreError::UnknownDevice), Ok(Reply::Done)]);
    assert_eq!(answers[2..4], [Ok(Reply::Done), Err(StoreError::DeviceExists)]);
    assert_eq!(texts(&rows(answers[4].clone()).0), ["kept"]);
    let nobody = Reply::Found {
        device: None,
        user: None,
        handle_taken: false,
    };
    assert_eq!(answers[5..], [Ok(nobody), Ok(Reply::Done)]);
}

/// See its name.
pub async fn a_failed_request_leaves_its_neighbours_alone(place: &impl Fixture) {
    let store = place
        .open(InboxLimits {
            rows: 2,
            ..InboxLimits::default()
        })
        .await;
    found(&store, "ada").await;
    found(&store, "bob").await;
    let batch = vec![
        append("ada", "1"),
        append("eve", "x"),
        append("ada", "2"),
        append("ada", "full"),
        append("bob", "1"),
    ];
    let answers = store.execute(batch).await;
    let expected = [
        Ok(Reply::Done),
        Err(StoreError::UnknownDevice),
        Ok(Reply::Done),
        Err(StoreError::InboxFull),
        Ok(Reply::Done),
    ];
    assert_eq!(answers, expected);
    assert_eq!(texts_of(&store, "ada").await, ["1", "2"]);
    assert_eq!(texts_of(&store, "bob").await, ["1"]);
}

/// See its name.
pub async fn owed_rows_follow_in_order(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    found(&store, "ada").await;
    let envelopes = ["2", "3", "4"].map(envelope).to_vec();
    let owed = Request::AppendOwed {
        device: device("ada"),
        envelopes,
    };
    let nothing = Request::AppendOwed {
        device: device("ada"),
        envelopes: vec![],
    };
    let answers = store
        .execute(vec![append("ada", "1"), owed, nothing, append("ada", "5")])
        .await;
    assert!(answers.iter().all(|answer| *answer == Ok(Reply::Done)), "{answers:?}");
    assert_eq!(texts_of(&store, "ada").await, ["1", "2", "3", "4", "5"]);
}

/// See its name.
pub async fn a_probe_answers(place: &impl Fixture) {
    let store = place.open(InboxLimits::default()).await;
    assert_eq!(one(&store, Request::Probe).await, Ok(Reply::Done));
}
