//! What a relay is for: two clients talk through the real server, over real TLS, by either version of HTTP (CCP-1,
//! Routing Semantics, Sequence Numbers, Offline Delivery; decisions § 3, § 6, § 8).

mod channels;
mod offline;
mod sessions;
mod talk;
