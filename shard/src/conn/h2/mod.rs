//! HTTP/2, server side, as a value (RFC 9113): bytes in, events out one at a time; frames appended to a buffer.
//!
//! [`H2::next`] is pulled by the connection layer, which keeps what it has not consumed. DATA is never buffered: a frame
//! that arrives in pieces yields a piece at a time, borrowed from the input. A header block is collected until it is whole,
//! up to [`limits::H2_BLOCK`](crate::conn::limits::H2_BLOCK), and freed. An idle connection holds its open streams (48 octets each) and what the peer's
//! encoder put into the HPACK table; nothing else.
//!
//! Flow: replies that the protocol owes (SETTINGS, acknowledgements, WINDOW_UPDATE, RST_STREAM, GOAWAY) collect in
//! `pending` and go out with the next flush. Windows are credit (decisions § 1): what `next` delivered is given back only
//! by [`H2::credit`], when the caller has routed it. Sending respects the peer's windows: [`H2::data`] takes what fits,
//! and [`H2Event::Writable`] says when more fits. Data that does not fit stays with the caller: a peer that never opens
//! its window costs nothing here.
//!
//! Abuse: each kind has a named limit in [`limits`](crate::conn::limits), and ends in `ENHANCE_YOUR_CALM`. Time only comes in through
//! [`H2::tick`].
//!
//! Invariant: a stream is in `streams` exactly while one of its directions is open; frames for streams that are gone are
//! read over, and their octets are credited to the connection at once, so that no window leaks.

mod block;
mod budget;
mod control;
mod data;
mod error;
mod frame;
mod head;
mod receive;
mod send;
mod streams;

use http::request::Parts;

use self::budget::Budget;
pub use self::error::{Code, H2Error};
use self::frame::Header;
pub use self::head::Protocol;
use self::streams::Streams;
use super::hpack::Decoder;
pub use super::limits::H2Limits;

/// What a client with prior knowledge sends first (RFC 9113 § 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes on a plain connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniff {
    /// Too few to say.
    NeedMore,
    /// Anything but the preface; HTTP/1.1 will judge it.
    H1,
    /// The whole preface. It is still to be fed to `H2`.
    H2,
}

/// Tells HTTP/2 with prior knowledge from HTTP/1.1. `bytes` are all that have arrived so far.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Sniff {
    if bytes.starts_with(PREFACE) {
        Sniff::H2
    } else if PREFACE.starts_with(bytes) {
        Sniff::NeedMore
    } else {
        Sniff::H1
    }
}

/// What the bytes said.
#[derive(Debug)]
pub enum H2Event<'a> {
    /// A request head. The target is in origin form (or `*`), and `host` is its one authority. `Expect` is not judged.
    Request {
        /// Its stream.
        stream: u32,
        /// The head.
        head: Box<Parts>,
        /// No body follows.
        end: bool,
    },
    /// A piece of a body. Credit it when it is dealt with.
    Data {
        /// Its stream.
        stream: u32,
        /// As it came; empty when only `end` is news.
        bytes: &'a [u8],
        /// The body is complete.
        end: bool,
    },
    /// The stream is gone, by the peer's wish or for its error. Nothing can be sent on it.
    Reset {
        /// Which.
        stream: u32,
        /// The peer's code, or ours.
        code: u32,
    },
    /// A window opened.
    Writable {
        /// Which stream; 0 for all of them.
        stream: u32,
    },
    /// The answer to `ping`.
    Pong([u8; 8]),
    /// The peer will open no more streams. Those that are open go on.
    GoAway,
}

/// Where in the byte stream we are.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// In the preface; counts its octets.
    Preface(u8),
    FrameHeader,
    /// At the pad length of a DATA frame.
    PadLength,
    /// In the payload of DATA; that many octets of padding come after it.
    Data(u8),
    /// In a fragment of a header block.
    Block,
    /// In a payload of fixed length, collected in `scratch`.
    Fixed(u8),
    /// In the entries of SETTINGS; whether one of them opened windows.
    Settings(bool),
    /// In a payload that is read over.
    Skip,
    Failed,
}

/// A header block of which more is to come.
#[derive(Clone, Copy, Debug)]
struct Assembly {
    stream: u32,
    /// The END_STREAM of its HEADERS frame.
    end: bool,
    continuations: u8,
}

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct H2 {
    stage: Stage,
    frame: Header,
    scratch: [u8; frame::HEADER],
    scratched: u8,
    assembly: Option<Assembly>,
    /// Fragments of the header block in `assembly`, and before them nothing.
    block: Vec<u8>,
    /// Where in `block` the payload of the current frame began.
    block_frame: usize,
    decoder: Decoder,
    streams: Streams,
    /// The highest stream the peer has opened.
    last_stream: u32,
    /// What we may still send on the connection.
    send: i32,
    /// What a new stream may send: the peer's setting.
    initial_send: i32,
    /// What the peer may still send on the connection.
    receive: u32,
    /// Credited on the connection and not yet announced.
    owed: u32,
    pending: Vec<u8>,
    resets: Budget,
    control: Budget,
    /// The latest second that `tick` told.
    second: u32,
    /// The peer's SETTINGS, which must come first, have come.
    greeted: bool,
    /// GOAWAY is sent: new streams are refused.
    leaving: bool,
    /// The header table size update that begins our first block is sent.
    table_closed: bool,
    limits: H2Limits,
}
