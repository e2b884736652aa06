//! `/metrics` and `/api/security-stats`: what is counted is what has happened.

use std::collections::BTreeSet;

use commucat_client::HttpVersion;
use commucat_proto::FrameType;
use commucat_server::telemetry::metrics::METRICS;
use commucat_tests::curl::curl;
use commucat_tests::operator::{get, metrics, start, until};
use commucat_tests::people::Device;
use commucat_tests::relay::Home;

#[test]
fn the_numbers_of_a_conversation_are_exactly_those_of_what_was_said() {
    let home = Home::new();
    let relay = start(&home, "");
    let (alice, bob, away) = (Device::new("alice"), Device::new("bob"), Device::new("away"));
    away.connect(&relay, HttpVersion::Http1).bye();
    let mut from = alice.connect(&relay, HttpVersion::Http1);
    let mut to = bob.connect(&relay, HttpVersion::Http2);
    from.join(1, [&bob]);
    for text in ["one", "two", "three"] {
        from.say(1, text);
        to.hears(text);
    }
    from.join(2, [&away]);
    from.say(2, "for later");
    from.say(2, "for later, too");
    // A voice packet is for now or never.
    let voice = from
        .client()
        .send(FrameType::VoiceFrame, commucat_proto::ChannelId::new(2), b"hello");
    from.settled(voice.unwrap());
    let stranger = Device {
        key: bob.key.clone(),
        ..alice.clone()
    };
    let _ = stranger.refused(&relay, stranger.config(&relay, HttpVersion::Http1));

    let now = until(&relay, |now| now.sum("commucat_tunnels", &[]) == 2.0);
    let sum = |name: &str, label: &str, value: &str| now.sum(&format!("commucat_{name}"), &[(label, value)]);
    for (kind, received, sent) in [
        // Away, alice, bob; and alice with a key that is not hers, who gets no further than her HELLO.
        ("HELLO", 4.0, 0.0),
        ("AUTH", 3.0, 3.0),
        ("JOIN", 2.0, 0.0),
        ("MSG", 5.0, 3.0),
        ("VOICE_FRAME", 1.0, 0.0),
        // Three ready sessions, two JOINs, five MSG, one voice packet.
        ("ACK", 0.0, 11.0),
        ("ERROR", 0.0, 1.0),
        ("PRESENCE", 0.0, 0.0),
        ("TYPING", 0.0, 0.0),
    ] {
        assert_eq!(sum("frames_received_total", "type", kind), received, "{kind} received");
        assert_eq!(sum("frames_sent_total", "type", kind), sent, "{kind} sent");
    }
    assert_eq!(sum("handshakes_total", "outcome", "ready"), 3.0);
    assert_eq!(sum("handshakes_total", "outcome", "failed"), 1.0);
    assert_eq!(sum("frames_dropped_total", "reason", "media_away"), 1.0);
    assert_eq!(sum("frames_dropped_total", "reason", "media_overflow"), 0.0);
    for (name, value) in [
        ("frames_delivered_total", 3.0),
        ("frames_stored_total", 2.0),
        ("frames_replayed_total", 0.0),
        ("frames_spilled_total", 0.0),
        ("frames_refused_total", 0.0),
        ("sessions_replaced_total", 0.0),
        ("session_errors_total", 0.0),
        ("devices", 2.0),
        ("unacked_frames", 0.0),
        ("outbox_bytes", 0.0),
        ("inflight_bytes", 0.0),
        ("security_noise_handshakes_total", 3.0),
        ("security_pq_handshakes_total", 0.0),
    ] {
        assert_eq!(now.sum(&format!("commucat_{name}"), &[]), value, "{name}");
    }

    let kept = until(&relay, |now| now.sum("commucat_inbox_frames", &[]) == 2.0);
    let payload = "for later".len() + "for later, too".len();
    assert_eq!(kept.sum("commucat_inbox_bytes", &[]), payload as f64);

    let mut back = away.connect(&relay, HttpVersion::Http2);
    back.hears("for later");
    back.hears("for later, too");
    let then = until(&relay, |then| then.sum("commucat_devices", &[]) == 3.0);
    assert_eq!(then.sum("commucat_frames_replayed_total", &[]), 2.0);
    assert_eq!(then.sum("commucat_frames_sent_total", &[("type", "MSG")]), 5.0);
    until(&relay, |now| now.sum("commucat_inbox_frames", &[]) == 0.0);
    let stored = |all: &commucat_tests::openmetrics::Metrics| all.sum("commucat_store_latency_seconds_count", &[]);
    assert!(stored(&then) > stored(&now), "the store was asked");

    let stats = get(&relay, "/api/security-stats").json();
    let expected = serde_json::json!({
        "noise_handshakes": 4, "pq_handshakes": 0, "fec_packets": 0,
        "multipath_sessions": 0, "average_paths": 0.0, "censorship_deflections": 0,
    });
    assert_eq!(stats, expected);
}

#[test]
fn every_metric_is_served_by_every_shard_with_its_help_and_what_is_process_wide_once() {
    let home = Home::new();
    let relay = start(&home, "");
    let now = metrics(&relay);
    let served: BTreeSet<&str> = now.0.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(served, known);
    for (name, family) in &now.0 {
        let shards: BTreeSet<&str> = family
            .samples
            .iter()
            .filter_map(|sample| sample.labels.get("shard").map(String::as_str))
            .collect();
        let whole = [
            "commucat_security_",
            "commucat_inbox_",
            "commucat_build",
            "commucat_start_time",
        ];
        let whole = whole.iter().any(|start| name.starts_with(start));
        let expected: &[&str] = if whole { &[] } else { &["0", "1"] };
        assert_eq!(shards.into_iter().collect::<Vec<_>>(), expected, "{name}");
        assert!(!family.samples.is_empty(), "{name} has no sample");
    }
    // One for each frame type of the specification.
    assert_eq!(
        now.0["commucat_frames_received"].samples.len(),
        2 * FrameType::ALL.len()
    );
    assert_eq!(
        now.sum("commucat_build_info", &[("version", env!("CARGO_PKG_VERSION"))]),
        1.0
    );
    assert!(now.sum("commucat_start_time_seconds", &[]) > 1.7e9);
}

#[test]
fn an_idle_relay_answers_whoever_asks_and_sleeps_between() {
    let home = Home::new();
    let relay = home.start(&["--shards", "2"]);
    let ask = || {
        let answer = curl(&["--http1.1", &format!("{}/metrics", relay.url())]).unwrap();
        commucat_tests::openmetrics::Metrics::parse(&answer.body)
    };
    let before = ask();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let after = ask();
    for shard in ["0", "1"] {
        let turns = |all: &commucat_tests::openmetrics::Metrics| {
            all.sum("commucat_turn_duration_seconds_count", &[("shard", shard)])
        };
        let between = turns(&after) - turns(&before);
        // A handshake, two requests, and each time the asking itself; a shard that spun would make thousands.
        assert!(
            (1.0..60.0).contains(&between),
            "shard {shard}: {between} turns in three idle seconds"
        );
        assert!(after.sum("commucat_snapshot_age_seconds", &[("shard", shard)]) < 1.0);
        assert!(after.sum("commucat_cpu_seconds_total", &[("shard", shard)]) > 0.0);
    }
}
