//! Every bound of the client in one place, each with its reason.

use std::time::Duration;

/// A response head may not be larger: the relay sends a few hundred bytes, a proxy perhaps a few thousand.
pub const RESPONSE_HEAD: usize = 16 * 1024;

/// Header fields of one response; a fixed array on the stack holds them.
pub const RESPONSE_FIELDS: usize = 64;

/// The body of a refusal (RFC 9457 problem or a proxy's page) is kept for the error message up to here, the rest dropped.
pub const REFUSAL_BODY: usize = 16 * 1024;

/// A chunk-size line with its extensions; the relay sends at most eight digits.
pub const CHUNK_LINE: usize = 256;

/// Our HTTP/2 receive window, for the stream and for the connection: enough that a loopback or metropolitan round trip
/// never stalls, and equal to the relay's own default send queue per recipient.
pub const HTTP2_WINDOW: u32 = 1024 * 1024;

/// The largest HTTP/2 frame we accept: the protocol's default, announced by saying nothing (RFC 9113 §6.5.2).
pub const HTTP2_FRAME: usize = 16 * 1024;

/// The largest DATA frame we send even when the server allows more, so that one frame is one TLS record.
pub const HTTP2_DATA: usize = 16 * 1024;

/// The longest WebSocket message that we send over HTTP/2: with its header it is one DATA frame.
pub const WEBSOCKET_MESSAGE: usize = HTTP2_DATA - 8;

/// Bodies of `GET` answers (`/api/server-info` is about one kilobyte).
pub const FETCH_BODY: usize = 1024 * 1024;

/// What one read from a socket asks for: four full TLS records.
pub const READ: usize = 64 * 1024;

/// How long a silent connection waits before TCP asks whether the other side is still there, and then between asking.
pub const KEEPALIVE: Duration = Duration::from_secs(15);

const _: () = assert!(
    HTTP2_WINDOW <= i32::MAX as u32,
    "RFC 9113 §6.9.1: a window never exceeds 2^31-1"
);
const _: () = assert!(
    RESPONSE_HEAD >= HTTP2_FRAME,
    "one whole HEADERS frame must fit the head limit"
);
