//! Trouble of every kind around a real relay under load, and a ledger of every acknowledged frame held against what arrived:
//! nothing is lost, and what comes twice comes on a later connection, after a kill, a cut or a store that had failed
//! (decisions § 3, § 6, § 8).
//!
//! ```text
//!  chance       every random choice, from a seed that is printed
//!  crowd        the load: pairs, a group, senders to who is away, who stays, who comes and goes
//!  kills        kill -9 at random moments, and SIGTERM
//!  disk         the disk is full, by the reserve and to the last byte
//!  servers      PostgreSQL and Redis stopped, paused, started again
//!  readers      recipients that read slowly, or not at all
//!  descriptors  RLIMIT_NOFILE is reached by connections, and by the store
//!  memory       a control group's limit is reached: by the page cache, and by the relay itself
//!  soak         nothing grows
//!  confined     tmpfs, descriptors and control groups: what a relay is confined by
//! ```
//!
//! Short unless told otherwise. `tests/run --full` sets the first two; each test prints one line of figures
//! (`--no-capture`):
//!
//! | variable | unset | is |
//! |---|---|---|
//! | `RELAY_CHAOS_KILLS` | 16 | kills of the embedded store's relay; PostgreSQL's gets a quarter of them |
//! | `RELAY_CHAOS_SOAK_SECONDS` | 20 | how long the soak lasts |
//! | `RELAY_CHAOS_SEED` | random | where random choices come from; threads still take turns as they like |
//!
//! ```text
//! RELAY_CHAOS_KILLS=200 tests/services run cargo nextest run -p commucat-tests --test chaos --no-capture kills
//! ```
//!
//! `disk` needs a mount namespace (root, or user namespaces); `memory` needs root and a control group with a memory
//! controller, of either version.

mod chance;
mod confined;
mod crowd;
mod descriptors;
mod disk;
mod kills;
mod memory;
mod readers;
mod servers;
mod soak;

/// A number that the caller of the tests may set.
fn setting(name: &str, unset: u64) -> u64 {
    std::env::var(name).map_or(unset, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}
