//! `ack-range` (decisions § 3).

use commucat_client::HttpVersion;
use commucat_tests::people::{Device, Peer, WAYS};
use commucat_tests::stage::Stage;

use crate::with;

const CHANNEL: u32 = 4;
const BURST: u32 = 2_000;

/// Sends a burst, half on each of two channels in runs of ten, and checks that every frame is acknowledged once.
fn burst(from: &mut Peer) {
    let channel = |number: u32| CHANNEL + (number / 10) % 2;
    let sent: Vec<_> = (0..BURST)
        .map(|n| (channel(n), from.send(channel(n), format!("{n}"))))
        .collect();
    let mut acked: Vec<_> = (0..BURST)
        .map(|_| from.acked())
        .map(|ack| (ack.channel.get(), ack.sequence))
        .collect();
    acked.sort_unstable_by_key(|(_, sequence)| *sequence);
    assert_eq!(acked, sent);
}

#[test]
fn with_ack_range_one_frame_acknowledges_many_and_each_exactly_once() {
    let stage = Stage::new("");
    for http in WAYS {
        let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{http:?}")));
        let mut to = bob.connect(&stage, http);
        let mut from = with(&stage, &ada, http, &["ack-range"]);
        for channel in [CHANNEL, CHANNEL + 1] {
            from.join(channel, [&bob]);
        }
        let before = from.ack_frames;
        burst(&mut from);
        let frames = from.ack_frames - before;
        assert!(frames < u64::from(BURST) / 2, "{frames} ACK frames for {BURST} frames");
        for number in 0..BURST {
            to.hears(&format!("{number}"));
        }
    }
    stage.end();
}

#[test]
fn without_ack_range_every_frame_has_an_ack_of_its_own() {
    let stage = Stage::new("");
    let [ada, bob] = ["ada", "bob"].map(Device::new);
    let mut to = bob.connect(&stage, HttpVersion::Http2);
    let mut from = with(&stage, &ada, HttpVersion::Http1, &["noise"]);
    for channel in [CHANNEL, CHANNEL + 1] {
        from.join(channel, [&bob]);
    }
    let before = from.ack_frames;
    burst(&mut from);
    assert_eq!(from.ack_frames - before, u64::from(BURST));
    to.hears("0");
    stage.end();
}

#[test]
fn a_range_never_covers_what_was_rejected() {
    let stage = Stage::new("");
    let [ada, bob, nobody] = ["ada", "bob", "nobody"].map(Device::new);
    let _to = bob.connect(&stage, HttpVersion::Http2);
    let mut from = with(&stage, &ada, HttpVersion::Http1, &["ack-range"]);
    from.join(CHANNEL, [&bob]);
    from.join(CHANNEL + 1, [&nobody]);
    let kept = from.send(CHANNEL, "kept");
    let refused = from.send(CHANNEL + 1, "refused");
    let again = from.send(CHANNEL, "kept");
    let mut acked: Vec<_> = (0..3).map(|_| from.acked()).collect();
    acked.sort_unstable_by_key(|ack| ack.sequence);
    let sequences: Vec<_> = acked.iter().map(|ack| ack.sequence).collect();
    assert_eq!(sequences, [kept, refused, again]);
    let rejected: Vec<_> = acked
        .iter()
        .map(|ack| ack.body.as_ref().map(|body| body.rejected.len()))
        .collect();
    assert_eq!(rejected, [None, Some(1), None]);
    stage.end();
}
