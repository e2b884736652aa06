//! PRESENCE: who of a channel is there, and where (CCP-1, P2P Negotiation; decisions § 6, § 7).

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_proto::{ChannelId, FrameType};
use commucat_tests::openmetrics::Metrics;
use commucat_tests::operator::{metrics, until};
use commucat_tests::people::{Device, Peer, WAYS, devices};
use commucat_tests::stage::Stage;
use serde_json::{Value, json};

const CHANNEL: u32 = 7;

fn seen(entity: &Device, state: &str) -> Value {
    json!({ "entity": entity.id.as_str(), "state": state, "channel": CHANNEL, "user": null })
}

/// Nothing but what was asked for has come: an ACK of its own is behind all that was on its way.
fn sees_nothing_more(peer: &mut Peer, other: &Device) {
    peer.join(CHANNEL + 1, [other]);
    peer.overhear(Duration::from_millis(100));
    assert_eq!(peer.unseen(), 0);
}

#[test]
fn a_presence_table_that_is_full_forgets_somebody_and_counts_it() {
    let stage = Stage::new("[store]\npresence_entries = 2\n");
    let lost = |now: &Metrics| now.sum("commucat_presence_displaced_total", &[]);
    let peers: Vec<Peer> = devices("full", 2)
        .iter()
        .map(|device| device.connect(&stage, WAYS[0]))
        .collect();
    assert_eq!(lost(&metrics(&stage)), 0.0);
    let third = Device::new("third").connect(&stage, WAYS[0]);
    until(&stage, |now| lost(now) >= 1.0);
    for peer in peers.into_iter().chain([third]) {
        peer.bye();
    }
    stage.end();
}

#[test]
fn both_hear_of_each_other_when_the_second_joins_and_of_the_end() {
    let stage = Stage::new("");
    for http in WAYS {
        let pair = devices(&format!("pair-{http:?}"), 2);
        let (mut ada, mut bob) = (pair[0].connect(&stage, http), pair[1].connect(&stage, WAYS[0]));
        ada.join(CHANNEL, [&pair[1]]);
        bob.join(CHANNEL, [&pair[0]]);
        assert_eq!(ada.sees(), seen(&pair[1], "online"));
        assert_eq!(bob.sees(), seen(&pair[0], "online"));
        ada.bye();
        // Where the news of her JOIN is still on its way when he joins, he is told by it and by her answer to his.
        let news = std::iter::repeat_with(|| bob.sees()).find(|news| *news != seen(&pair[0], "online"));
        assert_eq!(news, Some(seen(&pair[0], "offline")));
    }
    stage.end();
}

#[test]
fn addresses_go_only_between_two_that_both_allow_it() {
    let stage = Stage::new("");
    for (index, relay) in [(false, false), (false, true), (true, false), (true, true)]
        .into_iter()
        .enumerate()
    {
        let pair = devices(&format!("pair-{index}"), 2);
        let mut ada = pair[0].connect(&stage, HttpVersion::Http1);
        let mut bob = pair[1].connect(&stage, HttpVersion::Http2);
        ada.join_as(CHANNEL, [&pair[1]], relay.0);
        bob.join_as(CHANNEL, [&pair[0]], relay.1);
        for (peer, other) in [(&mut ada, &pair[1]), (&mut bob, &pair[0])] {
            let presence = peer.sees();
            if relay == (false, false) {
                assert_eq!(presence["peer"], other.id.as_str());
                let candidate = presence["candidate"].as_str().unwrap();
                assert!(candidate.parse::<std::net::SocketAddr>().unwrap().ip().is_loopback());
            } else {
                assert_eq!(presence, seen(other, "online"));
            }
        }
    }
    stage.end();
}

#[test]
fn nobody_hears_of_those_who_do_not_name_them() {
    let stage = Stage::new("");
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(Device::new);
    let mut private = ada.connect(&stage, HttpVersion::Http1);
    private.join_as(CHANNEL, [&bob], false);
    let mut curious = eve.connect(&stage, HttpVersion::Http2);
    curious.join_as(CHANNEL, [&ada], false);
    sees_nothing_more(&mut curious, &bob);
    sees_nothing_more(&mut private, &bob);
    stage.end();
}

#[test]
fn what_a_client_says_of_itself_reaches_its_roster_and_is_acknowledged() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let (mut from, mut to) = (
        ada.connect(&stage, HttpVersion::Http2),
        bob.connect(&stage, HttpVersion::Http1),
    );
    from.join(CHANNEL, [&bob]);
    let busy = json!({ "state": "busy" }).to_string();
    let channel = ChannelId::new(CHANNEL);
    let sequence = from
        .client()
        .send(FrameType::Presence, channel, busy.as_bytes())
        .unwrap();
    from.settled(sequence);
    assert_eq!(to.sees(), seen(&ada, "busy"));
    // Those who come later hear the same word.
    to.join(CHANNEL, [&ada]);
    assert_eq!(to.sees(), seen(&ada, "busy"));
    stage.end();
}

#[test]
fn presence_on_a_channel_that_was_not_joined_is_an_error() {
    let stage = Stage::new("");
    let mut ada = Device::new("ada").connect(&stage, HttpVersion::Http1);
    let channel = ChannelId::new(CHANNEL);
    ada.client().send(FrameType::Presence, channel, b"{}").unwrap();
    assert_eq!(ada.ends().1.problem(), Some(("Not Joined", 403)));
    stage.end();
}

#[test]
fn a_roster_above_the_limit_is_told_nothing() {
    let stage = Stage::new("[limits]\npresence_roster = 1\n");
    let group = devices("many", 3);
    let mut peers: Vec<Peer> = group
        .iter()
        .map(|device| device.connect(&stage, HttpVersion::Http1))
        .collect();
    for peer in &mut peers {
        peer.join(CHANNEL, &group);
    }
    for peer in &mut peers {
        sees_nothing_more(peer, &Device::new("other"));
    }
    stage.end();
}
