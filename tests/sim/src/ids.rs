//! The simulator's own names, and the mark that every payload carries so that checkers know a frame wherever it turns up.

use std::fmt;

use commucat_proto::{DeviceId, FrameType};

/// The relay's domain.
pub(crate) const DOMAIN: &str = "relay.example";

/// A person's device. Numbers past the population are devices that never say hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeviceNo(pub(crate) u16);

/// One connection attempt of one device; never used twice. A sender's incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionNo(pub(crate) u32);

impl DeviceNo {
    pub(crate) fn name(self) -> String {
        format!("device-{}", self.0)
    }

    /// The wire's name. The text is a valid id by its form.
    pub(crate) fn id(self) -> DeviceId {
        DeviceId::parse(&self.name()).expect("a short ASCII name is a device id")
    }

    /// The number behind a wire name, when it is one of ours.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let plain = name
            .split_once('@')
            .map_or(name, |(plain, domain)| if domain == DOMAIN { plain } else { name });
        plain.strip_prefix("device-")?.parse().ok().map(Self)
    }
}

impl fmt::Display for DeviceNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device-{}", self.0)
    }
}

impl fmt::Display for SessionNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session-{}", self.0)
    }
}

/// Which frame: the session that sent it, its channel there, and its place among that session's frames on the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FrameKey {
    pub(crate) session: SessionNo,
    pub(crate) channel: u32,
    pub(crate) counter: u32,
}

impl fmt::Display for FrameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}#{}", self.session, self.channel, self.counter)
    }
}

const MAGIC: &[u8; 4] = b"SIM1";
const CHECKSUM: usize = 8;
/// Bytes of a mark; no marked payload is shorter.
pub(crate) const MARK: usize = MAGIC.len() + 3 * 4 + 1 + CHECKSUM;

/// A payload of `len` bytes (at least `MARK`) that tells which frame it is and proves that nothing changed it.
pub(crate) fn mark(key: FrameKey, kind: FrameType, len: usize) -> Vec<u8> {
    let mut payload = vec![0xA5; len.max(MARK)];
    payload[..4].copy_from_slice(MAGIC);
    payload[4..8].copy_from_slice(&key.session.0.to_le_bytes());
    payload[8..12].copy_from_slice(&key.channel.to_le_bytes());
    payload[12..16].copy_from_slice(&key.counter.to_le_bytes());
    payload[16] = kind.code();
    let sum = checksum(&payload);
    payload[17..MARK].copy_from_slice(&sum);
    payload
}

/// The same for a control frame of a call: the mark is the last member of the JSON object, which comes without its brace.
pub(crate) fn mark_json(key: FrameKey, kind: FrameType, mut object: String) -> Vec<u8> {
    let whole = mark(key, kind, MARK);
    object.push_str(JSON_MARK);
    object.push_str(&hex(&whole[..MARK - CHECKSUM]));
    let sum = hex(&checksum_of(object.as_bytes()));
    object.push_str(&sum);
    object.push_str(JSON_END);
    object.into_bytes()
}

const JSON_MARK: &str = ",\"mark\":\"";
const JSON_END: &str = "\"}";

fn unmark_json(payload: &[u8]) -> Option<(FrameKey, FrameType)> {
    let text = std::str::from_utf8(payload).ok()?.strip_suffix(JSON_END)?;
    let (body, sum) = text.split_at_checked(text.len().checked_sub(2 * CHECKSUM)?)?;
    let (object, head) = body.split_at_checked(body.len().checked_sub(2 * (MARK - CHECKSUM))?)?;
    if !object.ends_with(JSON_MARK) || sum != hex(&checksum_of(body.as_bytes())) {
        return None;
    }
    let bytes: Vec<u8> = (0..head.len())
        .step_by(2)
        .map_while(|at| u8::from_str_radix(head.get(at..at + 2)?, 16).ok())
        .collect();
    read_head(bytes.first_chunk()?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checksum_of(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECKSUM]);
    sum
}

fn read_head(head: &[u8; MARK - CHECKSUM]) -> Option<(FrameKey, FrameType)> {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let key = FrameKey {
        session: SessionNo(word(4)),
        channel: word(8),
        counter: word(12),
    };
    Some((key, FrameType::from_code(head[16])?))
}

/// The frame that a payload belongs to; none when it carries no whole mark (only hostile people send such).
pub(crate) fn unmark(payload: &[u8]) -> Option<(FrameKey, FrameType)> {
    if payload.first() == Some(&b'{') {
        return unmark_json(payload);
    }
    let head = payload.first_chunk::<MARK>()?;
    if &head[..4] != MAGIC || head[17..] != checksum(payload) {
        return None;
    }
    read_head(head.first_chunk()?)
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&payload[..17]);
    hasher.update(&payload[MARK..]);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_a_changed_byte_is_noticed() {
        let key = FrameKey {
            session: SessionNo(7),
            channel: 3,
            counter: 11,
        };
        let mut payload = mark(key, FrameType::Msg, 300);
        assert_eq!(unmark(&payload), Some((key, FrameType::Msg)));
        payload[299] ^= 1;
        assert_eq!(unmark(&payload), None);
        let mut payload = mark_json(key, FrameType::CallEnd, "{\"call_id\":\"c\"".to_owned());
        assert_eq!(unmark(&payload), Some((key, FrameType::CallEnd)));
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(json["call_id"], "c");
        payload[13] ^= 1;
        assert_eq!(unmark(&payload), None);
    }
}
