//! What only a store of servers has to bear: several relays on one database, connections that break, values that the
//! database will not have.

use std::time::{Duration, Instant};

use bytes::Bytes;
use commucat_proto::{ChannelId, DeviceId, FrameType, Handle, UserId};
use commucat_storage::Store;
use commucat_storage::api::{
    AccountRequest, Envelope, InboxLimits, PairingOffer, Profile, Reply, Request, RowId, Selector, StoreError, Wall,
};
use commucat_storage::postgres::{OpenError, check, migrate};
use commucat_storage::suite::Fixture;

use crate::place::{Place, run};

type Answer = Result<Reply, StoreError>;

const DONE: Answer = Ok(Reply::Done);
const NOW: Wall = Wall(1_700_000_000_000);

fn device(id: &str) -> DeviceId {
    DeviceId::parse(id).unwrap()
}

fn founding(id: &str, handle: &str, display_name: Option<&str>) -> Request {
    Request::Found {
        device: device(id),
        static_key: [7; 32],
        profile: Profile {
            id: UserId::parse(&format!("user-{id}")).unwrap(),
            handle: Handle::parse(handle).unwrap(),
            display_name: display_name.map(str::to_owned),
            avatar_url: None,
        },
        at: NOW,
    }
}

fn append(id: &str, payload: impl Into<Bytes>) -> Request {
    Request::Append {
        device: device(id),
        envelope: Envelope {
            kind: FrameType::Msg,
            channel: ChannelId::new(1),
            payload: payload.into(),
            expires_at: Wall(u64::MAX),
        },
    }
}

async fn inbox(store: &impl Store, id: &str) -> Vec<(RowId, String)> {
    let read = Request::ReadInbox {
        device: device(id),
        after: RowId(0),
        max_rows: usize::MAX,
        max_bytes: usize::MAX,
        now: NOW,
    };
    match store.execute(vec![read]).await.remove(0) {
        Ok(Reply::Rows { rows, more: false }) => {
            let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
            rows.into_iter().map(|(id, row)| (id, text(&row.payload))).collect()
        }
        other => panic!("a read was answered with {other:?}"),
    }
}

#[test]
fn servers_that_start_together_migrate_once() {
    run(async {
        let place = Place::new();
        let options = place.options();
        assert!(matches!(
            check(&options).await,
            Err(OpenError::Outdated { found: 0, .. })
        ));
        let several = (0..4).map(|_| {
            let options = options.clone();
            tokio::spawn(async move { migrate(&options).await.unwrap() })
        });
        let mut did = 0;
        for one in several.collect::<Vec<_>>() {
            let done = one.await.unwrap();
            did += u32::from(done.from < done.to);
        }
        assert_eq!(did, 1);
        check(&options).await.unwrap();
    });
}

#[test]
fn two_relays_on_one_database_keep_one_inbox_in_order_and_its_counters_right() {
    run(async {
        let place = Place::new();
        let limits = InboxLimits {
            rows: 1_000,
            bytes: 1 << 20,
        };
        let stores = [place.open(limits).await, place.open(limits).await];
        assert_eq!(stores[0].execute(vec![founding("ada", "ada", None)]).await, [DONE]);
        let talk = |store, name| async move {
            let mut kept = Vec::new();
            for round in 0..12 {
                let texts: Vec<String> = (0..50).map(|n| format!("{name}{round}-{n}")).collect();
                let batch = texts.iter().map(|text| append("ada", text.clone())).collect();
                let answers: Vec<Answer> = Store::execute(store, batch).await;
                for (text, answer) in texts.into_iter().zip(answers) {
                    match answer {
                        DONE => kept.push(text),
                        Err(StoreError::InboxFull) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            kept
        };
        let (one, two) = tokio::join!(talk(&stores[0], "a"), talk(&stores[1], "b"));
        assert_eq!(one.len() + two.len(), 1_000, "the limit holds over both");
        let rows = inbox(&stores[1], "ada").await;
        let ids: Vec<u64> = rows.iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, (1..=1_000).collect::<Vec<_>>());
        for (mine, all) in [('a', one), ('b', two)] {
            let heard: Vec<_> = rows.iter().filter(|(_, text)| text.starts_with(mine)).collect();
            assert!(heard.iter().map(|(_, text)| text).eq(&all), "the order of {mine}");
        }
    });
}

#[test]
fn of_two_relays_that_found_one_handle_at_once_one_wins() {
    run(async {
        let place = Place::new();
        let stores = [
            place.open(InboxLimits::default()).await,
            place.open(InboxLimits::default()).await,
        ];
        for round in 0..20 {
            let handle = format!("handle-{round}");
            let found = |index: usize| {
                let id = format!("device-{round}-{index}");
                stores[index].execute(vec![founding(&id, &handle, None), Request::Probe])
            };
            let (one, two) = tokio::join!(found(0), found(1));
            let outcomes = [&one[0], &two[0]];
            let won = outcomes.iter().filter(|answer| ***answer == DONE);
            assert_eq!(won.count(), 1, "{outcomes:?}");
            assert!(outcomes.contains(&&Err(StoreError::HandleTaken)), "{outcomes:?}");
            assert_eq!((&one[1], &two[1]), (&DONE, &DONE));
        }
    });
}

#[test]
fn what_the_database_will_not_have_fails_alone() {
    run(async {
        let place = Place::new();
        let store = place.open(InboxLimits::default()).await;
        let offer = |n: u64| {
            Request::Account(AccountRequest::OfferPairing(PairingOffer {
                selector: Selector(n.to_be_bytes()),
                secret: [1; 32],
                user: UserId::parse("user-ada").unwrap(),
                issuer: device("ada"),
                issued_at: NOW,
                expires_at: Wall(NOW.0 + 1_000),
            }))
        };
        let answers = store
            .execute(vec![
                founding("ada", "ada", Some("a NUL \0 in it")),
                offer(1),
                founding("bob", "bob", None),
                offer(1),
                founding("eve", "eve", None),
                append("eve", "after all"),
                offer(2),
            ])
            .await;
        let failed: Vec<bool> = answers.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, false, true, false, false, false], "{answers:?}");
        assert_eq!(inbox(&store, "eve").await, [(RowId(1), "after all".to_owned())]);
        let lookup = Request::Lookup {
            device: device("ada"),
            user: None,
            handle: None,
        };
        let Ok(Reply::Found { device: Some(ada), .. }) = store.execute(vec![lookup]).await.remove(0) else {
            panic!("ada is not there")
        };
        assert_eq!(ada.user.display_name.as_deref(), Some("a NUL \u{fffd} in it"));
    });
}

#[test]
fn a_broken_connection_costs_one_batch_at_most() {
    run(async {
        let place = Place::new();
        let store = place.open(InboxLimits::default()).await;
        assert_eq!(store.execute(vec![founding("ada", "ada", None)]).await, [DONE]);
        let sql = place.sql().await;
        let mut kept = 0;
        for round in 0..3 {
            sql.batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await
            .unwrap();
            let started = Instant::now();
            loop {
                let answer = store.execute(vec![append("ada", format!("{round}"))]).await.remove(0);
                match answer {
                    DONE => break,
                    Err(StoreError::Unavailable(_)) => {}
                    other => panic!("{other:?}"),
                }
                assert!(started.elapsed() < Duration::from_secs(60), "it does not come back");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            kept += 1;
        }
        let rows = inbox(&store, "ada").await;
        assert!(rows.len() >= kept, "{rows:?}");
        let counted = sql
            .query_one("SELECT frames FROM inbox WHERE key = 'inbox:ada'", &[])
            .await
            .unwrap();
        assert_eq!(usize::try_from(counted.get::<_, i64>(0)).unwrap(), rows.len());
    });
}

#[test]
fn a_large_batch_is_spread_over_connections_and_answered_in_order() {
    run(async {
        let place = Place::new();
        let store = place.open(InboxLimits::default()).await;
        let names: Vec<String> = (0..40).map(|n| format!("device-{n}")).collect();
        let founded = store
            .execute(names.iter().map(|name| founding(name, name, None)).collect())
            .await;
        assert!(founded.iter().all(|answer| *answer == DONE));
        for round in 0..3 {
            let mut batch: Vec<Request> = (0..4_000)
                .map(|n| append(&names[n % names.len()], format!("{round}-{n}")))
                .collect();
            batch[77] = append("nobody", "x");
            let answers = store.execute(batch).await;
            for (place, answer) in answers.iter().enumerate() {
                let expected = if place == 77 {
                    Err(StoreError::UnknownDevice)
                } else {
                    DONE
                };
                assert_eq!(*answer, expected, "{place}");
            }
        }
        let sql = place.sql().await;
        let wrong = sql
            .query(
                "SELECT key FROM inbox JOIN (SELECT key, count(*) AS n, sum(octet_length(payload)) AS b, max(id) AS m
                 FROM relay_queue GROUP BY key) AS really USING (key)
                 WHERE frames <> n OR bytes <> b OR last_id <> m",
                &[],
            )
            .await
            .unwrap();
        assert!(wrong.is_empty(), "counters and rows disagree");
        let depth = store.execute(vec![Request::Depth]).await.remove(0);
        assert!(matches!(depth, Ok(Reply::Depth { rows: 11_997, .. })), "{depth:?}");
    });
}
