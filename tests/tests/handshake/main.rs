//! HELLO to the ready ACK over the real server (CCP-1, Handshake, Version Negotiation; decisions § 4).

mod audit;
mod keys;
mod order;
mod users;
mod versions;
mod zkp;
