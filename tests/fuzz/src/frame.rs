//! The frame parser against a second one that is slow and plain (CCP-1, Frame Format).

use commucat_proto::{ChannelId, Diagnostic, Frame, FrameLimits, FrameType, Parsed, Sequence, frame};

/// Small enough for an input to reach every limit.
const SMALL: FrameLimits = FrameLimits {
    frame_len: 600,
    control_payload: 300,
};

/// Both parsers say the same of `data` and of every beginning of it, and what was parsed reads back when written.
pub fn check(data: &[u8]) {
    for limits in [SMALL, FrameLimits::default()] {
        agree(data, &limits);
        for cut in 0..data.len().min(64) {
            agree(&data[..cut], &limits);
        }
        // Frames behind each other, as a tunnel has them.
        let mut rest = data;
        while let Ok(Parsed::Frame { frame, consumed }) = frame::parse(rest, &limits) {
            reads_back(&frame);
            rest = &rest[consumed..];
            agree(rest, &limits);
        }
    }
}

fn agree(data: &[u8], limits: &FrameLimits) {
    let ours = frame::parse(data, limits);
    assert_eq!(ours, plain(data, limits), "{data:02x?} under {limits:?}");
}

fn reads_back(frame: &Frame<'_>) {
    let mut bytes = Vec::new();
    frame::encode(frame, &mut bytes);
    let parsed = frame::parse(&bytes, &FrameLimits::default());
    let consumed = bytes.len();
    assert_eq!(
        parsed,
        Ok(Parsed::Frame {
            frame: *frame,
            consumed
        })
    );
}

/// What a field says, if it has come.
enum Field {
    Is(u128),
    Missing,
    Overflow,
}

/// Base 128, digit by digit, in more bits than it may have.
fn number(data: &[u8], at: &mut usize, end: usize) -> Field {
    let mut value = 0_u128;
    for digit in 0..10 {
        if *at >= end || *at >= data.len() {
            return Field::Missing;
        }
        let byte = data[*at];
        *at += 1;
        value += u128::from(byte % 128) * 128_u128.pow(digit);
        if value > u128::from(u64::MAX) {
            return Field::Overflow;
        }
        if byte < 128 {
            return Field::Is(value);
        }
    }
    Field::Overflow
}

/// The other parser: goes through the fields in their order, and stops at the first that is wrong or not there.
fn plain<'a>(data: &'a [u8], limits: &FrameLimits) -> Result<Parsed<'a>, Diagnostic> {
    let mut at = 0;
    let frame_len = match number(data, &mut at, usize::MAX) {
        Field::Is(len) => len,
        Field::Missing => return Ok(Parsed::NeedMore { total: None }),
        Field::Overflow => return Err(Diagnostic::VarintOverflow),
    };
    if frame_len > limits.frame_len as u128 {
        let (declared, limit) = (frame_len as u64, limits.frame_len);
        return Err(Diagnostic::FrameTooLarge { declared, limit });
    }
    let end = at + frame_len as usize;
    // Bytes beyond the frame are another's; bytes that have not come may still come.
    let missing = if end <= data.len() {
        Err(Diagnostic::TruncatedFrame)
    } else {
        Ok(Parsed::NeedMore { total: Some(end) })
    };
    if at >= end || at >= data.len() {
        return missing;
    }
    let code = data[at];
    at += 1;
    let Some(kind) = FrameType::ALL.into_iter().find(|kind| kind.code() == code) else {
        return Err(Diagnostic::InvalidFrameType { code });
    };
    let mut fields = [0_u128; 3];
    for (index, field) in fields.iter_mut().enumerate() {
        *field = match number(data, &mut at, end) {
            Field::Is(value) => value,
            Field::Missing => return missing,
            Field::Overflow => return Err(Diagnostic::VarintOverflow),
        };
        if index < 2 && *field > u128::from(u32::MAX) {
            let field_name = ["channel_id", "sequence"][index];
            let value = *field as u64;
            return Err(Diagnostic::IdentifierOutOfRange {
                field: field_name,
                value,
            });
        }
    }
    let [channel, sequence, payload_len] = fields;
    let declared = payload_len as u64;
    if payload_len > limits.frame_len as u128 {
        let limit = limits.frame_len;
        return Err(Diagnostic::PayloadTooLarge { declared, limit });
    }
    if kind.is_control() && payload_len > limits.control_payload as u128 {
        let limit = limits.control_payload;
        return Err(Diagnostic::ControlPayloadTooLarge { declared, limit });
    }
    let left = end - at;
    match (payload_len as usize).cmp(&left) {
        std::cmp::Ordering::Greater => return Err(Diagnostic::TruncatedFrame),
        std::cmp::Ordering::Less => {
            let excess = left - payload_len as usize;
            return Err(Diagnostic::FrameLengthMismatch { excess });
        }
        std::cmp::Ordering::Equal => {}
    }
    if end > data.len() {
        return Ok(Parsed::NeedMore { total: Some(end) });
    }
    let frame = Frame {
        kind,
        channel: ChannelId::new(channel as u32),
        sequence: Sequence::new(sequence as u32),
        payload: &data[at..end],
    };
    Ok(Parsed::Frame { frame, consumed: end })
}

/// One frame of each type, and three in a row.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = FrameType::ALL
        .into_iter()
        .enumerate()
        .map(|(index, kind)| encoded(kind, 1 << index, 300 * index as u32, &[b'x'; 9]))
        .collect();
    all.push(all[..3].concat());
    all.push(encoded(FrameType::Msg, u32::MAX, u32::MAX, &[0; 500]));
    all.push(vec![0xff; 10]);
    all.push(vec![0x86, 0x80, 0x00, 5, 0x81, 0x00, 2, 0x81, 0x00]);
    all
}

/// A frame's bytes.
#[must_use]
pub fn encoded(kind: FrameType, channel: u32, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let frame = Frame {
        kind,
        channel: ChannelId::new(channel),
        sequence: Sequence::new(sequence),
        payload,
    };
    let mut bytes = Vec::new();
    frame::encode(&frame, &mut bytes);
    bytes
}
