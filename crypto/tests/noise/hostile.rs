//! Bytes of strangers: every length and content is an error, none is a panic.

use commucat_crypto::{MAX_MESSAGE, NoiseError, Pattern};
use proptest::prelude::*;

use crate::support::{PATTERNS, establish, read_hello, start};

#[test]
fn every_length_of_message_is_refused_cleanly() {
    for pattern in PATTERNS {
        let (_, message_1) = start(pattern);
        for len in (0..200).chain([MAX_MESSAGE - 1, MAX_MESSAGE]) {
            let bytes = vec![9; len];
            assert!(read_hello(pattern, &bytes).is_err());
            assert!(start(pattern).0.read_auth(&bytes).is_err());
            let server = read_hello(pattern, &message_1)
                .unwrap()
                .write_auth(b"", &mut Vec::new())
                .unwrap();
            assert!(server.finish(&bytes).is_err());
        }
    }
}

#[test]
fn every_cut_of_a_real_message_is_refused() {
    for pattern in PATTERNS {
        let (_, message_1) = start(pattern);
        for cut in 0..message_1.len() {
            let refused = read_hello(pattern, &message_1[..cut]).unwrap_err();
            assert!(
                matches!(refused, NoiseError::TooShort | NoiseError::Forged),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn a_message_longer_than_noise_allows_is_refused_by_its_length() {
    let bytes = vec![9; MAX_MESSAGE + 1];
    let too_long = NoiseError::TooLong {
        len: MAX_MESSAGE + 1,
        limit: MAX_MESSAGE,
    };
    for pattern in PATTERNS {
        let (client, message_1) = start(pattern);
        assert_eq!(read_hello(pattern, &bytes).unwrap_err(), too_long);
        assert_eq!(client.read_auth(&bytes).unwrap_err(), too_long);
        let server = read_hello(pattern, &message_1)
            .unwrap()
            .write_auth(b"", &mut Vec::new())
            .unwrap();
        assert_eq!(server.finish(&bytes).unwrap_err(), too_long);
        let mut out = Vec::new();
        assert_eq!(establish(pattern).0.transport.open(&bytes, &mut out), Err(too_long));
    }
}

#[test]
fn a_refused_message_leaves_the_output_as_it_was() {
    let (_, mut server) = establish(Pattern::Xk);
    let mut out = b"before".to_vec();
    for len in [0, 15, 16, 17, 100] {
        assert_eq!(server.transport.open(&vec![1; len], &mut out), Err(NoiseError::Forged));
        assert_eq!(out, b"before");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_are_a_panic_and_none_are_a_session(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for pattern in PATTERNS {
            prop_assert!(read_hello(pattern, &bytes).is_err());
            let (client, message_1) = start(pattern);
            prop_assert!(client.read_auth(&bytes).is_err());
            let server = read_hello(pattern, &message_1).unwrap().write_auth(b"", &mut Vec::new()).unwrap();
            prop_assert!(server.finish(&bytes).is_err());
        }
    }
}
