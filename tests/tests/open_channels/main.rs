//! Open channels: a JOIN that names nobody (decisions § 6), on a relay of two shards.

mod bounds;
mod naming;

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_proto::ChannelId;
use commucat_proto::control::Join;
use commucat_tests::people::{Device, Peer, WAYS, devices};
use commucat_tests::stage::Stage;

const CHANNEL: u32 = 7;
/// Long enough for a frame that should not come.
const MOMENT: Duration = Duration::from_millis(150);
const NOBODY: [&Device; 0] = [];

/// Sessions over all ways in turn, so many that both shards have some.
fn everybody(devices: &[Device], stage: &Stage) -> Vec<Peer> {
    let ways = WAYS.into_iter().cycle();
    devices
        .iter()
        .zip(ways)
        .map(|(device, http)| device.connect(stage, http))
        .collect()
}

/// A JOIN that names nobody, and how the session ends for it.
fn refused(mut peer: Peer, problem: (&str, u16)) {
    let join = Join {
        members: Vec::new(),
        relay: true,
        group_id: None,
    };
    peer.client().connection().join(ChannelId::new(CHANNEL), &join).unwrap();
    let (_, end) = peer.ends();
    assert_eq!((end.problem(), end.clean), (Some(problem), true));
}

#[test]
fn devices_that_never_name_each_other_talk_on_a_number() {
    let stage = Stage::new("");
    let people = devices("open", 8);
    let mut peers = everybody(&people, &stage);
    for (peer, own) in peers.iter_mut().zip(&people) {
        // Naming oneself alone is naming nobody.
        peer.join(CHANNEL, [own]);
    }
    for speaker in 0..peers.len() {
        peers[speaker].say(CHANNEL, format!("from {speaker}"));
        for (_, peer) in peers.iter_mut().enumerate().filter(|(index, _)| *index != speaker) {
            let got = peer.hears(&format!("from {speaker}"));
            assert_eq!(got.channel, ChannelId::new(CHANNEL));
        }
    }
    for peer in peers {
        assert!(peer.bye().is_empty(), "nobody hears itself");
    }
    stage.end();
}

#[test]
fn a_join_that_is_acknowledged_holds_on_every_core() {
    let stage = Stage::new("");
    for http in WAYS {
        let people = devices(&format!("late-{http:?}"), 6);
        let mut peers = everybody(&people, &stage);
        let mut late = peers.split_off(4);
        for peer in &mut peers {
            peer.join(CHANNEL, NOBODY);
        }
        for joiner in &mut late {
            joiner.join(CHANNEL, NOBODY);
            // Whoever speaks next, on whichever core.
            for peer in &mut peers {
                peer.send(CHANNEL, "welcome");
            }
            for _ in 0..4 {
                joiner.hears("welcome");
            }
            joiner.leave(CHANNEL);
        }
    }
    stage.end();
}

#[test]
fn who_leaves_joins_otherwise_or_goes_hears_nothing_more() {
    let stage = Stage::new("");
    for http in WAYS {
        let people = devices(&format!("leave-{http:?}"), 5);
        let mut peers = everybody(&people, &stage);
        for peer in &mut peers {
            peer.join(CHANNEL, NOBODY);
        }
        let gone = peers.pop().unwrap();
        gone.bye();
        peers[3].join(CHANNEL, [&people[4]]);
        peers[2].leave(CHANNEL);
        // What another core was told before is there before its own frame is.
        std::thread::sleep(MOMENT);
        peers[0].say(CHANNEL, "to who is left");
        peers[1].hears("to who is left");
        assert_eq!(peers[2].overhear(MOMENT), None);
        assert_eq!(peers[3].overhear(MOMENT), None);
        let mut back = people[4].connect(&stage, http);
        assert_eq!(back.overhear(MOMENT), None, "nothing is stored for who has gone");
        // And back again.
        peers[2].join(CHANNEL, NOBODY);
        back.join(CHANNEL, NOBODY);
        peers[0].say(CHANNEL, "to all again");
        for peer in [&mut peers[1], &mut back] {
            peer.hears("to all again");
        }
        peers[2].hears("to all again");
        assert_eq!(peers[3].overhear(MOMENT), None);
        for mut peer in peers {
            peer.leave(CHANNEL);
        }
        back.leave(CHANNEL);
    }
    stage.end();
}

#[test]
fn a_later_session_of_the_same_device_takes_the_place_of_the_first() {
    let stage = Stage::new("");
    let people = devices("again", 2);
    let mut speaker = people[1].connect(&stage, HttpVersion::Http2);
    speaker.join(CHANNEL, NOBODY);
    let mut first = people[0].connect(&stage, HttpVersion::Http1);
    first.join(CHANNEL, NOBODY);
    for http in WAYS.into_iter().cycle().take(8) {
        let mut later = people[0].connect(&stage, http);
        later.join(CHANNEL, NOBODY);
        let (_, end) = first.ends();
        assert_eq!(end.problem(), Some(("Session Replaced", 409)));
        speaker.say(CHANNEL, format!("still there {http:?}"));
        later.hears(&format!("still there {http:?}"));
        first = later;
    }
    stage.end();
}

#[test]
fn a_roster_on_the_same_number_stays_closed_both_ways() {
    let stage = Stage::new("");
    for http in WAYS {
        let open = devices(&format!("open-{http:?}"), 3);
        let pair = devices(&format!("pair-{http:?}"), 2);
        let (mut open, mut pair_peers) = (everybody(&open, &stage), everybody(&pair, &stage));
        for peer in &mut open {
            peer.join(CHANNEL, NOBODY);
        }
        pair_peers[0].join(CHANNEL, [&pair[1]]);
        pair_peers[1].join(CHANNEL, [&pair[0]]);
        pair_peers[0].say(CHANNEL, "between two");
        pair_peers[1].hears("between two");
        open[0].say(CHANNEL, "to all who are open");
        open[1].hears("to all who are open");
        open[2].hears("to all who are open");
        for mut peer in open.into_iter().chain(pair_peers) {
            assert_eq!(peer.overhear(MOMENT), None);
            peer.leave(CHANNEL);
        }
    }
    stage.end();
}

#[test]
fn who_is_there_is_told_of_each_other() {
    let stage = Stage::new("");
    let people = devices("seen", 2);
    let mut ada = people[0].connect(&stage, HttpVersion::Http1);
    ada.join(CHANNEL, NOBODY);
    let mut bob = people[1].connect(&stage, HttpVersion::Http2);
    bob.join(CHANNEL, NOBODY);
    assert_eq!(ada.sees()["entity"], people[1].id.as_str());
    assert_eq!(bob.sees()["entity"], people[0].id.as_str());
    bob.bye();
    assert_eq!(ada.sees()["state"], "offline");
    stage.end();
}
