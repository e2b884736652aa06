//! The io_uring driver of one core: bytes, descriptors and tokens, no frames.
//!
//! A [`Ring`] belongs to the thread that made it. One turn of its owner's loop is
//!
//! ```text
//! ring.wait(timeout)?      // the turn's only io_uring_enter: submits what is queued, sleeps if nothing is ready
//! ring.reap(&mut |event| …)  // Accepted, Received, Eof, Sent, Closed, Rung
//! ring.send(id, bytes); ring.pause(id); ring.close(id, …); ring.ring_bell(&other);   // queued for the next wait
//! ```
//!
//! What the driver promises its owner:
//!
//! - **Nothing is copied.** Received bytes are lent from the kernel's buffer for the time of one callback; sent bytes
//!   are taken by value and come home in [`Event::Sent`].
//! - **A buffer is the kernel's until its last completion.** No path frees or reuses memory that an operation in flight
//!   can still touch, dropping the ring included.
//! - **Exactly one [`Event::Closed`]** for each [`Event::Accepted`], and nothing for that id after it.
//! - **Ids carry generations.** A call with the id of an earlier tenant of the slot is counted and does nothing.
//! - **Nobody starves.** Connections that found the buffer pool empty get their turn first in, first out.
//!
//! Reading order: [`probe`] what the kernel must have, `ring` the turn, `op` the tokens, `queue` submission and
//! completion, `slots` the connections, `bufs` the receive pool, then one file per thing that can be asked of the kernel:
//! `accept`, `recv`, `send`, `close`, `doorbell`, and `drain`, how it ends.
//!
//! This is the only package of the workspace that holds `unsafe`.

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]
#![cfg(target_os = "linux")]

mod accept;
mod bufs;
mod close;
mod config;
mod counters;
mod doorbell;
mod drain;
mod error;
mod event;
pub mod limits;
mod op;
pub mod probe;
mod queue;
mod recv;
mod ring;
mod send;
mod setup;
mod slots;

pub use accept::listener;
pub use config::RingConfig;
pub use counters::RingCounters;
pub use doorbell::{RingHandle, Waker};
pub use drain::Undrained;
pub use error::{ListenError, SetupError};
pub use event::{Ending, Event};
pub use ring::Ring;
pub use slots::SocketId;
