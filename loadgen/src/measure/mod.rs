//! What is counted, and nothing that touches a socket: the books of senders and of recipients, latencies, their course
//! over time.

pub(crate) mod message;
pub(crate) mod received;
pub(crate) mod sent;
pub(crate) mod tally;
pub(crate) mod timeline;
