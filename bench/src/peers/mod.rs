//! The relay beside what its users would pick instead: nats-server, redis-server and mosquitto, as Debian packages them.
//!
//! ```text
//! bin/peers ─► server   the program under load, alone on its core
//!           ─► load     one loop over all connections, the same for every server
//!                └► wire      socket, TLS, coalesced writes
//!                     └► speaker   the protocol: ccp, nats, redis, mqtt, bare
//! ```
//!
//! Invariant: only the speaker differs between two servers. Payloads, windows, batching of reads and writes, the TLS library and
//! its cipher, the core of the load and what is counted are the same.

mod bare;
mod ccp;
pub mod load;
mod mqtt;
mod nats;
mod redis;
pub mod server;
mod speaker;
mod wire;

pub use speaker::SpeakerError;

use commucat_client::HttpVersion;

use crate::bare::Runtime;

/// A server and how it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Which server, and its options.
    pub peer: Peer,
    /// Over TLS 1.3.
    pub tls: bool,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Ours.
    CommuCat {
        /// What carries the tunnel.
        http: HttpVersion,
        /// One ACK for a run of frames; otherwise one for each.
        ack_range: bool,
    },
    /// nats-server, core NATS.
    Nats,
    /// redis-server, publish and subscribe over RESP3.
    Redis,
    /// mosquitto, MQTT 3.1.1 with quality of service 0.
    Mosquitto,
    /// The least that can be called a relay, without CCP-1: what a runtime costs.
    Bare(Runtime),
}

impl Variant {
    /// For a table.
    #[must_use]
    pub fn name(self) -> String {
        let tls = if self.tls { "TLS" } else { "plain" };
        match self.peer {
            Peer::CommuCat { http, ack_range } => {
                let http = match http {
                    HttpVersion::Http1 => "HTTP/1.1",
                    HttpVersion::Http2 => "HTTP/2",
                    HttpVersion::WebSocket1 => "WebSocket",
                    HttpVersion::WebSocket2 => "WebSocket over HTTP/2",
                };
                let acks = if ack_range { "ack-range" } else { "an ACK each" };
                format!("this relay, {http}, {acks}, {tls}")
            }
            Peer::Nats => format!("nats-server, {tls}"),
            Peer::Redis => format!("redis-server pub/sub, {tls}"),
            Peer::Mosquitto => format!("mosquitto QoS 0, {tls}"),
            Peer::Bare(runtime) => format!("bare relay on {}, {tls}", runtime.name()),
        }
    }
}
