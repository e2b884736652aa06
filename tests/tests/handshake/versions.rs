//! CCP-1, Version Negotiation.

use commucat_client::{HttpVersion, Pattern};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::Tunnel;
use serde_json::{Value, json};

/// HELLO's two members; an absent one is null.
fn announce(hello: &mut Value, single: &Value, array: &Value) {
    let members = hello.as_object_mut().unwrap();
    for (name, value) in [("protocol_version", single), ("supported_versions", array)] {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.to_owned(), value.clone());
        }
    }
}

#[test]
fn the_highest_common_version_is_chosen_and_a_client_that_names_none_speaks_version_1() {
    let stage = Stage::new("");
    let device = Device::new("versed");
    let common = [
        (json!(null), json!(null)),
        (json!(1), json!(null)),
        (json!(null), json!([1])),
        (json!(null), json!([7, 1, 3])),
        // Beyond 16 bits they are merely unsupported.
        (
            json!(null),
            json!([65_536, 4_294_967_296_u64, 18_446_744_073_709_551_615_u64, 1]),
        ),
        // With both present the array counts.
        (json!(2), json!([1])),
    ];
    for (single, array) in common {
        let mut tunnel = Tunnel::open(&stage, HttpVersion::Http1);
        let state = tunnel.hello(&stage, &device, Pattern::Xk, |hello| announce(hello, &single, &array));
        let (_, _, auth) = tunnel.auth(state);
        assert_eq!(
            (&auth["protocol_version"], &auth["supported_versions"]),
            (&json!(1), &json!([1])),
            "{single} {array}"
        );
    }
    stage.end();
}

#[test]
fn no_common_version_is_a_protocol_version_mismatch() {
    let stage = Stage::new("");
    let device = Device::new("versed");
    let none = [
        (json!(2), json!(null)),
        (json!(0), json!(null)),
        (json!(null), json!([])),
        (json!(null), json!([0, 2, 65_537])),
        // With both present the array counts.
        (json!(1), json!([2])),
        (json!(1), json!([])),
    ];
    for http in WAYS {
        for (single, array) in &none {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.hello(&stage, &device, Pattern::Xk, |hello| announce(hello, single, array));
            assert_eq!(
                tunnel.refusal(),
                ("Protocol Version Mismatch".to_owned(), 409),
                "{single} {array}"
            );
        }
    }
    stage.end();
}

#[test]
fn a_version_that_is_no_number_is_an_invalid_control_payload() {
    let stage = Stage::new("");
    let device = Device::new("versed");
    for (single, array) in [
        (json!("1"), json!(null)),
        (json!(null), json!("1")),
        (json!(null), json!([1, -1])),
        (json!(null), json!([1.5])),
    ] {
        let mut tunnel = Tunnel::open(&stage, HttpVersion::Http2);
        tunnel.hello(&stage, &device, Pattern::Xk, |hello| announce(hello, &single, &array));
        assert_eq!(
            tunnel.refusal(),
            ("Invalid Control Payload".to_owned(), 400),
            "{single} {array}"
        );
    }
    stage.end();
}
