//! What is a name and what is not (decisions § 4).

use commucat_proto::{CallId, DeviceId, GroupId, Handle, IdError, Sequence, SessionToken, UserId};

#[test]
fn a_device_id_is_1_to_128_visible_ascii_characters() {
    for text in ["a", "dev-1", "dev-1@example.org", "{}~!", &"x".repeat(128)] {
        assert_eq!(DeviceId::parse(text).unwrap().as_str(), text);
    }
    let what = "device_id";
    assert_eq!(DeviceId::parse(""), Err(IdError::Empty { what }));
    assert_eq!(
        DeviceId::parse(&"x".repeat(129)),
        Err(IdError::TooLong { what, limit: 128 })
    );
    for text in [" ", "a b", "a\n", "\u{7f}", "é", "a\0"] {
        assert_eq!(DeviceId::parse(text), Err(IdError::Character { what }), "{text:?}");
    }
}

#[test]
fn a_device_id_has_a_domain_behind_its_last_at_sign() {
    let table = [
        ("dev", "dev", None),
        ("dev@example.org", "dev", Some("example.org")),
        ("a@b@example.org", "a@b", Some("example.org")),
        ("dev@", "dev@", None),
        ("@example.org", "@example.org", None),
        ("@", "@", None),
    ];
    for (text, local, domain) in table {
        let id = DeviceId::parse(text).unwrap();
        assert_eq!((id.local(), id.domain()), (local, domain), "{text}");
    }
}

#[test]
fn a_handle_is_1_to_64_characters_without_at_signs_and_white_space() {
    for text in ["a", "кот", "cat_1", &"é".repeat(64)] {
        assert_eq!(Handle::parse(text).unwrap().as_str(), text);
    }
    let what = "handle";
    assert_eq!(Handle::parse(""), Err(IdError::Empty { what }));
    assert_eq!(
        Handle::parse(&"é".repeat(65)),
        Err(IdError::TooLong { what, limit: 64 })
    );
    for text in ["a@b", "a b", "a\tb", "\u{a0}", "a\u{3000}", "a\0", "\u{85}"] {
        assert_eq!(Handle::parse(text), Err(IdError::Character { what }), "{text:?}");
    }
}

#[test]
fn other_names_hold_1_to_256_bytes_without_control_characters() {
    let longest = "x".repeat(256);
    let too_long = "x".repeat(257);
    for text in ["a", "grp-123", "with space", &longest] {
        assert!(UserId::parse(text).is_ok() && GroupId::parse(text).is_ok() && CallId::parse(text).is_ok());
    }
    for text in ["", "a\n", &too_long] {
        assert!(UserId::parse(text).is_err() && GroupId::parse(text).is_err() && CallId::parse(text).is_err());
    }
}

#[test]
fn the_sequence_after_the_last_does_not_exist() {
    assert_eq!(Sequence::ZERO.next(), Some(Sequence::new(1)));
    assert_eq!(Sequence::new(u32::MAX - 1).next(), Some(Sequence::new(u32::MAX)));
    assert_eq!(Sequence::new(u32::MAX).next(), None);
}

#[test]
fn a_session_token_is_the_hex_of_its_bits_and_is_never_printed() {
    let mut bits = [0; 32];
    bits[0] = 0xab;
    let token = SessionToken::from_random(&bits);
    assert_eq!(token.expose(), format!("ab{}", "00".repeat(31)));
    assert_eq!(format!("{token:?}"), "SessionToken(..)");
    assert_eq!(token, SessionToken::parse(token.expose()).unwrap());
    assert_ne!(token, SessionToken::from_random(&[0; 32]));
    assert!(SessionToken::parse("a b").is_err() && SessionToken::parse("").is_err());
}
