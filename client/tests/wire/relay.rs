//! A relay that is honest about being fake: it knows one client, answers from the specification, and echoes.
//!
//! Body bytes in, body bytes out; what carries them (chunks or HTTP/2) is the test's business.

use commucat_client::{Config, Entropy, Pattern, PublicKey, StaticKey};
use commucat_crypto::{DEFAULT_PROLOGUE, NoiseStage, Responder, ResponderAwait};
use commucat_proto::control::{self, Ack, Auth, AuthProof, AuthSecret, Hello, HexBytes, HexKey, Ready, UserProfile};
use commucat_proto::frame::{self, Parsed};
use commucat_proto::{
    ChannelId, DeviceId, Frame, FrameLimits, FrameType, Handle, Sequence, SessionToken, Stage, UserId,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded generator, for keys and for cuts.
pub(crate) struct Seeded(ChaCha8Rng);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % limit as u64).unwrap_or(0)
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

/// How the fake misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    OtherServerStatic,
    OtherSession,
    OtherUser,
    UnofferedVersion,
    UnofferedCapability,
    SkipsASequence,
    NotOk,
    RefusesHello,
    Forges,
    /// A changed byte in what is sealed.
    Spoils,
    /// An ERROR before the proof has been seen.
    GivesUp,
}

pub(crate) struct Relay {
    pub(crate) key: StaticKey,
    pub(crate) fault: Fault,
    pub(crate) seen: Vec<(FrameType, u32, Vec<u8>)>,
    entropy: Seeded,
    inbound: Vec<u8>,
    waiting: Option<ResponderAwait>,
    /// The client has offered `noise-transport`.
    seals: bool,
    sealed: Option<NoiseStage>,
    outer: Vec<u8>,
    ready: bool,
    last: Sequence,
    user: UserProfile,
}

impl Relay {
    pub(crate) fn new(seed: u64, fault: Fault) -> Self {
        let mut entropy = Seeded::new(seed);
        let key = StaticKey::generate(&mut entropy);
        let user = UserProfile {
            id: UserId::parse("user-1").expect("valid"),
            handle: Handle::parse("amber-otter").expect("valid"),
            display_name: None,
            avatar_url: None,
        };
        Self {
            key,
            fault,
            seen: Vec::new(),
            entropy,
            inbound: Vec::new(),
            waiting: None,
            seals: false,
            sealed: None,
            outer: Vec::new(),
            ready: false,
            last: Sequence::ZERO,
            user,
        }
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Takes body bytes, gives body bytes.
    pub(crate) fn body(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.sealed {
            None => self.inbound.extend_from_slice(bytes),
            Some(stage) => {
                self.outer.extend_from_slice(bytes);
                let used = stage
                    .open(&self.outer, &mut self.inbound)
                    .expect("the client's messages are its own");
                self.outer.drain(..used);
            }
        }
        let inbound = std::mem::take(&mut self.inbound);
        let (mut read, mut out) = (0, Vec::new());
        while let Parsed::Frame { frame, consumed } =
            frame::parse(&inbound[read..], &FrameLimits::default()).expect("the client's frames are valid")
        {
            read += consumed;
            self.frame(frame, &mut out);
        }
        self.inbound = inbound[read..].to_vec();
        self.seal(&out)
    }

    /// As it leaves: sealed, where that was agreed on.
    pub(crate) fn seal(&mut self, frames: &[u8]) -> Vec<u8> {
        let Some(stage) = &mut self.sealed else {
            return frames.to_vec();
        };
        let mut out = Vec::new();
        stage.seal(frames, &mut out).expect("numbers are left");
        if self.fault == Fault::Spoils
            && let Some(last) = out.last_mut()
        {
            *last ^= 1;
        }
        out
    }

    pub(crate) fn send(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8], out: &mut Vec<u8>) {
        let mut next = self.last.next().expect("few frames");
        if self.fault == Fault::SkipsASequence && self.ready {
            next = next.next().expect("few frames");
        }
        self.last = next;
        frame::encode(
            &Frame {
                kind,
                channel,
                sequence: next,
                payload,
            },
            out,
        );
    }

    fn frame(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        self.seen
            .push((frame.kind, frame.sequence.get(), frame.payload.to_vec()));
        match frame.kind {
            FrameType::Hello => self.hello(frame, out),
            FrameType::Auth => self.proof(frame, out),
            FrameType::Ack => {}
            kind => {
                assert!(self.ready, "{kind} before the final ACK");
                let mut ack = Vec::new();
                Ack::write_plain(frame.sequence, &mut ack);
                self.send(FrameType::Ack, frame.channel, &ack, out);
                if kind.is_opaque() {
                    self.send(kind, frame.channel, frame.payload, out);
                }
            }
        }
    }

    fn hello(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        assert_eq!(
            (frame.channel, frame.sequence),
            (ChannelId::ZERO, Sequence::new(1)),
            "HELLO comes first"
        );
        let hello: Hello = control::parse(frame.payload, &mut Vec::new()).expect("HELLO is valid");
        if self.fault == Fault::RefusesHello {
            let problem =
                br#"{"type":"about:blank","title":"Handshake Failed","status":403,"detail":"invalid static key"}"#;
            return self.send(FrameType::Error, ChannelId::ZERO, problem, out);
        }
        let pattern = Pattern::from_name(hello.pattern.as_str()).expect("a pattern");
        let session = SessionToken::from_random(&[7; 32]);
        let mut secret = Vec::new();
        let mut inner = AuthSecret {
            session: session.clone(),
            user: self.user.clone(),
        };
        match self.fault {
            Fault::OtherSession => inner.session = SessionToken::from_random(&[8; 32]),
            Fault::OtherUser => inner.user.id = UserId::parse("user-2").expect("valid"),
            _ => {}
        }
        control::write(&inner, &mut secret);
        let mut message = Vec::new();
        let noise = Responder::read_hello(
            pattern,
            &self.key,
            DEFAULT_PROLOGUE,
            &hello.handshake.0,
            &mut self.entropy,
        )
        .expect("message 1");
        self.waiting = Some(noise.write_auth(&secret, &mut message).expect("message 2"));
        let mut auth = Auth {
            session,
            handshake: HexBytes(message),
            server_static: HexKey(*self.key.public().as_bytes()),
            protocol_version: 1,
            supported_versions: vec![1],
            user: self.user.clone(),
            pairing_required: false,
            accepted_capabilities: hello.capabilities,
        };
        self.seals = auth
            .accepted_capabilities
            .iter()
            .any(|name| name.as_str() == "noise-transport");
        match self.fault {
            Fault::OtherServerStatic => auth.server_static.0[3] ^= 1,
            Fault::UnofferedVersion => auth.protocol_version = 2,
            Fault::UnofferedCapability => {
                auth.accepted_capabilities
                    .push(control::Text::new("time-travel").expect("short"));
            }
            Fault::Forges => auth.handshake.0[40] ^= 1,
            _ => {}
        }
        let mut payload = Vec::new();
        control::write(&auth, &mut payload);
        self.send(FrameType::Auth, ChannelId::ZERO, &payload, out);
    }

    fn proof(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let proof: AuthProof = control::parse(frame.payload, &mut Vec::new()).expect("AUTH is valid");
        let waiting = self.waiting.take().expect("HELLO came");
        let established = waiting.finish(&proof.handshake.0).expect("the client proves its key");
        if self.fault == Fault::GivesUp {
            let problem =
                br#"{"type":"about:blank","title":"Handshake Failed","status":403,"detail":"the handshake took too long"}"#;
            return self.send(FrameType::Error, ChannelId::ZERO, problem, out);
        }
        self.sealed = self.seals.then(|| NoiseStage::new(established.transport));
        let mut payload = Vec::new();
        control::write(&Ready::new(self.user.clone()), &mut payload);
        if self.fault == Fault::NotOk {
            payload = String::from_utf8(payload)
                .expect("JSON")
                .replace("\"ok\"", "\"no\"")
                .into_bytes();
        }
        self.send(FrameType::Ack, ChannelId::ZERO, &payload, out);
        self.ready = true;
    }
}

/// A client's configuration for `relay`.
pub(crate) fn config(relay: &Relay, seed: u64) -> Config {
    let key = StaticKey::generate(&mut Seeded::new(seed));
    let mut config = Config::new(DeviceId::parse("alice").expect("valid"), key, relay.public());
    config.authority = "relay.example:8443".to_owned();
    config.secure = false;
    config
}

/// The relay's side of HTTP/1.1: just enough to carry a tunnel.
#[derive(Default)]
pub(crate) struct ChunkedServer {
    inbound: Vec<u8>,
    open: bool,
    pub(crate) ended: bool,
}

impl ChunkedServer {
    /// Takes wire bytes; gives the body bytes among them, and the wire bytes to answer at once.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.inbound.extend_from_slice(bytes);
        let (mut body, mut answer) = (Vec::new(), Vec::new());
        if !self.open {
            let Some(end) = self.inbound.windows(4).position(|four| four == b"\r\n\r\n") else {
                return (body, answer);
            };
            assert!(self.inbound.starts_with(b"POST /connect HTTP/1.1\r\n"));
            self.inbound.drain(..end + 4);
            self.open = true;
            answer.extend_from_slice(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            );
        }
        while let Some(line) = self.inbound.windows(2).position(|two| two == b"\r\n") {
            let digits = std::str::from_utf8(&self.inbound[..line]).expect("ASCII");
            let size = usize::from_str_radix(digits, 16).expect("hexadecimal");
            if self.inbound.len() < line + 2 + size + 2 {
                break;
            }
            assert_eq!(&self.inbound[line + 2 + size..line + 4 + size], b"\r\n");
            body.extend_from_slice(&self.inbound[line + 2..line + 2 + size]);
            self.inbound.drain(..line + 4 + size);
            self.ended |= size == 0;
        }
        (body, answer)
    }

    /// A chunk of the response.
    pub(crate) fn chunk(body: &[u8]) -> Vec<u8> {
        if body.is_empty() {
            return Vec::new();
        }
        [format!("{:X}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat()
    }
}
