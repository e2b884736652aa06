//! What the relay keeps: people with their devices, groups, who is there, and the inboxes of devices that are away.
//!
//! ```text
//!  shard thread                 pool                                store
//!  Port::submit ─► submissions ─► many ports' requests, one batch ─► Store::execute ─► one write, one fsync
//!  Port::try_next ◄─ completions ◄─ answers, one wake per port and batch ◄─────────────┘
//! ```
//!
//! [`api`] is all that a shard knows. [`Store`] is what a store has to be; [`embedded`] is the one that needs no
//! set-up. [`port`] and [`pool`] carry requests between the two without either waiting for the other. Invariant of the
//! whole: an answer is given only when its effect survives a power cut, unless its request says that nobody waits for that.

pub mod api;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod limits;
#[cfg(feature = "pool")]
pub mod pool;
#[cfg(feature = "pool")]
pub mod port;
mod store;
#[cfg(feature = "suite")]
pub mod suite;

pub use store::Store;
