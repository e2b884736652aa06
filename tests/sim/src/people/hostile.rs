//! What a hostile person writes between the bytes of its client: garbage, frames with a flipped bit, lengths that lie,
//! control payloads that are none, rights it does not have. Valid first, then perturbed.

use commucat_proto::{ChannelId, Frame, FrameType, Sequence, frame};

use super::People;
use crate::dice::Dice;
use crate::ground::Ground;
use crate::ids::SessionNo;

/// Control payloads that a relay must not trip over.
const PAYLOADS: [&[u8]; 17] = [
    b"{\"call_id\":\"call-1-1\",\"accept\":true}",
    b"{\"call_id\":\"call-2-1\",\"reason\":\"hangup\"}",
    b"{\"call_id\":\"call-3-1\",\"from\":\"device-0\",\"to\":[\"device-1\"]}",
    b"{\"call_id\":\"call-4-1\",\"direction\":\"send\"}",
    b"",
    b"{",
    b"null",
    b"[]",
    b"{\"members\":3}",
    b"{\"members\":[\"\"]}",
    b"{\"members\":[\"device-0\",\"device-0\",\"device-1@elsewhere.example\"]}",
    b"{\"members\":[],\"group_id\":\"none\"}",
    b"{\"ack\":-1}",
    b"{\"ack\":3,\"from\":9}",
    b"{\"ack\":4294967295,\"from\":0}",
    b"{\"ack\":4294967295}",
    b"{\"ack\":4294967296,\"pattern\":\"XK\",\"handshake\":\"00\"}",
];

impl People {
    /// One act of malice. What the relay answers is not judged, what it does to others is.
    pub(super) fn misbehave(&mut self, no: SessionNo, ground: &mut Ground) {
        let Some(session) = self.sessions.get_mut(&no) else {
            return;
        };
        session.tampered = true;
        if self.dice.below(8) == 0 {
            let unsealed = unsealed(&mut self.dice);
            ground.note(|| format!("{no} misbehaves with {} bytes beside its messages", unsealed.len()));
            session.client.inject_unsealed(&unsealed);
            self.transmit(no, ground);
            return;
        }
        let inside = match self.dice.below(5) {
            0 => {
                let outside = garbage(&mut self.dice);
                ground.ring.write(no, &outside, &ground.weather, &mut ground.agenda);
                Vec::new()
            }
            1 => lying_length(&mut self.dice),
            2 => flipped(&mut self.dice),
            3 => control(&mut self.dice),
            _ => opaque(&mut self.dice),
        };
        ground.note(|| format!("{no} misbehaves with {} bytes in the tunnel", inside.len()));
        session.client.inject(&inside);
        self.transmit(no, ground);
    }
}

fn garbage(dice: &mut Dice) -> Vec<u8> {
    (0..1 + dice.skewed(300)).map(|_| dice.below(256) as u8).collect()
}

fn encoded(kind: FrameType, dice: &mut Dice, payload: &[u8]) -> Vec<u8> {
    let sequence = Sequence::new(dice.skewed(u64::from(u32::MAX)) as u32);
    let channel = ChannelId::new(dice.skewed(8) as u32);
    let mut out = Vec::new();
    frame::encode(
        &Frame {
            kind,
            channel,
            sequence,
            payload,
        },
        &mut out,
    );
    out
}

fn opaque(dice: &mut Dice) -> Vec<u8> {
    let kind = *dice.pick(&FrameType::ALL);
    let payload = garbage(dice);
    encoded(kind, dice, &payload)
}

fn control(dice: &mut Dice) -> Vec<u8> {
    let kind = *dice.pick(&FrameType::ALL);
    let payload = *dice.pick(&PAYLOADS);
    encoded(kind, dice, payload)
}

fn flipped(dice: &mut Dice) -> Vec<u8> {
    let mut out = if dice.below(2) == 0 {
        opaque(dice)
    } else {
        control(dice)
    };
    let at = dice.index(out.len().min(12));
    out[at] ^= 1 << dice.below(8);
    out
}

/// Lengths and messages that nobody has sealed.
fn unsealed(dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    let len = *dice.pick(&[0, 15, 16, 40, 65_535, 65_536, u64::MAX]);
    commucat_proto::varint::encode(len, &mut out);
    out.extend((0..len.min(dice.below(100))).map(|_| dice.below(256) as u8));
    out
}

/// A header that promises more than ever comes, or more than is allowed.
fn lying_length(dice: &mut Dice) -> Vec<u8> {
    let mut out = Vec::new();
    let len = *dice.pick(&[4, 300, 262_150, 16_777_216, 16_777_217, u64::MAX]);
    commucat_proto::varint::encode(len, &mut out);
    out.push(dice.pick(&FrameType::ALL).code());
    out
}
