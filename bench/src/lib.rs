//! What the relay costs: instructions, allocations, bytes and system calls, measured so that two runs can be compared.
//!
//! - `cargo bench --bench instructions`: the pure shard under callgrind, compared with `baseline.toml`.
//! - `cargo bench --bench codec`, `route`, `mesh`, `seal`, `handshake`: times of parts, by criterion.
//! - `tests/allocations.rs`: the same way of a frame under a counting allocator.
//! - `memory`, `syscalls`, `pairs`: the real relay on loopback, with `loadgen` at the other end.
//! - `cargo bench --bench relay_latency`: the real relay at shares of its capacity, and beside a bare ring.
//! - `peers`: the relay beside nats-server, redis-server and mosquitto, one load program for all.
//! - `abuse`: what a well-behaved crowd notices while the relay is attacked.
//! - `runtimes`: the least that can be called a relay on our ring, monoio, glommio and tokio, under the same program.
//!
//! `RESULTS.md` has what was found and the commands that find it again. Nothing here runs in the relay.

pub mod abuse;
pub mod bare;
pub mod baseline;
pub mod callgrind;
pub mod compare;
pub mod cpu;
pub mod crowd;
pub mod latency;
pub mod pair;
pub mod peers;
pub mod regions;
pub mod relay;
pub mod secure;
pub mod store;
