//! PostgreSQL and Redis are stopped, stand still and come back under load: live traffic goes on, what cannot be kept is
//! refused, what was acknowledged is delivered.

use commucat_tests::servers::OwnServers;
use commucat_tests::stage::Stage;

use crate::chance::Chance;
use crate::crowd::{Crowd, Pace, Scene, Trouble};

/// Waits soon noticed, so that a test sees them through.
const QUICK: &str = "[store]\ntimeout = \"1s\"\nconnect_timeout = \"1s\"\n";

type Blow = (&'static str, fn(&OwnServers), fn(&OwnServers));

const POSTGRES: [Blow; 2] = [
    (
        "PostgreSQL stops",
        OwnServers::stop_postgres,
        OwnServers::start_postgres,
    ),
    (
        "PostgreSQL stands still",
        OwnServers::pause_postgres,
        OwnServers::resume_postgres,
    ),
];
const REDIS: [Blow; 2] = [
    ("Redis stops", OwnServers::stop_redis, OwnServers::start_redis),
    ("Redis stands still", OwnServers::pause_redis, OwnServers::resume_redis),
];

#[test]
fn servers_that_stop_and_stand_still_under_load_cost_nobody_what_was_acknowledged() {
    let name = "PostgreSQL and Redis";
    let servers = OwnServers::start();
    let stage = Stage::among(servers.servers(), QUICK);
    let mut chance = Chance::new(name);
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let (mut refused, mut turned_away) = (0, 0);
    let mut blow = |crowd: &mut Crowd, what: &str, scene_of: &dyn Fn(&Scene<'_>)| {
        let counts = crowd.live(&stage, Trouble::STORE, |scene| {
            scene.until_ready(200);
            scene.goes_on(300);
            scene_of(scene);
            scene.until_ready(200);
            scene.goes_on(300);
            (scene.refused(), scene.turned_away())
        });
        println!(
            "{name}: {what}: {} refused, {} sessions turned away",
            counts.0, counts.1
        );
        refused += counts.0;
        turned_away += counts.1;
    };
    for (what, strike, heal) in POSTGRES {
        blow(&mut crowd, what, &|scene| {
            strike(&servers);
            scene.refuses(30);
            scene.until_ready(503);
            scene.goes_on(100);
            heal(&servers);
        });
    }
    for (what, strike, heal) in REDIS {
        blow(&mut crowd, what, &|scene| {
            strike(&servers);
            scene.goes_on(300);
            heal(&servers);
        });
    }
    // Both at once, in an order that chance chooses.
    let (first, second) = (POSTGRES[chance.below(2) as usize], REDIS[chance.below(2) as usize]);
    blow(&mut crowd, &format!("{} and {}", first.0, second.0), &|scene| {
        first.1(&servers);
        second.1(&servers);
        scene.refuses(30);
        first.2(&servers);
        second.2(&servers);
    });
    let tally = crowd.settle(&stage);
    println!("{name}: {tally}, {refused} refused, {turned_away} sessions turned away");
    stage.end();
}
