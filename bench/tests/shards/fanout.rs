//! A frame to a group of ten thousand is one message per core, wherever its members are.

use commucat_proto::control::GroupCreate;
use commucat_proto::{ChannelId, DeviceId, FrameType, GroupId};
use commucat_shard::mesh::message::ShardId;

use crate::world::World;

const CORES: u16 = 4;
const MEMBERS: usize = 10_000;
const CHANNEL: ChannelId = ChannelId::new(3);

/// Somebody creates the group of all, whose member it is.
fn create_crowd(world: &mut World, owner: usize) {
    let create = GroupCreate {
        group_id: Some(GroupId::parse("crowd").unwrap()),
        members: (0..MEMBERS)
            .map(|number| DeviceId::parse(&member(number)).unwrap())
            .collect(),
        ..GroupCreate::default()
    };
    world.people[owner].client.create_group(CHANNEL, &create).unwrap();
    world.until(|world| world.people[owner].acknowledged == 1);
}

fn member(number: usize) -> String {
    format!("member-{number:05}")
}

#[test]
fn a_frame_to_ten_thousand_is_one_message_per_core() {
    let mut world = World::new(CORES);
    let speaker = world.connect(&member(0), 0);
    // Two on each shard, the speaker's included; the others are away.
    let listeners: Vec<usize> = (1..=2 * usize::from(CORES))
        .map(|number| world.connect(&member(number), number % usize::from(CORES)))
        .collect();
    create_crowd(&mut world, speaker);

    for said in 1..=3 {
        (world.frames_by_lane, world.appended) = (Vec::new(), 0);
        let client = &mut world.people[speaker].client;
        client.send(FrameType::GroupEvent, CHANNEL, b"to everybody").unwrap();
        world.until(|world| world.people[speaker].acknowledged == 1 + said);
        assert!(listeners.iter().all(|no| world.people[*no].heard == said));
        assert_eq!(world.people[speaker].heard, 0, "the speaker hears nothing of its own");
        assert_eq!(
            world.appended,
            MEMBERS - 1 - listeners.len(),
            "the others have it in the inbox"
        );
        let mut frames: Vec<_> = world.frames_by_lane.iter().filter(|lane| lane.2 > 0).collect();
        frames.sort_unstable();
        let once = |to| (ShardId(0), ShardId(to), 1);
        assert_eq!(
            frames,
            (1..CORES).map(once).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_a_session_costs_that_joins_a_group_does_not_depend_on_its_size() {
    // The roster is held once per shard: by the gauges, and by nothing that a session has.
    let mut world = World::new(CORES);
    let speakers: Vec<usize> = (0..4).map(|number| world.connect(&member(number), 1)).collect();
    create_crowd(&mut world, speakers[0]);
    let one = world.shards[1].gauges();
    assert_eq!((one.groups, one.group_members), (1, MEMBERS));
    for speaker in &speakers[1..] {
        let client = &mut world.people[*speaker].client;
        let group = GroupId::parse("crowd").unwrap();
        client.join_group(CHANNEL, group, true).unwrap();
        world.until(|world| world.people[*speaker].acknowledged == 1);
    }
    let all = world.shards[1].gauges();
    assert_eq!((all.groups, all.group_members, all.peers), (1, MEMBERS, one.peers));
}
