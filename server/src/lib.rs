//! The CommuCat relay: configuration, boot, the core loop, REST.
//!
//! `ARCHITECTURE.md` beside this package draws the whole; [`run`] is the process's life in one function, [`core_loop`]
//! is where its time goes. What a frame means is none of this package's business: that is `commucat-shard`.

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

pub mod boot;
pub mod cli;
pub mod config;
pub mod core_loop;
pub mod rest;
pub mod run;
pub mod telemetry;
