//! The CCP-1 wire, on one page.
//!
//! A tunnel is one HTTP request to `/connect` whose two bodies flow at once (or a WebSocket). Each body is a sequence
//! of frames, cut into chunks, DATA or messages wherever the transport likes.
//!
//! ```text
//! frame        = frame_len | type | channel_id | sequence | payload_len | payload
//!                varint      u8     varint       varint     varint        payload_len bytes
//!
//! frame_len    counts what follows it, at most 16 MiB, and must come out even: too few bytes for the fields is
//!              Truncated Frame, bytes left over are Frame Length Mismatch
//! varint       little-endian base 128, high bit: more follows; at most 10 bytes and 64 bits; need not be minimal
//! channel_id   32 bits, chosen by the client; 0 is the connection itself
//! sequence     32 bits; client to server strictly rising, gaps allowed; server to client 1, 2, 3 … per connection
//! payload      JSON (J), at most 256 KiB, or opaque bytes (o) that the relay never reads
//!
//! 0x01 HELLO        J c→s  pattern, device_id, client_static, handshake, supported_versions, user, capabilities
//! 0x02 AUTH         J s→c  session, handshake, server_static, protocol_version, supported_versions, user,
//!                          pairing_required, accepted_capabilities
//!                     c→s  handshake
//! 0x03 JOIN         J c→s  members | group_id, relay: to whom the sender's frames on this channel go
//! 0x04 LEAVE        J c→s  {}
//! 0x05 MSG          o      kept for absent recipients
//! 0x06 ACK          J s→c  ack: queued or stored for every recipient but those in rejected
//!                     c→s  ack: received (delivery-ack)
//! 0x07 TYPING       o      never kept
//! 0x08 PRESENCE     J s→c  entity, state, and channel, user, or peer and candidate
//!                     c→s  state
//! 0x09 KEY_UPDATE   o      kept
//! 0x0a GROUP_CREATE J c→s  group_id, members, roles, relay
//! 0x0b GROUP_INVITE J c→s  group_id, device, role
//! 0x0c GROUP_EVENT  o      kept
//! 0x0d ERROR        J s→c  type, title, status, detail; the last frame of the stream
//! 0x0e CALL_OFFER   J      call_id, from, to, media, transport, expires_at; relayed as it came, as are the next two
//! 0x0f CALL_ANSWER  J      call_id, accept, media, reason; kept, as is the offer, until the offer expires
//! 0x10 CALL_END     J      call_id, reason; likewise
//! 0x11 VOICE_FRAME  o      never kept, dropped oldest first
//! 0x12 VIDEO_FRAME  o      likewise
//! 0x13 CALL_STATS   J      call_id, direction, audio, video; relayed, never kept
//!
//! client                                   server
//!   HELLO  (Noise message 1)        ──►
//!                                   ◄──      AUTH  (Noise message 2, session and user encrypted in it)
//!   AUTH   (XK: message 3;          ──►
//!           IK: first transport message)
//!                                   ◄──      ACK   {"handshake":"ok","pairing_required":false,"user":{…}}
//!                                   ◄──      what waited in the inbox, in order, then live frames
//!   JOIN   channel 7                ──►
//!                                   ◄──      ACK   channel 7 {"ack":N}
//!   MSG    channel 7                ──►      routed to the roster of channel 7
//!                                   ◄──      ACK   channel 7 {"ack":N}
//!   anything wrong                  ──►
//!                                   ◄──      ERROR channel 0, and the stream ends
//! ```
//!
//! [`frame::parse`] is the way in and [`frame::write_header`] the way out; both leave payloads where they are. A
//! [`Diagnostic`] is what the bytes were refused for, and [`Title`] the words of the ERROR frame. [`control`] holds the
//! JSON. Invariants of the whole crate: no input panics, no limit waits for the bytes it limits, and nothing here knows
//! a socket, a clock or a generator.

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![deny(clippy::indexing_slicing)]

pub mod control;
pub mod diagnostic;
pub mod frame;
pub mod ids;
pub mod kind;
pub mod limits;
pub mod stage;
pub mod titles;
pub mod varint;

pub use diagnostic::Diagnostic;
pub use frame::{Frame, Parsed};
pub use ids::{CallId, ChannelId, DeviceId, GroupId, Handle, IdError, Sequence, SessionToken, UserId};
pub use kind::FrameType;
pub use limits::FrameLimits;
pub use stage::Stage;
pub use titles::Title;
