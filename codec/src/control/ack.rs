//! ACK: the server's promise, and with `delivery-ack` the client's (decisions § 3).

use serde::{Deserialize, Serialize};

use crate::control::json::objects;
use crate::control::text::Text;
use crate::ids::{CallId, DeviceId, GroupId, Sequence};

/// What a frame has come to. Members that a frame has no use for are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default)]
pub struct Ack {
    /// The sequence confirmed, on this frame's channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<Sequence>,
    /// `ack-range`: everything from here to `ack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Sequence>,
    /// GROUP_CREATE and GROUP_INVITE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// GROUP_INVITE: who was invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Everything of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// CALL_ANSWER: as it had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept: Option<bool>,
    /// CALL_STATS: as it had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Text>,
    /// Recipients that the frame could not be kept for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<DeviceId>,
    /// Why they could not; or the `reason` of a CALL_ANSWER or CALL_END as it had it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
}

objects!(Ack);

impl Ack {
    /// The acknowledgement of one frame, to which more may be added.
    #[must_use]
    pub fn of(sequence: Sequence) -> Self {
        Self {
            ack: Some(sequence),
            ..Self::default()
        }
    }

    /// Appends `{"ack":N}`, the payload of nearly every ACK.
    pub fn write_plain(sequence: Sequence, out: &mut Vec<u8>) {
        out.extend_from_slice(PLAIN);
        decimal(sequence, out);
        out.push(b'}');
    }

    /// Appends `{"ack":N` and what [`tail`](Self::tail) made of the other members: acknowledgements of media differ in
    /// their number alone.
    pub fn write_before(sequence: Sequence, tail: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(PLAIN);
        decimal(sequence, out);
        out.extend_from_slice(tail);
    }

    /// Everything of this ACK but its number, for [`write_before`](Self::write_before): `,"call_id":"…"}`.
    #[must_use]
    pub fn tail(&self) -> Box<[u8]> {
        let mut whole = Vec::new();
        let rest = Self {
            ack: None,
            ..self.clone()
        };
        crate::control::write(&rest, &mut whole);
        if whole == b"{}" {
            return Box::from(*b"}");
        }
        if let Some(brace) = whole.first_mut() {
            *brace = b',';
        }
        whole.into()
    }

    /// Appends `{"ack":N,"from":M}` (`ack-range`).
    pub fn write_range(from: Sequence, to: Sequence, out: &mut Vec<u8>) {
        out.extend_from_slice(PLAIN);
        decimal(to, out);
        out.extend_from_slice(b",\"from\":");
        decimal(from, out);
        out.push(b'}');
    }

    /// The sequence of a payload that is `{"ack":N}` to the letter; anything else, whatever it is, takes the long way
    /// through [`parse`](crate::control::parse).
    #[must_use]
    pub fn read_plain(payload: &[u8]) -> Option<Sequence> {
        let digits = payload.strip_prefix(PLAIN)?.strip_suffix(b"}")?;
        if digits.is_empty() || digits.len() > 10 || (digits.len() > 1 && digits.starts_with(b"0")) {
            return None;
        }
        let value = digits.iter().try_fold(0_u64, |value, digit| {
            digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0'))
        })?;
        u32::try_from(value).ok().map(Sequence::new)
    }
}

const PLAIN: &[u8] = b"{\"ack\":";

#[expect(clippy::indexing_slicing, reason = "a sequence has ten digits at most")]
fn decimal(sequence: Sequence, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut rest = sequence.get();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
