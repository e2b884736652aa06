//! When everybody is honest.

use commucat_crypto::{MAX_MESSAGE, MAX_PLAINTEXT, NoiseError, Pattern};

use crate::support::{PATTERNS, client_key, establish, read_hello, read_hello_with, server_key, start};

#[test]
fn both_sides_learn_the_others_key_and_the_same_hash() {
    for pattern in PATTERNS {
        let (client, server) = establish(pattern);
        assert_eq!(client.remote_static, server_key().public(), "{pattern:?}");
        assert_eq!(server.remote_static, client_key().public(), "{pattern:?}");
        assert_eq!(client.handshake_hash, server.handshake_hash, "{pattern:?}");
    }
}

#[test]
fn the_payload_of_message_2_reaches_the_client_encrypted() {
    let payload = br#"{"session":"deadbeef"}"#;
    for pattern in PATTERNS {
        let (client, message_1) = start(pattern);
        let mut message_2 = b"before".to_vec();
        let server = read_hello(pattern, &message_1)
            .unwrap()
            .write_auth(payload, &mut message_2)
            .unwrap();
        let message_2 = message_2.strip_prefix(b"before").unwrap();
        assert_eq!(message_2.len(), 32 + payload.len() + 16);
        assert!(!message_2.windows(7).any(|window| window == b"session"));
        let (client, received) = client.read_auth(message_2).unwrap();
        assert_eq!(received, payload);
        assert_eq!(client.handshake_hash(), server.handshake_hash());
    }
}

#[test]
fn messages_have_the_lengths_of_the_noise_specification() {
    let (client, message_1) = start(Pattern::Xk);
    assert_eq!(message_1.len(), 32 + 16);
    let mut message_2 = Vec::new();
    read_hello(Pattern::Xk, &message_1)
        .unwrap()
        .write_auth(b"", &mut message_2)
        .unwrap();
    let (proof, _) = client.read_auth(&message_2).unwrap().0.proof().unwrap();
    assert_eq!(proof.len(), 32 + 16 + 16);

    let (client, message_1) = start(Pattern::Ik);
    assert_eq!(message_1.len(), 32 + 32 + 16 + 16);
    let mut message_2 = Vec::new();
    read_hello(Pattern::Ik, &message_1)
        .unwrap()
        .write_auth(b"", &mut message_2)
        .unwrap();
    let (proof, _) = client.read_auth(&message_2).unwrap().0.proof().unwrap();
    assert_eq!(proof.len(), 16);
}

#[test]
fn only_ik_names_the_client_before_the_proof() {
    let (_, message_1) = start(Pattern::Xk);
    assert_eq!(read_hello(Pattern::Xk, &message_1).unwrap().proven_static(), None);
    let (_, message_1) = start(Pattern::Ik);
    let named = read_hello(Pattern::Ik, &message_1).unwrap().proven_static();
    assert_eq!(named, Some(client_key().public()));
}

#[test]
fn an_established_session_carries_messages_both_ways_in_order() {
    for pattern in PATTERNS {
        let (mut client, mut server) = establish(pattern);
        for round in 0..5_u8 {
            let content = vec![round; usize::from(round) * 100];
            let (mut sealed, mut opened) = (Vec::new(), Vec::new());
            client.transport.seal(&content, &mut sealed).unwrap();
            server.transport.open(&sealed, &mut opened).unwrap();
            assert_eq!(opened, content);
            let (mut sealed, mut opened) = (Vec::new(), Vec::new());
            server.transport.seal(&content, &mut sealed).unwrap();
            client.transport.open(&sealed, &mut opened).unwrap();
            assert_eq!(opened, content);
        }
    }
}

#[test]
fn the_largest_messages_fit_and_larger_ones_are_refused() {
    let (mut client, mut server) = establish(Pattern::Xk);
    let (mut sealed, mut opened) = (Vec::new(), Vec::new());
    client.transport.seal(&vec![7; MAX_PLAINTEXT], &mut sealed).unwrap();
    assert_eq!(sealed.len(), MAX_MESSAGE);
    server.transport.open(&sealed, &mut opened).unwrap();
    assert_eq!(opened, vec![7; MAX_PLAINTEXT]);

    let len = MAX_PLAINTEXT + 1;
    let refused = client.transport.seal(&vec![7; len], &mut sealed);
    assert_eq!(
        refused,
        Err(NoiseError::TooLong {
            len,
            limit: MAX_PLAINTEXT
        })
    );
    assert_eq!(sealed.len(), MAX_MESSAGE);

    let (_, message_1) = start(Pattern::Xk);
    let limit = MAX_MESSAGE - 48;
    let hello = || read_hello(Pattern::Xk, &message_1).unwrap();
    let mut message_2 = Vec::new();
    assert!(hello().write_auth(&vec![0; limit], &mut message_2).is_ok());
    assert_eq!(message_2.len(), MAX_MESSAGE);
    let refused = hello().write_auth(&vec![0; limit + 1], &mut message_2).unwrap_err();
    assert_eq!(refused, NoiseError::TooLong { len: limit + 1, limit });
}

#[test]
fn the_same_entropy_makes_the_same_handshake_and_other_entropy_another() {
    for pattern in PATTERNS {
        let message_2 = |seed| {
            let (_, message_1) = start(pattern);
            let mut out = Vec::new();
            read_hello_with(pattern, &message_1, seed)
                .unwrap()
                .write_auth(b"x", &mut out)
                .unwrap();
            out
        };
        assert_eq!(message_2(4), message_2(4));
        assert_ne!(message_2(4)[..32], message_2(5)[..32]);
    }
}
