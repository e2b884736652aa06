//! What a protocol has to say for itself, and the frame of those whose messages stand one behind the other.

use std::fmt;

/// The server said what the protocol does not know, or refused.
#[derive(Debug, thiserror::Error)]
pub enum SpeakerError {
    /// Not understood.
    #[error("{protocol}: {what}")]
    Garbled {
        /// Which protocol.
        protocol: &'static str,
        /// What came.
        what: String,
    },
    /// Our own client failed.
    #[error(transparent)]
    Client(#[from] commucat_client::ClientError),
}

/// One connection's protocol: bytes in, bytes out.
pub(super) trait Speaker: fmt::Debug {
    /// Subscribed, joined: it may publish, and what is published for it arrives.
    fn is_ready(&self) -> bool;

    /// Takes what the server sent; `arrived` sees the payload of each message.
    fn receive(&mut self, bytes: &[u8], arrived: &mut dyn FnMut(&[u8])) -> Result<(), SpeakerError>;

    /// Queues a message to whom this connection speaks.
    fn publish(&mut self, payload: &[u8]) -> Result<(), SpeakerError>;

    /// Moves all that may be sent now behind `out`.
    fn transmit(&mut self, out: &mut Vec<u8>);

    /// The server speaks before TLS begins: this many lines.
    fn lines_before_tls(&self) -> usize {
        0
    }
}

/// What stands at the front of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A message for the load.
    Message(&'a [u8]),
    /// The subscription stands.
    Ready,
    /// To be answered with these bytes.
    Answer(&'static [u8]),
    /// Nothing that matters here.
    Other,
}

/// A protocol of self-delimiting messages.
pub(super) trait Grammar: fmt::Debug {
    /// What the client says first, its subscription included.
    fn greeting(&self) -> Vec<u8>;

    /// One message to whom this connection speaks.
    fn publish(&self, payload: &[u8], out: &mut Vec<u8>);

    /// The first message of `bytes` and its length; none when it is not whole yet.
    fn next<'a>(&self, bytes: &'a [u8]) -> Result<Option<(usize, Heard<'a>)>, SpeakerError>;

    /// See [`Speaker::lines_before_tls`].
    fn lines_before_tls(&self) -> usize {
        0
    }
}

/// A [`Grammar`] over a stream of bytes.
#[derive(Debug)]
pub(super) struct Stream<G> {
    grammar: G,
    ready: bool,
    /// The beginning of a message that a read cut.
    kept: Vec<u8>,
    out: Vec<u8>,
}

impl<G: Grammar> Stream<G> {
    pub(super) fn new(grammar: G) -> Self {
        Self {
            out: grammar.greeting(),
            grammar,
            ready: false,
            kept: Vec::new(),
        }
    }

    /// Takes whole messages; gives how many bytes they were.
    fn take(&mut self, bytes: &[u8], arrived: &mut dyn FnMut(&[u8])) -> Result<usize, SpeakerError> {
        let mut used = 0;
        while let Some((length, heard)) = self.grammar.next(&bytes[used..])? {
            used += length;
            match heard {
                Heard::Message(payload) => arrived(payload),
                Heard::Ready => self.ready = true,
                Heard::Answer(answer) => self.out.extend_from_slice(answer),
                Heard::Other => {}
            }
        }
        Ok(used)
    }
}

impl<G: Grammar> Speaker for Stream<G> {
    fn is_ready(&self) -> bool {
        self.ready
    }

    fn receive(&mut self, bytes: &[u8], arrived: &mut dyn FnMut(&[u8])) -> Result<(), SpeakerError> {
        if self.kept.is_empty() {
            let used = self.take(bytes, arrived)?;
            self.kept.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.extend_from_slice(bytes);
        let used = self.take(&kept, arrived)?;
        kept.drain(..used);
        self.kept = kept;
        Ok(())
    }

    fn publish(&mut self, payload: &[u8]) -> Result<(), SpeakerError> {
        self.grammar.publish(payload, &mut self.out);
        Ok(())
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.out);
    }

    fn lines_before_tls(&self) -> usize {
        self.grammar.lines_before_tls()
    }
}

/// A line without its end, and its length with it.
pub(super) fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

/// A decimal number.
pub(super) fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Grammar, Speaker, Stream};

    /// However a read cuts the bytes, the same messages come of them.
    pub(in crate::peers) fn heard_at_every_cut<G: Grammar>(make: impl Fn() -> G, bytes: &[u8]) -> Vec<Vec<u8>> {
        let hear = |pieces: &[&[u8]]| {
            let mut stream = Stream::new(make());
            let mut messages = Vec::new();
            for piece in pieces {
                stream
                    .receive(piece, &mut |payload| messages.push(payload.to_vec()))
                    .expect("the bytes are as the protocol wants them");
            }
            assert!(stream.is_ready(), "the subscription stands");
            assert!(stream.kept.is_empty(), "nothing is left");
            messages
        };
        let whole = hear(&[bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(hear(&[&bytes[..cut], &bytes[cut..]]), whole, "cut at {cut}");
        }
        whole
    }
}
