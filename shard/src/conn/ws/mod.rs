//! WebSocket, server side, as a value (RFC 6455): octets in, the bytes of binary messages out, and the other way round.
//!
//! It lies between a carrier and a byte stream and knows neither: the carrier is an upgraded HTTP/1.1 connection or an
//! HTTP/2 stream opened by extended CONNECT (RFC 8441), the byte stream is whatever the caller reads and writes. Where a
//! message begins and ends means nothing (decisions § 1), so nothing is collected: [`Ws::receive`] unmasks what is there,
//! and a message of 2^63-1 octets costs as little as an empty one. What this holds is one header and one control frame
//! (125 octets) in each direction.
//!
//! - Handshake: [`upgrade()`] and [`extended`] judge a request head, [`Upgrade`] is what to answer. No extension is ever
//!   agreed on. The subprotocol [`SUBPROTOCOL`] is chosen when the client offers it, and need not be offered.
//! - Control frames: each turn answers the latest Ping alone (§ 5.5.3), so a flood of them is answered by one Pong. A Pong
//!   is read over. A Close ends the client's direction like END_STREAM: what is still owed follows, then our Close, which
//!   says the client's code again. That one Close is also how the server ends a session, with the reason in its code.
//! - Whoever breaks the protocol hears a Close with the code of [`WsError`], and is not listened to any more.
//!
//! `Origin` is not looked at. A browser sends no credentials of its own to `/connect`: a session comes from a Noise
//! handshake with a key that only its owner's script has, so a page of another site gains nothing that it could not do
//! from anywhere.
//!
//! Invariant: how the octets were cut does not show in what comes out; and after a Close, in either direction, no octet
//! of that direction means anything (§ 5.5.1).

mod code;
mod frame;
mod receive;
mod send;
mod upgrade;

pub use self::code::{CloseCode, WsError};
use self::frame::{HEADER, Header};
pub use self::send::Message;
pub use self::upgrade::{Refused, SUBPROTOCOL, Upgrade, asks_upgrade, extended, upgrade};

/// What the client's Close said: its code, when it gave one.
type Farewell = Option<CloseCode>;

/// Where in the client's octets we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Payload,
    /// The client has sent its Close, or was told by ours why it is not heard any more.
    Deaf,
}

/// One WebSocket, from the end of its handshake.
#[derive(Debug)]
pub struct Ws {
    stage: Stage,
    /// The beginning of a header that came in pieces.
    start: [u8; HEADER],
    started: u8,
    /// The frame whose payload is being read; `left` counts down, `key` turns so that its first octet is the next to use.
    frame: Header,
    /// A message of several frames is open.
    fragmented: bool,
    /// The payload of a control frame that is being collected.
    control: Vec<u8>,
    /// The payload of the latest Ping that is not answered.
    ping: Option<Vec<u8>>,
    /// The client's Close.
    farewell: Option<Farewell>,
    error: Option<WsError>,
    /// A control frame on its way out.
    pending: Vec<u8>,
    /// Our Close is in `pending` or sent.
    closing: bool,
}

impl Default for Ws {
    fn default() -> Self {
        Self::new()
    }
}

impl Ws {
    /// A WebSocket just after its handshake.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stage: Stage::Header,
            start: [0; HEADER],
            started: 0,
            frame: Header::default(),
            fragmented: false,
            control: Vec::new(),
            ping: None,
            farewell: None,
            error: None,
            pending: Vec::new(),
            closing: false,
        }
    }

    /// The client sends no more, and said so.
    #[must_use]
    pub fn is_closed_by_peer(&self) -> bool {
        self.farewell.is_some()
    }

    /// Octets held inside of what the peer sent or is owed: at most one header and three control frames.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let ping = self.ping.as_ref().map_or(0, Vec::len);
        usize::from(self.started) + self.control.len() + ping + self.pending.len()
    }
}
