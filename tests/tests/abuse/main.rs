//! Bad input of every layer against the real server, while well-behaved pairs keep talking through it: the relay stays up,
//! its memory stays bounded, and the pairs notice nothing (decisions § 1, § 2).
//!
//! What the pairs measure meanwhile is `bench/src/bin/abuse.rs`. Which attack meets which limit (a configuration key, or a
//! constant of `shard/src/conn/limits.rs`):
//!
//! | attack | limit | what the attacker gets | tested in |
//! |---|---|---|---|
//! | connections that never speak | `limits.connections`, `limits.head_timeout` | waits in the backlog; closed without a word | `silence`, `floods` |
//! | TLS handshakes | `limits.connections`, `limits.head_timeout` | each one handshake | `floods`; broken ones `tls` |
//! | HELLOs that are never proven | `limits.hello_timeout` | one AUTH, then Handshake Failed | `floods`; wrong ones `handshake/` |
//! | recorded message 1 of IK | `limits.hello_timeout` | one AUTH, and no session | `floods`, `handshake/keys` |
//! | slow heads | `limits.head_timeout` | closed | `senders` |
//! | slow frames | `limits.frame_timeout` | Frame Timeout | `senders` |
//! | chunks, DATA frames, messages of one octet | `limits.frame_timeout` alone: they are a stream | served | `senders`, `websocket` |
//! | endless chunk extensions, trailers | `H1_CHUNK_EXTENSION`, `H1_TRAILERS` | the end | `http1` |
//! | requests that could be read in two ways | RFC 9112 | 400 and the end | `http1` |
//! | shut and tiny windows | `limits.answer_bytes`, `H2Limits::control` | its own answers wait; ENHANCE_YOUR_CALM | `http2` |
//! | rapid resets | `H2Limits::resets` | ENHANCE_YOUR_CALM | `http2` |
//! | floods of PING, SETTINGS, CONTINUATION … | `H2Limits::control`, `H2_CONTINUATIONS` | ENHANCE_YOUR_CALM | `http2` |
//! | too many streams | `limits.streams` | REFUSED_STREAM | `http2` |
//! | HPACK bombs | `H2_BLOCK_DECODED` | ENHANCE_YOUR_CALM | `http2` |
//! | huge rosters | `limits.roster`, `limits.session_members`, `limits.channels` | Roster Too Large, Too Many Channels | `rosters`, `relay/channels`; open channels and groups in their own |
//! | large frames | `limits.frame_len`, `limits.unparsed_bytes` | Frame Too Large | `control`, `senders` |
//! | deep, broken, oversized control JSON, invalid UTF-8 | `limits.control_payload` | Invalid Control Payload, Control Payload Too Large | `control` |
//! | the same over REST | `limits.rest_body` | 400, 413, 422 | `rest`, `account/pairing` |
//! | pairing codes that are guessed | `rest.wrong_codes`; five wrong secrets a code | 403, 429 | `rest`, `account/pairing`, `account/limits` |
//! | events of a federation | `rest.address_rate`, `limits.rest_body` | 404, 429 | `rest` |
//! | REST calls | `rest.address_rate`, `rest.session_rate`, `limits.rest_calls` | 429, 503 | `account/limits` |
//! | TLS 1.2 and older, fallback | TLS 1.3 alone | an alert | `tls`, `interop/openssl` |
//! | renegotiation | TLS 1.3 has none | unexpected_message | `renegotiation` |
//! | wrong, endless, fragmented WebSocket frames, pings | RFC 6455, `limits.control_bytes` | a Close with its code | `websocket` |

mod control;
mod floods;
mod http1;
mod http2;
mod renegotiation;
mod rest;
mod rosters;
mod senders;
mod silence;
mod tls;
mod websocket;
