//! One frame of every type, byte for byte as CCP-1, Frame Format has it.

use commucat_proto::{ChannelId, Frame, FrameLimits, FrameType, Parsed, Sequence, frame};

struct Vector {
    bytes: &'static [u8],
    kind: FrameType,
    channel: u32,
    sequence: u32,
    payload: &'static [u8],
}

const fn vector(bytes: &'static [u8], kind: FrameType, channel: u32, sequence: u32, payload: &'static [u8]) -> Vector {
    Vector {
        bytes,
        kind,
        channel,
        sequence,
        payload,
    }
}

/// Every type; one-, two-, three- and five-byte channels and sequences; payloads of 0, 1, 127 and 128 bytes.
const VECTORS: [Vector; 19] = [
    vector(b"\x06\x01\x00\x01\x02{}", FrameType::Hello, 0, 1, b"{}"),
    vector(b"\x06\x02\x00\x02\x02{}", FrameType::Auth, 0, 2, b"{}"),
    vector(
        b"\x12\x03\x07\x03\x0e{\"relay\":true}",
        FrameType::Join,
        7,
        3,
        b"{\"relay\":true}",
    ),
    vector(b"\x06\x04\x7f\x04\x02{}", FrameType::Leave, 127, 4, b"{}"),
    vector(
        b"\x07\x05\x80\x01\x7f\x02\xff\x00",
        FrameType::Msg,
        128,
        127,
        b"\xff\x00",
    ),
    vector(
        b"\x0f\x06\xac\x02\x80\x01\x09{\"ack\":1}",
        FrameType::Ack,
        300,
        128,
        b"{\"ack\":1}",
    ),
    vector(b"\x06\x07\xff\x7f\xff\x7f\x00", FrameType::Typing, 16_383, 16_383, b""),
    vector(
        b"\x0a\x08\x80\x80\x01\x80\x80\x01\x02{}",
        FrameType::Presence,
        16_384,
        16_384,
        b"{}",
    ),
    vector(
        b"\x0d\x09\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0f\x01\x2a",
        FrameType::KeyUpdate,
        u32::MAX,
        u32::MAX,
        b"\x2a",
    ),
    vector(b"\x06\x0a\x01\x05\x02{}", FrameType::GroupCreate, 1, 5, b"{}"),
    vector(b"\x06\x0b\x01\x06\x02{}", FrameType::GroupInvite, 1, 6, b"{}"),
    vector(b"\x05\x0c\x01\x07\x01\x00", FrameType::GroupEvent, 1, 7, b"\x00"),
    vector(b"\x06\x0d\x00\x08\x02{}", FrameType::Error, 0, 8, b"{}"),
    vector(b"\x06\x0e\x09\x09\x02{}", FrameType::CallOffer, 9, 9, b"{}"),
    vector(b"\x06\x0f\x09\x0a\x02{}", FrameType::CallAnswer, 9, 10, b"{}"),
    vector(b"\x06\x10\x09\x0b\x02{}", FrameType::CallEnd, 9, 11, b"{}"),
    vector(
        b"\x83\x01\x11\x09\x0c\x7f\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        FrameType::VoiceFrame,
        9,
        12,
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
    ),
    vector(
        b"\x85\x01\x12\x09\x0d\x80\x01\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        FrameType::VideoFrame,
        9,
        13,
        b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\
          0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
    vector(b"\x06\x13\x09\x0e\x02{}", FrameType::CallStats, 9, 14, b"{}"),
];

impl Vector {
    fn frame(&self) -> Frame<'static> {
        Frame {
            kind: self.kind,
            channel: ChannelId::new(self.channel),
            sequence: Sequence::new(self.sequence),
            payload: self.payload,
        }
    }
}

#[test]
fn the_vectors_cover_every_type_once() {
    let kinds: Vec<_> = VECTORS.iter().map(|vector| vector.kind).collect();
    assert_eq!(kinds, FrameType::ALL);
}

#[test]
fn every_vector_parses_to_its_frame() {
    for vector in &VECTORS {
        let parsed = frame::parse(vector.bytes, &FrameLimits::default());
        let expected = Parsed::Frame {
            frame: vector.frame(),
            consumed: vector.bytes.len(),
        };
        assert_eq!(parsed, Ok(expected), "{}", vector.kind);
    }
}

#[test]
fn a_parsed_payload_lies_in_the_buffer_it_came_in() {
    for vector in &VECTORS {
        let Ok(Parsed::Frame { frame, .. }) = frame::parse(vector.bytes, &FrameLimits::default()) else {
            panic!("{}", vector.kind);
        };
        let end = vector.bytes.as_ptr_range().end;
        assert_eq!(frame.payload.as_ptr_range().end, end, "{}", vector.kind);
    }
}

#[test]
fn every_frame_is_written_as_its_vector() {
    for vector in &VECTORS {
        let mut out = b"before".to_vec();
        frame::encode(&vector.frame(), &mut out);
        assert_eq!(out, [b"before", vector.bytes].concat(), "{}", vector.kind);
        let frame = vector.frame();
        let len = frame::encoded_len(frame.channel, frame.sequence, frame.payload.len());
        assert_eq!(len, vector.bytes.len(), "{}", vector.kind);
    }
}

#[test]
fn a_header_written_apart_is_what_stands_before_the_payload() {
    for vector in &VECTORS {
        let frame = vector.frame();
        let mut header = [0xee; frame::MAX_HEADER];
        let len = frame::write_header(
            frame.kind,
            frame.channel,
            frame.sequence,
            frame.payload.len(),
            &mut header,
        );
        assert_eq!(
            [&header[..len], frame.payload].concat(),
            vector.bytes,
            "{}",
            vector.kind
        );
        assert!(header[len..].iter().all(|&byte| byte == 0xee), "{}", vector.kind);
    }
}

#[test]
fn every_proper_prefix_of_a_frame_needs_more() {
    for vector in &VECTORS {
        let prefix_len = if vector.bytes[0] < 0x80 { 1 } else { 2 };
        for cut in 0..vector.bytes.len() {
            let total = (cut >= prefix_len).then_some(vector.bytes.len());
            let parsed = frame::parse(&vector.bytes[..cut], &FrameLimits::default());
            assert_eq!(parsed, Ok(Parsed::NeedMore { total }), "{} cut at {cut}", vector.kind);
        }
    }
}

#[test]
fn frames_that_follow_each_other_are_read_one_by_one() {
    let stream: Vec<u8> = VECTORS.iter().flat_map(|vector| vector.bytes).copied().collect();
    let mut rest = &stream[..];
    for vector in &VECTORS {
        let Ok(Parsed::Frame { frame, consumed }) = frame::parse(rest, &FrameLimits::default()) else {
            panic!("{}", vector.kind);
        };
        assert_eq!(frame, vector.frame());
        rest = &rest[consumed..];
    }
    assert!(rest.is_empty());
}

#[test]
fn codes_and_names_are_the_specifications() {
    let table = [
        (0x01, "HELLO"),
        (0x02, "AUTH"),
        (0x03, "JOIN"),
        (0x04, "LEAVE"),
        (0x05, "MSG"),
        (0x06, "ACK"),
        (0x07, "TYPING"),
        (0x08, "PRESENCE"),
        (0x09, "KEY_UPDATE"),
        (0x0a, "GROUP_CREATE"),
        (0x0b, "GROUP_INVITE"),
        (0x0c, "GROUP_EVENT"),
        (0x0d, "ERROR"),
        (0x0e, "CALL_OFFER"),
        (0x0f, "CALL_ANSWER"),
        (0x10, "CALL_END"),
        (0x11, "VOICE_FRAME"),
        (0x12, "VIDEO_FRAME"),
        (0x13, "CALL_STATS"),
    ];
    for (code, name) in table {
        let kind = FrameType::from_code(code).unwrap();
        assert_eq!((kind.code(), kind.name()), (code, name));
    }
    for code in (0..=u8::MAX).filter(|code| !(1..=0x13).contains(code)) {
        assert_eq!(FrameType::from_code(code), None, "{code:#x}");
    }
}

#[test]
fn every_type_is_control_or_opaque_and_media_is_never_stored() {
    let opaque = [
        "MSG",
        "TYPING",
        "KEY_UPDATE",
        "GROUP_EVENT",
        "VOICE_FRAME",
        "VIDEO_FRAME",
    ];
    let media = ["TYPING", "VOICE_FRAME", "VIDEO_FRAME"];
    let calls = ["CALL_OFFER", "CALL_ANSWER", "CALL_END"];
    for kind in FrameType::ALL {
        let is_opaque = opaque.contains(&kind.name());
        let is_media = media.contains(&kind.name());
        assert_eq!(kind.is_opaque(), is_opaque, "{kind}");
        assert_eq!(kind.is_control(), !is_opaque, "{kind}");
        assert_eq!(kind.is_media(), is_media, "{kind}");
        let is_storable = (is_opaque && !is_media) || calls.contains(&kind.name());
        assert_eq!(kind.is_storable(), is_storable, "{kind}");
    }
}

#[test]
fn a_frame_in_a_log_shows_no_payload() {
    let frame = VECTORS[4].frame();
    assert_eq!(format!("{frame:?}"), "MSG channel 128 sequence 127 (2 bytes)");
}
