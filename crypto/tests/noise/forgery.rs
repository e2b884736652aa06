//! When somebody is not who they say, or a byte is not what was sent.

use commucat_crypto::{DEFAULT_PROLOGUE, Initiator, NoiseError, Pattern, Responder, StaticKey};

use crate::support::{
    PATTERNS, Seeded, client_key, establish, read_hello, read_hello_with, server_key, start, start_to,
};

#[test]
fn a_hello_for_another_server_is_refused() {
    let other = StaticKey::generate(&mut Seeded(99)).public();
    for pattern in PATTERNS {
        let (_, message_1) = start_to(pattern, other, DEFAULT_PROLOGUE);
        assert_eq!(read_hello(pattern, &message_1).unwrap_err(), NoiseError::Forged);
    }
}

#[test]
fn a_hello_under_another_prologue_is_refused() {
    for pattern in PATTERNS {
        for prologue in [&b""[..], b"commuCat", b"commucat\0"] {
            let (_, message_1) = start_to(pattern, server_key().public(), prologue);
            assert_eq!(read_hello(pattern, &message_1).unwrap_err(), NoiseError::Forged);
        }
    }
}

#[test]
fn a_configured_prologue_works_when_both_have_it() {
    for pattern in PATTERNS {
        let (_, message_1) = start_to(pattern, server_key().public(), b"ours");
        assert!(Responder::read_hello(pattern, &server_key(), b"ours", &message_1, &mut Seeded(4)).is_ok());
    }
}

#[test]
fn a_hello_of_the_other_pattern_is_refused() {
    let (_, xk) = start(Pattern::Xk);
    let (_, ik) = start(Pattern::Ik);
    assert!(read_hello(Pattern::Ik, &xk).is_err());
    assert!(read_hello(Pattern::Xk, &ik).is_err());
}

#[test]
fn a_changed_bit_anywhere_in_a_handshake_is_noticed() {
    for pattern in PATTERNS {
        let (_, message_1) = start(pattern);
        for at in 0..message_1.len() {
            let mut changed = message_1.clone();
            changed[at] ^= 0x10;
            assert!(
                read_hello(pattern, &changed).is_err(),
                "{pattern:?} message 1, byte {at}"
            );
        }
        let mut message_2 = Vec::new();
        read_hello(pattern, &message_1)
            .unwrap()
            .write_auth(b"session", &mut message_2)
            .unwrap();
        for at in 0..message_2.len() {
            let mut changed = message_2.clone();
            changed[at] ^= 0x10;
            assert!(
                start(pattern).0.read_auth(&changed).is_err(),
                "{pattern:?} message 2, byte {at}"
            );
        }
        let proof = start(pattern).0.read_auth(&message_2).unwrap().0.proof().unwrap().0;
        for at in 0..proof.len() {
            let mut changed = proof.clone();
            changed[at] ^= 0x10;
            let server = read_hello(pattern, &message_1)
                .unwrap()
                .write_auth(b"session", &mut Vec::new())
                .unwrap();
            assert!(server.finish(&changed).is_err(), "{pattern:?} proof, byte {at}");
        }
    }
}

#[test]
fn an_auth_of_another_server_is_refused() {
    let impostor = StaticKey::generate(&mut Seeded(99));
    for pattern in PATTERNS {
        // The impostor answers a HELLO that was made for it, and the answer is shown to a client of the real server.
        let (_, to_impostor) = start_to(pattern, impostor.public(), DEFAULT_PROLOGUE);
        let hello = Responder::read_hello(pattern, &impostor, DEFAULT_PROLOGUE, &to_impostor, &mut Seeded(4)).unwrap();
        let mut message_2 = Vec::new();
        hello.write_auth(b"session", &mut message_2).unwrap();
        assert_eq!(start(pattern).0.read_auth(&message_2).unwrap_err(), NoiseError::Forged);
    }
}

#[test]
fn a_replayed_ik_hello_does_not_reach_a_session_without_the_proof() {
    let (client, message_1) = start(Pattern::Ik);
    let mut message_2 = Vec::new();
    let server = read_hello(Pattern::Ik, &message_1)
        .unwrap()
        .write_auth(b"session", &mut message_2)
        .unwrap();
    let (proof, _) = client.read_auth(&message_2).unwrap().0.proof().unwrap();
    server.finish(&proof).unwrap();

    // The eavesdropper has all three messages and sends the first again, later: it is taken, as IK cannot tell …
    let replayed = || {
        let hello = read_hello_with(Pattern::Ik, &message_1, 5).unwrap();
        assert_eq!(hello.proven_static(), Some(client_key().public()));
        hello.write_auth(b"session", &mut Vec::new()).unwrap()
    };
    // … but neither the old proof nor anything else it could send finishes the handshake.
    assert_eq!(replayed().finish(&proof).unwrap_err(), NoiseError::Forged);
    assert_eq!(replayed().finish(b"").unwrap_err(), NoiseError::Forged);
    assert_eq!(replayed().finish(&[0; 16]).unwrap_err(), NoiseError::Forged);
    assert_eq!(replayed().finish(&message_1).unwrap_err(), NoiseError::Forged);
}

#[test]
fn a_replayed_xk_handshake_does_not_reach_a_session() {
    let (client, message_1) = start(Pattern::Xk);
    let mut message_2 = Vec::new();
    read_hello(Pattern::Xk, &message_1)
        .unwrap()
        .write_auth(b"", &mut message_2)
        .unwrap();
    let (message_3, _) = client.read_auth(&message_2).unwrap().0.proof().unwrap();
    let later = read_hello_with(Pattern::Xk, &message_1, 5)
        .unwrap()
        .write_auth(b"", &mut Vec::new())
        .unwrap();
    assert_eq!(later.finish(&message_3).unwrap_err(), NoiseError::Forged);
}

#[test]
fn messages_out_of_order_repeated_or_turned_around_are_refused() {
    for pattern in PATTERNS {
        let (mut client, mut server) = establish(pattern);
        let (mut first, mut second, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        client.transport.seal(b"first", &mut first).unwrap();
        client.transport.seal(b"second", &mut second).unwrap();
        assert_eq!(server.transport.open(&second, &mut opened), Err(NoiseError::Forged));
        assert_eq!(client.transport.open(&first, &mut opened), Err(NoiseError::Forged));
        server.transport.open(&first, &mut opened).unwrap();
        assert_eq!(server.transport.open(&first, &mut opened), Err(NoiseError::Forged));
        assert_eq!(opened, b"first");
    }
}

#[test]
fn keys_that_lead_to_no_secret_are_refused() {
    // The points of small order on the curve (RFC 7748 § 6.1 asks for the all-zero check).
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    let zero = "00".repeat(32);
    let one = format!("01{}", "00".repeat(31));
    for weak in [order_8, &zero, &one] {
        let weak: commucat_crypto::PublicKey = weak.parse().unwrap();
        for pattern in PATTERNS {
            let started = Initiator::start(pattern, &client_key(), weak, DEFAULT_PROLOGUE, &mut Seeded(3));
            assert_eq!(started.unwrap_err(), NoiseError::WeakKey);
            let (_, mut message_1) = start(pattern);
            message_1[..32].copy_from_slice(weak.as_bytes());
            assert_eq!(read_hello(pattern, &message_1).unwrap_err(), NoiseError::WeakKey);
        }
    }
}
