//! Every refusal of the frame parser, with the bytes that cause it (CCP-1, Codec Diagnostics; decisions § 2).

use commucat_proto::{Diagnostic, FrameLimits, FrameType, Parsed, Title, frame};

fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Diagnostic> {
    frame::parse(bytes, &FrameLimits::default())
}

#[track_caller]
fn refused(bytes: &[u8], title: &str, status: u16) {
    let diagnostic = parse(bytes).expect_err(title);
    assert_eq!(
        (diagnostic.title().as_str(), diagnostic.status()),
        (title, status),
        "{bytes:02x?}"
    );
}

#[test]
fn titles_and_statuses_are_exact() {
    let table = [
        (Title::InvalidFrameType, "Invalid Frame Type", 400),
        (Title::ProtocolVersionMismatch, "Protocol Version Mismatch", 409),
        (Title::InvalidControlPayload, "Invalid Control Payload", 400),
        (Title::FrameTooLarge, "Frame Too Large", 413),
        (Title::PayloadTooLarge, "Payload Too Large", 413),
        (Title::ControlPayloadTooLarge, "Control Payload Too Large", 413),
        (Title::IdentifierOutOfRange, "Identifier Out Of Range", 400),
        (Title::PairingRequired, "PairingRequired", 403),
        (Title::VarintOverflow, "Varint Overflow", 400),
        (Title::TruncatedFrame, "Truncated Frame", 400),
        (Title::FrameLengthMismatch, "Frame Length Mismatch", 400),
        (Title::HandshakeFailed, "Handshake Failed", 403),
        (Title::IntegrityCheckFailed, "IntegrityCheckFailed", 400),
        (Title::SequenceExhausted, "Sequence Exhausted", 409),
        (Title::UnknownUser, "Unknown User", 404),
        (Title::HandleTaken, "Handle Taken", 409),
        (Title::SessionReplaced, "Session Replaced", 409),
        (Title::NotJoined, "Not Joined", 403),
        (Title::NotAMember, "Not A Member", 403),
    ];
    for (title, text, status) in table {
        assert_eq!((title.as_str(), title.status()), (text, status));
        assert_eq!(title.to_string(), text);
    }
}

#[test]
fn no_two_titles_read_the_same() {
    let mut titles: Vec<_> = Title::ALL.iter().map(|title| title.as_str()).collect();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), Title::ALL.len());
}

#[test]
fn every_diagnostic_has_the_title_of_the_specifications_table() {
    let table = [
        (Diagnostic::InvalidFrameType { code: 0 }, "Invalid Frame Type", 400),
        (
            Diagnostic::VersionMismatch { ours: vec![1] },
            "Protocol Version Mismatch",
            409,
        ),
        (Diagnostic::invalid("x"), "Invalid Control Payload", 400),
        (
            Diagnostic::FrameTooLarge { declared: 2, limit: 1 },
            "Frame Too Large",
            413,
        ),
        (
            Diagnostic::PayloadTooLarge { declared: 2, limit: 1 },
            "Payload Too Large",
            413,
        ),
        (
            Diagnostic::ControlPayloadTooLarge { declared: 2, limit: 1 },
            "Control Payload Too Large",
            413,
        ),
        (
            Diagnostic::IdentifierOutOfRange {
                field: "sequence",
                value: 1 << 32,
            },
            "Identifier Out Of Range",
            400,
        ),
        (Diagnostic::PairingRequired, "PairingRequired", 403),
        (Diagnostic::VarintOverflow, "Varint Overflow", 400),
        (Diagnostic::TruncatedFrame, "Truncated Frame", 400),
        (
            Diagnostic::FrameLengthMismatch { excess: 1 },
            "Frame Length Mismatch",
            400,
        ),
    ];
    for (diagnostic, title, status) in table {
        assert_eq!((diagnostic.title().as_str(), diagnostic.status()), (title, status));
    }
}

#[test]
fn an_unassigned_type_is_refused_as_soon_as_it_is_seen() {
    refused(b"\x05\x00\x00\x01\x01x", "Invalid Frame Type", 400);
    refused(b"\x05\x14\x00\x01\x01x", "Invalid Frame Type", 400);
    refused(b"\x05\xff", "Invalid Frame Type", 400);
}

#[test]
fn a_frame_of_16_mib_and_one_byte_is_refused_from_its_first_bytes() {
    refused(b"\x81\x80\x80\x08", "Frame Too Large", 413);
    refused(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "Frame Too Large", 413);
    let total = Some(4 + 16_777_216);
    assert_eq!(parse(b"\x80\x80\x80\x08"), Ok(Parsed::NeedMore { total }));
}

#[test]
fn a_frame_of_exactly_16_mib_is_accepted() {
    let payload_len = 16_777_216 - 1 - 1 - 1 - 4;
    let mut bytes = b"\x80\x80\x80\x08\x05\x00\x01\xf9\xff\xff\x07".to_vec();
    bytes.resize(bytes.len() + payload_len, 0xaa);
    let Ok(Parsed::Frame { frame, consumed }) = parse(&bytes) else {
        panic!("refused");
    };
    assert_eq!(
        (frame.kind, frame.payload.len(), consumed),
        (FrameType::Msg, payload_len, bytes.len())
    );
}

#[test]
fn a_payload_length_beyond_the_frame_limit_is_payload_too_large() {
    refused(b"\x08\x05\x00\x01\x81\x80\x80\x08x", "Payload Too Large", 413);
    refused(b"\x08\x03\x00\x01\x81\x80\x80\x08x", "Payload Too Large", 413);
    // The limit itself is no matter of size: the frame has no room for it.
    refused(b"\x08\x05\x00\x01\x80\x80\x80\x08x", "Truncated Frame", 400);
}

#[test]
fn a_control_payload_of_256_kib_and_one_byte_is_refused_before_it_arrives() {
    // 262,145 bytes of payload, six of fields.
    refused(
        b"\x87\x80\x10\x03\x00\x01\x81\x80\x10",
        "Control Payload Too Large",
        413,
    );
    // The same length is nothing to an opaque frame.
    let total = Some(3 + 262_151);
    assert_eq!(
        parse(b"\x87\x80\x10\x05\x00\x01\x81\x80\x10"),
        Ok(Parsed::NeedMore { total })
    );
    // And 262,144 is nothing to a control frame.
    let total = Some(3 + 262_150);
    assert_eq!(
        parse(b"\x86\x80\x10\x03\x00\x01\x80\x80\x10"),
        Ok(Parsed::NeedMore { total })
    );
}

#[test]
fn every_control_type_has_the_control_limit_and_no_opaque_one_has() {
    for kind in FrameType::ALL {
        let bytes = [0x87, 0x80, 0x10, kind.code(), 0x00, 0x01, 0x81, 0x80, 0x10];
        assert_eq!(parse(&bytes).is_err(), kind.is_control(), "{kind}");
    }
}

#[test]
fn identifiers_beyond_32_bits_are_refused() {
    refused(b"\x09\x05\x80\x80\x80\x80\x10\x01\x01x", "Identifier Out Of Range", 400);
    refused(b"\x09\x05\x00\x80\x80\x80\x80\x10\x01x", "Identifier Out Of Range", 400);
    refused(
        b"\x0e\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01x",
        "Identifier Out Of Range",
        400,
    );
}

#[test]
fn overflowing_varints_are_refused_in_every_field() {
    let eleven: &[u8] = b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00";
    let wide: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02";
    for varint in [eleven, wide] {
        refused(varint, "Varint Overflow", 400);
        refused(&[b"\x20\x05", varint].concat(), "Varint Overflow", 400);
        refused(&[b"\x20\x05\x00", varint].concat(), "Varint Overflow", 400);
        refused(&[b"\x20\x05\x00\x01", varint].concat(), "Varint Overflow", 400);
    }
}

#[test]
fn a_whole_frame_whose_fields_overrun_it_is_truncated() {
    // No room for the type, the channel, the sequence, the payload length.
    refused(b"\x00", "Truncated Frame", 400);
    refused(b"\x01\x05", "Truncated Frame", 400);
    refused(b"\x02\x05\x00", "Truncated Frame", 400);
    refused(b"\x03\x05\x00\x01", "Truncated Frame", 400);
    // A varint that the frame ends in the middle of, whatever follows the frame.
    refused(b"\x02\x05\x80\x00\x01\x01x", "Truncated Frame", 400);
    // A payload one byte longer than the frame.
    refused(b"\x05\x05\x00\x01\x02x", "Truncated Frame", 400);
    refused(b"\x05\x05\x00\x01\x02xy", "Truncated Frame", 400);
}

#[test]
fn bytes_left_inside_a_frame_are_a_length_mismatch() {
    refused(b"\x06\x05\x00\x01\x01xy", "Frame Length Mismatch", 400);
    refused(b"\x05\x05\x00\x01\x00x", "Frame Length Mismatch", 400);
    assert_eq!(
        parse(b"\x06\x05\x00\x01\x01xy").unwrap_err(),
        Diagnostic::FrameLengthMismatch { excess: 1 }
    );
}

#[test]
fn lengths_that_disagree_are_refused_before_the_payload_arrives() {
    refused(b"\x05\x05\x00\x01\x02", "Truncated Frame", 400);
    refused(b"\x7f\x05\x00\x01\x02", "Frame Length Mismatch", 400);
}

#[test]
fn non_minimal_varints_are_accepted_in_every_field() {
    let bytes = b"\x92\x80\x80\x00\x05\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00\x82\x80\x00\x81\x80\x00x";
    let Ok(Parsed::Frame { frame, consumed }) = parse(bytes) else {
        panic!("refused");
    };
    assert_eq!(
        (frame.channel.get(), frame.sequence.get(), frame.payload),
        (1, 2, &b"x"[..])
    );
    assert_eq!(consumed, bytes.len());
}

#[test]
fn limits_can_be_lowered() {
    let limits = FrameLimits {
        frame_len: 64,
        control_payload: 8,
    };
    let title = |bytes: &[u8]| frame::parse(bytes, &limits).unwrap_err().title();
    assert_eq!(title(b"\x41"), Title::FrameTooLarge);
    assert_eq!(title(b"\x40\x05\x00\x01\x41"), Title::PayloadTooLarge);
    assert_eq!(title(b"\x40\x03\x00\x01\x09"), Title::ControlPayloadTooLarge);
    assert_eq!(
        frame::parse(b"\x40\x05\x00\x01\x3c", &limits),
        Ok(Parsed::NeedMore { total: Some(65) })
    );
}

#[test]
fn details_tell_the_numbers() {
    let detail = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
    assert_eq!(detail(b"\x05\x7f"), "frame type 0x7f is not assigned");
    assert_eq!(detail(b"\x81\x80\x80\x08"), "frame_len 16777217 exceeds 16777216");
    assert_eq!(
        detail(b"\x09\x05\x80\x80\x80\x80\x10"),
        "channel_id 4294967296 exceeds 32 bits"
    );
}
