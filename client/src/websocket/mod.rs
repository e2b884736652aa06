//! WebSocket from the client's side, over either version of HTTP (RFC 6455, RFC 8441): what leaves is framed and masked,
//! what comes is taken out of its frames, and the carrier beneath is [`Http1`] after its upgrade or [`Http2`] by extended
//! CONNECT.
//!
//! Nothing is sent before the relay has agreed (§ 4.1), whatever [`crate::Config::eager`] says. Masks come from a
//! stream of the session's own, seeded once (§ 10.3 wants them unpredictable for whoever chooses the payload).
//!
//! Invariant: `framed` holds whole frames in the order in which they leave; a message is framed only when `framed` is
//! empty, so that what a window holds back stays visible in the session's outbox.

mod frame;
mod handshake;

use std::fmt;

use commucat_crypto::Entropy;

use crate::http::{HttpError, Outbox, Progress, Request};
use crate::http1::Http1;
use crate::http2::Http2;
use crate::limits::WEBSOCKET_MESSAGE;

use frame::{BINARY, CLOSE, PONG, Reader, write};
pub(crate) use handshake::{SUBPROTOCOL, VERSION};

/// What a Close of ours says: done (§ 7.4.1).
const NORMAL: [u8; 2] = 1000_u16.to_be_bytes();

#[derive(Debug)]
enum Carrier {
    One(Box<Http1>),
    Two(Box<Http2>),
}

/// The client's half of one WebSocket.
pub(crate) struct WebSocket {
    carrier: Carrier,
    reader: Reader,
    masks: blake3::OutputReader,
    framed: Outbox,
    /// What the carrier brought, while it is being read.
    brought: Vec<u8>,
    finishing: bool,
    closed: bool,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("carrier", &self.carrier)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl WebSocket {
    /// By upgrade of HTTP/1.1.
    pub(crate) fn upgrade(request: &Request<'_>, entropy: &mut dyn Entropy) -> Self {
        let mut nonce = [0; 16];
        entropy.fill(&mut nonce);
        let key = handshake::key(nonce);
        let http = Http1::upgrade(handshake::head(request, &key), handshake::accept(&key));
        Self::over(Carrier::One(Box::new(http)), entropy)
    }

    /// By extended CONNECT of HTTP/2.
    pub(crate) fn extended(request: &Request<'_>, entropy: &mut dyn Entropy) -> Self {
        Self::over(Carrier::Two(Box::new(Http2::extended(request))), entropy)
    }

    fn over(carrier: Carrier, entropy: &mut dyn Entropy) -> Self {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        Self {
            carrier,
            reader: Reader::default(),
            masks: blake3::Hasher::new_keyed(&seed).finalize_xof(),
            framed: Outbox::default(),
            brought: Vec::new(),
            finishing: false,
            closed: false,
        }
    }

    /// Takes bytes from the wire; appends the bytes of messages, or of a refusal, to `body`.
    pub(crate) fn receive(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<(), HttpError> {
        let mut brought = std::mem::take(&mut self.brought);
        let carried = match &mut self.carrier {
            Carrier::One(http) => http.receive(bytes, &mut brought),
            Carrier::Two(http) => http.receive(bytes, &mut brought),
        };
        let read = if self.is_open() {
            self.reader.read(&brought, body)
        } else {
            body.extend_from_slice(&brought);
            Ok(())
        };
        brought.clear();
        self.brought = brought;
        // What was read before the carrier broke may say why it did.
        read.and(carried)
    }

    pub(crate) fn progress(&self) -> Progress {
        let carrier = self.carried();
        if !self.is_open() {
            return carrier;
        }
        let closed = self.reader.is_closed();
        Progress {
            status: Some(200),
            ended: closed || carrier.ended,
            cut: carrier.ended && !closed,
        }
    }

    pub(crate) fn transmit(&mut self, outbox: &mut Outbox, out: &mut Vec<u8>) {
        self.pass_on(out);
        while self.is_open() && !self.closed && self.framed.pending().is_empty() {
            if let Some(ping) = self.reader.take_ping() {
                self.frame(PONG, &ping);
            } else if self.reader.is_closed() || (self.finishing && outbox.pending().is_empty()) {
                self.frame(CLOSE, &NORMAL);
                self.closed = true;
                match &mut self.carrier {
                    Carrier::One(_) => {}
                    Carrier::Two(http) => http.finish(),
                }
            } else {
                let longest = match self.carrier {
                    Carrier::One(_) => usize::MAX,
                    Carrier::Two(_) => WEBSOCKET_MESSAGE,
                };
                let count = outbox.pending().len().min(longest);
                if count == 0 {
                    break;
                }
                let mut key = [0; 4];
                self.masks.fill(&mut key);
                write(BINARY, &outbox.pending()[..count], key, self.framed.buffer());
                outbox.take(count);
            }
            self.pass_on(out);
        }
    }

    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    pub(crate) fn disconnected(&mut self) {
        match &mut self.carrier {
            Carrier::One(http) => http.disconnected(),
            Carrier::Two(http) => http.disconnected(),
        }
    }

    /// Gives what may leave to the carrier.
    fn pass_on(&mut self, out: &mut Vec<u8>) {
        match &mut self.carrier {
            Carrier::One(http) => http.transmit(&mut self.framed, out),
            Carrier::Two(http) => http.transmit(&mut self.framed, out),
        }
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        let mut key = [0; 4];
        self.masks.fill(&mut key);
        write(opcode, payload, key, self.framed.buffer());
    }

    fn carried(&self) -> Progress {
        match &self.carrier {
            Carrier::One(http) => http.progress(),
            Carrier::Two(http) => http.progress(),
        }
    }

    /// The relay has agreed.
    fn is_open(&self) -> bool {
        let agreed = match self.carrier {
            Carrier::One(_) => 101,
            Carrier::Two(_) => 200,
        };
        self.carried().status == Some(agreed)
    }
}
