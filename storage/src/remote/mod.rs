//! What the two servers of the two-store set-up have in common: an address that keeps its password, TLS, and a
//! connection that comes back.

mod address;
mod link;
mod tls;

pub use address::Address;
pub(crate) use link::{Dial, Dialed, Link};
pub(crate) use tls::{client_config, read_authorities};
