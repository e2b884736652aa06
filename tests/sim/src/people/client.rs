//! The real client, as a person uses it.

use commucat_client::{Acks, Config, Connection, Event, HttpVersion, Pattern, PublicKey, StaticKey};
use commucat_crypto::{DEFAULT_PROLOGUE, Initiator, InitiatorHello};
use commucat_proto::{ChannelId, Frame, FrameType, Sequence};

use crate::dice::Dice;
use crate::ids::{DOMAIN, DeviceNo};

/// What a person learns from its client.
#[derive(Debug)]
pub(super) enum News {
    /// The session is there.
    Ready,
    /// Our frame has been acknowledged, for everybody or not.
    Ack { number: u32, whole: bool },
    /// Somebody's frame, or PRESENCE.
    Frame {
        kind: FrameType,
        channel: u32,
        number: u32,
        payload: Vec<u8>,
    },
    /// An ERROR, an HTTP refusal, or the client's own judgement of what it read.
    Refused(String),
    /// The relay ended the tunnel.
    Ended,
}

/// What may happen to somebody who does nothing wrong.
///
/// A second connection takes over; a handshake, a head or a frame was too slow on a slow network; the store was not there
/// when the device wanted in; the relay
/// is about to end.
pub(super) fn excusable(problem: &str) -> bool {
    const EXCUSABLE: [&str; 6] = [
        "Session Replaced (409)",
        "Handshake Failed (403): the handshake took too long",
        "Frame Timeout (408)",
        "Service Unavailable (503)",
        "HTTP 408",
        "client: the server closed the HTTP/2 connection (GOAWAY, code 0)",
    ];
    EXCUSABLE.iter().any(|excuse| problem.starts_with(excuse))
}

/// Every way to a relay.
pub(super) const WAYS: [HttpVersion; 4] = [
    HttpVersion::Http1,
    HttpVersion::Http2,
    HttpVersion::WebSocket1,
    HttpVersion::WebSocket2,
];
/// Extensions of the protocol; each person offers some of them.
const EXTENSIONS: [&str; 3] = ["ack-range", "delivery-ack", "noise-transport"];

/// See the module.
pub(crate) struct Client(Connection);

/// What a client's handshake is made of, so that a tap can make it as well.
#[derive(Clone)]
pub(crate) struct Secrets {
    pattern: Pattern,
    key: StaticKey,
    server: PublicKey,
    entropy: Dice,
}

impl Secrets {
    /// The handshake's beginning, once more.
    pub(crate) fn hello(&self) -> Option<InitiatorHello> {
        let mut entropy = self.entropy.clone();
        let started = Initiator::start(self.pattern, &self.key, self.server, DEFAULT_PROLOGUE, &mut entropy);
        started.ok().map(|(hello, _)| hello)
    }
}

impl Client {
    pub(super) fn new(
        device: DeviceNo,
        key: &StaticKey,
        server: PublicKey,
        http: HttpVersion,
        by_hand: bool,
        mut entropy: Dice,
    ) -> Result<(Self, Secrets), String> {
        let mut config = Config::new(device.id(), key.clone(), server);
        config.pattern = if entropy.below(2) == 0 {
            Pattern::Xk
        } else {
            Pattern::Ik
        };
        config.http = http;
        config.authority = DOMAIN.to_owned();
        config.secure = false;
        config.eager = entropy.below(2) == 0;
        config.capabilities = EXTENSIONS
            .iter()
            .filter(|_| entropy.below(2) == 0)
            .map(|name| (*name).to_owned())
            .collect();
        config.acks = if by_hand { Acks::ByHand } else { Acks::Taken };
        let secrets = Secrets {
            pattern: config.pattern,
            key: key.clone(),
            server,
            entropy: entropy.clone(),
        };
        let connection = Connection::new(config, &mut entropy).map_err(|error| error.to_string())?;
        Ok((Self(connection), secrets))
    }

    /// Whether the relay accepted an extension.
    pub(super) fn has(&self, capability: &str) -> bool {
        self.0.session().is_some_and(|session| session.has(capability))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    pub(super) fn last_sent(&self) -> u32 {
        self.0.last_sent().get()
    }

    /// Acknowledges what came on `channel` under these numbers; its own number, when it would send that.
    pub(super) fn confirm(&mut self, channel: u32, from: u32, to: u32) -> Option<u32> {
        self.0
            .acknowledge_range(ChannelId::new(channel), Sequence::new(from), Sequence::new(to))
            .ok()
            .map(Sequence::get)
    }

    /// Takes bytes from the wire; what they meant.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<News> {
        self.0.receive(bytes);
        let mut news = Vec::new();
        loop {
            match self.0.next_event() {
                Ok(Some(event)) => tell(&event, &mut news),
                Ok(None) => return news,
                Err(error) => {
                    news.push(News::Refused(format!("client: {error}")));
                    return news;
                }
            }
        }
    }

    pub(super) fn transmit(&mut self, out: &mut Vec<u8>) {
        self.0.transmit(out);
    }

    /// Its sequence, when the client would send it.
    pub(super) fn say(&mut self, kind: FrameType, channel: u32, payload: &[u8]) -> Option<u32> {
        self.0
            .send(kind, ChannelId::new(channel), payload)
            .ok()
            .map(Sequence::get)
    }

    pub(super) fn say_again(&mut self, kind: FrameType, channel: u32, sequence: u32, payload: &[u8]) -> bool {
        let frame = Frame {
            kind,
            channel: ChannelId::new(channel),
            sequence: Sequence::new(sequence),
            payload,
        };
        self.0.resend(&frame).is_ok()
    }

    /// Names are written as given: plain, with this server's domain, or with another's.
    pub(super) fn join(&mut self, channel: u32, names: &[String]) -> Option<u32> {
        let payload = serde_json::json!({ "members": names, "relay": true }).to_string();
        self.say(FrameType::Join, channel, payload.as_bytes())
    }

    pub(super) fn join_group(&mut self, channel: u32, group: &str) -> Option<u32> {
        let payload = serde_json::json!({ "group_id": group, "relay": true }).to_string();
        self.say(FrameType::Join, channel, payload.as_bytes())
    }

    pub(super) fn create_group(&mut self, channel: u32, payload: &str) -> Option<u32> {
        self.say(FrameType::GroupCreate, channel, payload.as_bytes())
    }

    pub(super) fn invite(&mut self, channel: u32, payload: &str) -> Option<u32> {
        self.say(FrameType::GroupInvite, channel, payload.as_bytes())
    }

    pub(super) fn leave(&mut self, channel: u32) -> Option<u32> {
        self.say(FrameType::Leave, channel, b"{}")
    }

    /// Puts bytes into the tunnel as they are.
    pub(super) fn inject(&mut self, bytes: &[u8]) {
        self.0.inject(bytes);
    }

    /// The same beside its Noise messages.
    pub(super) fn inject_unsealed(&mut self, bytes: &[u8]) {
        self.0.inject_unsealed(bytes);
    }

    pub(super) fn finish(&mut self) {
        self.0.close();
    }
}

fn tell(event: &Event<'_>, news: &mut Vec<News>) {
    match event {
        Event::Ready(_) => news.push(News::Ready),
        Event::Frame(frame) => news.push(News::Frame {
            kind: frame.kind,
            channel: frame.channel.get(),
            number: frame.sequence.get(),
            payload: frame.payload.to_vec(),
        }),
        Event::Acknowledged { from, to, body, .. } => {
            let whole = body.as_ref().is_none_or(|ack| ack.rejected.is_empty());
            news.extend((from.get()..=to.get()).map(|number| News::Ack { number, whole }));
        }
        Event::Problem(problem) => {
            news.push(News::Refused(format!(
                "{} ({}): {}",
                problem.title, problem.status, problem.detail
            )));
        }
        Event::Refused { status, body } => {
            news.push(News::Refused(format!(
                "HTTP {status} {}",
                String::from_utf8_lossy(body)
            )));
        }
        Event::Ended { .. } => news.push(News::Ended),
    }
}
