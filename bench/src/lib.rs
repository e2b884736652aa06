//! What the relay costs: instructions, allocations, bytes and system calls, measured so that two runs can be compared.
//!
//! - `cargo bench --bench instructions`: the pure shard under callgrind, compared with `baseline.toml`.
//! - `tests/allocations.rs`: the same way of a frame under a counting allocator.
//! - `memory`, `syscalls`, `pairs`: the real relay on loopback, with `loadgen` at the other end.
//!
//! `RESULTS.md` has what was found and the commands that find it again. Nothing here runs in the relay.

pub mod baseline;
pub mod callgrind;
pub mod pair;
pub mod regions;
pub mod relay;
pub mod store;
