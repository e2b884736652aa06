//! The relay is killed under load, again and again, and asked to end under load: what it has acknowledged is delivered
//! (decisions § 3, § 8).

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_tests::ledger::{Hearing, Ledger, message};
use commucat_tests::people::{Device, Peer, WAYS, devices};
use commucat_tests::relay::Relay;
use commucat_tests::stage::{Stage, Store};
use rustix::process::Signal;

use crate::chance::Chance;
use crate::crowd::{Crowd, Pace, Scene, Trouble};
use crate::setting;

/// A moment that is not the same twice: so long after everybody has begun to come, or after so many acknowledgements, when
/// most still catch up with their inboxes; or after so many deliveries.
fn some_moment(chance: &mut Chance, scene: &Scene<'_>) {
    match chance.below(4) {
        0 => std::thread::sleep(Duration::from_micros(chance.below(200_000))),
        1 => scene.goes_on(1 + chance.below(2_000) as usize),
        _ => scene.hears(1 + chance.below(6_000) as usize),
    }
    std::thread::sleep(Duration::from_micros(chance.below(3_000)));
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

/// Says so much to all of these that it fits no socket, each message acknowledged.
fn say_to_the_deaf(relay: &Relay, life: usize, deaf: &[Device], ledger: &Ledger) {
    let mut peer = Device::new(&format!("to-the-deaf-{life}")).connect(relay, HttpVersion::Http2);
    peer.join(1, deaf);
    for number in 1..=400 {
        peer.send(1, message(life, number, 16 << 10));
    }
    for number in 1..=400 {
        assert_eq!(peer.acked().body, None, "kept for both");
        (0..deaf.len()).for_each(|index| ledger.promise(life, index, number));
    }
}

#[test]
fn sigterm_under_load_ends_well_and_loses_nothing_that_was_acknowledged() {
    let mut stage = Stage::new("[limits]\ndrain_timeout = \"1s\"\n");
    let mut chance = Chance::new("sigterm");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let (deaf, ledger) = (devices("deaf", 2), Ledger::default());
    for life in 0..3 {
        let relay = stage.take();
        let sessions: Vec<Peer> = (0..2)
            .map(|index| deaf[index].connect(&relay, WAYS[2 * index]))
            .collect();
        crowd.live(&relay, Trouble::END, |scene| {
            say_to_the_deaf(&relay, life, &deaf, &ledger);
            some_moment(&mut chance, scene);
            relay.signal(Signal::TERM);
        });
        let (status, log) = relay.wait();
        assert!(status.success(), "{status}: {log}");
        // What had left for those who do not read still stands in their sockets.
        for (index, peer) in sessions.into_iter().enumerate() {
            let mut hearing = Hearing::of(index);
            peer.ends().0.iter().for_each(|got| ledger.hear(&mut hearing, got));
        }
        stage.start();
    }
    for (index, device) in deaf.iter().enumerate() {
        let (mut peer, mut hearing) = (device.connect(&stage, WAYS[1]), Hearing::of(index));
        while ledger.owed(index) > 0 {
            ledger.hear(&mut hearing, &peer.hear());
        }
        assert!(peer.bye().is_empty());
    }
    let (tally, unread) = (crowd.settle(&stage), ledger.settle());
    println!("sigterm: {tally}; for those who do not read, {unread}; 3 ends");
    stage.end();
}
