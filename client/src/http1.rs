//! HTTP/1.1 from the client's side: one `POST /connect`, chunked both ways (RFC 9112 §7.1), one upgrade to WebSocket, or
//! one ordinary call.
//!
//! Invariant: `receive` consumes every byte it is given. A chunk may cut a frame anywhere and the wire may cut a chunk
//! anywhere, so the decoder keeps only where it stands, never a chunk.

use crate::http::{HttpError, Outbox, Progress, Request};
use crate::limits::{CHUNK_LINE, RESPONSE_FIELDS, RESPONSE_HEAD};
use crate::websocket::SUBPROTOCOL;

/// The client's half of one HTTP/1.1 exchange.
#[derive(Debug)]
pub(crate) struct Http1 {
    request: Vec<u8>,
    reading: Reading,
    head: Vec<u8>,
    status: Option<u16>,
    tunnel: bool,
    /// What the answer to an upgrade must say.
    accept: Option<String>,
    cut: bool,
    finishing: bool,
    finished: bool,
}

/// Where in the response the next byte belongs.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    Head,
    Chunk(Chunk),
    Counted(u64),
    UntilClose,
    Ended,
}

/// Where in a chunked body the next byte belongs.
#[derive(Debug, PartialEq, Eq)]
enum Chunk {
    Size { size: u64, digits: u8, line: usize },
    Extension { size: u64, line: usize },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailer { line: usize, total: usize },
}

const CHUNK_START: Chunk = Chunk::Size {
    size: 0,
    digits: 0,
    line: 0,
};

impl Http1 {
    pub(crate) fn open(request: &Request<'_>) -> Self {
        let mut head = format!(
            "POST /connect HTTP/1.1\r\nhost: {}\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n",
            request.authority
        );
        if let Some(traceparent) = request.traceparent {
            head.push_str("traceparent: ");
            head.push_str(traceparent);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Self {
            tunnel: true,
            finished: false,
            ..Self::call(head.into_bytes())
        }
    }

    /// A WebSocket's handshake: `accept` is what the answer has to prove. After its 101 bytes pass as they are, both ways;
    /// until then nothing but the request leaves.
    pub(crate) fn upgrade(request: Vec<u8>, accept: String) -> Self {
        Self {
            accept: Some(accept),
            finished: false,
            ..Self::call(request)
        }
    }

    /// A request that stands ready with its body: only the response is framed here.
    pub(crate) fn call(request: Vec<u8>) -> Self {
        Self {
            request,
            reading: Reading::Head,
            head: Vec::new(),
            status: None,
            tunnel: false,
            accept: None,
            cut: false,
            finishing: false,
            finished: true,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            status: self.status,
            ended: self.reading == Reading::Ended,
            cut: self.cut,
        }
    }

    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    pub(crate) fn disconnected(&mut self) {
        self.cut |= !matches!(self.reading, Reading::Ended | Reading::UntilClose);
        self.reading = Reading::Ended;
    }

    pub(crate) fn transmit(&mut self, outbox: &mut Outbox, out: &mut Vec<u8>) {
        out.append(&mut self.request);
        if self.finished {
            return;
        }
        let pending = outbox.pending();
        if self.accept.is_some() {
            out.extend_from_slice(pending);
            let count = pending.len();
            outbox.take(count);
            return;
        }
        if !pending.is_empty() {
            write_chunk_size(pending.len(), out);
            out.extend_from_slice(pending);
            out.extend_from_slice(b"\r\n");
            let count = pending.len();
            outbox.take(count);
        }
        if self.finishing {
            out.extend_from_slice(b"0\r\n\r\n");
            self.finished = true;
        }
    }

    pub(crate) fn receive(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<(), HttpError> {
        while !bytes.is_empty() {
            let used = match &mut self.reading {
                Reading::Head => self.read_head(bytes)?,
                Reading::Chunk(chunk) => {
                    let (used, ended) = chunk.read(bytes, body)?;
                    if ended {
                        self.reading = Reading::Ended;
                    }
                    used
                }
                Reading::Counted(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    body.extend_from_slice(&bytes[..take]);
                    *left -= take as u64;
                    if *left == 0 {
                        self.reading = Reading::Ended;
                    }
                    take
                }
                Reading::UntilClose => {
                    body.extend_from_slice(bytes);
                    bytes.len()
                }
                // Nothing was asked for after this response.
                Reading::Ended => return Ok(()),
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Collects a head; returns how many of `bytes` belong to it.
    fn read_head(&mut self, bytes: &[u8]) -> Result<usize, HttpError> {
        let before = self.head.len();
        let take = bytes.len().min(RESPONSE_HEAD + 1 - before);
        self.head.extend_from_slice(&bytes[..take]);
        let mut fields = [httparse::EMPTY_HEADER; RESPONSE_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response
            .parse(&self.head)
            .map_err(|error| HttpError::Head(error.to_string()))?;
        let httparse::Status::Complete(length) = parsed else {
            if self.head.len() > RESPONSE_HEAD {
                return Err(HttpError::HeadTooLarge { limit: RESPONSE_HEAD });
            }
            return Ok(take);
        };
        let status = response.code.unwrap_or(0);
        if let Some(accept) = &self.accept
            && (status == 101 || (200..300).contains(&status))
        {
            agreed(status, response.headers, accept)?;
            self.reading = Reading::UntilClose;
            self.status = Some(status);
        }
        // RFC 9110 §15.2: interim answers (100 Continue) precede the real one.
        if !(100..200).contains(&status) {
            self.reading = framing(status, response.headers, self.tunnel)?;
            self.status = Some(status);
        }
        self.head = Vec::new();
        Ok(length - before)
    }
}

/// Whether an answer opens the WebSocket (RFC 6455 § 4.1).
fn agreed(status: u16, fields: &[httparse::Header<'_>], accept: &str) -> Result<(), HttpError> {
    let is = |name: &str, value: &str| {
        let mut found = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        found.any(|field| field.value.eq_ignore_ascii_case(value.as_bytes()))
    };
    let has = |name: &str| fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
    if status != 101 {
        return Err(HttpError::Handshake("success, but not by 101 Switching Protocols"));
    }
    if !is("upgrade", "websocket") || !is("connection", "upgrade") {
        return Err(HttpError::Handshake("the connection is not upgraded to WebSocket"));
    }
    let proven = fields
        .iter()
        .any(|field| field.name.eq_ignore_ascii_case("sec-websocket-accept") && field.value == accept.as_bytes());
    if !proven {
        return Err(HttpError::Handshake(
            "sec-websocket-accept is not the answer to our key",
        ));
    }
    if has("sec-websocket-extensions") || (has("sec-websocket-protocol") && !is("sec-websocket-protocol", SUBPROTOCOL))
    {
        return Err(HttpError::Handshake("what is agreed on was not offered"));
    }
    Ok(())
}

/// How the body of this response is delimited (RFC 9112 §6.3).
fn framing(status: u16, fields: &[httparse::Header<'_>], tunnel: bool) -> Result<Reading, HttpError> {
    let mut length = None;
    for field in fields {
        if field.name.eq_ignore_ascii_case("transfer-encoding") {
            return if field.value.eq_ignore_ascii_case(b"chunked") {
                Ok(Reading::Chunk(CHUNK_START))
            } else {
                Err(HttpError::Head("unknown transfer-encoding".to_owned()))
            };
        }
        if field.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(field.value)
                .ok()
                .and_then(|text| text.trim().parse::<u64>().ok());
            length = Some(value.ok_or_else(|| HttpError::Head("content-length is not a number".to_owned()))?);
        }
    }
    if tunnel && status == 200 {
        return Err(HttpError::NotChunked);
    }
    Ok(match length {
        _ if status == 204 || status == 304 => Reading::Ended,
        Some(0) => Reading::Ended,
        Some(length) => Reading::Counted(length),
        None => Reading::UntilClose,
    })
}

impl Chunk {
    /// Reads one piece; returns how many bytes it used and whether the body ended.
    fn read(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<(usize, bool), HttpError> {
        let Some(&byte) = bytes.first() else {
            return Ok((0, false));
        };
        let mut ended = false;
        let mut used = 1;
        *self = match *self {
            Self::Size { size, digits, line } => match (byte, (byte as char).to_digit(16)) {
                (_, Some(digit)) if digits < 15 => Self::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                    line: line + 1,
                },
                (_, Some(_)) => return Err(HttpError::Chunk("size of more than 15 digits")),
                _ if digits == 0 => return Err(HttpError::Chunk("size without a digit")),
                (b'\r', _) => Self::SizeLf { size },
                (b';' | b' ' | b'\t', _) => Self::Extension { size, line: line + 1 },
                _ => return Err(HttpError::Chunk("size is not hexadecimal")),
            },
            Self::Extension { line, .. } if line >= CHUNK_LINE => {
                return Err(HttpError::Chunk("extension too long"));
            }
            Self::Extension { size, .. } if byte == b'\r' => Self::SizeLf { size },
            Self::Extension { size, line } => Self::Extension { size, line: line + 1 },
            Self::SizeLf { .. } if byte != b'\n' => {
                return Err(HttpError::Chunk("CR without LF after the size"));
            }
            Self::SizeLf { size: 0 } => Self::Trailer { line: 0, total: 0 },
            Self::SizeLf { size } => Self::Data { left: size },
            Self::Data { left } => {
                used = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                body.extend_from_slice(&bytes[..used]);
                match left - used as u64 {
                    0 => Self::DataCr,
                    left => Self::Data { left },
                }
            }
            Self::DataCr if byte == b'\r' => Self::DataLf,
            Self::DataLf if byte == b'\n' => CHUNK_START,
            Self::DataCr | Self::DataLf => {
                return Err(HttpError::Chunk("data not followed by CRLF"));
            }
            Self::Trailer { total, .. } if total >= RESPONSE_HEAD => {
                return Err(HttpError::Chunk("trailers too long"));
            }
            Self::Trailer { line, total } => match byte {
                b'\n' => {
                    ended = line == 0;
                    Self::Trailer {
                        line: 0,
                        total: total + 1,
                    }
                }
                b'\r' => Self::Trailer { line, total: total + 1 },
                _ => Self::Trailer {
                    line: line + 1,
                    total: total + 1,
                },
            },
        };
        Ok((used, ended))
    }
}

fn write_chunk_size(length: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(DIGITS[(length >> (digit * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::{Http1, write_chunk_size};
    use crate::http::{HttpError, Outbox, Request};

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    fn opened() -> Http1 {
        Http1::open(&Request {
            authority: "relay.example",
            secure: true,
            traceparent: None,
        })
    }

    fn read_by(step: usize, wire: &[u8]) -> Result<(Http1, Vec<u8>), HttpError> {
        let (mut http, mut body) = (opened(), Vec::new());
        for piece in wire.chunks(step) {
            http.receive(piece, &mut body)?;
        }
        Ok((http, body))
    }

    #[test]
    fn a_chunk_size_is_written_in_hexadecimal_without_leading_zeros() {
        for (length, expected) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (0x1_2345, "12345\r\n")] {
            let mut out = Vec::new();
            write_chunk_size(length, &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn the_body_is_the_same_wherever_the_wire_is_cut() {
        let wire = [
            b"HTTP/1.1 100 Continue\r\n\r\n",
            OK,
            b"5;name=\"x\"\r\nhello\r\nB\r\n, chunked w\r\n4\r\norld\r\n0\r\nchecksum: 1\r\n\r\n",
        ]
        .concat();
        for step in 1..=wire.len() {
            let (http, body) = read_by(step, &wire).expect("valid");
            assert_eq!(body, b"hello, chunked world", "cut every {step} bytes");
            assert_eq!(http.progress().status, Some(200));
            assert!(http.progress().ended);
        }
    }

    #[test]
    fn a_refusal_keeps_its_counted_body() {
        let wire = b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 4\r\n\r\nnope ignored";
        let (http, body) = read_by(3, wire).expect("valid");
        assert_eq!(
            (http.progress().status, body.as_slice()),
            (Some(405), b"nope".as_slice())
        );
        assert!(http.progress().ended);
    }

    #[test]
    fn a_tunnel_without_chunks_is_refused() {
        let wire = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope";
        assert_eq!(read_by(64, wire).err(), Some(HttpError::NotChunked));
    }

    #[test]
    fn broken_chunks_are_told_apart_from_short_ones() {
        for broken in ["g\r\n", "\r\n", "5 \rx", "1\r\nab", "1\r\na\rb", "1234567890123456\r\n"] {
            let wire = [OK, broken.as_bytes()].concat();
            assert!(matches!(read_by(1, &wire), Err(HttpError::Chunk(_))), "{broken:?}");
        }
        assert!(read_by(1, &[OK, b"1\r\na\r"].concat()).is_ok());
    }

    #[test]
    fn a_head_without_end_is_refused_at_the_limit() {
        let mut wire = b"HTTP/1.1 200 OK\r\n".to_vec();
        wire.extend(b"x: y\r\n".repeat(40).iter().chain(&b"z".repeat(20_000)));
        assert!(matches!(read_by(1000, &wire), Err(HttpError::HeadTooLarge { .. })));
    }

    #[test]
    fn what_is_pending_leaves_as_one_chunk_and_the_last_chunk_follows_it() {
        let (mut http, mut outbox, mut out) = (opened(), Outbox::default(), Vec::new());
        http.transmit(&mut outbox, &mut out);
        assert!(out.starts_with(b"POST /connect HTTP/1.1\r\nhost: relay.example\r\n"));
        assert!(out.ends_with(b"\r\n\r\n"));
        out.clear();
        outbox.buffer().extend_from_slice(b"twelve bytes");
        http.finish();
        http.transmit(&mut outbox, &mut out);
        http.transmit(&mut outbox, &mut out);
        assert_eq!(out, b"c\r\ntwelve bytes\r\n0\r\n\r\n");
    }
}
