//! The relay is killed under load, again and again, and asked to end under load: what it has acknowledged is delivered
//! (decisions § 3, § 8).

use std::time::Duration;

use commucat_tests::people::devices;
use commucat_tests::relay::Relay;
use commucat_tests::stage::{Stage, Store};
use rustix::process::Signal;

use crate::chance::Chance;
use crate::crowd::{Crowd, Pace, Scene, Trouble};
use crate::setting;

/// A moment that is not the same twice: after so many acknowledgements, or so long after everybody has begun to come.
fn some_moment(chance: &mut Chance, scene: &Scene<'_>) {
    if chance.once_in(4) {
        std::thread::sleep(Duration::from_micros(chance.below(200_000)));
    } else {
        scene.goes_on(1 + chance.below(6_000) as usize);
        std::thread::sleep(Duration::from_micros(chance.below(3_000)));
    }
}

fn kill_again_and_again(name: &str, mut stage: Stage, kills: u64) {
    let mut chance = Chance::new(name);
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let mut starting = 0;
    for _ in 0..kills {
        let relay = stage.take();
        crowd.live(&relay, Trouble::KILL, |scene| {
            some_moment(&mut chance, scene);
            relay.signal(Signal::KILL);
        });
        let (status, _) = relay.wait();
        assert!(!status.success(), "{status}: killed");
        if chance.once_in(8) {
            starting += 1;
            stage.start_in_vain(Duration::from_micros(chance.below(60_000)));
        }
        stage.start();
    }
    let tally = crowd.settle(&stage);
    println!("{name}: {tally}, {kills} kills under load, {starting} more while starting");
    stage.end();
}

#[test]
fn kills_at_random_moments_under_mixed_load_lose_nothing_that_was_kept_and_keep_its_order() {
    kill_again_and_again("kills", Stage::new(""), setting("RELAY_CHAOS_KILLS", 16));
}

#[test]
fn with_postgresql_and_redis_kills_lose_nothing_either() {
    let kills = setting("RELAY_CHAOS_KILLS", 16).div_ceil(4);
    kill_again_and_again("kills on PostgreSQL", Stage::on(Store::Postgres, ""), kills);
}
