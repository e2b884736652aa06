//! Responses, appended to a buffer.

use http::StatusCode;

use super::{H1, HttpError, State};
use crate::conn::limits;

/// The interim answer to `Continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Room that `open_chunk` leaves for the size.
const CHUNK_DIGITS: usize = 6;
const _: () = assert!(
    limits::H1_CHUNK >> (4 * CHUNK_DIGITS) == 0,
    "its size has so many digits"
);
/// Octets in front of the data of a chunk that `open_chunk` began.
const CHUNK_PREFIX: usize = CHUNK_DIGITS + 2;

/// How the body of an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutBody {
    /// In chunks, until `last_chunk`. To an HTTP/1.0 client: as it is, until the connection closes.
    Chunked,
    /// `Content-Length`; the caller appends exactly that much.
    Length(u64),
    /// No framing field at all: 204, 304.
    None,
}

impl H1 {
    /// Writes a status line, `headers` and the framing fields. With `keep_alive` false, or when the client asked for it,
    /// says `connection: close`, and no further request will be read.
    pub fn head(&mut self, status: u16, headers: &[(&str, &str)], body: OutBody, keep_alive: bool, out: &mut Vec<u8>) {
        let unframed = body == OutBody::Chunked && self.http10;
        self.persistent &= keep_alive && !unframed;
        self.chunking = body == OutBody::Chunked && !self.http10;

        out.extend_from_slice(b"HTTP/1.1 ");
        number(u64::from(status), out);
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        for (name, value) in headers {
            field(name, value, out);
        }
        match body {
            OutBody::Chunked if self.chunking => field("transfer-encoding", "chunked", out),
            OutBody::Length(len) => {
                out.extend_from_slice(b"content-length: ");
                number(len, out);
                out.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        if !self.persistent {
            field("connection", "close", out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Answers 101: from the end of this head on, both directions belong to the protocol that `headers` name (RFC 9110
    /// § 15.2.2). What the client sends comes as `Body` until the connection ends, and chunks are written as they are.
    pub fn upgrade(&mut self, headers: &[(&str, &str)], out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        for (name, value) in headers {
            field(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        self.state = State::Upgraded;
        self.persistent = false;
        self.chunking = false;
    }

    /// The whole answer to a request that `next` refused.
    pub fn refuse(&mut self, error: &HttpError, out: &mut Vec<u8>) {
        let problem = error.problem();
        let headers = [("content-type", "application/problem+json")];
        self.head(
            error.status(),
            &headers,
            OutBody::Length(problem.len() as u64),
            false,
            out,
        );
        out.extend_from_slice(problem.as_bytes());
        if !matches!(self.state, State::Failed(_)) {
            self.state = State::Closed;
        }
    }

    /// A part of the answer, in one chunk when it fits. Nothing for no bytes: an empty chunk would be the last.
    pub fn chunk(&self, bytes: &[u8], out: &mut Vec<u8>) {
        for bytes in bytes.chunks(limits::H1_CHUNK) {
            let at = self.open_chunk(out);
            out.extend_from_slice(bytes);
            self.close_chunk(at, out);
        }
    }

    /// Begins a chunk whose bytes the caller appends to `out` itself, at most [`H1_CHUNK`](limits::H1_CHUNK) of them; give
    /// what this returns to `close_chunk`.
    #[must_use]
    pub fn open_chunk(&self, out: &mut Vec<u8>) -> usize {
        if self.chunking {
            out.extend_from_slice(b"000000\r\n");
        }
        out.len()
    }

    /// Ends the chunk whose bytes began at `at`; takes it back if there are none.
    pub fn close_chunk(&self, at: usize, out: &mut Vec<u8>) {
        if !self.chunking {
            return;
        }
        let len = out.len() - at;
        if len == 0 {
            out.truncate(at - CHUNK_PREFIX);
            return;
        }
        assert!(len <= limits::H1_CHUNK, "the caller keeps to what a chunk can say");
        for (place, octet) in out[at - CHUNK_PREFIX..at - 2].iter_mut().rev().enumerate() {
            *octet = b"0123456789abcdef"[len >> (4 * place) & 0xf];
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Ends a chunked answer, without trailers.
    pub fn last_chunk(&mut self, out: &mut Vec<u8>) {
        if self.chunking {
            out.extend_from_slice(b"0\r\n\r\n");
            self.chunking = false;
        }
    }
}

pub(super) fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("")
}

/// A field that would break the head apart is left out: it must not become a second response on the wire.
fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    let breaks = |text: &str| text.bytes().any(|octet| matches!(octet, b'\r' | b'\n' | 0));
    if breaks(name) || breaks(value) {
        return;
    }
    for text in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(text.as_bytes());
    }
}

fn number(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
