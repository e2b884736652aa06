//! The simulator: the relay's real shards and real clients, and around them a world that is a value.
//!
//! Invariant: everything that happens follows from one 64-bit seed. No clock, no thread, no hash order; the same seed gives
//! the same trace hash. A reader starts at `world`, which owns the order of events; `check` holds what must be true.
//!
//! Called by the binaries `sim` and `mutations`, and by this package's tests.

mod agenda;
mod check;
mod dice;
mod fact;
mod ground;
mod ids;
mod many;
mod mesh;
pub mod mutation;
mod people;
mod ring;
mod sabotage;
mod store;
mod tally;
mod tap;
mod trace;
mod weather;
mod world;

use std::fmt;

pub use check::Violation;
pub use many::many;
pub use sabotage::Sabotage;
pub use tally::Tally;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where every choice comes from.
    pub seed: u64,
    /// Events of the phase in which things fail; healing comes on top.
    pub steps: u64,
    /// Shards; drawn from the seed when not given.
    pub shards: Option<u16>,
    /// Print every fact.
    pub verbose: bool,
    /// Break a part on purpose.
    pub sabotage: Option<Sabotage>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How many shards there were.
    pub shards: u16,
    /// Events, healing included.
    pub steps: u64,
    /// The hash of all that happened.
    pub trace: [u8; 16],
    /// What it came across.
    pub tally: Tally,
    /// The first broken promise.
    pub failure: Option<Failure>,
}

/// A broken promise, and what came before.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was broken.
    pub violation: Violation,
    /// The last facts.
    pub last: Vec<String>,
}

impl Report {
    /// The trace hash in hex.
    #[must_use]
    pub fn trace_hex(&self) -> String {
        self.trace.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = self.trace_hex();
        write!(
            f,
            "seed {} shards {} steps {} trace {trace}",
            self.seed, self.shards, self.steps
        )
    }
}

/// Runs one seed.
#[must_use]
pub fn run(options: &Options) -> Report {
    world::World::new(options).run()
}
