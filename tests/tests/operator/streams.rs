//! The page's event stream over both versions of HTTP: it moves, it ends, and a reader that does not read harms nobody.

use std::time::{Duration, Instant};

use commucat_client::HttpVersion;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::curl::curl;
use commucat_tests::http2::{
    END_HEADERS, END_STREAM, INITIAL_WINDOW_SIZE, PREFACE, block, frame, kind, settings, take,
};
use commucat_tests::operator::{Watcher, bearer, metrics, start, until};
use commucat_tests::people::{Device, PATIENCE};
use commucat_tests::raw::Raw;
use commucat_tests::relay::{Home, Relay};

const VERSIONS: [&str; 2] = ["--http1.1", "--http2"];

#[test]
fn samples_come_every_second_and_tell_what_happens_over_both_versions() {
    let home = Home::new();
    let relay = start(&home, "");
    let (alice, bob) = (Device::new("alice"), Device::new("bob"));
    for flag in VERSIONS {
        let mut watcher = Watcher::start(&relay, flag);
        let first = watcher.sample();
        assert_eq!(first["cores"].as_array().unwrap().len(), 2);
        let mut from = alice.connect(&relay, HttpVersion::Http1);
        let mut to = bob.connect(&relay, HttpVersion::Http2);
        from.join(1, [&bob]);
        let started = Instant::now();
        let mut moved = false;
        let mut samples = 0;
        while !moved {
            for _ in 0..20 {
                from.say(1, "hello");
                to.hears("hello");
            }
            let sample = watcher.sample();
            samples += 1;
            moved = sample["devices"] == 2
                && sample["rates"]["frames_in"].as_f64() > Some(1.0)
                && sample["rates"]["frames_out"].as_f64() > Some(1.0)
                && sample["turn"]["p99"].as_u64() > Some(0)
                && sample["store"]["count"].as_u64() > Some(0)
                && sample["cores"][0]["load"].is_number();
            assert!(started.elapsed() < PATIENCE, "{sample}");
        }
        assert!(
            started.elapsed() + Duration::from_secs(2) > Duration::from_secs(samples),
            "not more often"
        );
        from.bye();
        to.bye();
    }
}

#[test]
fn a_drain_ends_streams_in_good_order_and_waits_for_none_of_them() {
    for flag in VERSIONS {
        let home = Home::new();
        let relay = start(&home, "");
        let mut watchers = [Watcher::start(&relay, flag), Watcher::start(&relay, flag)];
        watchers.iter_mut().for_each(|watcher| drop(watcher.sample()));
        let started = Instant::now();
        let (status, log) = relay.terminate();
        assert!(status.success(), "{log}");
        assert!(started.elapsed() < Duration::from_secs(4), "a stream was waited for");
        for watcher in watchers {
            let status = watcher.end();
            assert!(status.success(), "curl says {status}: the body was cut");
        }
    }
}

/// Asks for the stream over HTTP/2 without ever opening a window for it.
fn deaf(relay: &Relay) -> Raw {
    let mut raw = Raw::connect(relay, HttpVersion::Http2);
    let authorization = bearer();
    let (_, value) = authorization.split_once(": ").unwrap();
    let head = block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/admin/events"),
        (":authority", "localhost"),
        ("authorization", value),
    ]);
    let request = frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, head);
    raw.write(&[PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 0)]), &request].concat())
        .unwrap();
    raw
}

#[test]
fn a_reader_that_takes_nothing_loses_its_stream_and_nobody_else_notices() {
    let home = Home::new();
    let relay = start(&home, "[limits]\nanswer_bytes = \"4KiB\"\n");
    let mut bystanders = Bystanders::start(&relay);
    let mut watcher = Watcher::start(&relay, "--http1.1");
    let mut raw = deaf(&relay);
    let started = Instant::now();
    let reset = loop {
        while let Some(seen) = take(&mut raw.plain) {
            assert_ne!(seen.kind, kind::DATA, "it has no window");
            if seen.kind == kind::RST_STREAM {
                break;
            }
        }
        let counted = metrics(&relay);
        if counted.sum("commucat_slow_readers_total", &[]) == 1.0 {
            break counted;
        }
        let before = Instant::now();
        let _ = watcher.sample();
        assert!(before.elapsed() < Duration::from_secs(20), "the others wait for it");
        assert!(started.elapsed() < PATIENCE, "it keeps its stream");
        raw.pull(Duration::from_millis(10));
    };
    assert!(reset.sum("commucat_rest_streams", &[]) <= 2.0);
    let after = until(&relay, |now| now.sum("commucat_rest_streams", &[]) == 1.0);
    assert_eq!(after.sum("commucat_slow_readers_total", &[]), 1.0);
    let _ = watcher.sample();
    bystanders.go_on();
    bystanders.stop();
}

#[test]
fn a_watcher_that_leaves_frees_its_place_and_one_too_many_is_told_so() {
    let home = Home::new();
    let relay = start(&home, "[limits]\nrest_streams = 1\n");
    let url = format!("{}/admin/events", relay.url());
    // One for each shard: which of them a connection meets is the kernel's choice.
    let mut watchers: Vec<Raw> = Vec::new();
    let refused = loop {
        assert!(watchers.len() < 100, "there is no limit");
        let answer = curl(&["--max-time", "1", "--header", &bearer(), &url]);
        if let Ok(answer) = answer {
            break answer;
        }
        watchers.push(deaf(&relay));
    };
    refused.assert_problem(503, "Service Unavailable");
    assert!(metrics(&relay).sum("commucat_rest_streams", &[]) <= 2.0);
    drop(watchers);
    until(&relay, |now| now.sum("commucat_rest_streams", &[]) == 0.0);
    let _ = Watcher::start(&relay, "--http2").sample();
}
