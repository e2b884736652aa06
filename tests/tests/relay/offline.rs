//! Frames for devices that are not there (CCP-1, Offline Delivery; decisions § 8).

use commucat_client::HttpVersion;
use commucat_proto::Sequence;
use commucat_tests::people::{Device, WAYS, devices};
use commucat_tests::stage::Stage;

const CHANNEL: u32 = 9;

#[test]
fn a_device_that_was_away_gets_everything_in_order_when_it_returns() {
    let stage = Stage::new("");
    let [sender, away] = ["sender", "away"].map(Device::new);
    for http in WAYS {
        away.connect(&stage, http).bye();
        let mut from = sender.connect(&stage, http);
        from.join(CHANNEL, [&away]);
        for number in 0..200 {
            from.say(CHANNEL, format!("waiting {number}"));
        }
        let mut to = away.connect(&stage, http);
        for number in 0..200 {
            // Fresh sequences of this connection: AUTH and the ready ACK were 1 and 2.
            let got = to.hears(&format!("waiting {number}"));
            assert_eq!(got.sequence, Sequence::new(3 + number));
        }
        from.say(CHANNEL, "live");
        to.hears("live");
        assert!(to.bye().is_empty());
        // What was delivered is gone from the inbox.
        let mut to = away.connect(&stage, http);
        from.say(CHANNEL, "afterwards");
        to.hears("afterwards");
        assert!(to.bye().is_empty() && from.bye().is_empty());
    }
    stage.end();
}

#[test]
fn what_comes_live_during_a_replay_waits_behind_it() {
    let stage = Stage::new("");
    let [sender, away] = ["sender", "away"].map(Device::new);
    away.connect(&stage, HttpVersion::Http1).bye();
    let mut from = sender.connect(&stage, HttpVersion::Http2);
    from.join(CHANNEL, [&away]);
    for round in 0..10 {
        for number in 0..100 {
            from.send(CHANNEL, format!("{round} before {number}"));
        }
        for _ in 0..100 {
            from.acked();
        }
        let mut to = away.connect(&stage, WAYS[round % 4]);
        for number in 0..100 {
            from.send(CHANNEL, format!("{round} during {number}"));
        }
        for text in ["before", "during"] {
            for number in 0..100 {
                to.hears(&format!("{round} {text} {number}"));
            }
        }
        for _ in 0..100 {
            from.acked();
        }
        assert!(to.bye().is_empty());
    }
    stage.end();
}

#[test]
fn what_waits_survives_a_restart() {
    let mut stage = Stage::new("");
    let (sender, away) = (Device::new("sender"), devices("away", 4));
    for device in &away {
        device.connect(&stage, HttpVersion::Http1).bye();
    }
    for round in 0..2 {
        let mut from = sender.connect(&stage, HttpVersion::Http1);
        from.join(CHANNEL, &away);
        for number in 0..20 {
            from.say(CHANNEL, format!("waiting {round} {number}"));
        }
        drop(from);
        let (status, log) = stage.take().terminate();
        assert!(status.success(), "{log}");
        stage.start();
    }
    for (index, device) in away.iter().enumerate() {
        let mut to = device.connect(&stage, WAYS[index % 4]);
        for round in 0..2 {
            for number in 0..20 {
                to.hears(&format!("waiting {round} {number}"));
            }
        }
        assert!(to.bye().is_empty());
    }
    stage.end();
}

#[test]
fn a_recipient_that_nobody_knows_is_rejected_by_name_in_the_ack() {
    let stage = Stage::new("");
    let [sender, known] = ["sender", "known"].map(Device::new);
    known.connect(&stage, HttpVersion::Http1).bye();
    for http in WAYS {
        let mut from = sender.connect(&stage, http);
        for nobody in ["nobody", "nobody-else", "no-one", "none"].map(Device::new) {
            from.join(CHANNEL, [&known, &nobody]);
            let sequence = from.send(CHANNEL, "hello?");
            let acked = from.acked();
            let body = acked.body.expect("the ACK says who was rejected");
            assert_eq!(acked.sequence, sequence);
            assert_eq!(body.rejected, [nobody.id]);
            assert_eq!(body.reason.as_ref().map(|reason| reason.as_str()), Some("unknown"));
        }
        let mut to = known.connect(&stage, http);
        for _ in 0..4 {
            to.hears("hello?");
        }
        assert!(to.bye().is_empty());
    }
    stage.end();
}

#[test]
fn a_full_inbox_rejects_the_new_frame_in_its_ack_and_keeps_the_old_ones() {
    let stage = Stage::new("[limits]\ninbox_rows = 10\n");
    let [sender, away] = ["sender", "away"].map(Device::new);
    away.connect(&stage, HttpVersion::Http1).bye();
    let mut from = sender.connect(&stage, HttpVersion::Http1);
    from.join(CHANNEL, [&away]);
    for number in 0..10 {
        from.say(CHANNEL, format!("{number}"));
    }
    from.send(CHANNEL, "one too many");
    let body = from.acked().body.expect("rejected");
    assert_eq!(body.rejected, std::slice::from_ref(&away.id));
    assert_eq!(body.reason.as_ref().map(|reason| reason.as_str()), Some("inbox full"));
    let mut to = away.connect(&stage, HttpVersion::Http2);
    for number in 0..10 {
        to.hears(&format!("{number}"));
    }
    assert!(to.bye().is_empty());
    stage.end();
}
