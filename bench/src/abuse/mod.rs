//! Attackers against a running relay, each at a stated rate, and a well-behaved crowd that is measured meanwhile.
//!
//! The crowd is `loadgen` in an open loop, so a relay that stalls pays for all that was due. An attacker is another process
//! on the load's core behind it (SCHED_IDLE): it runs only while the crowd has nothing to do there, so what the crowd
//! notices is the relay's doing, and what is left of the core's own noise stands beside it as the crowd's lateness. It comes
//! from an address of its own, as what an address may ask is a limit of its own.

mod http;
mod link;
mod sessions;
mod table;
mod transport;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use link::Target;
pub use table::{ATTACKS, Attack};

/// One blow, again and again; says what the relay did.
pub(crate) trait Striker {
    /// Strikes once.
    fn strike(&mut self) -> io::Result<&'static str>;
}

/// What became of an attack.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How long it went on.
    pub seconds: f64,
    /// What the attacker got, and how often.
    pub got: BTreeMap<String, u64>,
}

impl Tally {
    /// Blows a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.got.values().sum::<u64>() as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Adds another round's.
    pub fn add(&mut self, other: Self) {
        self.seconds += other.seconds;
        for (what, times) in other.got {
            *self.got.entry(what).or_default() += times;
        }
    }

    /// What was got most often, and the rest behind it.
    #[must_use]
    pub fn words(&self) -> String {
        let mut got: Vec<_> = self.got.iter().collect();
        got.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        let whole = got.iter().map(|(_, times)| **times).sum::<u64>().max(1);
        let shares = got.iter().map(|(what, times)| match **times * 100 / whole {
            100 => (*what).clone(),
            share => format!("{what} ({share} %)"),
        });
        shares.collect::<Vec<_>>().join(", ")
    }
}

/// A pause after a blow that met an error, so that a relay that is gone is not asked for a million times.
const PAUSE: Duration = Duration::from_millis(5);

/// Strikes at the attack's rate until standard input ends. `begun` is called after the first blow.
///
/// # Errors
/// When not even the first connection comes to be.
pub fn attack(attack: &Attack, target: &Target, begun: impl FnOnce()) -> io::Result<Tally> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Relaxed);
    });
    let mut striker = (attack.begin)(target)?;
    let mut tally = Tally::default();
    striker.strike()?;
    begun();
    let (start, apart) = (Instant::now(), Duration::from_secs_f64(1.0 / attack.rate));
    let mut due = start;
    while !stop.load(Ordering::Relaxed) {
        let what = striker.strike().unwrap_or_else(|error| {
            std::thread::sleep(PAUSE);
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time",
                _ => "a closed connection",
            }
        });
        *tally.got.entry(what.to_owned()).or_default() += 1;
        // What could not be done in time is not made up for: the rate is the most there is.
        due = (due + apart).max(Instant::now().checked_sub(apart).unwrap_or(start));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    tally.seconds = start.elapsed().as_secs_f64();
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::{ATTACKS, Tally};

    #[test]
    fn a_tally_names_what_was_got_most_first() {
        let mut tally = Tally {
            seconds: 2.0,
            got: [("429".to_owned(), 90), ("403".to_owned(), 10)].into(),
        };
        assert_eq!(tally.words(), "429 (90 %), 403 (10 %)");
        assert!((tally.rate() - 50.0).abs() < 1e-9);
        tally.add(Tally {
            seconds: 2.0,
            got: [("429".to_owned(), 300)].into(),
        });
        assert!((tally.rate() - 100.0).abs() < 1e-9);
        assert_eq!(tally.words(), "429 (97 %), 403 (2 %)");
    }

    #[test]
    fn attacks_have_names_of_their_own_and_a_rate() {
        let mut names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert!(ATTACKS.iter().all(|attack| attack.rate > 0.0));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ATTACKS.len());
    }
}
