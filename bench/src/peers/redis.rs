//! Redis' publish and subscribe in RESP3, where one connection may do both.

use super::speaker::{Grammar, Heard, SpeakerError, line, number};

/// Deeper than anything that the server answers here.
const DEPTH: usize = 8;

/// Listens on one channel, speaks to another.
#[derive(Debug)]
pub(super) struct Redis {
    listen: String,
    head: Vec<u8>,
}

impl Redis {
    pub(super) fn new(listen: &str, speak: &str, length: usize) -> Self {
        Self {
            listen: listen.to_owned(),
            head: format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{speak}\r\n${length}\r\n", speak.len()).into_bytes(),
        }
    }
}

impl Grammar for Redis {
    fn greeting(&self) -> Vec<u8> {
        format!("HELLO 3\r\nSUBSCRIBE {}\r\n", self.listen).into_bytes()
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, Heard<'a>)>, SpeakerError> {
        let Some(whole) = value(bytes, DEPTH)? else {
            return Ok(None);
        };
        let heard = match bytes[0] {
            b'>' => pushed(&bytes[..whole])?,
            b'-' => return Err(garbled(&bytes[..whole])),
            _ => Heard::Other,
        };
        Ok(Some((whole, heard)))
    }
}

/// `>3 message CHANNEL PAYLOAD`, or `>3 subscribe CHANNEL COUNT`.
fn pushed(bytes: &[u8]) -> Result<Heard<'_>, SpeakerError> {
    let (_, mut at) = line(bytes).ok_or_else(|| garbled(bytes))?;
    let mut parts = [&bytes[..0]; 3];
    for part in &mut parts {
        let length = value(&bytes[at..], DEPTH)?.ok_or_else(|| garbled(bytes))?;
        *part = &bytes[at..at + length];
        at += length;
    }
    match parts[0] {
        b"$7\r\nmessage\r\n" => {
            let (_, head) = line(parts[2]).ok_or_else(|| garbled(bytes))?;
            Ok(Heard::Message(&parts[2][head..parts[2].len() - 2]))
        }
        b"$9\r\nsubscribe\r\n" => Ok(Heard::Ready),
        _ => Err(garbled(bytes)),
    }
}

/// The length of the value that `bytes` begins with; none while it is not whole.
fn value(bytes: &[u8], depth: usize) -> Result<Option<usize>, SpeakerError> {
    let Some((head, mut at)) = line(bytes) else {
        return Ok(None);
    };
    let count = || number(&head[1..]).ok_or_else(|| garbled(head));
    let items = match head.first() {
        Some(b'+' | b'-' | b':' | b'_' | b'#' | b',') => return Ok(Some(at)),
        Some(b'$' | b'=') => {
            let whole = at + count()? + 2;
            return Ok((bytes.len() >= whole).then_some(whole));
        }
        Some(b'*' | b'>' | b'~') => count()?,
        Some(b'%') => count()? * 2,
        _ => return Err(garbled(head)),
    };
    if depth == 0 {
        return Err(garbled(head));
    }
    for _ in 0..items {
        match value(&bytes[at..], depth - 1)? {
            Some(length) => at += length,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

fn garbled(bytes: &[u8]) -> SpeakerError {
    SpeakerError::Garbled {
        protocol: "RESP3",
        what: String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::speaker::tests::heard_at_every_cut;
    use super::Redis;

    #[test]
    fn messages_are_heard_however_a_read_cuts_them() {
        let bytes = b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nmodules\r\n*0\r\n\
            >3\r\n$9\r\nsubscribe\r\n$2\r\nd1\r\n:1\r\n\
            >3\r\n$7\r\nmessage\r\n$2\r\nd1\r\n$5\r\nhello\r\n:1\r\n\
            >3\r\n$7\r\nmessage\r\n$2\r\nd1\r\n$4\r\n\r\n\r\n\r\n";
        let heard = heard_at_every_cut(|| Redis::new("d1", "d2", 5), bytes);
        assert_eq!(heard, [b"hello".to_vec(), b"\r\n\r\n".to_vec()]);
    }
}
