//! JOIN and LEAVE, and what happens without them.

use commucat_client::HttpVersion;
use commucat_proto::control::Join;
use commucat_proto::{ChannelId, GroupId};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;

const CHANNEL: u32 = 1;

#[test]
fn a_second_join_replaces_the_roster() {
    let stage = Stage::new("");
    let [sender, before, after] = ["sender", "before", "after"].map(Device::new);
    for http in WAYS {
        let mut from = sender.connect(&stage, http);
        let (mut first, mut second) = (before.connect(&stage, http), after.connect(&stage, http));
        from.join(CHANNEL, [&before]);
        from.say(CHANNEL, "to the first");
        from.join(CHANNEL, [&after]);
        from.say(CHANNEL, "to the second");
        from.join(CHANNEL, [&before, &after]);
        from.say(CHANNEL, "to both");
        first.hears("to the first");
        first.hears("to both");
        second.hears("to the second");
        second.hears("to both");
    }
    stage.end();
}

#[test]
fn two_pairs_on_the_same_channel_number_never_meet() {
    let stage = Stage::new("");
    let devices = ["a", "b", "c", "d"].map(Device::new);
    let mut peers = devices
        .each_ref()
        .map(|device| device.connect(&stage, HttpVersion::Http1));
    for (at, with) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        peers[at].join(CHANNEL, [&devices[with]]);
    }
    for round in 0..5 {
        for (at, peer) in peers.iter_mut().enumerate() {
            peer.say(CHANNEL, format!("{at} says {round}"));
        }
        for (at, with) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
            peers[at].hears(&format!("{with} says {round}"));
        }
    }
    for peer in peers {
        assert!(peer.bye().is_empty());
    }
    stage.end();
}

#[test]
fn leave_stops_delivery_on_that_channel_until_the_next_join() {
    let stage = Stage::new("");
    let [sender, listener] = ["sender", "listener"].map(Device::new);
    for http in WAYS {
        let (mut from, mut to) = (sender.connect(&stage, http), listener.connect(&stage, http));
        for channel in [1, 2] {
            from.join(channel, [&listener]);
            to.join(channel, [&sender]);
        }
        from.say(1, "before");
        to.hears("before");
        to.leave(1);
        from.say(1, "while away");
        from.say(2, "elsewhere");
        to.hears("elsewhere");
        to.join(1, [&sender]);
        from.say(1, "after");
        to.hears("after");
        assert!(to.bye().is_empty());
        // Not queued either: a new session does not get it.
        let mut to = listener.connect(&stage, http);
        from.say(2, "new session");
        to.hears("new session");
    }
    stage.end();
}

#[test]
fn leave_takes_back_the_senders_own_route() {
    let stage = Stage::new("");
    let [sender, listener] = ["sender", "listener"].map(Device::new);
    for http in WAYS {
        let mut from = sender.connect(&stage, http);
        from.join(CHANNEL, [&listener]);
        from.leave(CHANNEL);
        from.send(CHANNEL, "nobody");
        let (_, end) = from.ends();
        assert_eq!((end.problem(), end.clean), (Some(("Not Joined", 403)), true));
    }
    stage.end();
}

#[test]
fn a_frame_on_a_channel_that_was_not_joined_is_not_joined() {
    let stage = Stage::new("");
    let device = Device::new("hasty");
    for http in WAYS {
        let mut peer = device.connect(&stage, http);
        peer.join(1, [&Device::new("somebody")]);
        peer.send(2, "nobody");
        let (_, end) = peer.ends();
        assert_eq!((end.problem(), end.clean), (Some(("Not Joined", 403)), true));
    }
    stage.end();
}

#[test]
fn a_join_of_a_group_by_one_who_is_not_in_it_is_not_a_member() {
    let stage = Stage::new("");
    let device = Device::new("stranger");
    for http in WAYS {
        let mut peer = device.connect(&stage, http);
        let join = Join {
            members: Vec::new(),
            relay: true,
            group_id: Some(GroupId::parse("grp-123").unwrap()),
        };
        peer.client().connection().join(ChannelId::new(CHANNEL), &join).unwrap();
        let (_, end) = peer.ends();
        assert_eq!((end.problem(), end.clean), (Some(("Not A Member", 403)), true));
    }
    stage.end();
}

#[test]
fn limits_of_channels_and_members_have_their_own_titles() {
    let stage = Stage::new("[limits]\nchannels = 3\nroster = 4\n");
    let device = Device::new("greedy");
    let members: Vec<_> = (0..5).map(|index| Device::new(&format!("m{index}"))).collect();
    let mut peer = device.connect(&stage, HttpVersion::Http1);
    for channel in 1..=3 {
        peer.join(channel, &members[..4]);
    }
    let join = |members: &[Device]| Join {
        members: members.iter().map(|member| member.id.clone()).collect(),
        relay: true,
        group_id: None,
    };
    peer.client()
        .connection()
        .join(ChannelId::new(4), &join(&members[..1]))
        .unwrap();
    assert_eq!(peer.ends().1.problem(), Some(("Too Many Channels", 429)));
    let mut peer = device.connect(&stage, HttpVersion::Http2);
    peer.client()
        .connection()
        .join(ChannelId::new(1), &join(&members))
        .unwrap();
    assert_eq!(peer.ends().1.problem(), Some(("Roster Too Large", 413)));
    stage.end();
}
