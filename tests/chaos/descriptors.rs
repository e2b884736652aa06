//! RLIMIT_NOFILE is reached. By connections: who is there talks on, who comes waits and is let in when there is room. By the
//! store's files, while the relay runs.

use std::net::TcpStream;

use commucat_client::HttpVersion;
use commucat_tests::memory::Held;
use commucat_tests::operator::until;
use commucat_tests::people::Device;
use commucat_tests::relay::Home;
use commucat_tests::stage::Stage;

use crate::chance::Chance;
use crate::confined::descriptors;
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
