//! The proof of a device's Ed25519 key in HELLO: not required, and true when it is there.

use commucat_client::{OsEntropy, Pattern};
use commucat_crypto::zkp::{Context, device_keys};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::Tunnel;
use serde_json::{Value, json};

/// The domain that a relay has when nobody gave it another.
const DOMAIN: &str = "localhost";

fn with_proof(hello: &mut Value, device: &Device, domain: &str) {
    let (secret, public) = device_keys(&[7; 32]);
    let noise = device.key.public();
    let context = Context {
        domain,
        device_id: device.id.as_str(),
        device_public: &public,
        client_static: noise.as_bytes(),
    };
    let proof = context.prove(&secret, &mut OsEntropy);
    hello["device_public"] = json!(hex::encode(public));
    hello["zkp"] = json!({ "commitment": hex::encode(proof.commitment), "response": hex::encode(proof.response) });
}

#[test]
fn a_proof_that_holds_comes_in() {
    let stage = Stage::new("");
    for http in WAYS {
        let device = Device::new(&format!("ada-{http:?}"));
        let mut tunnel = Tunnel::open(&stage, http);
        let hello = tunnel.hello(&stage, &device, Pattern::Xk, |hello| with_proof(hello, &device, DOMAIN));
        let (ready, ..) = tunnel.auth(hello);
        tunnel.prove(ready);
        let ack: Value = serde_json::from_slice(&tunnel.hear().payload).unwrap();
        assert_eq!(ack["handshake"], "ok");
    }
    stage.end();
}

#[test]
fn a_proof_that_does_not_hold_is_refused() {
    let stage = Stage::new("");
    let spoil: [fn(&mut Value); 3] = [
        |hello| hello["zkp"]["response"] = json!("00".repeat(32)),
        |hello| hello["zkp"]["commitment"] = json!("ff".repeat(32)),
        |hello| {
            hello.as_object_mut().unwrap().remove("device_public");
        },
    ];
    for spoil in spoil {
        let device = Device::new("ada");
        let mut tunnel = Tunnel::open(&stage, WAYS[0]);
        let _ = tunnel.hello(&stage, &device, Pattern::Xk, |hello| {
            with_proof(hello, &device, DOMAIN);
            spoil(hello);
        });
        assert_eq!(tunnel.refusal(), ("Handshake Failed".to_owned(), 403));
    }
    let device = Device::new("ada");
    let mut tunnel = Tunnel::open(&stage, WAYS[1]);
    let _ = tunnel.hello(&stage, &device, Pattern::Xk, |hello| {
        with_proof(hello, &device, "elsewhere.example")
    });
    assert_eq!(tunnel.refusal(), ("Handshake Failed".to_owned(), 403));
    stage.end();
}
