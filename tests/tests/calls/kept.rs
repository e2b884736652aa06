//! Calls of those who are away: kept until the offer expires, and no longer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commucat_client::{HttpVersion, Signal};
use commucat_proto::FrameType::{CallAnswer, CallEnd, CallOffer};
use commucat_proto::control;
use commucat_tests::operator::until;
use commucat_tests::people::{BOTH, Device, Peer};
use commucat_tests::stage::Stage;
use serde_json::json;

use crate::ground::{call, ends_with, hears, hears_of_a_failure, offer, put, read, say, signal};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn wait_until(second: u64) {
    let at = UNIX_EPOCH + Duration::from_secs(second) + Duration::from_millis(50);
    if let Ok(left) = at.duration_since(SystemTime::now()) {
        std::thread::sleep(left);
    }
}

/// Nothing waits for it: what is said to it now is the first thing that it hears.
fn has_nothing(to: &mut Peer, device: &Device, from: &mut Peer) {
    from.join(99, [device]);
    from.say(99, "a message");
    to.hears("a message");
}

#[test]
fn an_offer_reaches_who_comes_in_time_in_its_order_among_messages() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for (round, http) in BOTH.into_iter().enumerate() {
        let id = &format!("call-{round}");
        bob.connect(&stage, http).bye();
        let mut a = alice.connect(&stage, http);
        a.join(crate::ground::CHANNEL, [&bob]);
        a.say(crate::ground::CHANNEL, "before");
        let said = serde_json::to_string(&offer(id, &alice, [&bob])).unwrap();
        assert_eq!(say(&mut a, CallOffer, &said), json!({ "call_id": id }));
        a.say(crate::ground::CHANNEL, "behind");
        let mut b = bob.connect(&stage, http);
        b.hears("before");
        hears(&mut b, CallOffer, &said);
        b.hears("behind");
        let yes = format!(r#"{{"call_id":"{id}","accept":true}}"#);
        say(&mut b, CallAnswer, &yes);
        hears(&mut a, CallAnswer, &yes);
        say(&mut a, CallEnd, format!(r#"{{"call_id":"{id}"}}"#));
        assert_eq!(b.hear().kind, CallEnd);
        assert!(a.bye().is_empty() && b.bye().is_empty());
    }
    stage.end();
}

#[test]
fn who_was_away_for_the_whole_call_hears_of_its_end_too() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    bob.connect(&stage, HttpVersion::Http1).bye();
    let mut a = alice.connect(&stage, HttpVersion::Http2);
    signal(&mut a, &Signal::Offer(offer("call", &alice, [&bob])));
    let end = Signal::End(control::CallEnd::new(call("call"), "cancel"));
    signal(&mut a, &end);
    let mut b = bob.connect(&stage, HttpVersion::Http2);
    assert!(matches!(read(&b.hear()), Signal::Offer(_)));
    assert_eq!(read(&b.hear()), end);
    assert!(a.bye().is_empty() && b.bye().is_empty());
    stage.end();
}

#[test]
fn who_was_away_hears_that_the_caller_has_gone() {
    let stage = Stage::new("");
    for http in BOTH {
        // So many pairs that some of them are at home on one core and connected to the other.
        for round in 0..6 {
            let [alice, bob] = ["alice", "bob"].map(|name| Device::new(&format!("{name}-{http:?}-{round}")));
            bob.connect(&stage, http).bye();
            let mut a = alice.connect(&stage, http);
            let id = format!("call-{http:?}-{round}");
            signal(&mut a, &Signal::Offer(offer(&id, &alice, [&bob])));
            drop(a);
            until(&stage, |now| now.sum("commucat_tunnels", &[]) == 0.0);
            let mut b = bob.connect(&stage, http);
            assert!(matches!(read(&b.hear()), Signal::Offer(_)));
            hears_of_a_failure(&mut b, &id);
            assert!(b.bye().is_empty());
        }
    }
    stage.end();
}

#[test]
fn nobody_hears_of_an_offer_that_has_expired() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for (round, http) in BOTH.into_iter().enumerate() {
        bob.connect(&stage, http).bye();
        let mut a = alice.connect(&stage, http);
        let until = now() + 2;
        let mut ask = offer(&format!("call-{round}"), &alice, [&bob]);
        ask.expires_at = Some(until);
        signal(&mut a, &Signal::Offer(ask.clone()));
        // One that has expired already is not even kept.
        ask.call_id = call(&format!("late-{round}"));
        ask.expires_at = Some(1_700_000_000);
        let said = signal(&mut a, &Signal::Offer(ask));
        let expired = |said: serde_json::Value| {
            assert_eq!(
                (&said["rejected"], &said["reason"]),
                (&json!(["bob"]), &json!("expired"))
            );
        };
        expired(said);
        expired(say(
            &mut a,
            CallEnd,
            format!(r#"{{"call_id":"late-{round}","reason":"cancel"}}"#),
        ));
        wait_until(until);
        let mut b = bob.connect(&stage, http);
        has_nothing(&mut b, &bob, &mut a);
        assert!(a.bye().is_empty() && b.bye().is_empty());
    }
    stage.end();
}

#[test]
fn an_unanswered_offer_expires_and_a_later_answer_is_refused() {
    let stage = Stage::new("[limits]\ncall_offer_ttl = \"1s\"\n");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    for (round, http) in BOTH.into_iter().enumerate() {
        let id = &format!("call-{round}");
        let [mut a, mut b, mut c] = [&alice, &bob, &carol].map(|device| device.connect(&stage, http));
        // An expiry far away is the server's; the call that carol accepts has none any more.
        let mut ask = offer(id, &alice, [&bob, &carol]);
        ask.expires_at = Some(now() + 3_600);
        signal(&mut a, &Signal::Offer(ask));
        assert!(matches!(read(&b.hear()), Signal::Offer(_)) && matches!(read(&c.hear()), Signal::Offer(_)));
        let yes = format!(r#"{{"call_id":"{id}","accept":true}}"#);
        say(&mut c, CallAnswer, &yes);
        hears(&mut a, CallAnswer, &yes);
        hears(&mut b, CallAnswer, &yes);
        std::thread::sleep(Duration::from_millis(1_200));
        put(&mut b, CallAnswer, &yes);
        ends_with(b, "Not A Participant", 403);
        say(&mut a, CallEnd, format!(r#"{{"call_id":"{id}"}}"#));
        assert_eq!(c.hear().kind, CallEnd);

        // Nobody accepts this one; its caller may still say that it is over.
        let lonely = &format!("lonely-{round}");
        let mut b = bob.connect(&stage, http);
        signal(&mut a, &Signal::Offer(offer(lonely, &alice, [&bob])));
        assert!(matches!(read(&b.hear()), Signal::Offer(_)));
        std::thread::sleep(Duration::from_millis(1_200));
        let end = format!(r#"{{"call_id":"{lonely}","reason":"timeout"}}"#);
        say(&mut a, CallEnd, &end);
        hears(&mut b, CallEnd, &end);
        assert!([a, b, c].into_iter().all(|peer| peer.bye().is_empty()));
    }
    stage.end();
}
