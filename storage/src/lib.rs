//! What the relay keeps: people with their devices, groups, who is there, and the inboxes of devices that are away.
//!
//! ```text
//!  shard thread                 pool                                store
//!  Port::submit ─► submissions ─► many ports' requests, one batch ─► Store::execute ─► one write, one fsync
//!  Port::try_next ◄─ completions ◄─ answers, one wake per port and batch ◄─────────────┘
//! ```
//!
//! [`api`] is all that a shard knows. [`Store`] is what a store has to be; [`embedded`] is the one that needs no
//! set-up, `postgres` with `redis` the one whose servers are elsewhere. [`port`] and [`pool`] carry requests between the
//! two without either waiting for the other. Invariant of the whole: an answer is given only when its effect survives a
//! power cut, unless its request says that nobody waits for that.

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

pub mod api;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod limits;
#[cfg(feature = "pool")]
pub mod pool;
#[cfg(feature = "pool")]
pub mod port;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "remote")]
pub mod remote;
mod store;
#[cfg(feature = "suite")]
#[allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "it is a test")]
pub mod suite;

pub use store::Store;
