//! Core NATS: lines with a payload behind some of them.

use super::speaker::{Grammar, Heard, SpeakerError, line, number};

/// Listens on one subject, speaks to another.
#[derive(Debug)]
pub(super) struct Nats {
    listen: String,
    tls: bool,
    head: Vec<u8>,
}

impl Nats {
    pub(super) fn new(listen: &str, speak: &str, length: usize, tls: bool) -> Self {
        Self {
            listen: listen.to_owned(),
            tls,
            head: format!("PUB {speak} {length}\r\n").into_bytes(),
        }
    }
}

impl Grammar for Nats {
    fn greeting(&self) -> Vec<u8> {
        // PONG comes once the subscription before it was taken.
        format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":{},\"lang\":\"bench\",\"version\":\"0\",\
             \"protocol\":1,\"echo\":false}}\r\nSUB {} 1\r\nPING\r\n",
            self.tls, self.listen
        )
        .into_bytes()
    }

    fn publish(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }

    fn next<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, Heard<'a>)>, SpeakerError> {
        let Some((words, head)) = line(bytes) else {
            return Ok(None);
        };
        let garbled = || SpeakerError::Garbled {
            protocol: "NATS",
            what: String::from_utf8_lossy(words).into_owned(),
        };
        if words.starts_with(b"MSG ") {
            let length = words
                .rsplit(|&byte| byte == b' ')
                .next()
                .and_then(number)
                .ok_or_else(garbled)?;
            let whole = head + length + 2;
            return Ok((bytes.len() >= whole).then(|| (whole, Heard::Message(&bytes[head..head + length]))));
        }
        let heard = match words {
            b"PING" => Heard::Answer(b"PONG\r\n"),
            b"PONG" => Heard::Ready,
            b"+OK" => Heard::Other,
            info if info.starts_with(b"INFO ") => Heard::Other,
            _ => return Err(garbled()),
        };
        Ok(Some((head, heard)))
    }

    fn lines_before_tls(&self) -> usize {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::super::speaker::tests::heard_at_every_cut;
    use super::Nats;

    #[test]
    fn messages_are_heard_however_a_read_cuts_them() {
        let bytes = b"INFO {\"a\":1}\r\nPONG\r\nMSG d1 1 5\r\nhello\r\nPING\r\nMSG d1 1 4\r\n\r\n\r\n\r\n";
        let heard = heard_at_every_cut(|| Nats::new("d1", "d2", 5, false), bytes);
        assert_eq!(heard, [b"hello".to_vec(), b"\r\n\r\n".to_vec()]);
    }
}
