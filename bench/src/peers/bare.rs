//! The bare relay's frames, see `crate::bare`.

use super::speaker::{Grammar, Heard, SpeakerError};
use crate::bare::HEAD;

/// Has one name, speaks to another.
#[derive(Debug)]
pub(super) struct Bare {
    own: u32,
    to: u32,
}

impl Bare {
    pub(super) fn new(own: u32, to: u32) -> Self {
        Self { own, to }
    }
}

impl Grammar for Bare {
    fn greeting(&self) -> Vec<u8> {
        [0_u32.to_le_bytes(), self.own.to_le_bytes()].concat()
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.to.to_le_bytes());
        out.extend_from_slice(payload);
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, Heard<'a>)>, SpeakerError> {
        let Some((head, body)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [a, b, c, d, ..] = *head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        Ok(match body.get(..length) {
            None => None,
            Some([]) => Some((HEAD, Heard::Ready)),
            Some(payload) => Some((HEAD + length, Heard::Message(payload))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::speaker::Grammar;
    use super::super::speaker::tests::heard_at_every_cut;
    use super::Bare;

    #[test]
    fn messages_are_heard_however_a_read_cuts_them() {
        let mut bytes = vec![0; 8];
        Bare::new(1, 2).publish(b"hello", &mut bytes);
        Bare::new(1, 2).publish(b"you", &mut bytes);
        let heard = heard_at_every_cut(|| Bare::new(2, 1), &bytes);
        assert_eq!(heard, [b"hello".to_vec(), b"you".to_vec()]);
    }
}
