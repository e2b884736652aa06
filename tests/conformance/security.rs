//! Security Considerations; what Transport says of tracing.

use std::time::{Duration, Instant};

use commucat_client::{HttpVersion, Pattern};
use commucat_tests::curl::curl;
use commucat_tests::people::PATIENCE;

use serde_json::json;

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Transport",
        words: "incoming traceparent header is echoed in structured logs",
        check: the_trace_stands_in_the_log,
    },
    Statement {
        section: "Security Considerations",
        words: "TLS 1.3 is mandatory",
        check: |ground| {
            let url = format!("{}/healthz", ground.relay.url());
            assert_eq!(curl(&["--tlsv1.3", &url]).unwrap().status, 200);
            assert!(curl(&["--tls-max", "1.2", &url]).is_err(), "it speaks TLS 1.2");
        },
    },
    Statement {
        section: "Security Considerations",
        words: "Noise handshake authenticates devices through pre-registered static keys",
        check: naming_a_key_is_not_having_it,
    },
];

/// The device's registered key may be known to anybody: who says it in HELLO without holding it is refused by what Noise
/// proves, and the device itself comes in as before.
fn naming_a_key_is_not_having_it(ground: &Ground<'_>) {
    let device = ground.device("ada");
    ground.connect(&device).bye();
    let thief = ground.device("ada");
    assert_eq!(thief.id, device.id);
    for pattern in [Pattern::Xk, Pattern::Ik] {
        let mut tunnel = ground.open();
        let registered = json!(hex::encode(device.key.public().as_bytes()));
        let hello = tunnel.hello(ground.relay, &thief, pattern, |hello| {
            hello["client_static"] = registered
        });
        if pattern == Pattern::Xk {
            // Here the key is proven by the third message.
            let (ready, ..) = tunnel.auth(hello);
            tunnel.prove(ready);
        }
        let (_, problem) = tunnel.error();
        assert_eq!(
            (&problem["title"], &problem["detail"], &problem["status"]),
            (&json!("Handshake Failed"), &json!("invalid static key"), &json!(403)),
            "{pattern:?}"
        );
    }
    ground.connect(&device).bye();
}

/// Over the version of HTTP that this way begins with.
fn the_trace_stands_in_the_log(ground: &Ground<'_>) {
    let trace = format!("{:032x}", 0xfeed_0000_0000_u64 + u64::from(ground.channel()));
    let one = matches!(ground.http, HttpVersion::Http1 | HttpVersion::WebSocket1);
    let header = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    let url = format!("{}/connect", ground.relay.url());
    // A type that does not exist ends the session with an ERROR, which is logged.
    let body = [
        "--header",
        &header,
        "--data-binary",
        "\u{5}\u{7f}\u{1}\u{1}\u{1}x",
        &url,
    ];
    let version = if one { "--http1.1" } else { "--http2" };
    let chunked = ["--header", "transfer-encoding: chunked"];
    let answer = curl(&[&[version][..], if one { &chunked } else { &[] }, &body].concat()).unwrap();
    assert_eq!(answer.status, 200);
    let started = Instant::now();
    while !ground.relay.log().contains(&trace) {
        assert!(started.elapsed() < PATIENCE, "{trace} is not in the log");
        std::thread::sleep(Duration::from_millis(20));
    }
}
