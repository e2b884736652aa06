//! Call Signaling and Media Transport.

use commucat_proto::FrameType::{self, CallAnswer, CallEnd, CallOffer, CallStats, VideoFrame, VoiceFrame};
use commucat_proto::{ChannelId, Sequence};
use commucat_tests::people::{Device, Peer};
use serde_json::{Value, json};

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Call Signaling and Media Transport",
        words: "Each media frame inherits the channel membership of the negotiated call and is acknowledged with ACK carrying {\"call_id\": ...}",
        check: |ground| {
            let mut call = Call::accepted(ground);
            let expected = json!({ "call_id": call.id });
            for kind in [VoiceFrame, VideoFrame] {
                assert_eq!(say(&mut call.caller, call.channel, kind, "one packet"), expected);
                hears(&mut call.called, call.channel, kind, "one packet");
            }
        },
    },
    Statement {
        section: "Call Offer",
        words: "The offer describes the requested codecs and duplex mode",
        // It reaches the called byte for byte, with all that it describes.
        check: |ground| drop(Call::offered(ground)),
    },
    Statement {
        section: "Call Offer",
        words: "transport hints are advisory; the initial release always relays through the server",
        check: hints_change_nothing,
    },
    Statement {
        section: "Call Answer",
        words: "Declining a call sets accept to false and includes a reason of \"busy\", \"decline\", \"unsupported\", \"timeout\", or \"error\"",
        check: |ground| {
            for reason in ["busy", "decline", "unsupported", "timeout", "error"] {
                let mut call = Call::offered(ground);
                let no = json!({ "call_id": call.id, "accept": false, "reason": reason }).to_string();
                let ack = say(&mut call.called, call.channel, CallAnswer, &no);
                assert_eq!((&ack["accept"], &ack["reason"]), (&json!(false), &json!(reason)));
                hears(&mut call.caller, call.channel, CallAnswer, &no);
            }
        },
    },
    Statement {
        section: "Call Answer",
        words: "When both parties accept, media transmission may begin immediately",
        check: |ground| {
            let mut call = Call::accepted(ground);
            say(&mut call.called, call.channel, VoiceFrame, "hello");
            hears(&mut call.caller, call.channel, VoiceFrame, "hello");
        },
    },
    Statement {
        section: "Call Answer",
        words: "The server acknowledges each offer and answer with an ACK that mirrors call_id and the inbound sequence",
        // `offered`, `accept` and `say` compare both.
        check: |ground| drop(Call::accepted(ground)),
    },
    Statement {
        section: "Call Termination",
        words: "a reason string (\"hangup\", \"cancel\", \"failure\", or \"timeout\"). The server relays termination frames to every participant",
        check: |ground| {
            for reason in ["hangup", "cancel", "failure", "timeout"] {
                Call::accepted(ground).end(reason);
            }
        },
    },
    Statement {
        section: "Call Termination",
        words: "and releases any state it tracked for the session",
        check: |ground| {
            let mut call = Call::accepted(ground);
            call.end("hangup");
            // Nobody is in a call any more: the other side begins the next one, on the same channel.
            let (from, to) = (call.devices[1].clone(), call.devices[0].clone());
            let next = format!("{}-next", call.id);
            let again = offer(&next, &from, &to);
            let ack = say(&mut call.called, call.channel, CallOffer, &again);
            assert_eq!(ack, json!({ "call_id": next }));
            hears(&mut call.caller, call.channel, CallOffer, &again);
        },
    },
    Statement {
        section: "Call Termination",
        words: "Disconnects ... also trigger a synthesized CALL_END with reason \"failure\" and metadata.system = true",
        check: |ground| {
            let call = Call::accepted(ground);
            drop(call.caller);
            let mut called = call.called;
            let got = called.hear();
            assert_eq!((got.kind, got.channel.get()), (CallEnd, call.channel));
            let end: Value = serde_json::from_slice(&got.payload).unwrap();
            let failure = json!({ "call_id": call.id, "reason": "failure", "metadata": { "system": true } });
            assert_eq!(end, failure);
        },
    },
    Statement {
        section: "Media Frames",
        words: "Frames inherit the channel identifier of the call and are sequenced just like MSG frames",
        check: |ground| {
            let mut call = Call::accepted(ground);
            let mut last = None;
            for number in 0..20 {
                say(&mut call.caller, call.channel, VoiceFrame, format!("{number}"));
                let got = call.called.hear();
                assert_eq!((got.kind, got.channel.get()), (VoiceFrame, call.channel));
                assert!(last.is_none_or(|last: Sequence| got.sequence > last));
                last = Some(got.sequence);
            }
        },
    },
    Statement {
        section: "Quality Reporting",
        words: "servers simply relay the telemetry",
        check: |ground| {
            let mut call = Call::accepted(ground);
            let stats = json!({ "call_id": call.id, "direction": "send",
                "audio": { "bitrate": 16_000, "packet_loss": 0.01, "jitter_ms": 8, "rtt_ms": 95 },
                "video": { "bitrate": 350_000, "packet_loss": 0.05, "jitter_ms": 25, "frames_per_second": 15 },
                "timestamp": 1_700_000_100 });
            let ack = say(&mut call.caller, call.channel, CallStats, stats.to_string());
            assert_eq!(ack["call_id"], call.id.as_str());
            hears(&mut call.called, call.channel, CallStats, stats.to_string());
        },
    },
];

/// Two sessions and the call between them.
struct Call {
    id: String,
    channel: u32,
    devices: [Device; 2],
    caller: Peer,
    called: Peer,
}

impl Call {
    /// Both are there, and nobody has called yet.
    fn silent(ground: &Ground<'_>) -> Self {
        let channel = ground.channel();
        let devices = ["caller", "called"].map(|name| ground.device(&format!("{name}-{channel}")));
        let [caller, called] = [&devices[0], &devices[1]].map(|device| ground.connect(device));
        let id = format!("call-{channel}");
        Self {
            id,
            channel,
            devices,
            caller,
            called,
        }
    }

    /// The called has heard the offer.
    fn offered(ground: &Ground<'_>) -> Self {
        let mut call = Self::silent(ground);
        call.offer(&offer(&call.id, &call.devices[0], &call.devices[1]));
        call
    }

    /// The caller offers it, and the called hears that as it was said.
    fn offer(&mut self, offer: &str) {
        let ack = say(&mut self.caller, self.channel, CallOffer, offer);
        assert_eq!(ack, json!({ "call_id": self.id }));
        hears(&mut self.called, self.channel, CallOffer, offer);
    }

    /// The called has accepted, and the caller knows.
    fn accepted(ground: &Ground<'_>) -> Self {
        let mut call = Self::offered(ground);
        call.accept();
        call
    }

    fn accept(&mut self) {
        let yes = json!({ "call_id": self.id, "accept": true, "reason": null, "metadata": {},
            "media": { "audio": { "bitrate": 12_000, "codec": "opus", "sample_rate": 48_000, "channels": 1,
                "fec": true, "dtx": true }, "video": null, "mode": "full_duplex" } });
        let ack = say(&mut self.called, self.channel, CallAnswer, yes.to_string());
        assert_eq!(ack, json!({ "call_id": self.id, "accept": true }));
        hears(&mut self.caller, self.channel, CallAnswer, yes.to_string());
    }

    /// The caller ends it.
    fn end(&mut self, reason: &str) {
        let end = json!({ "call_id": self.id, "reason": reason });
        let text = end.to_string();
        assert_eq!(say(&mut self.caller, self.channel, CallEnd, &text), end);
        hears(&mut self.called, self.channel, CallEnd, &text);
    }
}

/// An offer whose hints ask for anything but the relay: it arrives as it was said, so that the two may act on it, and what
/// they say to each other goes by the relay all the same, every byte as it was.
fn hints_change_nothing(ground: &Ground<'_>) {
    let mut call = Call::silent(ground);
    let mut direct: Value = serde_json::from_str(&offer(&call.id, &call.devices[0], &call.devices[1])).unwrap();
    // Members that nobody knows are hints, too; the order of members is the sender's.
    direct["transport"] = json!({ "prefer_relay": false, "zebra": [1, 2], "fingerprints": [],
        "udp_candidates": [{ "address": "192.0.2.7", "port": 9, "protocol": "udp" }] });
    call.offer(&serde_json::to_string_pretty(&direct).unwrap());
    call.accept();
    let packet: Vec<u8> = (0..=u8::MAX).rev().collect();
    for kind in [VoiceFrame, VideoFrame] {
        say(&mut call.called, call.channel, kind, &packet);
        let got = call.caller.hear();
        assert_eq!((got.kind, got.channel.get()), (kind, call.channel));
        assert!(got.payload == packet, "the relay has touched what it relays");
    }
}

/// The specification's own offer.
fn offer(id: &str, from: &Device, to: &Device) -> String {
    json!({ "call_id": id, "from": from.id.as_str(), "to": [to.id.as_str()],
        "media": {
            "audio": { "codec": "opus", "bitrate": 16_000, "sample_rate": 48_000, "channels": 1, "fec": true, "dtx": true },
            "video": { "codec": "vp8", "max_bitrate": 500_000, "max_resolution": { "width": 640, "height": 360 },
                "frame_rate": 24, "adaptive": true },
            "mode": "full_duplex" },
        "transport": { "prefer_relay": true, "fingerprints": ["00ff"],
            "udp_candidates": [{ "address": "198.51.100.10", "port": 3478, "protocol": "udp" }] },
        "expires_at": 1_700_000_000, "ephemeral_key": "00ff", "metadata": {} })
    .to_string()
}

/// Sends a frame, and gives what its ACK says beside the number.
fn say(peer: &mut Peer, channel: u32, kind: FrameType, payload: impl AsRef<[u8]>) -> Value {
    let channel = ChannelId::new(channel);
    let sequence = peer.client().send(kind, channel, payload.as_ref()).unwrap();
    let acked = peer.acked();
    assert_eq!((acked.channel, acked.sequence), (channel, sequence));
    let mut body = serde_json::to_value(acked.body.expect("more than a number")).unwrap();
    let number = body.as_object_mut().unwrap().remove("ack");
    assert_eq!(number, Some(json!(sequence.get())));
    body
}

/// The next frame is this one, byte for byte.
fn hears(peer: &mut Peer, channel: u32, kind: FrameType, payload: impl AsRef<[u8]>) {
    let got = peer.hear();
    assert_eq!((got.kind, got.channel.get()), (kind, channel), "{}", got.text());
    assert_eq!(got.text(), String::from_utf8_lossy(payload.as_ref()));
}
