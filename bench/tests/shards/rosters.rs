//! A roster of thousands takes many turns, and no turn is long for it.

use commucat_proto::control::Join;
use commucat_proto::{ChannelId, DeviceId, FrameType};
use commucat_shard::limits::Limits;

use crate::world::World;

fn crowd(of: &str, count: usize) -> Vec<DeviceId> {
    let names = (0..count).map(|at| format!("{of}-{at}"));
    names.map(|name| DeviceId::parse(&name).unwrap()).collect()
}

fn join(world: &mut World, no: usize, channel: u32, members: &[DeviceId]) {
    let client = &mut world.people[no].client;
    let join = Join {
        members: members.to_vec(),
        relay: true,
        ..Join::default()
    };
    client.join(ChannelId::new(channel), &join).unwrap();
}

/// Rounds until it is so; what every shard knows may change by a turn's names in each of them. More than three whole rosters
/// take is too long for anything asked here.
fn rounds(world: &mut World, done: impl Fn(&World) -> bool) -> usize {
    let limits = Limits::default();
    let (a_turn, patience) = (limits.names_per_turn, 3 * limits.roster / limits.names_per_turn);
    for round in 0..patience {
        if done(world) {
            return round;
        }
        let before: Vec<usize> = world.shards.iter().map(|shard| shard.gauges().peers).collect();
        world.round();
        for (shard, before) in world.shards.iter().zip(before) {
            let change = shard.gauges().peers.abs_diff(before);
            assert!(change <= a_turn, "{change} names in one turn");
        }
    }
    panic!("not after {patience} rounds");
}

fn peers(world: &World) -> usize {
    world.shards.iter().map(|shard| shard.gauges().peers).sum()
}

#[test]
fn a_roster_of_thousands_is_taken_up_over_many_turns_and_let_go_over_as_many() {
    for cores in [1, 2] {
        let mut world = World::new(cores);
        let greedy = world.connect("greedy", 0);
        let roster = Limits::default().roster;
        join(&mut world, greedy, 1, &crowd("nobody", roster));
        let turns = rounds(&mut world, |world| world.people[greedy].acknowledged == 1);
        assert!(turns >= roster / Limits::default().names_per_turn, "{turns} turns");
        assert_eq!(peers(&world), roster, "it was acknowledged when all were known");
        world.leave(greedy);
        let turns = rounds(&mut world, |world| peers(world) == 0);
        assert!(turns >= roster / Limits::default().names_per_turn - 1, "{turns} turns");
    }
}

#[test]
fn others_talk_meanwhile_and_who_joins_after_it_gets_its_turn() {
    let mut world = World::new(1);
    let [alice, bob, greedy, late] = ["alice", "bob", "greedy", "late"].map(|name| world.connect(name, 0));
    let with_bob = [DeviceId::parse("bob").unwrap()];
    join(&mut world, alice, 1, &with_bob);
    world.until(|world| world.people[alice].acknowledged == 1);

    join(&mut world, greedy, 1, &crowd("nobody", 4096));
    join(&mut world, greedy, 2, &crowd("nobody-else", 4096));
    world.round();
    join(&mut world, late, 1, &with_bob);
    let client = &mut world.people[alice].client;
    client.send(FrameType::Msg, ChannelId::new(1), b"still there?").unwrap();
    rounds(&mut world, |world| world.people[bob].heard == 1);
    assert_eq!(world.people[greedy].acknowledged, 0, "its roster is being taken up");
    rounds(&mut world, |world| world.people[late].acknowledged == 1);
    assert!(
        world.people[greedy].acknowledged < 2,
        "one JOIN of a session has a turn at a time"
    );
    rounds(&mut world, |world| world.people[greedy].acknowledged == 2);
}

#[test]
fn a_session_that_ends_in_the_middle_of_its_roster_leaves_nothing_of_it() {
    let mut world = World::new(2);
    let [greedy, other] = ["greedy", "other"].map(|name| world.connect(name, 0));
    join(&mut world, other, 1, &crowd("nobody", 700));
    rounds(&mut world, |world| world.people[other].acknowledged == 1);
    join(&mut world, greedy, 1, &crowd("nobody", 4096));
    rounds(&mut world, |world| peers(world) > 1500);
    world.leave(greedy);
    // What both have named is still the other's.
    rounds(&mut world, |world| peers(world) == 700);
    world.leave(other);
    rounds(&mut world, |world| peers(world) == 0);
}
