//! A CCP-1 client, written from the specification and from nothing that the relay does.
//!
//! ```text
//!            pure: no socket, clock or randomness                        drivers
//!  Config ─► Connection  session, frames, HTTP/1.1 or HTTP/2      blocking::Client  TcpStream and poll(2)
//!            Link        the same behind TLS 1.3                  loadgen           io_uring, many connections
//! ```
//!
//! The simulator drives [`Connection`] over plain HTTP/1.1; whoever has a socket drives [`Link`].

pub mod blocking;
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

pub use commucat_crypto::{Entropy, Pattern, PublicKey, StaticKey};
pub use config::Config;
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use entropy::OsEntropy;
pub use error::ClientError;
pub use event::{Event, Incoming};
pub use http::HttpVersion;
pub use link::Link;
pub use session::Session;
