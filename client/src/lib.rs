//! A CCP-1 client, written from the specification and from nothing that the relay does.
//!
//! ```text
//!            pure: no socket, clock or randomness                        drivers
//!  Config ─► Connection  session, frames, HTTP or WebSocket       blocking::Client  TcpStream and poll(2)
//!            Link        the same behind TLS 1.3                  loadgen           io_uring, many connections
//! ```
//!
//! The simulator drives [`Connection`] over plain HTTP/1.1; whoever has a socket drives [`Link`].

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

pub mod blocking;
pub mod call;
pub mod config;
pub mod connection;
pub mod endpoint;
pub mod entropy;
pub mod error;
pub mod event;
pub mod http;
mod http1;
mod http2;
pub mod keys;
pub mod limits;
pub mod link;
pub mod session;
pub mod tls;
mod websocket;

pub use call::Signal;
pub use commucat_crypto::{Entropy, Pattern, PublicKey, StaticKey};
pub use config::{Acks, Config};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use entropy::OsEntropy;
pub use error::ClientError;
pub use event::{Event, Incoming};
pub use http::HttpVersion;
pub use link::Link;
pub use session::Session;
