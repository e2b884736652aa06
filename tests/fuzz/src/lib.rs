//! What must hold for every input, one function per target.
//!
//! A property takes any bytes and panics when it is broken. `targets/` hands it libFuzzer's inputs (`run` beside this
//! folder's manifest); `tests/replay.rs` gives it the committed corpus and mutations of it, on stable Rust, in CI. So a
//! finding is a file in `found/`, and stays a test.
//!
//! Invariant: a property is a function of its input alone: no clock, no chance, no state from one input to the next.

pub mod bed;
pub mod control;
pub mod dice;
pub mod frame;
pub mod handshake;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod input;
pub mod recovery;
pub mod shard;
pub mod websocket;

/// A property, and inputs to begin with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also the folder of its corpus and the binary in `targets/`.
    pub name: &'static str,
    /// The property; panics when it does not hold.
    pub check: fn(&[u8]),
    /// Inputs that mean something.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    target("frame", frame::check, frame::seeds),
    target("control", control::check, control::seeds),
    target("http1", http1::check, http1::seeds),
    target("http2", http2::check, http2::seeds),
    target("hpack", hpack::check, hpack::seeds),
    target("websocket", websocket::check, websocket::seeds),
    target("handshake", handshake::check, handshake::seeds),
    target("shard", shard::check, shard::seeds),
    target("recovery", recovery::check, recovery::seeds),
];

const fn target(name: &'static str, check: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, check, seeds }
}
