//! Calls that go well.

use commucat_client::{HttpVersion, Signal};
use commucat_proto::FrameType::{CallAnswer, CallEnd, CallOffer, CallStats, VideoFrame, VoiceFrame};
use commucat_proto::{ChannelId, Frame};
use commucat_tests::people::{BOTH, Device, Peer, devices};
use commucat_tests::stage::Stage;
use serde_json::json;

use crate::ground::{CHANNEL, established, hears, offer, put, put_on, say, signal};

/// Enough for caller, called and call to meet on either core, and apart.
const PAIRS: usize = 16;

/// The specification's own offer, with members that nobody knows and the space that people put between things.
fn long_offer(id: &str, from: &Device, to: &Device) -> String {
    let (from, to) = (from.id.as_str(), to.id.as_str());
    format!(
        r#"{{ "call_id": "{id}", "from": "{from}@localhost", "to": ["{to}"],
  "media": {{ "audio": {{ "codec": "opus", "bitrate": 16000, "sample_rate": 48000, "channels": 1, "fec": true, "dtx": true }},
    "video": {{ "codec": "vp8", "max_bitrate": 500000, "max_resolution": {{ "width": 640, "height": 360 }},
      "frame_rate": 24, "adaptive": true }}, "mode": "full_duplex" }},
  "transport": {{ "prefer_relay": true, "fingerprints": ["00ff"],
    "udp_candidates": [{{ "address": "198.51.100.10", "port": 3478, "protocol": "udp" }}] }},
  "expires_at": 1700000000, "ephemeral_key": "00ff", "metadata": {{ "theirs": [1, {{}}] }}, "later": "ü" }}"#
    )
}

#[test]
fn a_call_between_two_devices_goes_from_offer_to_end_and_every_byte_is_relayed_as_it_came() {
    let stage = Stage::new("");
    let (callers, called) = (devices("caller", PAIRS), devices("called", PAIRS));
    for (index, (caller, called)) in callers.iter().zip(&called).enumerate() {
        let mut alice = caller.connect(&stage, BOTH[index % 2]);
        let mut bob = called.connect(&stage, BOTH[index / 2 % 2]);
        let id = &format!("call-{index}");
        let of_the_call = json!({ "call_id": id });

        let said = long_offer(id, caller, called);
        assert_eq!(say(&mut alice, CallOffer, &said), of_the_call);
        hears(&mut bob, CallOffer, &said);

        let said = format!(
            r#"{{"metadata":{{"x":1}},"accept":true,"reason":null,"call_id":"{id}","media":{{"video":null}}}}"#
        );
        assert_eq!(
            say(&mut bob, CallAnswer, &said),
            json!({ "call_id": id, "accept": true })
        );
        hears(&mut alice, CallAnswer, &said);

        for number in 0..20 {
            let kind = if number % 3 == 0 { VideoFrame } else { VoiceFrame };
            for (from, to) in [(true, false), (false, true)] {
                let (from, _) = (if from { &mut alice } else { &mut bob }, to);
                assert_eq!(say(from, kind, format!("\0{number}")), of_the_call);
            }
            hears(&mut alice, kind, format!("\0{number}"));
            hears(&mut bob, kind, format!("\0{number}"));
        }

        let said =
            format!(r#"{{"call_id":"{id}","direction":"receive","audio":{{"packet_loss":0.01}},"timestamp":7}}"#);
        assert_eq!(
            say(&mut bob, CallStats, &said),
            json!({ "call_id": id, "direction": "receive" })
        );
        hears(&mut alice, CallStats, &said);

        let said = format!(r#"{{"call_id":"{id}","reason":"hangup","unknown":[]}}"#);
        assert_eq!(
            say(&mut alice, CallEnd, &said),
            json!({ "call_id": id, "reason": "hangup" })
        );
        hears(&mut bob, CallEnd, &said);
        // What bob sent before he heard of it is acknowledged, and alice hears nothing.
        for kind in [VoiceFrame, VideoFrame] {
            assert_eq!(say(&mut bob, kind, "late"), of_the_call);
        }
        assert!(alice.bye().is_empty() && bob.bye().is_empty());
    }
    stage.end();
}

#[test]
fn media_reach_all_participants_and_nobody_else_whoever_has_joined_the_channel() {
    let stage = Stage::new("");
    let [alice, bob, carol, dora] = ["alice", "bob", "carol", "dora"].map(Device::new);
    for (round, http) in BOTH.into_iter().enumerate() {
        let id = &format!("call-{round}");
        let [mut a, mut b, mut c, mut d] = [&alice, &bob, &carol, &dora].map(|device| device.connect(&stage, http));
        // Dora is in the roster of alice's channel, and not in the call on it.
        a.join(CHANNEL, [&bob, &carol, &dora]);
        d.join(CHANNEL, [&alice, &bob, &carol]);
        a.say(CHANNEL, "before");
        for peer in [&mut b, &mut c, &mut d] {
            peer.hears("before");
        }
        established(id, (&alice, &mut a), &mut [(&bob, &mut b), (&carol, &mut c)]);
        let everybody: [fn(&mut [Peer; 3]) -> &mut Peer; 3] = [|p| &mut p[0], |p| &mut p[1], |p| &mut p[2]];
        let mut peers = [a, b, c];
        for speaker in 0..3 {
            let text = format!("speaker {speaker}");
            assert_eq!(
                say(everybody[speaker](&mut peers), VoiceFrame, &text),
                json!({ "call_id": id })
            );
            for listener in (0..3).filter(|listener| *listener != speaker) {
                hears(everybody[listener](&mut peers), VoiceFrame, &text);
            }
        }
        let [mut a, mut b, mut c] = peers;
        // Messages are the roster's all the while.
        a.say(CHANNEL, "a message");
        for peer in [&mut b, &mut c, &mut d] {
            peer.hears("a message");
        }
        let end = format!(r#"{{"call_id":"{id}","reason":"hangup"}}"#);
        say(&mut b, CallEnd, &end);
        hears(&mut a, CallEnd, &end);
        hears(&mut c, CallEnd, &end);
        assert!([a, b, c, d].into_iter().all(|peer| peer.bye().is_empty()));
    }
    stage.end();
}

#[test]
fn once_a_channel_is_joined_again_its_media_are_the_rosters() {
    let stage = Stage::new("");
    let [alice, bob] = ["alice", "bob"].map(Device::new);
    let (mut a, mut b) = (
        alice.connect(&stage, HttpVersion::Http1),
        bob.connect(&stage, HttpVersion::Http2),
    );
    established("call", (&alice, &mut a), &mut [(&bob, &mut b)]);
    say(&mut a, CallEnd, r#"{"call_id":"call","reason":"hangup"}"#);
    assert_eq!(b.hear().kind, CallEnd);
    a.join(CHANNEL, [&bob]);
    let sequence = put(&mut a, VoiceFrame, "not of a call");
    a.settled(sequence);
    hears(&mut b, VoiceFrame, "not of a call");
    assert!(a.bye().is_empty() && b.bye().is_empty());
    stage.end();
}

#[test]
fn an_offer_may_be_said_again_and_a_resent_frame_is_acknowledged_as_it_was() {
    let stage = Stage::new("");
    let [alice, bob, mallory] = ["alice", "bob", "mallory"].map(Device::new);
    for (round, http) in BOTH.into_iter().enumerate() {
        let id = &format!("call-{round}");
        let [mut a, mut b, mut m] = [&alice, &bob, &mallory].map(|device| device.connect(&stage, http));
        established(id, (&alice, &mut a), &mut [(&bob, &mut b)]);
        // Renegotiated; the participants stay who they were.
        let again = Signal::Offer(offer(id, &alice, [&bob, &mallory]));
        assert_eq!(signal(&mut a, &again), json!({ "call_id": id }));
        assert_eq!(b.hear().kind, CallOffer);
        let answer = format!(r#"{{"call_id":"{id}","accept":true}}"#);
        let sequence = put(&mut b, CallAnswer, &answer);
        let said = json!({ "call_id": id, "accept": true });
        assert_eq!(crate::ground::acked(&mut b, CHANNEL, sequence), said);
        hears(&mut a, CallAnswer, &answer);
        let frame = Frame {
            kind: CallAnswer,
            channel: ChannelId::new(CHANNEL),
            sequence,
            payload: answer.as_bytes(),
        };
        b.client().connection().resend(&frame).unwrap();
        assert_eq!(crate::ground::acked(&mut b, CHANNEL, sequence), said);
        say(&mut a, VoiceFrame, "once");
        hears(&mut b, VoiceFrame, "once");
        m.join(CHANNEL + 1, [&bob]);
        m.say(CHANNEL + 1, "nothing of it came here");
        b.hears("nothing of it came here");
        say(&mut a, CallEnd, format!(r#"{{"call_id":"{id}"}}"#));
        assert_eq!(b.hear().kind, CallEnd);
        assert!([a, b, m].into_iter().all(|peer| peer.bye().is_empty()));
    }
    stage.end();
}

#[test]
fn two_calls_of_one_session_are_kept_apart_by_their_channels() {
    let stage = Stage::new("");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(Device::new);
    let [mut a, mut b, mut c] = [&alice, &bob, &carol].map(|device| device.connect(&stage, HttpVersion::Http1));
    established("first", (&alice, &mut a), &mut [(&bob, &mut b)]);
    let second = serde_json::to_vec(&offer("second", &alice, [&carol])).unwrap();
    let sequence = put_on(&mut a, CHANNEL + 1, CallOffer, &second);
    crate::ground::acked(&mut a, CHANNEL + 1, sequence);
    assert_eq!(c.hear().kind, CallOffer);
    assert_eq!(say(&mut a, VoiceFrame, "for bob"), json!({ "call_id": "first" }));
    let said = crate::ground::say_on(&mut a, CHANNEL + 1, VoiceFrame, "for carol");
    assert_eq!(said, json!({ "call_id": "second" }));
    hears(&mut b, VoiceFrame, "for bob");
    let got = c.hear();
    assert_eq!((got.channel.get(), got.text().as_str()), (CHANNEL + 1, "for carol"));
    // An offer takes the channel over.
    say(
        &mut a,
        CallOffer,
        serde_json::to_vec(&offer("second", &alice, [&carol])).unwrap(),
    );
    assert_eq!(c.hear().kind, CallOffer);
    assert_eq!(
        say(&mut a, VoiceFrame, "for carol, too"),
        json!({ "call_id": "second" })
    );
    hears(&mut c, VoiceFrame, "for carol, too");
    assert!(a.bye().is_empty());
    crate::ground::hears_of_a_failure(&mut b, "first");
    crate::ground::hears_of_a_failure(&mut c, "second");
    assert!(b.bye().is_empty() && c.bye().is_empty());
    stage.end();
}
