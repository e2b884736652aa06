//! Security Telemetry.

use commucat_client::HttpVersion;
use commucat_tests::curl::{Answer, curl};
use commucat_tests::openmetrics::Metrics;
use serde_json::Value;

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Security Telemetry",
        words: "`GET /api/security-stats` exposes the live `SecuritySnapshot` counters in JSON form",
        check: |ground| {
            let before = stats(ground);
            ground.connect(&ground.device("ada")).bye();
            let after = stats(ground);
            assert_eq!(
                count(&after, "noise_handshakes"),
                count(&before, "noise_handshakes") + 1.0
            );
            for name in NAMES {
                assert!(after[name].is_number(), "{name} in {after}");
            }
            assert_eq!(after.as_object().unwrap().len(), NAMES.len(), "{after}");
        },
    },
    Statement {
        section: "Security Telemetry",
        words: "mirroring the Prometheus metrics",
        check: |ground| {
            let (stats, metrics) = (stats(ground), metrics(ground));
            for name in NAMES {
                let total = if name == "average_paths" { "" } else { "_total" };
                let metric = metrics.sum(&format!("commucat_security_{name}{total}"), &[]);
                assert_eq!(metric, count(&stats, name), "{name}");
            }
        },
    },
    Statement {
        section: "Security Telemetry",
        words: "The `/metrics` endpoint now emits `commucat_security_*` counters",
        check: |ground| {
            let (before, _) = (metrics(ground), ground.connect(&ground.device("ada")).bye());
            let of = |all: &Metrics| all.sum("commucat_security_noise_handshakes_total", &[]);
            assert_eq!(of(&metrics(ground)), of(&before) + 1.0);
        },
    },
];

const NAMES: [&str; 6] = [
    "noise_handshakes",
    "pq_handshakes",
    "fec_packets",
    "multipath_sessions",
    "average_paths",
    "censorship_deflections",
];

/// For as long as numbers are good for the next who asks.
fn get(ground: &Ground<'_>, path: &str) -> Answer {
    std::thread::sleep(std::time::Duration::from_millis(300));
    let http1 = matches!(ground.http, HttpVersion::Http1);
    let flag = if http1 { "--http1.1" } else { "--http2" };
    let answer = curl(&[flag, &format!("{}{path}", ground.relay.url())]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn stats(ground: &Ground<'_>) -> Value {
    get(ground, "/api/security-stats").json()
}

fn count(stats: &Value, name: &str) -> f64 {
    stats[name].as_f64().unwrap_or_else(|| panic!("{name} in {stats}"))
}

fn metrics(ground: &Ground<'_>) -> Metrics {
    Metrics::parse(&get(ground, "/metrics").body)
}
