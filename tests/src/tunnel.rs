//! `/connect` written by hand, as a POST or a WebSocket over either version of HTTP, with a handshake written by hand in it: a client that can
//! be wrong at every step, and that sees every frame and how the stream ends.

use std::time::{Duration, Instant};

use commucat_client::{HttpVersion, OsEntropy, Pattern};
use commucat_crypto::{DEFAULT_PROLOGUE, Initiator, InitiatorHello, InitiatorReady};
use serde_json::{Value, json};

use crate::http2;
use crate::people::{Device, PATIENCE, server_key};
use crate::raw::Raw;
use crate::relay::Relay;
use crate::websocket;
use crate::wire::{self, Seen, frame, kind};

/// The stream of a tunnel over HTTP/2.
pub const STREAM: u32 = 1;

const CONNECT: &[u8] = b"POST /connect HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";

/// What a tunnel says next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame.
    Frame(Seen),
    /// The body ended as it should: the last chunk, END_STREAM, or a Close.
    End,
    /// The connection, or the stream, went away under it.
    Cut,
}

/// An open `/connect`.
#[derive(Debug)]
pub struct Tunnel {
    raw: Raw,
    http: HttpVersion,
    /// Frames of a WebSocket that are not whole.
    messages: Vec<u8>,
    body: Vec<u8>,
    ended: bool,
    reset: bool,
    close_code: Option<u16>,
    sequence: u64,
}

impl Tunnel {
    /// Opens one, and waits for its 200, or 101.
    ///
    /// # Panics
    /// When the answer is another.
    #[must_use]
    pub fn open(relay: &Relay, http: HttpVersion) -> Self {
        Self::on(Raw::connect(relay, http), http)
    }

    /// The same on a connection that is there.
    ///
    /// # Panics
    /// When the answer is another.
    #[must_use]
    pub fn on(mut raw: Raw, http: HttpVersion) -> Self {
        match http {
            HttpVersion::Http1 => {
                let head = raw.ask(CONNECT);
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                let head = head.to_lowercase();
                assert!(head.contains("\r\ntransfer-encoding: chunked"), "{head}");
                assert!(head.contains("\r\ncontent-type: application/octet-stream"), "{head}");
            }
            HttpVersion::WebSocket1 => {
                let head = raw.ask(websocket::HANDSHAKE.as_bytes());
                assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
                let field = format!("\r\nsec-websocket-accept: {}\r\n", websocket::ACCEPT);
                assert!(head.contains(&field), "{head}");
            }
            HttpVersion::Http2 => open_stream(&mut raw, &http2::connect(STREAM)),
            HttpVersion::WebSocket2 => open_stream(&mut raw, &http2::connect_socket(STREAM)),
        }
        Self {
            raw,
            http,
            messages: Vec::new(),
            body: Vec::new(),
            ended: false,
            reset: false,
            close_code: None,
            sequence: 0,
        }
    }

    /// The number of this client's next frame.
    pub const fn number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Sends body bytes, in one chunk, message, or DATA frame. A relay that has closed takes them or does not.
    pub fn send(&mut self, bytes: &[u8]) {
        match self.http {
            HttpVersion::Http1 => {
                let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                let _ = self.raw.write(&chunk);
            }
            HttpVersion::Http2 => self.carry(bytes),
            HttpVersion::WebSocket1 | HttpVersion::WebSocket2 => {
                self.carry(&websocket::frame(websocket::BINARY, bytes));
            }
        }
    }

    /// Sends bytes as they are on the WebSocket's connection or stream, or in DATA frames.
    pub fn carry(&mut self, bytes: &[u8]) {
        let wrapped = match self.http {
            HttpVersion::Http1 | HttpVersion::WebSocket1 => bytes.to_vec(),
            HttpVersion::Http2 | HttpVersion::WebSocket2 => bytes
                .chunks(16 << 10)
                .flat_map(|piece| http2::frame(http2::kind::DATA, 0, STREAM, piece))
                .collect(),
        };
        let _ = self.raw.write(&wrapped);
    }

    /// Sends a frame under the next number.
    pub fn say(&mut self, kind: u8, channel: u64, payload: impl AsRef<[u8]>) -> u64 {
        let number = self.number();
        self.send(&frame(kind, channel, number, payload));
        number
    }

    /// Ends this side of the body.
    pub fn finish(&mut self) {
        let close = websocket::frame(websocket::CLOSE, &1000_u16.to_be_bytes());
        let end = match self.http {
            HttpVersion::Http1 => b"0\r\n\r\n".to_vec(),
            HttpVersion::Http2 => http2::frame(http2::kind::DATA, http2::END_STREAM, STREAM, []),
            HttpVersion::WebSocket1 => close,
            HttpVersion::WebSocket2 => http2::frame(http2::kind::DATA, http2::END_STREAM, STREAM, close),
        };
        let _ = self.raw.write(&end);
    }

    /// The connection beneath.
    #[must_use]
    pub const fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }

    /// What comes next.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn listen(&mut self) -> Next {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.unwrap();
            if let Some(seen) = wire::take(&mut self.body) {
                return Next::Frame(seen);
            }
            if self.ended {
                assert!(self.body.is_empty(), "the body ends inside a frame");
                return Next::End;
            }
            if self.reset || self.raw.is_over() {
                return Next::Cut;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the relay says nothing");
            self.raw.pull(left);
        }
    }

    /// The next frame.
    ///
    /// # Panics
    /// When there is none.
    pub fn hear(&mut self) -> Seen {
        match self.listen() {
            Next::Frame(seen) => seen,
            other => panic!("{other:?}"),
        }
    }

    /// Body bytes as they are, for those who know what is in them; nothing once the body has ended.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn pour(&mut self) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.unwrap();
            if !self.body.is_empty() {
                return Some(std::mem::take(&mut self.body));
            }
            if self.ended || self.reset || self.raw.is_over() {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the relay says nothing");
            self.raw.pull(left);
        }
    }

    /// Takes HTTP off what has arrived.
    fn unwrap(&mut self) {
        match self.http {
            HttpVersion::Http1 => while self.chunk() {},
            HttpVersion::WebSocket1 => {
                self.messages.append(&mut self.raw.plain);
                self.messages();
            }
            HttpVersion::Http2 => {
                let (body, ended) = self.data();
                self.body.extend(body);
                self.ended |= ended;
            }
            HttpVersion::WebSocket2 => {
                let (body, ended) = self.data();
                self.messages.extend(body);
                self.messages();
                assert!(!ended || self.ended, "the stream ends without a Close");
            }
        }
    }

    /// Takes the stream's DATA; whether it has ended.
    fn data(&mut self) -> (Vec<u8>, bool) {
        let (mut body, mut ended) = (Vec::new(), false);
        while let Some(seen) = http2::take(&mut self.raw.plain) {
            match seen.kind {
                http2::kind::DATA => {
                    body.extend(seen.payload);
                    ended |= seen.flags & http2::END_STREAM != 0;
                }
                // After END_STREAM it only says that the rest of ours is not wanted (RFC 9113 § 8.1).
                http2::kind::RST_STREAM => self.reset = true,
                _ => {}
            }
        }
        (body, ended)
    }

    fn messages(&mut self) {
        while let Some(seen) = websocket::take(&mut self.messages) {
            assert!(!self.ended, "something follows the Close: {seen:?}");
            match seen.opcode {
                websocket::BINARY => self.body.extend(seen.payload),
                websocket::CLOSE => {
                    self.ended = true;
                    self.close_code = seen.payload.try_into().ok().map(u16::from_be_bytes);
                }
                websocket::PONG => {}
                _ => panic!("{seen:?}"),
            }
        }
    }

    /// What the relay's Close said, once one has come.
    #[must_use]
    pub const fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    fn chunk(&mut self) -> bool {
        let plain = &mut self.raw.plain;
        let Some(line) = plain.windows(2).position(|two| two == b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&plain[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let (start, end) = (line + 2, line + 2 + size);
        if plain.len() < end + 2 {
            return false;
        }
        assert_eq!(&plain[end..end + 2], b"\r\n", "a chunk ends without its line end");
        self.body.extend_from_slice(&plain[start..end]);
        plain.drain(..end + 2);
        self.ended |= size == 0;
        size > 0
    }

    /// Waits for the one ERROR with which a session ends, checks that nothing follows it, and gives its payload. Frames
    /// that come before it are given, too.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[must_use]
    pub fn error(mut self) -> (Vec<Seen>, Value) {
        let mut before = Vec::new();
        let problem = loop {
            let seen = self.hear();
            if seen.kind == kind::ERROR {
                break seen;
            }
            before.push(seen);
        };
        assert_eq!(problem.channel, 0, "{problem:?}");
        assert_eq!(self.listen(), Next::End, "something follows the ERROR");
        if matches!(self.http, HttpVersion::Http1 | HttpVersion::WebSocket1) {
            // The body has ended, so has the only thing that this connection could carry.
            assert_eq!(self.raw.rest(), b"", "something follows the last chunk, or the Close");
        }
        (before, serde_json::from_slice(&problem.payload).unwrap())
    }

    /// The title and status of the ERROR, which nothing comes before.
    ///
    /// # Panics
    /// When it ends otherwise.
    #[must_use]
    pub fn refusal(self) -> (String, u64) {
        let (before, problem) = self.error();
        assert_eq!(before, [], "{problem}");
        title(&problem)
    }

    /// Says HELLO as `device` does; `tweak` may spoil it.
    pub fn hello(
        &mut self,
        relay: &Relay,
        device: &Device,
        pattern: Pattern,
        tweak: impl FnOnce(&mut Value),
    ) -> InitiatorHello {
        let (state, hello) = hello(relay, device, pattern, tweak);
        self.say(kind::HELLO, 0, hello);
        state
    }

    /// Takes AUTH; gives what step 3 is made of, the encrypted payload, and the plain one.
    ///
    /// # Panics
    /// When it is no AUTH, or one that Noise refuses.
    pub fn auth(&mut self, hello: InitiatorHello) -> (InitiatorReady, Value, Value) {
        let seen = self.hear();
        assert_eq!((seen.kind, seen.channel), (kind::AUTH, 0), "{}", lossy(&seen.payload));
        let auth: Value = serde_json::from_slice(&seen.payload).unwrap();
        let message = hex::decode(auth["handshake"].as_str().unwrap()).unwrap();
        let (ready, secret) = hello.read_auth(&message).unwrap();
        (ready, serde_json::from_slice(&secret).unwrap(), auth)
    }

    /// Proves the key.
    pub fn prove(&mut self, ready: InitiatorReady) {
        let (proof, _) = ready.proof().unwrap();
        self.say(kind::AUTH, 0, json!({ "handshake": hex::encode(proof) }).to_string());
    }

    /// The whole handshake, to the ready ACK, which is given.
    pub fn greet(&mut self, relay: &Relay, device: &Device, pattern: Pattern) -> Value {
        let hello = self.hello(relay, device, pattern, |_| {});
        let (ready, ..) = self.auth(hello);
        self.prove(ready);
        let seen = self.hear();
        assert_eq!((seen.kind, seen.channel), (kind::ACK, 0), "{}", lossy(&seen.payload));
        let ack: Value = serde_json::from_slice(&seen.payload).unwrap();
        assert_eq!(ack["handshake"], "ok", "{ack}");
        ack
    }

    /// A session that has joined `channel` towards `member`.
    #[must_use]
    pub fn joined(relay: &Relay, http: HttpVersion, device: &Device, channel: u64, member: &Device) -> Self {
        let mut tunnel = Self::open(relay, http);
        tunnel.greet(relay, device, Pattern::Xk);
        tunnel.join(channel, member);
        tunnel
    }

    /// JOIN, and its ACK.
    ///
    /// # Panics
    /// When something else is answered.
    pub fn join(&mut self, channel: u64, member: &Device) {
        let members = json!({ "members": [member.id.as_str()], "relay": true });
        let number = self.say(kind::JOIN, channel, members.to_string());
        let seen = self.hear();
        assert_eq!(
            (seen.kind, seen.channel, lossy(&seen.payload)),
            (kind::ACK, channel, format!("{{\"ack\":{number}}}"))
        );
    }

    /// Whether the relay keeps this tunnel open and silent for so long.
    #[must_use]
    pub fn stays_silent(&mut self, moment: Duration) -> bool {
        let came = self.raw.pull(moment);
        self.unwrap();
        !came || (self.body.is_empty() && !self.ended && !self.raw.is_over())
    }
}

/// Opens HTTP/2, and the stream that `request` asks for once the relay has said what it serves.
fn open_stream(raw: &mut Raw, request: &[u8]) {
    // Windows so wide that this client never owes one.
    let opening = [
        http2::PREFACE.to_vec(),
        http2::settings(&[(http2::INITIAL_WINDOW_SIZE, i32::MAX as u32)]),
        http2::window_update(0, 1 << 30),
    ];
    raw.write(&opening.concat()).unwrap();
    loop {
        match http2::take(&mut raw.plain) {
            // Ours are acknowledged with an empty one.
            Some(seen) if seen.kind == http2::kind::SETTINGS && !seen.payload.is_empty() => {
                let extended = [http2::ENABLE_CONNECT_PROTOCOL.to_be_bytes().as_slice(), &[0, 0, 0, 1]].concat();
                assert!(seen.payload.chunks(6).any(|setting| setting == extended), "{seen:?}");
                raw.write(request).unwrap();
            }
            // The static table's `:status: 200` (RFC 7541, Appendix A).
            Some(seen) if seen.kind == http2::kind::HEADERS => {
                assert!(seen.payload.contains(&0x88), "{seen:?}");
                return;
            }
            Some(_) => {}
            None => assert!(raw.pull(PATIENCE), "no answer"),
        }
    }
}

/// HELLO's payload and the handshake behind it.
#[must_use]
pub fn hello(
    relay: &Relay,
    device: &Device,
    pattern: Pattern,
    tweak: impl FnOnce(&mut Value),
) -> (InitiatorHello, String) {
    let (state, message) = Initiator::start(
        pattern,
        &device.key,
        server_key(relay),
        DEFAULT_PROLOGUE,
        &mut OsEntropy,
    )
    .unwrap();
    let mut hello = json!({
        "pattern": pattern.name(),
        "device_id": device.id.as_str(),
        "client_static": device.key.public().to_string(),
        "handshake": hex::encode(message),
        "supported_versions": [1],
    });
    tweak(&mut hello);
    (state, hello.to_string())
}

/// `title` and `status` of an ERROR's payload, whose other members are checked.
///
/// # Panics
/// When it is no problem of RFC 9457's shape.
#[must_use]
pub fn title(problem: &Value) -> (String, u64) {
    assert_eq!(problem["type"], "about:blank", "{problem}");
    assert!(problem["detail"].is_string(), "{problem}");
    (
        problem["title"].as_str().unwrap().to_owned(),
        problem["status"].as_u64().unwrap(),
    )
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
