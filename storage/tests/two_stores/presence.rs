//! Presence as it lies in Redis, and a Redis that cannot be used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commucat_proto::{DeviceId, Handle, UserId};
use commucat_storage::Store;
use commucat_storage::api::{InboxLimits, PresenceEntry, PresenceRequest, Profile, Reply, Request, StoreError, Wall};
use commucat_storage::postgres::{Address, Options, PostgresStore};
use commucat_storage::suite::Fixture;
use serde_json::{Value, json};

use crate::place::{Place, run};

fn in_a_minute() -> Wall {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Wall(u64::try_from((now + Duration::from_secs(60)).as_millis()).unwrap() / 1_000 * 1_000)
}

fn entry(id: &str, expires_at: Wall) -> PresenceEntry {
    PresenceEntry {
        device: DeviceId::parse(id).unwrap(),
        state: "online".to_owned(),
        expires_at,
        user: Profile {
            id: UserId::parse("user-1").unwrap(),
            handle: Handle::parse("ada").unwrap(),
            display_name: Some("Ada".to_owned()),
            avatar_url: None,
        },
    }
}

fn set(entries: Vec<PresenceEntry>) -> Request {
    Request::Presence(PresenceRequest::Set(entries))
}

#[test]
fn a_presence_key_is_what_the_specification_says_and_ends_with_its_entry() {
    run(async {
        let place = Place::new();
        let store = place.open(InboxLimits::default()).await;
        let until = in_a_minute();
        let answers = store.execute(vec![set(vec![entry("ada-phone", until)])]).await;
        assert_eq!(answers, [Ok(Reply::Done)]);
        let mut redis = place.redis().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
        assert_eq!(keys, ["presence:ada-phone"]);
        let text: String = redis::cmd("GET").arg(&keys[0]).query_async(&mut redis).await.unwrap();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        let expires_at = document["expires_at"].take();
        let expires_at = expires_at.as_str().unwrap();
        assert!(expires_at.len() == 20 && expires_at.ends_with('Z'), "{expires_at}");
        assert_eq!(
            document,
            json!({
                "entity": "ada-phone",
                "state": "online",
                "expires_at": null,
                "user": {"id": "user-1", "handle": "ada", "display_name": "Ada"},
            })
        );
        let ends: u64 = redis::cmd("PEXPIRETIME")
            .arg(&keys[0])
            .query_async(&mut redis)
            .await
            .unwrap();
        assert_eq!(ends, until.0);
    });
}

#[test]
fn a_redis_whose_certificate_nobody_vouches_for_costs_presence_and_nothing_else() {
    run(async {
        let place = Place::new().migrated().await;
        let store = PostgresStore::new(Options {
            // No authority: the system's, which do not know the tests' one.
            redis_ca: None,
            ..place.options()
        })
        .unwrap();
        let answers = store
            .execute(vec![set(vec![entry("ada", in_a_minute())]), Request::Probe])
            .await;
        let Err(StoreError::Unavailable(why)) = &answers[0] else {
            panic!("{answers:?}")
        };
        assert!(why.starts_with("presence:"), "{why}");
        assert_eq!(answers[1], Ok(Reply::Done));
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query_async(&mut place.redis().await)
            .await
            .unwrap();
        assert_eq!(keys, [""; 0]);
    });
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    let place = Place::new();
    let refusal = |options| PostgresStore::new(options).err().unwrap().to_string();
    let redis = refusal(Options {
        redis: Address::new("redis://:geheim@[/0"),
        ..place.options()
    });
    let postgres = refusal(Options {
        postgres: Address::new("postgres://ada:geheim@db/relay?nonsense=1"),
        ..place.options()
    });
    for message in [redis, postgres] {
        assert!(message.contains("***") && !message.contains("geheim"), "{message}");
    }
}
