//! What is no call, and who has no part in one.

use commucat_client::{HttpVersion, Signal};
use commucat_proto::FrameType::{self, CallAnswer, CallEnd, CallOffer, CallStats, VoiceFrame};
use commucat_tests::people::{BOTH, Device};
use commucat_tests::stage::Stage;
use serde_json::json;

use crate::ground::{ends_with, established, hears, offer, put, say, signal};

#[test]
fn what_has_not_the_shape_of_the_specification_is_an_invalid_control_payload() {
    let stage = Stage::new("");
    let mallory = Device::new("mallory");
    let wrong: [(FrameType, &str); 16] = [
        (CallOffer, "[]"),
        (CallOffer, "{"),
        (CallOffer, r#"{"from":"mallory","to":["bob"]}"#),
        (CallOffer, r#"{"call_id":"c","to":["bob"]}"#),
        (CallOffer, r#"{"call_id":"c","from":"mallory"}"#),
        (CallOffer, r#"{"call_id":"c","from":"mallory","to":[]}"#),
        (
            CallOffer,
            r#"{"call_id":"c","from":"mallory","to":["mallory","mallory@localhost"]}"#,
        ),
        (
            CallOffer,
            r#"{"call_id":"c","from":"mallory","to":["bob"],"expires_at":"soon"}"#,
        ),
        (
            CallOffer,
            r#"{"call_id":"c","from":"mallory","to":["bob"],"media":{"audio":{"bitrate":"16k"}}}"#,
        ),
        (CallOffer, r#"{"call_id":"","from":"mallory","to":["bob"]}"#),
        (CallAnswer, r#"{"call_id":"c"}"#),
        (CallAnswer, r#"{"call_id":"c","accept":"yes"}"#),
        (CallEnd, r#"{"reason":"hangup"}"#),
        (CallEnd, r#"{"call_id":"c","reason":7}"#),
        (CallStats, r#"{"call_id":"c","direction":1}"#),
        (CallStats, r#"{"call_id":"c","audio":{"rtt_ms":"slow"}}"#),
    ];
    for (index, (kind, payload)) in wrong.into_iter().enumerate() {
        let mut m = mallory.connect(&stage, BOTH[index % 2]);
        put(&mut m, kind, payload);
        let (_, end) = m.ends();
        assert_eq!(end.problem(), Some(("Invalid Control Payload", 400)), "{payload}");
    }
    stage.end();
}

#[test]
fn a_stranger_is_told_the_same_of_a_call_as_of_none() {
    let stage = Stage::new("");
    let [alice, bob, mallory] = ["alice", "bob", "mallory"].map(Device::new);
    let (mut a, mut b) = (
        alice.connect(&stage, HttpVersion::Http1),
        bob.connect(&stage, HttpVersion::Http2),
    );
    established("call", (&alice, &mut a), &mut [(&bob, &mut b)]);
    let attempts = [
        (CallAnswer, r#"{"call_id":"ID","accept":true}"#),
        (CallAnswer, r#"{"call_id":"ID","accept":false,"reason":"busy"}"#),
        (CallEnd, r#"{"call_id":"ID","reason":"hangup"}"#),
        (CallStats, r#"{"call_id":"ID","direction":"send"}"#),
    ];
    for (index, (kind, payload)) in attempts.into_iter().enumerate() {
        let answers = ["call", "no-such-call"].map(|id| {
            let mut m = mallory.connect(&stage, BOTH[index % 2]);
            put(&mut m, kind, payload.replace("ID", id));
            m.ends()
        });
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].1.problem(), Some(("Not A Participant", 403)));
    }
    // Nor can a stranger, or one of the called, take a call over by an offer of its own, or speak in another's name.
    let mut m = mallory.connect(&stage, HttpVersion::Http2);
    put(
        &mut m,
        CallOffer,
        serde_json::to_vec(&offer("call", &mallory, [&alice, &bob])).unwrap(),
    );
    ends_with(m, "Not A Participant", 403);
    let mut m = mallory.connect(&stage, HttpVersion::Http1);
    put(
        &mut m,
        CallOffer,
        serde_json::to_vec(&offer("other", &alice, [&bob])).unwrap(),
    );
    ends_with(m, "Not A Participant", 403);
    // Media on the channel of a call that one takes no part in are media on a channel without one.
    let mut m = mallory.connect(&stage, HttpVersion::Http1);
    put(&mut m, VoiceFrame, "let me in");
    ends_with(m, "Not Joined", 403);

    say(&mut a, VoiceFrame, "undisturbed");
    hears(&mut b, VoiceFrame, "undisturbed");
    assert!(a.bye().is_empty());
    let rest = b.bye();
    assert_eq!(
        rest.len(),
        usize::from(!rest.is_empty()),
        "nothing but the end of the call"
    );
    stage.end();
}

#[test]
fn who_has_not_answered_does_not_speak() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    let (mut a, mut b) = (
        alice.connect(&stage, HttpVersion::Http2),
        bob.connect(&stage, HttpVersion::Http2),
    );
    signal(&mut a, &Signal::Offer(offer("call", &alice, [&bob])));
    assert_eq!(b.hear().kind, CallOffer);
    put(&mut b, VoiceFrame, "hello?");
    ends_with(b, "Not Joined", 403);
    assert!(a.bye().is_empty());
    stage.end();
}

#[test]
fn calls_have_limits_with_names() {
    let stage = Stage::new("[limits]\nsession_calls = 2\ncall_members = 3\n");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    let many: Vec<Device> = ["x", "y", "z", "w"].map(Device::new).into();
    let mut b = bob.connect(&stage, HttpVersion::Http1);
    for http in BOTH {
        let mut a = alice.connect(&stage, http);
        for id in ["one", "two"] {
            signal(&mut a, &Signal::Offer(offer(id, &alice, [&bob])));
            assert_eq!(b.hear().kind, CallOffer);
        }
        // One that has ended makes room.
        for id in ["two", "three", "four", "five", "six"] {
            say(&mut a, CallEnd, format!(r#"{{"call_id":"{id}"}}"#));
            assert_eq!(b.hear().kind, CallEnd);
            let next = match id {
                "two" => "three",
                "three" => "four",
                "four" => "five",
                "five" => "six",
                _ => "seven",
            };
            signal(&mut a, &Signal::Offer(offer(next, &alice, [&bob])));
            assert_eq!(b.hear().kind, CallOffer);
        }
        put(
            &mut a,
            CallOffer,
            serde_json::to_vec(&offer("eight", &alice, [&bob])).unwrap(),
        );
        ends_with(a, "Too Many Calls", 429);
        // Both calls that were open.
        assert_eq!((b.hear().kind, b.hear().kind), (CallEnd, CallEnd));

        let mut a = alice.connect(&stage, http);
        put(
            &mut a,
            CallOffer,
            serde_json::to_vec(&offer("crowd", &alice, &many)).unwrap(),
        );
        ends_with(a, "Roster Too Large", 413);
    }
    assert!(b.bye().is_empty());
    stage.end();
}

#[test]
fn the_ack_names_whom_an_offer_cannot_reach() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    let mut b = bob.connect(&stage, HttpVersion::Http1);
    for http in BOTH {
        let mut a = alice.connect(&stage, http);
        let to = ["bob", "nobody", "somebody@elsewhere.example"].map(Device::new);
        let said = signal(&mut a, &Signal::Offer(offer("call", &alice, &to)));
        let mut rejected: Vec<_> = said["rejected"].as_array().unwrap().clone();
        rejected.sort_by_key(ToString::to_string);
        assert_eq!(rejected, [json!("nobody"), json!("somebody@elsewhere.example")]);
        assert_eq!(said["call_id"], "call");
        assert_eq!(b.hear().kind, CallOffer);
        say(&mut a, CallEnd, r#"{"call_id":"call"}"#);
        assert_eq!(b.hear().kind, CallEnd);
        assert!(a.bye().is_empty());
    }
    assert!(b.bye().is_empty());
    stage.end();
}
