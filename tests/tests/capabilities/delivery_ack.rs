//! `delivery-ack` (decisions § 3, § 8): what a recipient has not acknowledged comes again on its next connection, in order
//! and before what came later; what it has acknowledged does not.

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_proto::{ChannelId, Sequence};
use commucat_tests::people::{BOTH, Device, Got, Peer};
use commucat_tests::stage::Stage;
use rustix::process::Signal;

use crate::{by_hand, with};

const CHANNEL: u32 = 6;

/// Numbered messages, each acknowledged to the sender.
fn say(from: &mut Peer, numbers: std::ops::Range<u32>) {
    let count = numbers.len();
    for number in numbers {
        from.send(CHANNEL, format!("{number}"));
    }
    for _ in 0..count {
        assert_eq!(from.acked().body, None);
    }
}

fn hear(peer: &mut Peer, numbers: std::ops::Range<u32>) -> Vec<Got> {
    numbers.map(|number| peer.hears(&format!("{number}"))).collect()
}

fn acknowledge(peer: &mut Peer, got: &Got) {
    let connection = peer.client().connection();
    connection.acknowledge(got.channel, got.sequence).unwrap();
}

/// Returns once the relay has taken everything that the peer has said: it acknowledges what comes after it.
fn is_heard(peer: &mut Peer, other: &Device) {
    peer.join(CHANNEL + 1, [other]);
}

#[test]
fn what_was_not_acknowledged_comes_again_in_order_and_what_was_does_not() {
    let stage = Stage::new("");
    for (way, http) in BOTH.into_iter().enumerate() {
        for sealed in [false, true] {
            let offered: &[&str] = if sealed {
                &["delivery-ack", "noise-transport"]
            } else {
                &["delivery-ack"]
            };
            let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{way}-{sealed}")));
            let mut to = by_hand(&stage, &bob, http, offered);
            let mut from = ada.connect(&stage, http);
            from.join(CHANNEL, [&bob]);
            say(&mut from, 0..10);
            let got = hear(&mut to, 0..10);
            // In any order, and twice.
            for at in [2, 0, 1, 3, 1] {
                acknowledge(&mut to, &got[at]);
            }
            is_heard(&mut to, &ada);
            // Killed: nothing says goodbye.
            drop(to);
            say(&mut from, 10..12);
            // As rows this time.
            let mut to = by_hand(&stage, &bob, http, offered);
            let got = hear(&mut to, 4..12);
            say(&mut from, 12..14);
            let live = hear(&mut to, 12..14);
            got.iter().for_each(|got| acknowledge(&mut to, got));
            acknowledge(&mut to, &live[0]);
            is_heard(&mut to, &ada);
            drop(to);
            let mut to = with(&stage, &bob, http, offered);
            hear(&mut to, 13..14);
            assert!(to.bye().is_empty());
            let mut to = with(&stage, &bob, http, offered);
            say(&mut from, 14..15);
            hear(&mut to, 14..15);
            assert!(to.bye().is_empty() && from.bye().is_empty());
        }
    }
    stage.end();
}

#[test]
fn one_ack_with_a_range_stands_for_a_channels_frames_and_for_no_others() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let offered = ["delivery-ack", "ack-range"];
    let mut to = by_hand(&stage, &bob, HttpVersion::Http2, &offered);
    let mut from = ada.connect(&stage, HttpVersion::Http1);
    from.join(CHANNEL, [&bob]);
    from.join(CHANNEL + 2, [&bob]);
    for number in 0..6 {
        from.say(CHANNEL + 2 * (number % 2), format!("{number}"));
    }
    let got = hear(&mut to, 0..6);
    let (first, last) = (got[0].sequence, got[5].sequence);
    let connection = to.client().connection();
    connection
        .acknowledge_range(ChannelId::new(CHANNEL), first, last)
        .unwrap();
    is_heard(&mut to, &ada);
    drop(to);
    let mut to = with(&stage, &bob, HttpVersion::Http2, &offered);
    for number in [1, 3, 5] {
        to.hears(&format!("{number}"));
    }
    assert!(to.bye().is_empty());
    stage.end();
}

#[test]
fn an_ack_of_what_is_not_waited_for_changes_nothing_and_a_backward_range_is_refused() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let offered = ["delivery-ack", "ack-range"];
    let mut to = by_hand(&stage, &bob, HttpVersion::Http1, &offered);
    let mut from = ada.connect(&stage, HttpVersion::Http1);
    from.join(CHANNEL, [&bob]);
    say(&mut from, 0..3);
    let got = hear(&mut to, 0..3);
    let connection = to.client().connection();
    let elsewhere = ChannelId::new(CHANNEL + 1);
    for (channel, from, to) in [
        // Of AUTH, never sent, of another channel.
        (ChannelId::ZERO, Sequence::new(1), Sequence::new(1)),
        (got[0].channel, Sequence::new(u32::MAX), Sequence::new(u32::MAX)),
        (elsewhere, Sequence::ZERO, Sequence::new(u32::MAX)),
        (elsewhere, got[0].sequence, got[0].sequence),
    ] {
        connection.acknowledge_range(channel, from, to).unwrap();
    }
    is_heard(&mut to, &ada);
    let (last, first) = (got[2].sequence, got[0].sequence);
    let connection = to.client().connection();
    connection.acknowledge_range(got[0].channel, last, first).unwrap();
    let (rest, end) = to.ends();
    assert_eq!((rest.len(), end.problem()), (0, Some(("Invalid Control Payload", 400))));
    let mut to = with(&stage, &bob, HttpVersion::Http1, &offered);
    hear(&mut to, 0..3);
    assert!(to.bye().is_empty());
    stage.end();
}

#[test]
fn a_client_that_never_acknowledges_gets_no_more_than_its_budget_and_loses_nothing() {
    const FRAMES: u32 = 400;
    let stage = Stage::new("[limits]\noutbox_bytes = \"64KiB\"\n");
    for http in BOTH {
        let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{http:?}")));
        let mut to = by_hand(&stage, &bob, http, &["delivery-ack", "noise-transport"]);
        let mut from = ada.connect(&stage, http);
        from.join(CHANNEL, [&bob]);
        let text = |number: u32| format!("{number:01000}");
        for number in 0..FRAMES {
            from.send(CHANNEL, text(number));
        }
        for _ in 0..FRAMES {
            assert_eq!(from.acked().body, None, "kept");
        }
        let mut given = Vec::new();
        while let Some(got) = to.overhear(Duration::from_secs(1)) {
            assert_eq!(got.text(), text(given.len() as u32));
            given.push(got);
        }
        assert!(
            // A replay's room is counted in payload bytes: 65 of these, and one that was on its way.
            (10..=66).contains(&given.len()),
            "{} frames without an ACK",
            given.len()
        );
        // Acknowledging is what brings more, each once and in order.
        let mut heard = given.len() as u32;
        while heard < FRAMES {
            given.drain(..).for_each(|got| acknowledge(&mut to, &got));
            let got = to.hear();
            assert_eq!(got.text(), text(heard));
            heard += 1;
            given.push(got);
        }
        // Of what came last nothing was acknowledged, or only the beginning.
        drop(to);
        from.say(CHANNEL, "afterwards");
        let mut to = with(&stage, &bob, http, &["delivery-ack"]);
        let mut next = to.hear().text();
        while next != "afterwards" {
            let number: u32 = next.parse().unwrap();
            next = to.hear().text();
            let follows = if number + 1 < FRAMES {
                text(number + 1)
            } else {
                "afterwards".to_owned()
            };
            assert_eq!(next, follows);
        }
        assert!(to.bye().is_empty() && from.bye().is_empty());
    }
    stage.end();
}

#[test]
fn a_relay_that_is_killed_keeps_what_its_recipient_had_not_acknowledged() {
    let mut stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    bob.connect(&stage, HttpVersion::Http1).bye();
    let mut from = ada.connect(&stage, HttpVersion::Http2);
    from.join(CHANNEL, [&bob]);
    say(&mut from, 0..10);
    let mut to = by_hand(&stage, &bob, HttpVersion::Http2, &["delivery-ack"]);
    let got = hear(&mut to, 0..10);
    got[..4].iter().for_each(|got| acknowledge(&mut to, got));
    is_heard(&mut to, &ada);
    let relay = stage.take();
    relay.signal(Signal::KILL);
    let _ = relay.wait();
    drop((from, to));
    stage.start();
    let mut to = with(&stage, &bob, HttpVersion::Http2, &["delivery-ack"]);
    // Whether the ACKs had become durable is chance.
    let first: u32 = to.hear().text().parse().unwrap();
    assert!(first <= 4, "{first}");
    hear(&mut to, first + 1..10);
    assert!(to.bye().is_empty());
    stage.end();
}

#[test]
fn what_a_client_had_not_acknowledged_when_it_took_leave_or_was_replaced_comes_again() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let mut from = ada.connect(&stage, HttpVersion::Http1);
    from.join(CHANNEL, [&bob]);
    let mut to = by_hand(&stage, &bob, HttpVersion::Http1, &["delivery-ack"]);
    from.join(CHANNEL, [&bob]);
    say(&mut from, 0..4);
    let got = hear(&mut to, 0..4);
    acknowledge(&mut to, &got[0]);
    assert!(to.bye().is_empty());
    let mut first = by_hand(&stage, &bob, HttpVersion::Http2, &["delivery-ack"]);
    let got = hear(&mut first, 1..4);
    acknowledge(&mut first, &got[0]);
    is_heard(&mut first, &ada);
    let mut second = with(&stage, &bob, HttpVersion::Http2, &["delivery-ack"]);
    hear(&mut second, 2..4);
    let (rest, end) = first.ends();
    assert_eq!((rest.len(), end.problem()), (0, Some(("Session Replaced", 409))));
    assert!(second.bye().is_empty() && from.bye().is_empty());
    stage.end();
}
