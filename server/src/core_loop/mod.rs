//! The core loop: what one shard's thread does, turn after turn.
//!
//! ```text
//! reap      completions of the ring become inputs, bytes still in the kernel's buffer
//! mesh      batches of other shards
//! store     answers of the store
//! rest      answers of the router, and what it has decided about devices
//! timers    Expired, when the shard's deadline has passed
//! flush     the shard seals what it owes
//! carry     effects go to the ring, the lanes, the store's port and the router's desk; sleepers are rung
//! publish   its numbers, when somebody asks for them
//! wait      one io_uring_enter: submits all of it, and sleeps if there is nothing to do
//! ```
//!
//! Invariant: a thread sleeps only after it has said so and then found every queue empty (see
//! `commucat_shard::mesh::doorbell`); so whoever queues something for it either is seen or rings.

mod clock;
pub mod control;
pub mod cores;
mod turn;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use commucat_ring::{ListenError, Ring, RingConfig, RingCounters, RingHandle, SetupError, Waker};
use commucat_shard::Shard;
use commucat_shard::config::ShardConfig;
use commucat_shard::counters::Counters;
use commucat_shard::input::Listener;
use commucat_shard::mesh::lanes::Endpoint;
use commucat_storage::port::Port;

use crate::boot::entropy::SystemEntropy;
use crate::rest::commands::Orders;
use crate::rest::desk::Desk;
use crate::telemetry::snapshot::Publisher;
pub use clock::Clock;
use control::Control;
use turn::Turns;

/// Why a shard's thread ended.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// No ring.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The ring did not take a listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The ring broke.
    #[error("io_uring failed: {0}")]
    Ring(#[from] io::Error),
    /// The thread was gone before it said a word.
    #[error("its thread ended while it was starting")]
    Silent,
    /// Randomness.
    #[error("the system gives no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
}

/// What a thread is born with.
pub struct Seed {
    /// The shard.
    pub config: ShardConfig,
    /// The core to stay on.
    pub core: usize,
    /// The ring.
    pub ring: RingConfig,
    /// What it accepts from.
    pub listeners: Vec<(TcpListener, Listener)>,
    /// Its ends of the lanes.
    pub endpoint: Endpoint,
    /// Phase and quietness.
    pub control: Arc<Control>,
    /// Both clocks.
    pub clock: Clock,
}

/// What a thread tells when its ring stands: how to wake it.
#[derive(Debug)]
pub struct Ready {
    /// For the other rings.
    pub handle: RingHandle,
    /// For threads without one.
    pub waker: Waker,
}

/// What a thread is given when all rings stand.
pub struct Go {
    /// By shard, its own included.
    pub rings: Vec<RingHandle>,
    /// Its door to the store.
    pub port: Port,
    /// Its door to the router.
    pub desk: Desk,
    /// Where its numbers are asked for.
    pub publisher: Publisher,
    /// What the router has for it.
    pub orders: Orders,
}

/// What a thread has done.
#[derive(Clone, Debug)]
pub struct Report {
    /// Turns of the loop.
    pub turns: u64,
    /// The shard's numbers.
    pub shard: Counters,
    /// The ring's numbers.
    pub ring: RingCounters,
}

/// The whole life of a shard's thread. The ring belongs to the thread that makes it, so it is made here.
///
/// # Errors
/// When the ring cannot be made, or breaks.
pub fn run(
    seed: Seed,
    ready: &Sender<Result<Ready, CoreError>>,
    go: &Receiver<Go>,
) -> Result<Option<Report>, CoreError> {
    cores::pin(seed.core);
    let entropy = SystemEntropy::new()?;
    let (ring, shard) = match prepare(seed.ring, seed.listeners, seed.config, entropy) {
        Ok(made) => made,
        Err(error) => {
            // Whoever starts the threads waits for one word from each.
            let _ = ready.send(Err(error));
            return Ok(None);
        }
    };
    let _ = ready.send(Ok(Ready {
        handle: ring.handle(),
        waker: ring.waker(),
    }));
    // The start was given up when nobody says go.
    let Ok(go) = go.recv() else { return Ok(None) };
    Turns::new(ring, shard, seed.endpoint, go, seed.control, seed.clock)
        .run()
        .map(Some)
}

fn prepare(
    config: RingConfig,
    listeners: Vec<(TcpListener, Listener)>,
    shard: ShardConfig,
    entropy: SystemEntropy,
) -> Result<(Ring, Shard), CoreError> {
    let mut ring = Ring::new(config)?;
    for (listener, kind) in listeners {
        ring.listen(listener, turn::tag(kind))?;
    }
    Ok((ring, Shard::new(shard, Box::new(entropy))))
}
