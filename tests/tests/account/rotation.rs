//! Another key for a device.

use commucat_client::{OsEntropy, StaticKey};
use commucat_crypto::certificate::verify;
use commucat_tests::account::{Person, Rest};
use commucat_tests::people::{BOTH, Device};
use commucat_tests::stage::Stage;
use fjall::{Database, KeyspaceCreateOptions, Readable};
use serde_json::json;

#[test]
fn after_a_rotation_the_old_key_is_refused_the_new_one_comes_in_and_the_audit_trail_tells() {
    let mut stage = Stage::new("");
    let mut keys = Vec::new();
    for http in BOTH {
        let person = Person::new(&stage, &format!("ada-{http:?}"), http);
        let new = Device {
            key: StaticKey::generate(&mut OsEntropy),
            ..person.device.clone()
        };
        let rotated = person.account().rotate_key(new.key.public()).unwrap();
        assert_eq!(rotated.device_id, person.device.id);
        assert_eq!(rotated.public_key.0, *new.key.public().as_bytes());
        let certificate = &rotated.device_certificate;
        assert_eq!(
            (&certificate.user_id, certificate.public_key),
            (&person.user.id, rotated.public_key)
        );
        let info = commucat_tests::curl::curl(&[&format!("{}/api/server-info", stage.url())]).unwrap();
        let mut ca = [0; 32];
        hex::decode_to_slice(info.json()["device_ca_public"].as_str().unwrap(), &mut ca).unwrap();
        assert_eq!(verify(certificate, &ca, certificate.issued_at), Ok(()));

        // What stood on the old key has ended, and does not come back.
        let (_, end) = person.peer.ends();
        assert_eq!(end.problem(), Some(("Session Replaced", 409)));
        let refused = person.device.refused(&stage, person.device.config(&stage, http));
        assert_eq!(
            (&*refused.title, &*refused.detail),
            ("Handshake Failed", "invalid static key")
        );
        let again = Person::of(&stage, new, http);
        assert_eq!(again.user, person.user);
        let listed = again.account().devices().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].public_key, rotated.public_key);
        keys.push((person.device, again.device.key.public()));
    }
    stage.take().kill();
    let events = events(&stage);
    for (device, new) in keys {
        let of = |key: &[u8]| {
            let holds = |value: &[u8], part: &[u8]| value.windows(part.len()).any(|window| window == part);
            let both = |value: &&Vec<u8>| holds(value, device.id.as_str().as_bytes()) && holds(value, key);
            events.iter().filter(both).count()
        };
        assert_eq!(of(device.key.public().as_bytes()), 1);
        assert_eq!(of(new.as_bytes()), 1);
    }
}

#[test]
fn a_rotation_ends_the_tokens_that_the_old_key_had_but_the_one_that_asks() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    for http in BOTH {
        let first = Person::new(&stage, &format!("ada-{http:?}"), http);
        let bystander = Person::new(&stage, &format!("bob-{http:?}"), http);
        let second = Person::of(&stage, first.device.clone(), http);
        let list = |token| rest.call("GET", "/api/devices", Some(token), None);
        assert_eq!(
            list(&first.token).status,
            200,
            "an earlier session's token is good as well"
        );
        let new = StaticKey::generate(&mut OsEntropy);
        second.account().rotate_key(new.public()).unwrap();
        list(&first.token).assert_problem(401, "Unauthorized");
        assert_eq!(list(&second.token).status, 200, "the one that asked");
        assert_eq!(list(&bystander.token).status, 200, "somebody else's");
        let third = Person::of(
            &stage,
            Device {
                key: new,
                ..first.device
            },
            http,
        );
        assert_eq!(list(&third.token).status, 200, "the new key's own");
    }
    stage.end();
}

#[test]
fn what_is_no_key_rotates_nothing() {
    let stage = Stage::new("");
    let rest = Rest::of(&stage);
    let person = Person::new(&stage, "ada", BOTH[1]);
    for body in [
        json!({}),
        json!({ "client_static": "00" }),
        json!({ "client_static": null }),
    ] {
        rest.call("POST", "/api/devices/rotate-key", Some(&person.token), Some(&body))
            .assert_problem(422, "Unprocessable Entity");
    }
    let listed = person.account().devices().unwrap();
    assert_eq!(listed[0].public_key.0, *person.device.key.public().as_bytes());
    stage.end();
}

/// The values of `device_key_event`.
fn events(stage: &Stage) -> Vec<Vec<u8>> {
    let database = Database::builder(stage.home().data().join("store")).open().unwrap();
    let table = database
        .keyspace("device_key_event", KeyspaceCreateOptions::default)
        .unwrap();
    let snapshot = database.snapshot();
    snapshot
        .iter(&table)
        .map(|row| row.into_inner().unwrap().1.to_vec())
        .collect()
}
