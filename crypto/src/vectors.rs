//! Known answers: the two patterns from the public Noise vectors of the cacophony project, in their words and order.
//!
//! The vectors carry payloads where CCP-1 has none, which is why these tests sit inside the crate.

use crate::entropy::Entropy;
use crate::error::NoiseError;
use crate::initiator::{Initiator, InitiatorHello};
use crate::key::{PublicKey, StaticKey};
use crate::pattern::Pattern;
use crate::responder::Responder;

const PROLOGUE: &[u8] = b"John Galt";
const INIT_STATIC: &str = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1";
const INIT_EPHEMERAL: &str = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a";
const RESP_STATIC: &str = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893";
const RESP_EPHEMERAL: &str = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b";
const RESP_PUBLIC: &str = "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62";

const PAYLOADS: [&[u8]; 6] = [
    b"Ludwig von Mises",
    b"Murray Rothbard",
    b"F. A. Hayek",
    b"Carl Menger",
    b"Jean-Baptiste Say",
    b"Eugen B\xf6hm von Bawerk",
];

const XK_HASH: &str = "899891a0f1a8db67f8bfa46b8bced371c1c25de377f20cf882fdd06fc15517fd";
const XK: [&str; 6] = [
    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944e953bb4cd3450eecab157a8ce632f74fcac39a3fcd5be0826\
     7d5923ca353d4f0",
    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884382521c3ea09af48bfa39627819b007e7c0e179dad4a9a7482\
     841bae32ec8eb",
    "f032de86c8d3c2099478fefb9b2e6a1fef904d3b2470949858ae9f497ff068dbb6ff7cb43fa51946bcd8a87863849aa7f0e663cd83961c752\
     ce3be41384de8a849e4d130d9a2d717a5c7e8",
    "cb54ca2168a55a150760c409e2157b9e57ceab823d897bff36eeab",
    "948e26c8a5348aec2711343de8e7c8faa7cae4b6bf51e9026eab234ed4f3e8e8fc",
    "dbf0cedc457d87e0eaa4629b7167a7e552ac5197d5436a20a1b5ba001ca21116e22669773c",
];

const IK_HASH: &str = "48f3cb8bc9319da4ba1e9933991b1c4ed4034f1f126a76d3a1fbcfd7f94248d4";
const IK: [&str; 4] = [
    "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79440b03ddc7aac5123d06a1b23b71670e32e76c28239a7ca4ac8\
     f784de7e44c1adbfc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4eca690f6d896f543be02c996ab2b86b76",
    "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843d9b5a8927f0ac9655ef76833bc7e5561f42e691ac8404efd6\
     fbd6308b6a27c",
    "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b",
    "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3",
];

/// Gives the vector's ephemeral key.
struct Fixed(&'static str);

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        hex::decode_to_slice(self.0, out).unwrap();
    }
}

fn key(secret: &str) -> StaticKey {
    let mut bytes = [0; 32];
    hex::decode_to_slice(secret, &mut bytes).unwrap();
    StaticKey::from_bytes(bytes)
}

fn start(pattern: Pattern) -> (InitiatorHello, Vec<u8>) {
    let server: PublicKey = RESP_PUBLIC.parse().unwrap();
    let entropy = &mut Fixed(INIT_EPHEMERAL);
    Initiator::start_with(pattern, &key(INIT_STATIC), server, PROLOGUE, entropy, PAYLOADS[0]).unwrap()
}

#[test]
fn the_responders_public_key_is_the_vectors() {
    assert_eq!(key(RESP_STATIC).public().to_string(), RESP_PUBLIC);
}

#[test]
fn xk_answers_as_known() {
    let (client, message_1) = start(Pattern::Xk);
    assert_eq!(hex::encode(&message_1), XK[0]);

    let entropy = &mut Fixed(RESP_EPHEMERAL);
    let server = Responder::read_hello(Pattern::Xk, &key(RESP_STATIC), PROLOGUE, &message_1, entropy).unwrap();
    let mut message_2 = Vec::new();
    let server = server.write_auth(PAYLOADS[1], &mut message_2).unwrap();
    assert_eq!(hex::encode(&message_2), XK[1]);

    let (client, payload) = client.read_auth(&message_2).unwrap();
    assert_eq!(payload, PAYLOADS[1]);
    let (message_3, mut client) = client.proof_with(PAYLOADS[2]).unwrap();
    assert_eq!(hex::encode(&message_3), XK[2]);

    let mut server = server.finish(&message_3).unwrap();
    assert_eq!(hex::encode(server.handshake_hash), XK_HASH);
    assert_eq!(hex::encode(client.handshake_hash), XK_HASH);
    assert_eq!(server.remote_static, key(INIT_STATIC).public());
    assert_eq!(client.remote_static, key(RESP_STATIC).public());

    for (index, payload) in PAYLOADS.iter().enumerate().skip(3) {
        let (from, to) = if index % 2 == 1 {
            (&mut server, &mut client)
        } else {
            (&mut client, &mut server)
        };
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        from.transport.seal(payload, &mut sealed).unwrap();
        assert_eq!(hex::encode(&sealed), XK[index]);
        to.transport.open(&sealed, &mut opened).unwrap();
        assert_eq!(opened, *payload);
    }
}

#[test]
fn ik_answers_as_known() {
    let (client, message_1) = start(Pattern::Ik);
    assert_eq!(hex::encode(&message_1), IK[0]);

    let entropy = &mut Fixed(RESP_EPHEMERAL);
    let server = Responder::read_hello(Pattern::Ik, &key(RESP_STATIC), PROLOGUE, &message_1, entropy).unwrap();
    assert_eq!(server.proven_static(), Some(key(INIT_STATIC).public()));
    let mut message_2 = Vec::new();
    let server = server.write_auth(PAYLOADS[1], &mut message_2).unwrap();
    assert_eq!(hex::encode(&message_2), IK[1]);
    assert_eq!(hex::encode(server.handshake_hash()), IK_HASH);

    let (client, payload) = client.read_auth(&message_2).unwrap();
    assert_eq!(payload, PAYLOADS[1]);
    let (proof, mut client) = client.proof_with(PAYLOADS[2]).unwrap();
    assert_eq!(hex::encode(&proof), IK[2]);
    assert_eq!(hex::encode(client.handshake_hash), IK_HASH);
    // The vector's first transport message has content, so it opens, and is no proof.
    let refused = server.finish(&proof).unwrap_err();
    assert_eq!(refused, NoiseError::ProofNotEmpty { len: PAYLOADS[2].len() });

    let mut opened = Vec::new();
    client
        .transport
        .open(&hex::decode(IK[3]).unwrap(), &mut opened)
        .unwrap();
    assert_eq!(opened, PAYLOADS[3]);
}
