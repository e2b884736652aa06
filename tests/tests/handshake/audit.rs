//! CCP-1, Device key audit: what is in the store when the relay has gone.

use commucat_client::{Config, HttpVersion, OsEntropy, StaticKey};
use commucat_tests::people::{Device, WAYS, devices};
use commucat_tests::stage::Stage;
use fjall::{Database, KeyspaceCreateOptions, Readable};

/// The values of `device_key_event`, by event id.
fn events(stage: &Stage) -> Vec<(u64, Vec<u8>)> {
    let database = Database::builder(stage.home().data().join("store")).open().unwrap();
    let table = database
        .keyspace("device_key_event", KeyspaceCreateOptions::default)
        .unwrap();
    let snapshot = database.snapshot();
    let rows = snapshot.iter(&table).map(|row| {
        let (key, value) = row.into_inner().unwrap();
        (u64::from_be_bytes(key.as_ref().try_into().unwrap()), value.to_vec())
    });
    rows.collect()
}

fn holds(value: &[u8], part: &[u8]) -> bool {
    value.windows(part.len()).any(|window| window == part)
}

#[test]
fn each_device_that_is_approved_has_one_event_with_its_key_and_a_refused_one_has_none() {
    let mut stage = Stage::new("");
    let devices = devices("audited-device", 4);
    for (index, device) in devices.iter().enumerate() {
        device.connect(&stage, WAYS[index % 4]).bye();
        device.connect(&stage, WAYS[index % 4]).bye();
    }
    let thief = Device {
        key: StaticKey::generate(&mut OsEntropy),
        ..devices[0].clone()
    };
    let _ = thief.refused(&stage, thief.config(&stage, HttpVersion::Http1));
    let latecomer = Device::new("latecomer");
    let wrong = Config {
        versions: vec![9],
        ..latecomer.config(&stage, HttpVersion::Http1)
    };
    let _ = latecomer.refused(&stage, wrong);
    // Killed, not ended: the ready ACK has promised that the event is kept.
    stage.take().kill();
    let events = events(&stage);
    assert_eq!(events.len(), devices.len());
    for (place, (device, (id, value))) in devices.iter().zip(&events).enumerate() {
        assert_eq!(*id, place as u64 + 1);
        assert!(
            holds(value, device.id.as_str().as_bytes()),
            "event {id} names another device"
        );
        assert!(
            holds(value, device.key.public().as_bytes()),
            "event {id} holds another key"
        );
    }
}
