//! The client against fakes of the other side, in memory and on loopback.

mod blocking;
mod http2;
mod link;
mod relay;
mod session;
mod tls;
