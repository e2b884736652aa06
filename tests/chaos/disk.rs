//! The disk is full: by the reserve that the operator has set, and to the last byte in the middle of a write. New frames for
//! who is away are refused in words, live traffic and what was kept go on, and all is well once there is room.

use commucat_tests::memory::MIB;
use commucat_tests::relay::{Home, Relay};
use commucat_tests::stage::Stage;
use rustix::process::Signal;

use crate::chance::Chance;
use crate::confined::SmallDisk;
use crate::crowd::{Crowd, Pace, Scene, Trouble};

/// Below the reserve as it is unless set, 256 MiB, and enough for what is delivered and deleted even then.
const LEFT: u64 = 200 * MIB;

/// A relay whose data lies on a disk of this size.
fn on_a_small_disk(size: u64, settings: &'static str) -> (SmallDisk, Stage) {
    let home = Home::new();
    let disk = SmallDisk::over(&home.data(), size);
    let home = home.launched_by(disk.launcher());
    (disk, Stage::in_home(home, settings))
}

/// Fills the disk, waits until that is said everywhere, and makes room again.
fn fill_and_make_room(scene: &Scene<'_>, relay: &Relay, disk: &SmallDisk, left: u64, why: &str) {
    scene.until_ready(200);
    scene.goes_on(200);
    disk.fill(left);
    scene.until_ready(503);
    // Pairs and those who stay talk on; senders to who is away are told.
    scene.goes_on(200);
    scene.refuses(50);
    scene.until("the log says why", || relay.log().contains(why));
    disk.make_room();
    scene.until_ready(200);
    scene.goes_on(500);
}

#[test]
fn below_its_reserve_the_store_refuses_what_is_new_and_gives_what_it_has() {
    let (disk, mut stage) = on_a_small_disk(512 * MIB, "");
    let mut chance = Chance::new("disk, below the reserve");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let mut refused = 0;
    for _ in 0..2 {
        refused += crowd.live(&stage, Trouble::STORE, |scene| {
            fill_and_make_room(scene, &stage, &disk, LEFT, "free some space");
            scene.refused()
        });
    }
    // Killed and started again while it is full: everybody still gets what was kept.
    disk.fill(LEFT);
    let relay = stage.take();
    crowd.live(&relay, Trouble::KILL_AND_STORE, |scene| {
        scene.refuses(20);
        relay.signal(Signal::KILL);
    });
    let _ = relay.wait();
    stage.start();
    crowd.collect(&stage);
    disk.make_room();
    let tally = crowd.settle(&stage);
    println!("disk, below the reserve: {tally}, {refused} refused, 1 kill");
    stage.end();
}

#[test]
fn a_write_that_meets_the_end_of_the_disk_costs_nobody_what_was_acknowledged() {
    let (disk, stage) = on_a_small_disk(192 * MIB, "[store]\ndisk_reserve = \"0\"\n");
    let mut chance = Chance::new("disk, to the last byte");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let mut refused = 0;
    for _ in 0..3 {
        refused += crowd.live(&stage, Trouble::STORE, |scene| {
            let left = chance.below(64 << 10);
            fill_and_make_room(scene, &stage, &disk, left, "No space left");
            scene.refused()
        });
    }
    let tally = crowd.settle(&stage);
    println!("disk, to the last byte: {tally}, {refused} refused");
    stage.end();
}
