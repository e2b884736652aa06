//! One tunnel from the client's side: a value that is fed bytes and asked for events (CCP-1, Transport to Sequence
//! Numbers).
//!
//! ```text
//!  receive(bytes) ─► http ─► inbound buffer ─► frames ─► handshake │ next_event() ─► Ready, Frame, Acknowledged, …
//!  transmit(out)  ◄─ http ◄─ outbox         ◄─ frames ◄─ handshake │ join(), create_group(), send(), close()
//! ```
//!
//! With `noise-transport` a layer lies between the body and the frames (`sealed`); with `delivery-ack` the connection says by
//! itself what the application has taken (`taken`).
//!
//! A payload is copied once on its way in (wire to inbound buffer, from which events borrow) and twice on its way out
//! (into the outbox, then framed by HTTP). No frame costs an allocation.
//!
//! Invariants: `read <= inbound.len()`; our sequences rise by one per frame; the server's are checked to do the same; after
//! an error or `Ended` nothing more is reported.

mod handshake;
mod receive;
mod sealed;
mod taken;

use std::fmt;
use std::ops::Range;

use commucat_crypto::{Entropy, InitiatorHello, PublicKey};
use commucat_proto::control::{self, Ack, GroupCreate, GroupInvite, Join, Leave, Problem, Text};
use commucat_proto::frame::{self, MAX_HEADER};
use commucat_proto::{ChannelId, Frame, FrameLimits, FrameType, GroupId, Sequence};

use self::sealed::Sealed;
use self::taken::Taken;
use crate::config::{Acks, Config};
use crate::error::ClientError;
use crate::event::Event;
use crate::http::{Http, HttpError, HttpVersion, Outbox, Request};
use crate::session::Session;

/// A tunnel, from its first byte to its last.
pub struct Connection {
    http: Http,
    version: HttpVersion,
    outbox: Outbox,
    inbound: Vec<u8>,
    read: usize,
    http_failure: Option<HttpError>,
    scratch: Vec<u8>,
    limits: FrameLimits,
    last_sent: Sequence,
    last_received: Sequence,
    stage: Stage,
    session: Option<Box<Session>>,
    acks: Acks,
    sealed: Option<Box<Sealed>>,
    taken: Option<Box<Taken>>,
}

/// How far the session has come.
enum Stage {
    /// The request is on its way; HELLO waits for its `200`.
    Opening { hello: Vec<u8>, greeted: Greeted },
    /// HELLO is on its way.
    Greeted(Greeted),
    /// Our proof is on its way.
    Proven,
    /// Frames flow.
    Ready,
    /// An ERROR frame came: what follows is ignored up to the end.
    Condemned,
    /// The end was reported.
    Over,
}

/// What AUTH is checked against.
struct Greeted {
    noise: InitiatorHello,
    server: PublicKey,
    versions: Vec<u16>,
    offered: Vec<Text>,
}

/// An event before it borrows from the buffer.
enum Found {
    Ready,
    Frame {
        kind: FrameType,
        channel: ChannelId,
        sequence: Sequence,
        payload: Range<usize>,
    },
    Acknowledged {
        channel: ChannelId,
        from: Sequence,
        to: Sequence,
        body: Option<Box<Ack>>,
    },
    Problem(Box<Problem>),
    Refused {
        status: u16,
    },
    Ended {
        clean: bool,
    },
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("http", &self.version)
            .field("ready", &self.is_ready())
            .field("last_sent", &self.last_sent)
            .field("last_received", &self.last_received)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Prepares a tunnel; its first bytes come with [`Connection::transmit`]. `entropy` is used here and nowhere else.
    ///
    /// # Errors
    /// When `config.server` is no usable key.
    pub fn new(config: Config, entropy: &mut dyn Entropy) -> Result<Self, ClientError> {
        let request = Request {
            authority: &config.authority,
            secure: config.secure,
            traceparent: config.traceparent.as_deref(),
        };
        let (version, eager, acks) = (config.http, config.eager, config.acks);
        let (hello, greeted) = handshake::hello(&config, entropy)?;
        let http = Http::open(version, &request, entropy);
        let mut connection = Self {
            http,
            version,
            outbox: Outbox::default(),
            inbound: Vec::new(),
            read: 0,
            http_failure: None,
            scratch: Vec::new(),
            limits: FrameLimits::default(),
            last_sent: Sequence::ZERO,
            last_received: Sequence::ZERO,
            stage: Stage::Opening { hello, greeted },
            session: None,
            acks,
            sealed: None,
            taken: None,
        };
        if eager {
            connection.greet()?;
        }
        Ok(connection)
    }

    /// Takes bytes from the wire. Take every event before the next call, so that the buffer stays small.
    pub fn receive(&mut self, bytes: &[u8]) {
        if self.http_failure.is_some() || matches!(self.stage, Stage::Over) {
            return;
        }
        if self.read > 0 {
            self.inbound.drain(..self.read);
            self.read = 0;
        }
        match &mut self.sealed {
            None => self.http_failure = self.http.receive(bytes, &mut self.inbound).err(),
            Some(sealed) => {
                self.http_failure = self.http.receive(bytes, &mut sealed.arrived).err();
                sealed.open(&mut self.inbound);
            }
        }
    }

    /// The connection under the tunnel ended.
    pub fn disconnected(&mut self) {
        self.http.disconnected();
    }

    /// The next thing that happened, if anything did.
    ///
    /// # Errors
    /// When the server broke the protocol. The session is over then, and this is the last thing reported.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, ClientError> {
        let found = self.take_reported().and_then(|()| self.find());
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.tell_taken()?;
                return Ok(None);
            }
            Err(error) => {
                self.stage = Stage::Over;
                self.http.finish();
                return Err(error);
            }
        };
        Ok(match found {
            Found::Ready => self.session.as_deref().map(Event::Ready),
            Found::Frame {
                kind,
                channel,
                sequence,
                payload,
            } => {
                if let Some(taken) = &mut self.taken {
                    taken.report(kind, channel, sequence);
                }
                Some(Event::Frame(Frame {
                    kind,
                    channel,
                    sequence,
                    payload: &self.inbound[payload],
                }))
            }
            Found::Acknowledged {
                channel,
                from,
                to,
                body,
            } => Some(Event::Acknowledged {
                channel,
                from,
                to,
                body,
            }),
            Found::Problem(problem) => Some(Event::Problem(problem)),
            Found::Refused { status } => Some(Event::Refused {
                status,
                body: &self.inbound[self.read..],
            }),
            Found::Ended { clean } => Some(Event::Ended { clean }),
        })
    }

    /// Appends what may be sent now to `out`. Call it after anything else was called.
    pub fn transmit(&mut self, out: &mut Vec<u8>) {
        if let Some(sealed) = &mut self.sealed {
            sealed.seal(self.outbox.buffer());
        }
        self.http.transmit(&mut self.outbox, out);
    }

    /// Bytes of frames that wait: for [`Connection::transmit`], or for the server's HTTP/2 window.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.outbox.pending().len() + self.sealed.as_ref().map_or(0, |sealed| sealed.frames.len())
    }

    /// Whether frames may be sent.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// What the handshake established.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// What carries the tunnel.
    #[must_use]
    pub const fn http(&self) -> HttpVersion {
        self.version
    }

    /// The sequence of our last frame.
    #[must_use]
    pub const fn last_sent(&self) -> Sequence {
        self.last_sent
    }

    /// Declares to whom our frames on `channel` go.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn join(&mut self, channel: ChannelId, join: &Join) -> Result<Sequence, ClientError> {
        self.control(FrameType::Join, channel, join)
    }

    /// Makes a group of which we are the owner, and goes to it with our frames on `channel`. Its name is in the
    /// acknowledgement.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn create_group(&mut self, channel: ChannelId, create: &GroupCreate) -> Result<Sequence, ClientError> {
        self.control(FrameType::GroupCreate, channel, create)
    }

    /// Goes to a group, of which we are a member, with our frames on `channel`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn join_group(&mut self, channel: ChannelId, group: GroupId, relay: bool) -> Result<Sequence, ClientError> {
        let join = Join {
            group_id: Some(group),
            relay,
            members: Vec::new(),
        };
        self.join(channel, &join)
    }

    /// Makes somebody a member of a group, of which we are the owner or an admin. The acknowledgement's body rejects the
    /// device when it could not be kept.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn invite(&mut self, channel: ChannelId, invite: &GroupInvite) -> Result<Sequence, ClientError> {
        self.control(FrameType::GroupInvite, channel, invite)
    }

    /// Drops our route on `channel`.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn leave(&mut self, channel: ChannelId) -> Result<Sequence, ClientError> {
        self.control(FrameType::Leave, channel, &Leave {})
    }

    /// Sends a control frame whose payload is `value` as JSON.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn control<T: serde::Serialize>(
        &mut self,
        kind: FrameType,
        channel: ChannelId,
        value: &T,
    ) -> Result<Sequence, ClientError> {
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        control::write(value, &mut payload);
        let sent = self.send(kind, channel, &payload);
        self.scratch = payload;
        sent
    }

    /// Sends a frame with this payload, opaque or JSON by its kind, under the next sequence.
    ///
    /// # Errors
    /// [`ClientError::NotReady`] outside an established session, [`ClientError::TooLarge`], or
    /// [`ClientError::SequenceExhausted`] once 2^32-1 frames were sent.
    #[inline]
    pub fn send(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8]) -> Result<Sequence, ClientError> {
        if !self.is_ready() {
            return Err(ClientError::NotReady);
        }
        self.enqueue(kind, channel, payload)
    }

    /// Sends a frame again under the sequence it had, which the relay acknowledges and does not route again
    /// (decisions § 3).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn resend(&mut self, frame: &Frame<'_>) -> Result<(), ClientError> {
        if !self.is_ready() || frame.sequence > self.last_sent {
            return Err(ClientError::NotReady);
        }
        frame::encode(frame, self.frames());
        Ok(())
    }

    /// Puts raw bytes between our frames, whatever they are: for tests of what a relay does with them.
    pub fn inject(&mut self, bytes: &[u8]) {
        self.frames().extend_from_slice(bytes);
    }

    /// Puts raw bytes between our Noise messages, unsealed: for the same tests.
    pub fn inject_unsealed(&mut self, bytes: &[u8]) {
        if let Some(sealed) = &mut self.sealed {
            sealed.seal(self.outbox.buffer());
        }
        self.outbox.buffer().extend_from_slice(bytes);
    }

    /// Where frames are encoded into.
    fn frames(&mut self) -> &mut Vec<u8> {
        match &mut self.sealed {
            Some(sealed) => &mut sealed.frames,
            None => self.outbox.buffer(),
        }
    }

    /// Ends our side once everything queued has left; the relay flushes what it owes and ends its own.
    pub fn close(&mut self) {
        // Out of numbers, the relay keeps the last frames and gives them again.
        let _ = self.take_reported().and_then(|()| self.tell_taken());
        self.http.finish();
    }

    /// Gives spare buffer memory back; for connections that are about to be idle.
    pub fn shrink(&mut self) {
        if self.read > 0 {
            self.inbound.drain(..self.read);
            self.read = 0;
        }
        self.inbound.shrink_to_fit();
        self.scratch = Vec::new();
        if let Some(sealed) = &mut self.sealed {
            sealed.shrink();
        }
        self.outbox.buffer().shrink_to_fit();
    }

    fn enqueue(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8]) -> Result<Sequence, ClientError> {
        let sequence = self.last_sent.next().ok_or(ClientError::SequenceExhausted)?;
        let mut limit = self.limits.frame_len - MAX_HEADER;
        if kind.is_control() {
            limit = limit.min(self.limits.control_payload);
        }
        if payload.len() > limit {
            return Err(ClientError::TooLarge {
                kind,
                length: payload.len(),
                limit,
            });
        }
        let mut header = [0; MAX_HEADER];
        let length = frame::write_header(kind, channel, sequence, payload.len(), &mut header);
        let buffer = self.frames();
        buffer.extend_from_slice(&header[..length]);
        buffer.extend_from_slice(payload);
        self.last_sent = sequence;
        Ok(sequence)
    }
}
