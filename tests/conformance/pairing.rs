//! Handshake, as far as it goes over REST or is written down: pairing, profiles of those who come later, the audit of keys.

use commucat_client::blocking::{PairedDevice, claim};
use commucat_client::{Pattern, StaticKey};
use commucat_tests::account::Person;
use commucat_tests::people::{Device, endpoint, options};
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
        words: "whenever a device is auto-approved ... the server records a row in device_key_event (event id, device id, public key, timestamp)",
        check: |ground| {
            let device = ground.device("audited");
            ground.connect(&device).bye();
            // A file of the embedded store is its own; there, that the device is known by its key is what can be seen.
            ground.connect(&device).bye();
            if let Some(databases) = ground.databases {
                let id = device.id.as_str();
                let rows = databases.sql(&format!("SELECT kind FROM device_key_event WHERE device_id = '{id}'"));
                assert_eq!(rows, "approved");
            }
        },
    },
];

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
