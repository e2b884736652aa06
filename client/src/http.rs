//! What the ways to a relay have in common for one `/connect`: a request, a status, and two byte streams.
//!
//! Each way is a value: bytes from the wire go in and body bytes come out appended to a buffer, and the other way
//! round. None knows frames of CCP-1. [`crate::Connection`] is the only user.

use commucat_crypto::Entropy;

use crate::http1::Http1;
use crate::http2::Http2;
use crate::websocket::WebSocket;

/// What carries the tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// Chunked bodies both ways (RFC 9112 §7.1).
    #[default]
    Http1,
    /// One stream's DATA frames (RFC 9113).
    Http2,
    /// A WebSocket, by upgrade of HTTP/1.1 (RFC 6455).
    WebSocket1,
    /// A WebSocket on one stream of HTTP/2, by extended CONNECT (RFC 8441).
    WebSocket2,
}

impl HttpVersion {
    /// The ALPN name (RFC 7301).
    #[must_use]
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 | Self::WebSocket1 => b"http/1.1",
            Self::Http2 | Self::WebSocket2 => b"h2",
        }
    }
}

/// The request that opens the tunnel.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// `Host` or `:authority`.
    pub(crate) authority: &'a str,
    /// Whether `:scheme` is `https`.
    pub(crate) secure: bool,
    /// W3C trace context, as is.
    pub(crate) traceparent: Option<&'a str>,
}

/// Why the HTTP layer gave up.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HttpError {
    /// The response head is not HTTP/1.1.
    #[error("the response head is not valid HTTP/1.1: {0}")]
    Head(String),
    /// The response head does not fit the limit.
    #[error("the response head is larger than {limit} bytes")]
    HeadTooLarge {
        /// The limit that was exceeded.
        limit: usize,
    },
    /// A body of a 200 that is not chunked cannot be a tunnel.
    #[error("the answer to POST /connect is not a chunked body")]
    NotChunked,
    /// A broken chunk (RFC 9112 §7.1).
    #[error("a chunk of the response is malformed: {0}")]
    Chunk(&'static str),
    /// The answer does not open a WebSocket.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(&'static str),
    /// The server broke RFC 6455.
    #[error("the server broke WebSocket (RFC 6455): {0}")]
    WebSocket(&'static str),
    /// The server broke RFC 9113.
    #[error("the server broke HTTP/2 ({section}): {what}")]
    Protocol {
        /// Where the rule stands.
        section: &'static str,
        /// What happened.
        what: &'static str,
    },
    /// The server ended the whole connection.
    #[error("the server closed the HTTP/2 connection (GOAWAY, code {code})")]
    GoAway {
        /// RFC 9113 §7.
        code: u32,
    },
    /// The server reset our stream.
    #[error("the server reset the HTTP/2 stream (code {code})")]
    Reset {
        /// RFC 9113 §7.
        code: u32,
    },
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The final status, once its head is complete.
    pub(crate) status: Option<u16>,
    /// No further body bytes will come.
    pub(crate) ended: bool,
    /// The connection went before the body was complete.
    pub(crate) cut: bool,
}

/// Body bytes on their way out: appended by the session, taken from the front by the HTTP layer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Outbox {
    /// Where frames are encoded into.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Forgets `count` bytes from the front. Memory moves only when more is behind the cursor than before it.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        assert!(self.taken <= self.bytes.len(), "took more than was pending");
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        } else if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }
}

/// One of the ways.
#[derive(Debug)]
pub(crate) enum Http {
    One(Box<Http1>),
    Two(Box<Http2>),
    Socket(Box<WebSocket>),
}

impl Http {
    /// `entropy` is used here alone, and by a WebSocket alone.
    pub(crate) fn open(version: HttpVersion, request: &Request<'_>, entropy: &mut dyn Entropy) -> Self {
        match version {
            HttpVersion::Http1 => Self::One(Box::new(Http1::open(request))),
            HttpVersion::Http2 => Self::Two(Box::new(Http2::open(request))),
            HttpVersion::WebSocket1 => Self::Socket(Box::new(WebSocket::upgrade(request, entropy))),
            HttpVersion::WebSocket2 => Self::Socket(Box::new(WebSocket::extended(request, entropy))),
        }
    }

    /// Takes bytes from the wire; appends body bytes to `body`.
    pub(crate) fn receive(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<(), HttpError> {
        match self {
            Self::One(http) => http.receive(bytes, body),
            Self::Two(http) => http.receive(bytes, body),
            Self::Socket(http) => http.receive(bytes, body),
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::One(http) => http.progress(),
            Self::Two(http) => http.progress(),
            Self::Socket(http) => http.progress(),
        }
    }

    /// Moves what may be sent now from `outbox` to `out`, framed.
    pub(crate) fn transmit(&mut self, outbox: &mut Outbox, out: &mut Vec<u8>) {
        match self {
            Self::One(http) => http.transmit(outbox, out),
            Self::Two(http) => http.transmit(outbox, out),
            Self::Socket(http) => http.transmit(outbox, out),
        }
    }

    /// Nothing more will be put into the outbox: end our body once it is empty.
    pub(crate) fn finish(&mut self) {
        match self {
            Self::One(http) => http.finish(),
            Self::Two(http) => http.finish(),
            Self::Socket(http) => http.finish(),
        }
    }

    /// The TCP connection ended.
    pub(crate) fn disconnected(&mut self) {
        match self {
            Self::One(http) => http.disconnected(),
            Self::Two(http) => http.disconnected(),
            Self::Socket(http) => http.disconnected(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outbox;

    #[test]
    fn an_outbox_gives_back_what_was_put_in_whatever_the_cuts() {
        let mut outbox = Outbox::default();
        let (mut expected, mut got) = (Vec::new(), Vec::new());
        for round in 0..200_usize {
            let piece = vec![u8::try_from(round % 251).unwrap_or(0); round % 17];
            outbox.buffer().extend_from_slice(&piece);
            expected.extend_from_slice(&piece);
            let count = outbox.pending().len().min(round % 11);
            got.extend_from_slice(&outbox.pending()[..count]);
            outbox.take(count);
        }
        got.extend_from_slice(outbox.pending());
        assert_eq!(got, expected);
    }
}
