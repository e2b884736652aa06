//! Keys: what they compute, what they show, what they hide.

use commucat_crypto::{Pattern, PublicKey, StaticKey};

use crate::support::{Seeded, client_key, establish, read_hello, start};

#[test]
fn the_public_key_is_that_of_rfc_7748() {
    // RFC 7748 § 6.1, Alice and Bob.
    let table = [
        (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        ),
        (
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ),
    ];
    for (secret, public) in table {
        let mut bytes = [0; 32];
        hex::decode_to_slice(secret, &mut bytes).unwrap();
        assert_eq!(StaticKey::from_bytes(bytes).public().to_string(), public);
    }
}

#[test]
fn a_public_key_reads_back_from_its_text_and_from_nothing_else() {
    let key = client_key().public();
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
    for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
        assert!(text.parse::<PublicKey>().is_err(), "{text}");
    }
}

#[test]
fn keys_are_equal_when_all_their_bytes_are() {
    let key = client_key().public();
    for at in 0..32 {
        let mut bytes = *key.as_bytes();
        bytes[at] ^= 1;
        assert!(!key.ct_eq(&PublicKey::from_bytes(bytes)));
    }
    assert!(key.ct_eq(&PublicKey::from_bytes(*key.as_bytes())));
}

#[test]
fn a_generated_key_is_what_the_generator_gave() {
    let mut expected = [0; 32];
    commucat_crypto::Entropy::fill(&mut Seeded(2), &mut expected);
    assert_eq!(*client_key().expose(), expected);
}

#[test]
fn no_debug_form_shows_a_secret() {
    let key = client_key();
    let secret = hex::encode(*key.expose());
    let (client, message_1) = start(Pattern::Ik);
    let hello = read_hello(Pattern::Ik, &message_1).unwrap();
    let mut shown = format!("{key:?} {client:?} {hello:?}");
    let waiting = hello.write_auth(b"", &mut Vec::new()).unwrap();
    let (_, session) = establish(Pattern::Ik);
    shown += &format!("{waiting:?} {session:?}");
    assert!(!shown.contains(&secret[..8]), "{shown}");
    assert!(shown.contains(&key.public().to_string()));
}

#[test]
fn patterns_have_the_names_of_the_hello() {
    assert_eq!(
        (Pattern::from_name("XK"), Pattern::Xk.name()),
        (Some(Pattern::Xk), "XK")
    );
    assert_eq!(
        (Pattern::from_name("IK"), Pattern::Ik.name()),
        (Some(Pattern::Ik), "IK")
    );
    for name in ["", "xk", "Xk", "NN", "XK "] {
        assert_eq!(Pattern::from_name(name), None);
    }
}
