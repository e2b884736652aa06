//! MQTT 3.1.1 with quality of service 0: at most once, and no acknowledgement from the server.

use super::speaker::{Grammar, Heard, SpeakerError};

/// A remaining length has at most four bytes (MQTT 3.1.1 § 2.2.3).
const LENGTH_BYTES: usize = 4;

/// Listens on one topic, speaks to another.
#[derive(Debug)]
pub(super) struct Mqtt {
    client: String,
    listen: String,
    head: Vec<u8>,
}

impl Mqtt {
    pub(super) fn new(client: &str, listen: &str, speak: &str, length: usize) -> Self {
        let mut head = vec![0x30];
        push_length(&mut head, 2 + speak.len() + length);
        push_text(&mut head, speak);
        Self {
            client: client.to_owned(),
            listen: listen.to_owned(),
            head,
        }
    }
}

impl Grammar for Mqtt {
    fn greeting(&self) -> Vec<u8> {
        let mut body = Vec::new();
        push_text(&mut body, "MQTT");
        // Version 4, clean session, no keep-alive.
        body.extend_from_slice(&[4, 2, 0, 0]);
        push_text(&mut body, &self.client);
        let mut out = vec![0x10];
        push_length(&mut out, body.len());
        out.extend_from_slice(&body);
        body.clear();
        body.extend_from_slice(&[0, 1]);
        push_text(&mut body, &self.listen);
        body.push(0);
        out.push(0x82);
        push_length(&mut out, body.len());
        out.extend_from_slice(&body);
        out
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(payload);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, Heard<'a>)>, SpeakerError> {
        let Some(&kind) = bytes.first() else {
            return Ok(None);
        };
        let garbled = || SpeakerError::Garbled {
            protocol: "MQTT",
            what: format!("{:?}", &bytes[..bytes.len().min(16)]),
        };
        let Some((length, head)) = length(&bytes[1..]).map_err(|()| garbled())? else {
            return Ok(None);
        };
        let whole = 1 + head + length;
        if bytes.len() < whole {
            return Ok(None);
        }
        let body = &bytes[1 + head..whole];
        let heard = match (kind, body) {
            (0x20, [_, 0]) => Heard::Other,
            (0x90, [_, _, 0]) => Heard::Ready,
            (0x30, [high, low, rest @ ..]) => {
                let topic = usize::from(u16::from_be_bytes([*high, *low]));
                Heard::Message(rest.get(topic..).ok_or_else(garbled)?)
            }
            _ => return Err(garbled()),
        };
        Ok(Some((whole, heard)))
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Every text here is a topic or a name of a few bytes.
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let more = if length >= 0x80 { 0x80 } else { 0 };
        out.push((length & 0x7f) as u8 | more);
        length >>= 7;
        if more == 0 {
            return;
        }
    }
}

/// A remaining length and how many bytes it takes; none while they are not all there.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, ()> {
    let mut length = 0;
    for (place, &byte) in bytes.iter().take(LENGTH_BYTES).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Ok(Some((length, place + 1)));
        }
    }
    if bytes.len() < LENGTH_BYTES { Ok(None) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::super::speaker::Grammar;
    use super::super::speaker::tests::heard_at_every_cut;
    use super::Mqtt;

    #[test]
    fn messages_are_heard_however_a_read_cuts_them() {
        let speaker = Mqtt::new("c", "d2", "d1", 200);
        let mut bytes = vec![0x20, 2, 0, 0, 0x90, 3, 0, 1, 0];
        speaker.publish(&[7; 200], &mut bytes);
        speaker.publish(&[8; 200], &mut bytes);
        let heard = heard_at_every_cut(|| Mqtt::new("d", "d1", "d2", 200), &bytes);
        assert_eq!(heard, [vec![7; 200], vec![8; 200]]);
    }
}
