//! RLIMIT_NOFILE is reached. By connections: who is there talks on, who comes waits and is let in when there is room. By the
//! store's files, while the relay runs.

use std::net::TcpStream;

use commucat_client::HttpVersion;
use commucat_tests::ledger::{Hearing, Ledger, message};
use commucat_tests::memory::Held;
use commucat_tests::operator::until;
use commucat_tests::people::Device;
use commucat_tests::relay::{Home, Relay};
use commucat_tests::stage::Stage;

use crate::chance::Chance;
use crate::confined::{descriptors, limit_descriptors};
use crate::crowd::{Crowd, Pace, Trouble};

/// A shard's table of connections is measured against it, so two shards have twice as many places.
const MOST: u64 = 100;
/// So many that both tables are full, however the kernel spreads them, and many wait.
const STRANGERS: usize = 400;

#[test]
fn at_the_limit_who_is_there_talks_on_and_who_comes_waits_for_a_place() {
    let home = Home::new().launched_by(descriptors(MOST));
    // Those who say nothing keep their places.
    let stage = Stage::in_home(home, "[limits]\nhead_timeout = \"1h\"\n");
    assert!(stage.log().contains("RLIMIT_NOFILE is in the way"), "{}", stage.log());
    let mut chance = Chance::new("descriptors");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let late = Device::new("late");
    for _ in 0..2 {
        crowd.live(&stage, Trouble::NONE, |scene| {
            scene.goes_on(200);
            let strangers: Vec<_> = (0..STRANGERS)
                .map(|_| TcpStream::connect(stage.address()).unwrap())
                .collect();
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| late.connect(&stage, HttpVersion::Http2).bye());
                scene.goes_on(2_000);
                assert!(!waits.is_finished(), "there was a place left");
                assert!(Held::by(&stage).descriptors as u64 <= MOST);
                drop(strangers);
                waits.join().unwrap();
            });
            scene.goes_on(500);
        });
    }
    let numbers = until(&stage, |now| now.sum("commucat_ring_table_full_total", &[]) >= 4.0);
    assert_eq!(numbers.sum("commucat_ring_accept_refused_total", &[]), 0.0);
    let tally = crowd.settle(&stage);
    println!("descriptors: {tally}, {STRANGERS} strangers for {} places", 2 * MOST);
    stage.end();
}

/// Says 80 MiB to somebody who is away, as fast as it is answered: more than the store keeps in memory before it writes a table.
/// What was acknowledged is promised; how many were refused.
fn fill_a_table(relay: &Relay, from: usize, away: &Device, ledger: &Ledger) -> usize {
    let mut peer = Device::new(&format!("bulk-{from}")).connect(relay, HttpVersion::Http1);
    peer.join(1, [away]);
    let mut refused = 0;
    for first in (1..=1_280).step_by(32) {
        for number in first..first + 32 {
            peer.send(1, message(from, number, 64 << 10));
        }
        for number in first..first + 32 {
            match peer.acked().body {
                None => ledger.promise(from, 0, number),
                Some(_) => refused += 1,
            }
        }
    }
    peer.bye();
    refused
}

#[test]
fn a_store_that_can_open_no_file_refuses_in_words_and_works_again_when_it_can() {
    let stage = Stage::new("");
    let mut chance = Chance::new("descriptors of the store");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let (away, ledger) = (Device::new("away"), Ledger::default());
    away.connect(&stage, HttpVersion::Http1).bye();
    let refused = crowd.live(&stage, Trouble::STORE, |scene| {
        scene.goes_on(200);
        // All that it has open, and none besides.
        limit_descriptors(&stage, Some(Held::by(&stage).descriptors as u64));
        let refused = fill_a_table(&stage, 0, &away, &ledger);
        scene.until_ready(503);
        scene.refuses(50);
        scene.until("the log says why", || stage.log().contains("Too many open files"));
        scene.goes_on(200);
        limit_descriptors(&stage, None);
        scene.until_ready(200);
        scene.goes_on(200);
        scene.refused() + refused
    });
    assert_eq!(fill_a_table(&stage, 1, &away, &ledger), 0);
    let (mut peer, mut hearing) = (away.connect(&stage, HttpVersion::Http2), Hearing::of(0));
    while ledger.owed(0) > 0 {
        ledger.hear(&mut hearing, &peer.hear());
    }
    peer.bye();
    let (tally, bulk) = (crowd.settle(&stage), ledger.settle());
    println!("descriptors of the store: {tally}, and {bulk} of 64 KiB; {refused} refused");
    stage.end();
}
