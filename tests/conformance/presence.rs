//! Presence Metadata; Offline Delivery as the databases show it; P2P Negotiation of those who do not meet.

use std::time::{Duration, Instant};

use commucat_tests::people::PATIENCE;
use commucat_tests::servers::Databases;
use serde_json::{Value, json};

use crate::ground::Statement;

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Presence Metadata",
        words: "\"entity\": \"device-id\", \"state\": \"online\" | \"offline\"",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            let (mut from, mut to) = (ground.connect(&ada), ground.connect(&bob));
            from.join(channel, [&bob]);
            to.join(channel, [&ada]);
            let seen = to.sees();
            assert_eq!(
                (&seen["entity"], &seen["state"]),
                (&json!(ada.id.as_str()), &json!("online"))
            );
            from.bye();
            let seen = to.sees_state("offline");
            assert_eq!(
                (&seen["entity"], &seen["state"]),
                (&json!(ada.id.as_str()), &json!("offline"))
            );
        },
    },
    Statement {
        section: "P2P Negotiation",
        words: "Failure to confirm ... results in continued relay mode",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            let (mut from, mut to) = (ground.connect(&ada), ground.connect(&bob));
            from.join_as(channel, [&bob], false);
            to.join_as(channel, [&ada], false);
            assert!(from.sees()["candidate"].is_string());
            // Nobody has punched a hole.
            from.say(channel, "by the relay");
            to.hears("by the relay");
        },
    },
];

/// What only a relay on PostgreSQL and Redis can show.
pub(crate) const ON_DATABASES: &[Statement] = &[
    Statement {
        section: "Presence Metadata",
        words: "Redis presence keys capture profile context so peers can render nicknames and avatars",
        check: |ground| {
            let databases = ground.databases.expect("a relay on the two servers");
            let ada = ground.device("ada");
            let peer = ground.connect(&ada);
            let online = until(databases, ada.id.as_str(), "online");
            let mut members: Vec<_> = online.as_object().unwrap().keys().map(String::as_str).collect();
            members.sort_unstable();
            assert_eq!(members, ["entity", "expires_at", "state", "user"]);
            assert_eq!(online["entity"], ada.id.as_str());
            assert!(
                online["expires_at"].as_str().is_some_and(|time| time.contains('T')),
                "{online}"
            );
            assert!(
                online["user"]["id"].is_string() && online["user"]["handle"].is_string(),
                "{online}"
            );
            peer.bye();
            until(databases, ada.id.as_str(), "offline");
        },
    },
    Statement {
        section: "Offline Delivery",
        words: "persisted in PostgreSQL (relay_queue) under key inbox:{device_id} ... Each replay updates inbox_offset",
        check: |ground| {
            let databases = ground.databases.expect("a relay on the two servers");
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            ground.connect(&bob).bye();
            let mut from = ground.connect(&ada);
            from.join(channel, [&bob]);
            from.say(channel, "kept");
            let of = |table: &str| {
                let key = bob.id.as_str();
                databases.sql(&format!("SELECT count(*) FROM {table} WHERE key = 'inbox:{key}'"))
            };
            assert_eq!(of("relay_queue"), "1");
            let mut to = ground.connect(&bob);
            to.hears("kept");
            to.bye();
            let started = Instant::now();
            while (of("relay_queue"), of("inbox_offset")) != ("0".to_owned(), "1".to_owned()) {
                assert!(started.elapsed() < PATIENCE, "delivered, and still queued");
                std::thread::sleep(Duration::from_millis(50));
            }
        },
    },
];

/// What Redis says of a device, once it says this state.
fn until(databases: &Databases, device: &str, state: &str) -> Value {
    let started = Instant::now();
    loop {
        let text = databases.redis(&["GET", &format!("presence:{device}")]);
        if let Ok(document) = serde_json::from_str::<Value>(&text)
            && document["state"] == state
        {
            return document;
        }
        assert!(started.elapsed() < PATIENCE, "never {state}: {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
