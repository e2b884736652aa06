//! What holds for all bytes, not only for those somebody thought of.

use commucat_proto::limits::{MAX_FRAME_LEN, MAX_RELAYED_PAYLOAD};
use commucat_proto::{ChannelId, Frame, FrameLimits, FrameType, Parsed, Sequence, frame, varint};
use proptest::prelude::*;

const SMALL: FrameLimits = FrameLimits {
    frame_len: 600,
    control_payload: 300,
};

fn kind() -> impl Strategy<Value = FrameType> {
    (0..FrameType::ALL.len()).prop_map(|index| FrameType::ALL[index])
}

/// A 32-bit number, short encodings as likely as long ones.
fn number() -> impl Strategy<Value = u32> {
    (any::<u32>(), 0_u32..32).prop_map(|(value, shift)| value >> shift)
}

prop_compose! {
    fn owned_frame()(kind in kind(), channel in number(), sequence in number(),
        payload in prop::collection::vec(any::<u8>(), 0..300)) -> (FrameType, u32, u32, Vec<u8>) {
        (kind, channel, sequence, payload)
    }
}

/// Bytes near the truth: a whole frame, then a few bytes of it replaced.
fn damaged_frame() -> impl Strategy<Value = Vec<u8>> {
    (
        owned_frame(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    )
        .prop_map(|((kind, channel, sequence, payload), damage)| {
            let mut bytes = Vec::new();
            frame::encode(&view(kind, channel, sequence, &payload), &mut bytes);
            for (index, byte) in damage {
                let at = index.index(bytes.len().min(16));
                bytes[at] = byte;
            }
            bytes
        })
}

fn view(kind: FrameType, channel: u32, sequence: u32, payload: &[u8]) -> Frame<'_> {
    Frame {
        kind,
        channel: ChannelId::new(channel),
        sequence: Sequence::new(sequence),
        payload,
    }
}

proptest! {
    #[test]
    fn a_written_frame_reads_back((kind, channel, sequence, payload) in owned_frame(), tail in prop::collection::vec(any::<u8>(), 0..8)) {
        let frame = view(kind, channel, sequence, &payload);
        let mut bytes = Vec::new();
        frame::encode(&frame, &mut bytes);
        let consumed = bytes.len();
        prop_assert_eq!(frame::encoded_len(frame.channel, frame.sequence, payload.len()), consumed);
        bytes.extend(tail);
        prop_assert_eq!(frame::parse(&bytes, &FrameLimits::default()), Ok(Parsed::Frame { frame, consumed }));
    }

    #[test]
    fn a_written_varint_reads_back(value: u64, shift in 0_u32..64) {
        let value = value >> shift;
        let mut bytes = Vec::new();
        varint::encode(value, &mut bytes);
        prop_assert_eq!(bytes.len(), varint::len(value));
        prop_assert_eq!(varint::decode(&bytes), Ok(Some((value, bytes.len()))));
    }

    /// However the bytes are cut, the answer is the same; only "need more" may change its mind.
    #[test]
    fn more_bytes_never_change_a_verdict(bytes in prop_oneof![damaged_frame(), prop::collection::vec(any::<u8>(), 0..40)]) {
        let whole = frame::parse(&bytes, &SMALL);
        for cut in 0..bytes.len() {
            match frame::parse(&bytes[..cut], &SMALL) {
                Ok(Parsed::NeedMore { total: Some(total) }) => prop_assert!(total > cut),
                Ok(Parsed::NeedMore { total: None }) => {}
                early => prop_assert_eq!(&early, &whole, "cut at {}", cut),
            }
        }
    }

    /// A waiting parser knows how long it waits, and that is never longer than the limit allows.
    #[test]
    fn nobody_waits_for_more_than_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(Parsed::NeedMore { total }) = frame::parse(&bytes, &FrameLimits::default()) {
            match total {
                Some(total) => prop_assert!(total > bytes.len() && total <= MAX_FRAME_LEN + 10),
                None => prop_assert!(bytes.len() < 10),
            }
        }
    }

    #[test]
    fn a_parsed_frame_keeps_its_limits(bytes in damaged_frame()) {
        if let Ok(Parsed::Frame { frame, consumed }) = frame::parse(&bytes, &SMALL) {
            prop_assert!(consumed <= bytes.len());
            prop_assert!(frame.payload.len() <= SMALL.frame_len);
            prop_assert!(frame.kind.is_opaque() || frame.payload.len() <= SMALL.control_payload);
        }
    }

    /// A relay gives every frame a sequence of its own; what it took must still be a legal frame then.
    #[test]
    fn a_payload_that_may_be_relayed_fits_under_any_numbers(channel in number(), sequence in number()) {
        let (channel, sequence) = (ChannelId::new(channel), Sequence::new(sequence));
        let len = frame::encoded_len(channel, sequence, MAX_RELAYED_PAYLOAD);
        prop_assert!(len - varint::len(MAX_FRAME_LEN as u64) <= MAX_FRAME_LEN);
    }
}

#[test]
fn one_byte_more_than_may_be_relayed_does_not_fit_under_the_largest_numbers() {
    let (channel, sequence) = (ChannelId::new(u32::MAX), Sequence::new(u32::MAX));
    let mut header = [0; frame::MAX_HEADER];
    let frame_len = |payload_len, header: &mut _| {
        frame::write_header(FrameType::Msg, channel, sequence, payload_len, header);
        varint::decode(&header[..]).unwrap().unwrap().0
    };
    assert_eq!(frame_len(MAX_RELAYED_PAYLOAD, &mut header), 16_777_216);
    assert_eq!(frame_len(MAX_RELAYED_PAYLOAD + 1, &mut header), 16_777_217);
}
