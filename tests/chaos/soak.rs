//! A long load on one relay: its memory and its descriptors stay where they are.

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
};

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
    for third in samples.chunks(samples.len().div_ceil(12)) {
        let mut anon: Vec<_> = third.iter().map(|held| held.anonymous / MIB).collect();
        let mut pss: Vec<_> = third.iter().map(|held| held.pss / MIB).collect();
        let mut fds: Vec<_> = third.iter().map(|held| held.descriptors).collect();
        anon.sort();
        pss.sort();
        fds.sort();
        println!(
            "anon {:?} {:?} {:?} pss {:?} {:?} {:?} fds {:?} {:?} {:?}",
            anon[0],
            anon[anon.len() / 2],
            anon.last(),
            pss[0],
            pss[pss.len() / 2],
            pss.last(),
            fds[0],
            fds[fds.len() / 2],
            fds.last()
        );
    }
    let tally = crowd.settle(&stage);
    println!("soak of {seconds} s: {tally}");
    stage.end();
}
