//! A long load on one relay: its memory and its descriptors stay where they are.
//!
//! The store keeps what it is given in memory until that fills a table, so memory is a saw whose period depends on the load:
//! the load here is heavy enough for several periods in a third of a long run, and what is compared is the highest and the
//! lowest use of the last third with those of the middle one. In a short run the first tooth still grows, within the bound.

use std::fmt;
use std::time::{Duration, Instant};

use commucat_tests::memory::{Held, MIB};
use commucat_tests::stage::Stage;

use crate::chance::Chance;
use crate::crowd::{Crowd, Pace, Trouble};
use crate::setting;

/// Who takes turns changes roles so often.
const ROUND: Duration = Duration::from_secs(5);
const SAMPLE: Duration = Duration::from_millis(250);

const STEADY: Pace = Pace {
    window: 8,
    moment: Duration::from_millis(10),
    pause: Duration::from_millis(10),
    length: 4_000,
};

/// How much higher the last third may be: half a table, for when the saw is met is chance.
const MORE_BYTES: u64 = 32 * MIB;
/// Tables that are open during a compaction.
const MORE_DESCRIPTORS: usize = 16;

/// The lowest and the highest of some time.
struct Range {
    pss: (u64, u64),
    descriptors: (usize, usize),
}

impl Range {
    fn of(samples: &[Held]) -> Self {
        let pss = samples.iter().map(|held| held.pss);
        let descriptors = samples.iter().map(|held| held.descriptors);
        Self {
            pss: (pss.clone().min().unwrap(), pss.max().unwrap()),
            descriptors: (descriptors.clone().min().unwrap(), descriptors.max().unwrap()),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pss, descriptors } = self;
        let (low, high) = (pss.0 / MIB, pss.1 / MIB);
        write!(
            f,
            "{low} to {high} MiB, {} to {} descriptors",
            descriptors.0, descriptors.1
        )
    }
}

#[test]
fn a_long_load_leaves_memory_and_descriptors_where_they_are() {
    let seconds = setting("RELAY_CHAOS_SOAK_SECONDS", 20);
    let stage = Stage::measured("[store]\nblock_cache = \"4MiB\"\n");
    let mut chance = Chance::new("soak");
    let mut crowd = Crowd::gather(&stage, &mut chance, STEADY);
    let (started, whole) = (Instant::now(), Duration::from_secs(seconds));
    let mut samples = Vec::new();
    while started.elapsed() < whole {
        let until = (started.elapsed() + ROUND).min(whole);
        crowd.live(&stage, Trouble::NONE, |scene| {
            while started.elapsed() < until && !scene.is_broken() {
                samples.push(Held::by(&stage));
                std::thread::sleep(SAMPLE);
            }
        });
    }
    for part in samples.chunks(samples.len().div_ceil(12)) {
        println!("soak, a twelfth: {}", Range::of(part));
    }
    let third = samples.len() / 3;
    let (middle, last) = (Range::of(&samples[third..2 * third]), Range::of(&samples[2 * third..]));
    let tally = crowd.settle(&stage);
    println!("soak of {seconds} s: {tally}; the middle third {middle}, the last {last}");
    assert!(last.pss.1 <= middle.pss.1 + MORE_BYTES, "its peaks grow");
    assert!(last.pss.0 <= middle.pss.0 + MORE_BYTES, "its floor grows");
    assert!(last.descriptors.1 <= middle.descriptors.1 + MORE_DESCRIPTORS);
    stage.end();
}
