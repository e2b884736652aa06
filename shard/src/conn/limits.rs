//! The limits of the byte layers: what one connection may make this process hold or do before it is authenticated.

/// Plain octets in one TLS record (RFC 8446 § 5.1); also what `seal` puts into one.
pub const TLS_RECORD: usize = 16 * 1024;
/// A record that straddles reads, or a handshake message in several records. A ClientHello with post-quantum shares is
/// below 4 KiB; two full records leave room for whatever honest clients add.
pub const TLS_REASSEMBLY: usize = 2 * (TLS_RECORD + 256 + 5);

/// A request head, in octets on the HTTP/1.1 wire and in HPACK's measure of the field list; above it is `431`
/// (decisions § 1).
pub const HEAD: usize = 16 * 1024;
/// Fields in one head. Browsers send about 20; parsing costs time per field.
pub const HEAD_FIELDS: usize = 100;
/// Blank lines before a request line. RFC 9112 § 2.2 asks for one; old clients send it after a body.
pub const H1_BLANK_LINES: u8 = 4;
/// Hex digits of a chunk size: what a `u64` holds.
pub const H1_CHUNK_DIGITS: u8 = 16;
/// Chunk extensions of one chunk. Nobody uses them; they exist to hide requests in.
pub const H1_CHUNK_EXTENSION: u16 = 256;
/// Data of one chunk that we send: what six digits can say.
pub const H1_CHUNK: usize = (1 << 24) - 1;
/// All trailer fields of one body. They are checked and dropped.
pub const H1_TRAILERS: u16 = 4 * 1024;

/// The peer's HPACK table: the protocol's default, so that no setting has to be waited for. Honest clients fill about
/// 500 octets of it.
pub const HPACK_TABLE: usize = 4096;

/// The largest frame we take and send: the protocol's smallest maximum, so no setting has to be remembered.
pub const H2_FRAME: usize = 16 * 1024;
/// The encoded octets of one header block, which are collected until it is whole. Twice [`HEAD`], so that a head
/// that is somewhat too large still gets its `431` instead of ending the connection for all its streams.
pub const H2_BLOCK: usize = 2 * HEAD;
/// What one block may decode to before the connection ends: a bound on work, not on what is kept.
pub const H2_BLOCK_DECODED: usize = 4 * HEAD;
/// CONTINUATION frames of one block: a full block needs two.
pub const H2_CONTINUATIONS: u8 = 16;
/// Room for control replies that a connection keeps: a WINDOW_UPDATE of 13 octets for its stream, and one for itself.
pub const H2_PENDING_KEPT: usize = 64;
/// A WINDOW_UPDATE below this counts as chatter: it opens less than it costs to answer.
pub const H2_SMALL_UPDATE: u32 = 1024;

const _: () = assert!(H2_BLOCK > HEAD, "a head just above the limit must still be decoded");
const _: () = assert!(H2_BLOCK_DECODED > HEAD, "else 431 would never be answered");
const _: () = assert!(TLS_RECORD >= H2_FRAME, "a full DATA frame should need one record only");

/// The payload of a WebSocket control frame, by the protocol (RFC 6455 § 5.5); also what a header of two octets can say.
pub const WS_CONTROL: usize = 125;
/// The payload of a WebSocket message that we send: what a header of four octets can say.
pub const WS_MESSAGE: usize = 0xffff;

/// How often a peer may do what costs us more than it costs the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// Given back each second, as `H2::tick` counts them.
    pub per_second: u32,
}

/// What an operator may tune about HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct H2Limits {
    /// Concurrent streams on one connection; more are refused (decisions § 1).
    pub streams: u32,
    /// Credit of a stream: what a sender may have in flight before its frames are routed. At least 65,535.
    pub stream_window: u32,
    /// Credit of a connection: what all its streams together may have in flight. At least 65,535.
    pub connection_window: u32,
    /// Control replies that a peer lets pile up by not reading. Above it the connection ends.
    pub pending: usize,
    /// Streams that come to nothing: cancelled by the peer, refused, malformed. Each makes us work for one frame
    /// (CVE-2023-44487 and its kin).
    pub resets: Allowance,
    /// Frames that carry nothing: PING, SETTINGS, PRIORITY, empty DATA, unknown types, tiny WINDOW_UPDATEs.
    pub control: Allowance,
    /// RFC 8441: announce and accept extended CONNECT.
    pub extended_connect: bool,
}

impl Default for H2Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            pending: 16 * 1024,
            resets: Allowance {
                burst: 200,
                per_second: 20,
            },
            control: Allowance {
                burst: 1000,
                per_second: 100,
            },
            extended_connect: false,
        }
    }
}
