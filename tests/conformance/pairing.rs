//! Handshake, as far as it goes over REST or is written down: pairing, profiles of those who come later, the audit of keys.

use std::time::{SystemTime, UNIX_EPOCH};

use commucat_client::blocking::{DriverError, PairedDevice, claim};
use commucat_client::{OsEntropy, Pattern, PublicKey, StaticKey};
use commucat_tests::account::Person;
use commucat_tests::people::{Device, endpoint, options};
use commucat_tests::stage::{Stage, Store};
use commucat_tests::tunnel::Tunnel;
use serde_json::json;

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Handshake",
        words: "obtain a pairing code over REST and re-register the device via POST /api/pair/claim",
        check: |ground| {
            let owner = Person::of(ground.relay, ground.device("owner"), ground.http);
            let refusal = ground.refusal(&ground.device("phone"), |hello| {
                hello["user"] = json!({ "id": owner.user.id });
            });
            assert_eq!(refusal, ("PairingRequired".to_owned(), 403));
            let phone = Person::of(ground.relay, paired(ground, &owner), ground.http);
            assert_eq!(phone.user, owner.user);
        },
    },
    Statement {
        section: "Handshake",
        words: "lets clients attach devices to existing profiles (id, alias user_id)",
        check: |ground| {
            let owner = Person::of(ground.relay, ground.device("owner"), ground.http);
            let phone = paired(ground, &owner);
            for name in ["id", "user_id"] {
                let mut tunnel = ground.open();
                let hello = tunnel.hello(ground.relay, &phone, Pattern::Xk, |hello| {
                    hello["user"] = json!({ name: owner.user.id });
                });
                let (_, _, auth) = tunnel.auth(hello);
                assert_eq!(auth["user"]["id"], json!(owner.user.id), "by {name}");
            }
        },
    },
    Statement {
        section: "Handshake",
        words: "If ... auto_approve_devices is disabled, the server immediately returns an ERROR frame with title=PairingRequired and closes the stream",
        check: without_auto_approval,
    },
];

/// What only a relay on PostgreSQL and Redis can show: the embedded store's table is in files of its own.
pub(crate) const ON_DATABASES: &[Statement] = &[
    Statement {
        section: "Handshake",
        words: "whenever a device is auto-approved ... the server records a row in device_key_event (event id, device id, public key, timestamp)",
        check: |ground| {
            let started = now();
            let device = ground.device("audited");
            ground.connect(&device).bye();
            assert_eq!(audit(ground, &device), [("approved".to_owned(), device.key.public())]);
            assert!((started - 1..=now() + 1).contains(&last_event(ground, &device)));
        },
    },
    Statement {
        section: "Handshake",
        words: "whenever a device ... rotates a static key, the server records a row in device_key_event",
        check: |ground| {
            let person = Person::of(ground.relay, ground.device("rotated"), ground.http);
            let (old, new) = (person.device.key.public(), StaticKey::generate(&mut OsEntropy).public());
            let started = now();
            person.account().rotate_key(new).unwrap();
            // It is there with the answer.
            let expected = [("approved".to_owned(), old), ("rotated".to_owned(), new)];
            assert_eq!(audit(ground, &person.device), expected);
            assert!((started - 1..=now() + 1).contains(&last_event(ground, &person.device)));
        },
    },
    Statement {
        section: "Handshake",
        words: "Registrations that fail to persist this audit trail are rejected",
        check: without_a_trail,
    },
];

/// A relay of its own: nobody new comes in, whatever it asks for, and who was known already does.
fn without_auto_approval(ground: &Ground<'_>) {
    let store = match ground.databases {
        Some(_) => Store::Postgres,
        None => Store::Embedded,
    };
    let mut stage = Stage::on(store, "");
    let known = ground.device("known");
    known.connect(&stage, ground.http).bye();
    stage.restart_with("auto_approve_devices = false\n");
    for user in [json!(null), json!({ "handle": "somebody" })] {
        let mut tunnel = Tunnel::open(&stage, ground.http);
        let _ = tunnel.hello(&stage, &ground.device("new"), Pattern::Xk, |hello| {
            if !user.is_null() {
                hello["user"] = user;
            }
        });
        assert_eq!(tunnel.refusal(), ("PairingRequired".to_owned(), 403));
    }
    known.connect(&stage, ground.http).bye();
    stage.end();
}

/// The table takes no row of this device: neither it nor its other key comes in.
fn without_a_trail(ground: &Ground<'_>) {
    let databases = ground.databases.expect("a relay on the two servers");
    let person = Person::of(ground.relay, ground.device("kept"), ground.http);
    let stranger = ground.device("untraced");
    let rule = format!("no_trail_{}", ground.channel());
    databases.sql(&format!(
        "ALTER TABLE device_key_event ADD CONSTRAINT {rule} CHECK (device_id NOT IN ('{}', '{}')) NOT VALID",
        stranger.id, person.device.id
    ));
    let problem = stranger.refused(ground.relay, stranger.config(ground.relay, ground.http));
    let rotation = person
        .account()
        .rotate_key(StaticKey::generate(&mut OsEntropy).public());
    databases.sql(&format!("ALTER TABLE device_key_event DROP CONSTRAINT {rule}"));
    assert_eq!((&*problem.title, problem.status), ("Service Unavailable", 503));
    assert!(
        matches!(rotation, Err(DriverError::Problem { status: 503, .. })),
        "{rotation:?}"
    );
    assert_eq!(audit(ground, &stranger), []);
    // Nothing of it is left: the first comes in now as a new device, the other with the key it had.
    ground.connect(&stranger).bye();
    ground.connect(&person.device).bye();
}

/// What the audit trail says of a device, oldest first.
fn audit(ground: &Ground<'_>, device: &Device) -> Vec<(String, PublicKey)> {
    let databases = ground.databases.expect("a relay on the two servers");
    let rows = databases.sql(&format!(
        "SELECT kind, encode(public_key, 'hex') FROM device_key_event WHERE device_id = '{}' ORDER BY event_id",
        device.id
    ));
    let event = |row: &str| {
        let (kind, key) = row.split_once('|').unwrap();
        let mut bytes = [0; 32];
        hex::decode_to_slice(key, &mut bytes).unwrap();
        (kind.to_owned(), PublicKey::from_bytes(bytes))
    };
    rows.lines().map(event).collect()
}

/// When the newest row about a device was written, in seconds since the epoch.
fn last_event(ground: &Ground<'_>, device: &Device) -> i64 {
    let databases = ground.databases.expect("a relay on the two servers");
    let id = &device.id;
    let newest = format!(
        "SELECT floor(extract(epoch FROM max(created_at)))::bigint FROM device_key_event WHERE device_id = '{id}'"
    );
    databases.sql(&newest).parse().unwrap()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs().try_into().unwrap()
}

/// A device that has claimed a code of its owner's.
fn paired(ground: &Ground<'_>, owner: &Person) -> Device {
    let code = owner.account().pair(None).unwrap().pair_code;
    let paired: PairedDevice = claim(&endpoint(ground.relay), &options(), &code, None, None).unwrap();
    let mut seed = [0; 32];
    hex::decode_to_slice(paired.seed.as_ref().unwrap().as_str(), &mut seed).unwrap();
    Device {
        id: paired.device_id,
        key: StaticKey::from_bytes(seed),
    }
}
