//! What open channels may cost, and that nothing is left of them.

use std::fmt::Write;

use commucat_client::HttpVersion;
use commucat_proto::ChannelId;
use commucat_proto::control::Join;
use commucat_tests::operator;
use commucat_tests::people::{Device, Peer, WAYS, devices};
use commucat_tests::relay::Home;
use commucat_tests::stage::Stage;

use crate::{CHANNEL, MOMENT, NOBODY, everybody, refused};

/// Asks to be in this many open channels at once.
fn enter(peer: &mut Peer, channels: std::ops::RangeInclusive<u32>) {
    let join = Join {
        members: Vec::new(),
        relay: true,
        group_id: None,
    };
    for channel in channels {
        peer.client().connection().join(ChannelId::new(channel), &join).unwrap();
    }
}

#[test]
fn an_operator_can_turn_them_off_and_they_are_bounded() {
    let mut stage = Stage::new("open_channels = false\n");
    for http in WAYS {
        let device = Device::new(&format!("off-{http:?}"));
        refused(device.connect(&stage, http), ("Not Joined", 403));
    }
    stage.restart_with("[limits]\nopen_roster = 2\n");
    for http in WAYS {
        let people = devices(&format!("bounded-{http:?}"), 3);
        let mut peers = everybody(&people, &stage);
        let third = peers.pop().unwrap();
        for peer in &mut peers {
            peer.join(CHANNEL, NOBODY);
        }
        refused(third, ("Roster Too Large", 413));
        peers.pop().unwrap().leave(CHANNEL);
        let mut third = people[2].connect(&stage, http);
        third.join(CHANNEL, NOBODY);
        peers[0].say(CHANNEL, "there is room again");
        third.hears("there is room again");
        peers[0].leave(CHANNEL);
        third.leave(CHANNEL);
    }
    stage.end();
}

#[test]
fn a_connection_is_in_as_many_as_it_may_join_channels_and_nothing_is_left_of_them() {
    const MOST: u32 = 1024;
    let home = Home::new();
    let relay = operator::start(&home, "[limits]\ngroup_linger = \"10ms\"\n");
    let people = devices("many", 3);
    let mut namer = people[2].connect(&relay, HttpVersion::Http2);
    namer.join(CHANNEL, [&people[0], &people[1]]);
    for (device, http) in people[..2].iter().zip([HttpVersion::Http1, HttpVersion::Http2]) {
        let mut greedy = device.connect(&relay, http);
        enter(&mut greedy, 1..=MOST);
        for _ in 0..MOST {
            assert_eq!(greedy.acked().body, None);
        }
        enter(&mut greedy, MOST + 1..=MOST + 1);
        let (_, end) = greedy.ends();
        assert_eq!(end.problem(), Some(("Too Many Channels", 429)));
    }
    namer.leave(CHANNEL);
    let gauges = [
        "commucat_groups",
        "commucat_group_members",
        "commucat_group_homes",
        "commucat_peers",
    ];
    let left = operator::until(&relay, |all| gauges.iter().all(|gauge| all.sum(gauge, &[]) == 0.0));
    assert!(left.sum("commucat_open_joins_total", &[]) >= f64::from(2 * MOST));
    namer.bye();
    let (status, log) = relay.terminate();
    assert!(status.success(), "{status}: {log}");
}

#[test]
fn a_speaker_is_heard_by_as_many_who_name_it_as_may_be_in_an_open_channel() {
    let home = Home::new();
    let relay = operator::start(&home, "[limits]\nopen_roster = 2\n");
    let people = devices("heard", 4);
    let mut ada = people[0].connect(&relay, HttpVersion::Http1);
    ada.join(CHANNEL, NOBODY);
    let mut peers = Vec::new();
    for (device, http) in people[1..].iter().zip(WAYS) {
        let mut peer = device.connect(&relay, http);
        peer.join(CHANNEL, [&people[0]]);
        peer.sees_state("online");
        peers.push(peer);
    }
    let mut heard = String::new();
    for number in 0..3 {
        write!(heard, "{number}").unwrap();
        ada.say(CHANNEL, &heard);
        for peer in &mut peers[..2] {
            peer.hears(&heard);
        }
    }
    assert_eq!(peers[2].overhear(MOMENT), None);
    let all = operator::metrics(&relay);
    assert!((all.sum("commucat_open_unheard_total", &[]) - 1.0).abs() < f64::EPSILON);
    // One goes, and there is room.
    peers.remove(0).leave(CHANNEL);
    std::thread::sleep(MOMENT);
    peers[1].join(CHANNEL, [&people[0]]);
    peers[1].sees_state("online");
    ada.say(CHANNEL, "to both");
    for peer in &mut peers {
        peer.hears("to both");
    }
    let (status, log) = relay.terminate();
    assert!(status.success(), "{status}: {log}");
}
