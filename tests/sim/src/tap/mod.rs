//! A second, naive reader of what the relay sends: HTTP, perhaps WebSocket, then frames. It shares no code with the relay or the client, so
//! that a mistake common to both does not hide.

mod http1;
mod http2;
mod websocket;

use commucat_client::HttpVersion;
use commucat_crypto::{InitiatorHello, Transport};
use commucat_proto::FrameType;

use crate::fact::{Body, WireFrame};
use crate::ids;

#[derive(Debug)]
enum Http {
    One(http1::Http1),
    Two(http2::Http2),
}

/// The reader of one connection.
pub(crate) struct Tap {
    http: Http,
    socket: Option<websocket::WebSocket>,
    ear: Ear,
    /// Body bytes that are not opened yet.
    outer: Vec<u8>,
    /// Bytes of frames.
    body: Vec<u8>,
}

/// How the tap understands `noise-transport`: it makes the same handshake as the client, from the same secrets.
enum Ear {
    /// Of a client that nobody can be heard talking to.
    Deaf,
    Hello(InitiatorHello),
    /// Frames are plain.
    Plain,
    /// Frames are sealed, but for an ERROR of a relay that has not seen the proof.
    Awaiting(Transport),
    Sealed(Transport),
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
    #[error("noise-transport: {0}")]
    Noise(&'static str),
    #[error("a frame is malformed: {0}")]
    Frame(&'static str),
}

impl Tap {
    /// Reads what is sent to a client, whose handshake begins with `hello`.
    pub(crate) fn new(http: HttpVersion, hello: Option<InitiatorHello>) -> Self {
        let socket = matches!(http, HttpVersion::WebSocket1 | HttpVersion::WebSocket2);
        Self {
            http: match http {
                HttpVersion::Http1 | HttpVersion::WebSocket1 => Http::One(http1::Http1::new()),
                HttpVersion::Http2 | HttpVersion::WebSocket2 => Http::Two(http2::Http2::default()),
            },
            socket: socket.then(websocket::WebSocket::default),
            ear: hello.map_or(Ear::Deaf, Ear::Hello),
            outer: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Reads what the relay sends next and gives the frames that end in it.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<WireFrame>, TapError> {
        let mut begun = !self.body.is_empty();
        let mut message_begun = !self.outer.is_empty();
        let carried = match &mut self.socket {
            Some(socket) => socket.carried(),
            None => &mut self.outer,
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
            socket.read(&mut self.outer)?;
        }
        let mut frames = Vec::new();
        while tunnel && self.open()? {
            while let Some(frame) = self.frame()? {
                let continued = std::mem::take(&mut begun) || message_begun;
                frames.push(WireFrame { continued, ..frame });
            }
            message_begun = false;
        }
        Ok(frames)
    }

    /// Moves the next bytes of frames to `body`; false when there are none.
    fn open(&mut self) -> Result<bool, TapError> {
        if self.outer.is_empty() {
            return Ok(false);
        }
        let (Ear::Awaiting(transport) | Ear::Sealed(transport)) = &mut self.ear else {
            self.body.append(&mut self.outer);
            return Ok(true);
        };
        let mut cursor = Cursor {
            bytes: &self.outer,
            at: 0,
        };
        let Some(len) = cursor.varint()? else { return Ok(false) };
        let (start, end) = (cursor.at, cursor.at + len as usize);
        if len > 65_535 {
            return Err(TapError::Noise("a message longer than Noise allows"));
        }
        let Some(message) = self.outer.get(start..end) else {
            return Ok(false);
        };
        let opened = transport.open(message, &mut self.body);
        match (opened, std::mem::replace(&mut self.ear, Ear::Plain)) {
            (Ok(()), Ear::Awaiting(transport) | Ear::Sealed(transport)) => {
                self.outer.drain(..end);
                self.ear = Ear::Sealed(transport);
            }
            (Err(_), Ear::Awaiting(_)) => self.body.append(&mut self.outer),
            _ => return Err(TapError::Noise("a message that does not authenticate")),
        }
        Ok(true)
    }

    /// AUTH came: from here on frames may be sealed.
    fn authenticated(&mut self, auth: &serde_json::Value) -> Result<(), TapError> {
        let sealed = strings(&auth["accepted_capabilities"])
            .iter()
            .any(|name| name == "noise-transport");
        let hello = std::mem::replace(&mut self.ear, Ear::Plain);
        let (true, Ear::Hello(hello)) = (sealed, hello) else {
            return Ok(());
        };
        let hex = auth["handshake"].as_str().unwrap_or_default();
        let message: Option<Vec<u8>> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        let bad = |_| TapError::Noise("AUTH is not for this client");
        let (ready, _) = hello.read_auth(&message.unwrap_or_default()).map_err(bad)?;
        let (_, established) = ready.proof().map_err(bad)?;
        self.ear = Ear::Awaiting(established.transport);
        // What follows AUTH is sealed as well.
        self.outer.splice(..0, self.body.drain(..));
        Ok(())
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
        let auth = matches!(body, Body::Auth { .. }).then(|| json(payload)).transpose()?;
        self.body.drain(..end);
        if let Some(auth) = auth {
            self.authenticated(&auth)?;
        }
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
    Ok(match kind {
        FrameType::Auth => Body::Auth {
            delivery_ack: strings(&json(payload)?["accepted_capabilities"])
                .iter()
                .any(|name| name == "delivery-ack"),
        },
        FrameType::Error => {
            let problem = json(payload)?;
            Body::Error {
                title: problem["title"].as_str().unwrap_or_default().to_owned(),
            }
        }
        FrameType::Ack => {
            let ack = json(payload)?;
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
            let end = json(payload)?;
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

fn json(payload: &[u8]) -> Result<serde_json::Value, TapError> {
    serde_json::from_slice(payload).map_err(|_| TapError::Frame("control payload is not JSON"))
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
        let mut tap = Tap::new(HttpVersion::Http1, None);
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
