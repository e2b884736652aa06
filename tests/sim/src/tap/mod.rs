//! A second, naive reader of what the relay sends: HTTP, perhaps WebSocket, then frames. It shares no code with the relay or the client, so
//! that a mistake common to both does not hide.

mod http1;
mod http2;
mod websocket;

use commucat_client::HttpVersion;
use commucat_proto::FrameType;

use crate::fact::{Body, WireFrame};
use crate::ids;

#[derive(Debug)]
enum Http {
    One(http1::Http1),
    Two(http2::Http2),
}

/// The reader of one connection.
#[derive(Debug)]
pub(crate) struct Tap {
    http: Http,
    socket: Option<websocket::WebSocket>,
    body: Vec<u8>,
}

/// Why the bytes are no CCP-1 over HTTP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TapError {
    #[error("the response head is not one: {0:?}")]
    Head(String),
    #[error("a chunk size is not one: {0:?}")]
    Chunk(String),
    #[error("HTTP/2: {0}")]
    Http2(&'static str),
    #[error("WebSocket: {0}")]
    WebSocket(&'static str),
    #[error("bytes after the end of the body")]
    AfterEnd,
    #[error("a frame is malformed: {0}")]
    Frame(&'static str),
}

impl Tap {
    pub(crate) fn new(http: HttpVersion) -> Self {
        let socket = matches!(http, HttpVersion::WebSocket1 | HttpVersion::WebSocket2);
        Self {
            http: match http {
                HttpVersion::Http1 | HttpVersion::WebSocket1 => Http::One(http1::Http1::new()),
                HttpVersion::Http2 | HttpVersion::WebSocket2 => Http::Two(http2::Http2::default()),
            },
            socket: socket.then(websocket::WebSocket::default),
            body: Vec::new(),
        }
    }

    /// Reads what the relay sends next and gives the frames that end in it.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<WireFrame>, TapError> {
        let mut continued = !self.body.is_empty();
        let carried = match &mut self.socket {
            Some(socket) => socket.carried(),
            None => &mut self.body,
        };
        let tunnel = match &mut self.http {
            Http::One(one) => {
                one.read(bytes, carried)?;
                one.is_tunnel()
            }
            Http::Two(two) => {
                two.read(bytes, carried)?;
                two.is_tunnel()
            }
        };
        if let Some(socket) = self.socket.as_mut().filter(|_| tunnel) {
            socket.read(&mut self.body)?;
        }
        let mut frames = Vec::new();
        while tunnel && let Some(frame) = self.frame()? {
            frames.push(WireFrame {
                continued: std::mem::take(&mut continued),
                ..frame
            });
        }
        Ok(frames)
    }

    fn frame(&mut self) -> Result<Option<WireFrame>, TapError> {
        let mut cursor = Cursor {
            bytes: &self.body,
            at: 0,
        };
        let Some(len) = cursor.varint()? else { return Ok(None) };
        let start = cursor.at;
        let end = start + len as usize;
        if self.body.len() < end {
            return Ok(None);
        }
        let mut cursor = Cursor {
            bytes: &self.body[..end],
            at: start,
        };
        let code = cursor.byte().ok_or(TapError::Frame("no type"))?;
        let channel = cursor.whole()?;
        let sequence = cursor.whole()?;
        let payload_len = cursor.whole()? as usize;
        let payload = &self.body[cursor.at..end];
        if payload.len() != payload_len {
            return Err(TapError::Frame("payload_len does not match frame_len"));
        }
        let kind = FrameType::from_code(code).ok_or(TapError::Frame("unknown type"))?;
        let body = read_body(kind, payload)?;
        self.body.drain(..end);
        Ok(Some(WireFrame {
            kind,
            channel,
            sequence,
            continued: false,
            body,
        }))
    }
}

fn read_body(kind: FrameType, payload: &[u8]) -> Result<Body, TapError> {
    if let Some((key, kind)) = ids::unmark(payload) {
        return Ok(Body::Marked { key, kind });
    }
    let json = || {
        serde_json::from_slice::<serde_json::Value>(payload).map_err(|_| TapError::Frame("control payload is not JSON"))
    };
    Ok(match kind {
        FrameType::Auth => Body::Auth,
        FrameType::Error => {
            let problem = json()?;
            Body::Error {
                title: problem["title"].as_str().unwrap_or_default().to_owned(),
            }
        }
        FrameType::Ack => {
            let ack = json()?;
            match ack["ack"].as_u64().and_then(|number| u32::try_from(number).ok()) {
                Some(number) => Body::Ack {
                    number,
                    rejected: strings(&ack["rejected"]),
                    reason: ack["reason"].as_str().unwrap_or_default().to_owned(),
                },
                None if ack["handshake"] == "ok" => Body::Ready,
                None => return Err(TapError::Frame("an ACK acknowledges nothing")),
            }
        }
        FrameType::CallEnd => {
            let end = json()?;
            match end["call_id"].as_str() {
                Some(call) if end["metadata"]["system"] == true && end["reason"] == "failure" => {
                    Body::Gone { call: call.to_owned() }
                }
                _ => Body::Other,
            }
        }
        _ => Body::Other,
    })
}

fn strings(list: &serde_json::Value) -> Vec<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A place in a byte string.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Result<Option<u64>, TapError> {
        let mut value = 0u64;
        for shift in (0..28).step_by(7) {
            let Some(byte) = self.byte() else { return Ok(None) };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(value));
            }
        }
        // Wider than any length; 32-bit numbers take a fifth byte.
        let Some(byte) = self.byte() else { return Ok(None) };
        if byte > 0x0f {
            return Err(TapError::Frame("a number wider than 32 bits"));
        }
        Ok(Some(value | u64::from(byte) << 28))
    }

    fn whole(&mut self) -> Result<u32, TapError> {
        let value = self.varint()?.ok_or(TapError::Frame("fields overrun the frame"))?;
        u32::try_from(value).map_err(|_| TapError::Frame("a number wider than 32 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_across_chunks_and_reads() {
        let mut tap = Tap::new(HttpVersion::Http1);
        let wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n\x0d\x06\x02\r\nb\r\n\x01\x09{\"ack\":5}\r\n0\r\n\r\n";
        let mut frames = Vec::new();
        for byte in wire {
            frames.extend(tap.read(&[*byte]).expect("the bytes are well formed"));
        }
        assert!(matches!(
            frames[..],
            [WireFrame {
                channel: 2,
                sequence: 1,
                body: Body::Ack { number: 5, .. },
                ..
            }]
        ));
        assert!(matches!(tap.http, Http::One(one) if one.is_over()));
    }
}
