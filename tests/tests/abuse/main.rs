//! Bad input of every layer against the real server, while well-behaved pairs keep talking through it: the relay stays up,
//! its memory stays bounded, and the pairs notice nothing (decisions § 1, § 2).

mod control;
mod http1;
mod http2;
mod senders;
mod silence;
mod tls;
mod websocket;
