//! The scenarios in which everybody is there.

use crate::browser;
use crate::run::Run;

/// About a second.
const SHORT: [&str; 4] = ["--seconds", "0.7", "--warmup", "0.2"];

fn run(scenario: &str, options: &[&str]) -> Run {
    let mut all = SHORT.to_vec();
    all.extend(options);
    Run::of(scenario, &all)
}

#[test]
fn pairs_talk_both_ways_in_a_closed_loop_on_two_threads() {
    let run = run(
        "pairs",
        &[
            "--pairs",
            "6",
            "--both",
            "--threads",
            "2",
            "--noise-transport",
            "--sources",
            "3",
        ],
    );
    run.some(&[
        "delivered_per_second",
        "p50_us",
        "p99_us",
        "max_us",
        "ack_p99_us",
        "cpu_ns_per_delivered",
    ]);
    assert_eq!(run.number("messages.delivered"), run.number("messages.owed"));
    assert_eq!(
        (run.number("sessions"), run.number("sources"), run.number("window")),
        (12.0, 3.0, 32.0)
    );
    assert_eq!(run.json["load"]["threads"].as_array().expect("threads").len(), 2);
    assert_eq!(
        (&run.json["rate"], &run.json["both"]),
        (&serde_json::Value::Null, &true.into())
    );
    run.shows(&[("Messages", "messages")]);
}

#[test]
fn pairs_are_paced_by_the_clock_in_an_open_loop_and_the_page_opens_in_a_browser() {
    let options = [
        "--pairs",
        "4",
        "--rate",
        "400",
        "--http",
        "2",
        "--ack-range",
        "--delivery-ack",
        "--both",
    ];
    let run = run(
        "pairs",
        &[&options[..], &["--title", "<b>Bold</b> & \"quoted\""]].concat(),
    );
    run.some(&["messages.ack.p50_us", "own_lateness.p50_us", "own_lateness.count"]);
    assert_eq!(run.number("rate"), 400.0);
    assert!(run.page.contains("&lt;b&gt;Bold&lt;/b&gt; &amp; &quot;quoted&quot;"));
    run.shows(&[("Messages", "messages")]);
    let Some(shown) = browser::open(&run.path) else { return };
    for text in [
        "Latency over time",
        "How to read this",
        "open loop, 400 a second",
        "<h1>&lt;b&gt;Bold",
    ] {
        assert!(
            shown.contains(text),
            "{text} is not in what the browser shows:\n{shown}"
        );
    }
}

#[test]
fn a_fanout_reaches_every_recipient_on_every_thread() {
    let run = run("fanout", &["--recipients", "20", "--threads", "2", "--window", "4"]);
    assert_eq!(run.number("messages.owed"), 20.0 * run.number("messages.sent"));
    assert_eq!(run.number("messages.delivered"), run.number("messages.owed"));
    run.shows(&[("Messages", "messages")]);
}

#[test]
fn groups_are_made_and_some_of_their_members_talk() {
    let options = [
        "--groups",
        "3",
        "--members",
        "5",
        "--speakers",
        "2",
        "--window",
        "2",
        "--http",
        "ws",
    ];
    let run = run("groups", &options);
    assert_eq!(run.number("messages.owed"), 4.0 * run.number("messages.sent"));
    assert_eq!(run.number("sessions"), 15.0);
    run.shows(&[("Messages", "messages")]);
}

#[test]
fn calls_go_from_offer_to_end_and_are_made_again() {
    let run = run("calls", &["--calls", "3", "--call-seconds", "0.2"]);
    run.some(&[
        "voice.delivered",
        "voice.ack.count",
        "calls.delivered",
        "calls.latency.p50_us",
    ]);
    assert!(
        run.number("ledger.calls_ended") > 3.0,
        "each was made again: {}",
        run.json
    );
    assert!(run.page.contains("voice frames dropped"));
    run.shows(&[("Voice frames", "voice"), ("Call set-up", "calls")]);
}

#[test]
fn newcomers_are_let_in_as_fast_as_it_goes() {
    let run = run("connect", &["--concurrency", "4", "--http", "2"]);
    run.some(&["handshakes.delivered", "handshakes.per_cpu_second", "p50_us"]);
    run.shows(&[("Handshakes", "handshakes")]);
}

#[test]
fn newcomers_that_nobody_knows_are_due_by_the_clock() {
    let run = run(
        "connect",
        &["--rate", "20", "--new-devices", "--sources", "2", "--noise-transport"],
    );
    run.some(&["handshakes.delivered", "own_lateness.count"]);
    assert_eq!(run.number("handshakes.delivered"), run.number("handshakes.owed"));
}

#[test]
fn a_mix_has_everything_at_once_without_tls() {
    let crowd = [
        "--pairs",
        "3",
        "--groups",
        "2",
        "--members",
        "3",
        "--calls",
        "2",
        "--idle",
        "5",
    ];
    let pace = ["--rate", "300", "--newcomers", "10", "--plain", "--http", "ws2"];
    let run = run("mixed", &[&crowd[..], &pace].concat());
    run.some(&["messages.delivered", "voice.delivered", "handshakes.delivered"]);
    assert_eq!((&run.json["tls"], &run.json["http"]), (&false.into(), &"ws2".into()));
    run.shows(&[
        ("Messages", "messages"),
        ("Voice frames", "voice"),
        ("Handshakes", "handshakes"),
    ]);
}
