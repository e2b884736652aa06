//! How calls end: declined, hung up, crossed, cut.

use commucat_client::{HttpVersion, Signal};
use commucat_proto::FrameType::{CallAnswer, CallEnd, CallStats, VoiceFrame};
use commucat_proto::control;
use commucat_tests::operator::until;
use commucat_tests::people::{BOTH, Device};
use commucat_tests::stage::Stage;
use serde_json::json;

use crate::ground::{CHANNEL, call, ends_with, established, hears, hears_of_a_failure, offer, put, read, say, signal};

#[test]
fn a_call_is_declined_with_each_reason_and_is_over_then() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for http in BOTH {
        let (mut a, mut b) = (alice.connect(&stage, http), bob.connect(&stage, http));
        for reason in ["busy", "decline", "unsupported", "timeout", "error"] {
            signal(&mut a, &Signal::Offer(offer(reason, &alice, [&bob])));
            assert!(matches!(read(&b.hear()), Signal::Offer(_)));
            let no = control::CallAnswer::decline(call(reason), reason);
            let said = json!({ "call_id": reason, "accept": false, "reason": reason });
            assert_eq!(signal(&mut b, &Signal::Answer(no.clone())), said);
            assert_eq!(read(&a.hear()), Signal::Answer(no));
            // Nobody is left to speak to; this crossed the answer.
            assert_eq!(say(&mut a, VoiceFrame, "hello?"), json!({ "call_id": reason }));
            let end = Signal::End(control::CallEnd::new(call(reason), "cancel"));
            assert_eq!(signal(&mut a, &end), json!({ "call_id": reason, "reason": "cancel" }));
        }
        assert!(a.bye().is_empty() && b.bye().is_empty());
    }
    stage.end();
}

#[test]
fn one_of_two_called_declines_and_the_call_goes_on_without_it() {
    let stage = Stage::new("");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    let [mut a, mut b, mut c] = [&alice, &bob, &carol].map(|device| device.connect(&stage, HttpVersion::Http2));
    signal(&mut a, &Signal::Offer(offer("call", &alice, [&bob, &carol])));
    assert!(matches!(read(&b.hear()), Signal::Offer(_)) && matches!(read(&c.hear()), Signal::Offer(_)));
    let no = r#"{"call_id":"call","accept":false,"reason":"busy"}"#;
    say(&mut b, CallAnswer, no);
    hears(&mut a, CallAnswer, no);
    hears(&mut c, CallAnswer, no);
    let yes = r#"{"call_id":"call","accept":true}"#;
    say(&mut c, CallAnswer, yes);
    hears(&mut a, CallAnswer, yes);
    for text in ["one", "two"] {
        say(&mut a, VoiceFrame, text);
        hears(&mut c, VoiceFrame, text);
    }
    let end = r#"{"call_id":"call","reason":"hangup"}"#;
    say(&mut c, CallEnd, end);
    hears(&mut a, CallEnd, end);
    assert!([a, b, c].into_iter().all(|peer| peer.bye().is_empty()));
    stage.end();
}

#[test]
fn two_ends_that_cross_are_no_offence() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for round in 0..12 {
        let id = &format!("call-{round}");
        let (mut a, mut b) = (
            alice.connect(&stage, BOTH[round % 2]),
            bob.connect(&stage, BOTH[round / 2 % 2]),
        );
        established(id, (&alice, &mut a), &mut [(&bob, &mut b)]);
        let end = format!(r#"{{"call_id":"{id}","reason":"hangup"}}"#);
        let stats = format!(r#"{{"call_id":"{id}","direction":"send"}}"#);
        for peer in [&mut a, &mut b] {
            put(peer, VoiceFrame, "one moment");
            put(peer, CallEnd, &end);
            put(peer, VoiceFrame, "too late");
            put(peer, CallStats, &stats);
        }
        let mut ends = 0;
        for peer in [&mut a, &mut b] {
            for _ in 0..4 {
                assert_eq!(peer.acked().body.expect("of the call").call_id, Some(call(id)));
            }
        }
        for peer in [a, b] {
            let rest = peer.bye();
            ends += rest.iter().filter(|got| got.kind == CallEnd).count();
            assert!(rest.iter().all(|got| got.kind != CallStats && got.text() != "too late"));
        }
        assert_eq!(ends, 1, "the first end is heard, by the other one");
    }
    stage.end();
}

#[test]
fn a_connection_that_breaks_ends_its_calls_for_the_rest_once() {
    let stage = Stage::new("");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    for round in 0..8 {
        let id = &format!("call-{round}");
        let http = BOTH[round % 2];
        let [mut a, mut b, mut c] = [&alice, &bob, &carol].map(|device| device.connect(&stage, http));
        established(id, (&alice, &mut a), &mut [(&bob, &mut b), (&carol, &mut c)]);
        say(&mut a, VoiceFrame, "last words");
        drop(a);
        for peer in [&mut b, &mut c] {
            hears(peer, VoiceFrame, "last words");
            hears_of_a_failure(peer, id);
        }
        // Somebody else goes, and the call has ended already.
        drop(b);
        let end = format!(r#"{{"call_id":"{id}","reason":"hangup"}}"#);
        assert_eq!(say(&mut c, CallEnd, &end), json!({ "call_id": id, "reason": "hangup" }));
        assert!(c.bye().is_empty());
    }
    stage.end();
}

#[test]
fn a_session_that_is_replaced_ends_its_call_like_any_other() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for http in BOTH {
        let (mut a, mut b) = (alice.connect(&stage, http), bob.connect(&stage, http));
        established("call", (&alice, &mut a), &mut [(&bob, &mut b)]);
        let mut again = alice.connect(&stage, http);
        let (rest, end) = a.ends();
        assert_eq!((rest.len(), end.problem()), (0, Some(("Session Replaced", 409))));
        hears_of_a_failure(&mut b, "call");
        // The new session may make the call anew under its old name.
        established("call", (&alice, &mut again), &mut [(&bob, &mut b)]);
        say(&mut b, CallEnd, r#"{"call_id":"call"}"#);
        assert_eq!(again.hear().kind, CallEnd);
        assert!(again.bye().is_empty() && b.bye().is_empty());
    }
    stage.end();
}

#[test]
fn a_caller_that_goes_before_anybody_answers_ends_the_ringing() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for http in BOTH {
        let (mut a, mut b) = (alice.connect(&stage, http), bob.connect(&stage, http));
        signal(&mut a, &Signal::Offer(offer("call", &alice, [&bob])));
        assert!(matches!(read(&b.hear()), Signal::Offer(_)));
        assert!(a.bye().is_empty());
        hears_of_a_failure(&mut b, "call");
        // This crossed the end.
        assert_eq!(
            say(&mut b, CallAnswer, r#"{"call_id":"call","accept":true}"#),
            json!({ "call_id": "call", "accept": true })
        );
        assert_eq!(say(&mut b, VoiceFrame, "hello?"), json!({ "call_id": "call" }));
        assert!(b.bye().is_empty());
    }
    stage.end();
}

#[test]
fn an_end_for_somebody_gone_that_cannot_be_kept_for_somebody_away_is_counted() {
    let stage = Stage::new("[limits]\ninbox_rows = 1\n");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    for (round, http) in BOTH.into_iter().enumerate() {
        bob.connect(&stage, http).bye();
        let mut a = alice.connect(&stage, http);
        let id = format!("call-{round}");
        // The offer is all that his inbox takes.
        signal(&mut a, &Signal::Offer(offer(&id, &alice, [&bob])));
        drop(a);
        until(&stage, |now| {
            now.sum("commucat_call_ends_lost_total", &[]) == round as f64 + 1.0
        });
        let mut b = bob.connect(&stage, http);
        assert!(matches!(read(&b.hear()), Signal::Offer(_)));
        assert!(b.bye().is_empty());
    }
    stage.end();
}

#[test]
fn after_a_while_an_end_is_forgotten_by_who_said_it_and_never_held_against_who_heard_it() {
    let stage = Stage::new("[limits]\ncall_linger = \"1ms\"\n");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    let [mut a, mut b, mut c] = [&alice, &bob, &carol].map(|device| device.connect(&stage, HttpVersion::Http1));
    // Bob has joined the channel for carol, and may not have noticed that he speaks to nobody else any more.
    b.join(CHANNEL, [&carol]);
    established("call", (&alice, &mut a), &mut [(&bob, &mut b)]);
    say(&mut a, CallEnd, r#"{"call_id":"call"}"#);
    assert_eq!(b.hear().kind, CallEnd);
    std::thread::sleep(std::time::Duration::from_millis(50));
    for _ in 0..2 {
        assert_eq!(say(&mut b, VoiceFrame, "alice?"), json!({ "call_id": "call" }));
    }
    say(&mut b, CallEnd, r#"{"call_id":"call"}"#);
    std::thread::sleep(std::time::Duration::from_millis(50));
    b.say(CHANNEL, "now for you");
    c.hears("now for you");
    let sequence = put(&mut b, VoiceFrame, "and a voice");
    b.settled(sequence);
    hears(&mut c, VoiceFrame, "and a voice");
    put(&mut a, VoiceFrame, "on a channel that is nobody's");
    ends_with(a, "Not Joined", 403);
    assert!([b, c].into_iter().all(|peer| peer.bye().is_empty()));
    stage.end();
}
