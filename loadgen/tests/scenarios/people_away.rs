//! Those who say nothing, and those who are away.

use crate::run::Run;

#[test]
fn what_is_stored_for_the_absent_is_replayed_to_the_last_message() {
    for offers in [
        &["--ack-range", "--delivery-ack"][..],
        &["--rate", "2000", "--threads", "2"],
    ] {
        let crowd = ["--recipients", "5", "--messages", "60", "--concurrency", "2"];
        let run = Run::of("offline", &[&crowd[..], offers].concat());
        for count in [
            "stored.delivered",
            "replayed.delivered",
            "ledger.delivered",
            "stored.ack.count",
        ] {
            assert_eq!(run.number(count), 300.0, "{count}");
        }
        run.some(&["stored.per_second", "replayed.per_second", "replayed.latency.p50_us"]);
        run.shows(&[("Stored", "stored"), ("Replayed", "replayed")]);
    }
}

#[test]
fn idle_sessions_are_held_and_their_cost_is_told() {
    let run = Run::of("idle", &["--connections", "40", "--seconds", "1", "--threads", "2"]);
    assert_eq!((run.number("connections"), run.number("lost")), (40.0, 0.0));
    run.some(&["server_bytes_before", "server_bytes"]);
    assert!(run.page.contains("sessions held"));
}
