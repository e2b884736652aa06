//! What curl sees: REST and errors over HTTP/1.1 and HTTP/2, through real TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use commucat_tests::curl::{Answer, curl};
use commucat_tests::relay::Home;

const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2", "2")];

/// One relay for both versions of HTTP.
fn over_both(check: impl Fn(&dyn Fn(&[&str], &str) -> Answer)) {
    let home = Home::new();
    let relay = home.start(&[]);
    for (flag, version) in VERSIONS {
        check(&|arguments, path| {
            let url = format!("{}{path}", relay.url());
            let answer = curl(&[&[flag], arguments, &[url.as_str()]].concat()).unwrap();
            assert_eq!(answer.version, version);
            answer
        });
    }
}

#[test]
fn health_and_readiness_are_ok_on_a_fresh_relay() {
    over_both(|get| {
        for path in ["/healthz", "/readyz"] {
            let answer = get(&[], path);
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (200, Some("application/json"))
            );
            assert_eq!(answer.json()["status"], "ok");
        }
        let landing = get(&[], "/");
        assert_eq!(landing.status, 200);
        assert!(
            landing.header("content-type").unwrap().starts_with("text/html"),
            "{landing:?}"
        );
    });
}

#[test]
fn an_unknown_path_is_a_404_problem() {
    over_both(|get| get(&[], "/no/such/path").assert_problem(404, "Not Found"));
}

#[test]
fn a_wrong_method_is_a_405_problem_with_allow() {
    over_both(|get| {
        let answer = get(&["--request", "DELETE"], "/healthz");
        answer.assert_problem(405, "Method Not Allowed");
        assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    });
}

#[test]
fn connect_takes_post_alone() {
    over_both(|get| {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = get(&["--request", method], "/connect");
            answer.assert_problem(405, "Method Not Allowed");
            assert_eq!(answer.header("allow"), Some("POST"));
        }
    });
}

#[test]
fn server_info_tells_a_client_what_it_needs_before_hello() {
    let home = Home::new();
    let relay = home.start(&["--domain", "relay.example"]);
    for (flag, _) in VERSIONS {
        let answer = curl(&[flag, &format!("{}/api/server-info", relay.url())]).unwrap();
        assert_eq!(answer.status, 200);
        let info = answer.json();
        assert_eq!(info["domain"], "relay.example");
        assert_eq!(info["noise_public"], relay.noise_public());
        assert_eq!(info["noise_keys"], serde_json::json!([relay.noise_public()]));
        assert_eq!(info["supported_patterns"], serde_json::json!(["XK", "IK"]));
        assert_eq!(info["supported_versions"], serde_json::json!([1]));
        assert_eq!(info["pairing"]["auto_approve"], true);
        assert_eq!(info["pairing"]["max_auto_devices"], 1);
        assert!(info["pairing"]["pairing_ttl"].is_u64());
        assert!(info["capabilities"].is_array() && info.get("device_ca_public").is_some());
    }
}

#[test]
fn http_1_1_is_spoken_to_a_client_without_alpn() {
    let home = Home::new();
    let relay = home.start(&[]);
    let answer = curl(&["--no-alpn", &format!("{}/healthz", relay.url())]).unwrap();
    assert_eq!((answer.status, answer.version.as_str()), (200, "1.1"));
}

#[test]
fn tls_1_2_and_plain_http_are_turned_away() {
    let home = Home::new();
    let relay = home.start(&[]);
    const SSL_CONNECT_ERROR: i32 = 35;
    let old = curl(&["--tls-max", "1.2", &format!("{}/healthz", relay.url())]);
    assert_eq!(old.unwrap_err(), SSL_CONNECT_ERROR);

    let mut plain = TcpStream::connect(relay.address()).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, or nothing, and then the end.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn the_certificate_is_trusted_by_whoever_is_given_it_for_every_name_of_the_relay() {
    let home = Home::new();
    let relay = home.start(&["--domain", "relay.example"]);
    let port = relay.address().rsplit(':').next().unwrap().to_owned();
    let authority = home.data().join("tls/cert.pem");
    for host in ["localhost", "127.0.0.1", "relay.example"] {
        let answer = std::process::Command::new("curl")
            .args(["--silent", "--fail", "--max-time", "20", "--cacert"])
            .arg(&authority)
            .args(["--resolve", &format!("{host}:{port}:127.0.0.1")])
            .arg(format!("https://{host}:{port}/healthz"))
            .output()
            .unwrap();
        assert!(answer.status.success(), "{host}: {answer:?}");
    }
}

#[test]
fn the_plain_listener_speaks_to_a_proxy_on_the_same_host() {
    let home = Home::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = free.local_addr().unwrap().to_string();
    drop(free);
    let _relay = home.start(&["--plain-listen", &plain]);
    let answer = curl(&[&format!("http://{plain}/healthz")]).unwrap();
    assert_eq!((answer.status, answer.version.as_str()), (200, "1.1"));
}

#[test]
fn the_trace_id_of_a_valid_traceparent_stands_in_the_log_lines_of_its_session() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let home = Home::new();
    let relay = home.start(&["--log", "json"]);
    let url = format!("{}/connect", relay.url());
    // A frame of a type that does not exist ends the session with an ERROR, which is logged.
    let connect = |traceparent: String| {
        curl(&[
            "--http2",
            "--header",
            &traceparent,
            "--data-binary",
            "\u{5}\u{7f}\u{1}\u{1}\u{1}x",
            &url,
        ])
    };
    let answer = connect(format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01")).unwrap();
    assert_eq!(answer.status, 200);
    let _ = connect(format!(
        "traceparent: 00-{}-0000000000000000-01",
        TRACE.replace('4', "5")
    ));
    let (_, log) = relay.terminate();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ends: Vec<_> = lines
        .iter()
        .filter(|line| line["message"] == "session ended with an error")
        .collect();
    assert_eq!(ends.len(), 2, "{log}");
    assert_eq!(
        (&ends[0]["trace"], &ends[0]["title"]),
        (&TRACE.into(), &"Invalid Frame Type".into())
    );
    assert!(ends[1].get("trace").is_none(), "an invalid one is ignored: {}", ends[1]);
}
