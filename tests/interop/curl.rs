//! curl, past what one request can show: connections that are used again, bodies in every framing, a HELLO.
//! One request at a time is `tests/server_http.rs`.

use commucat_client::Pattern;
use commucat_tests::people::Device;
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::hello;
use commucat_tests::wire::{self, frame, kind};
use serde_json::Value;

use crate::tool::{run, run_in};

const PLAIN: &str = "plain_listen = \"127.0.0.1:0\"\n";
const VERSIONS: [(&str, &str); 2] = [("--http1.1", "1.1"), ("--http2", "2")];
/// Of each answer: status, connections that were opened for it, version of HTTP.
const FORM: &str = "%{http_code} %{num_connects} %{http_version}\n";

fn curl(arguments: &[&str]) -> String {
    run(
        "curl",
        &[
            &["--silent", "--show-error", "--insecure", "--max-time", "60"],
            arguments,
        ]
        .concat(),
        b"",
    )
    .well()
}

/// Asks for `url` so many times in one run of curl.
fn many(flags: &[&str], url: &str, times: usize) -> Vec<String> {
    let each = ["--output", "/dev/null", url];
    let urls: Vec<&str> = (0..times).flat_map(|_| each).collect();
    let text = curl(&[flags, &["--write-out", FORM], &urls].concat());
    // With `--parallel` a progress meter stands between them.
    let answers = text
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    answers
        .filter(|line| line.split(' ').count() == 3)
        .map(str::to_owned)
        .collect()
}

#[test]
fn one_connection_carries_request_after_request() {
    let stage = Stage::new("");
    let url = format!("{}/api/server-info", stage.url());
    for (flag, version) in VERSIONS {
        let answers = many(&[flag], &url, 20);
        assert_eq!(answers[0], format!("200 1 {version}"));
        assert!(
            answers[1..].iter().all(|answer| *answer == format!("200 0 {version}")),
            "{answers:?}"
        );
    }
    let answers = many(&["--http2", "--parallel", "--parallel-max", "40"], &url, 40);
    assert_eq!(answers.len(), 40);
    assert!(
        answers
            .iter()
            .all(|answer| answer.starts_with("200 ") && answer.ends_with(" 2")),
        "{answers:?}"
    );
    let opened = answers.iter().filter(|answer| !answer.contains(" 0 ")).count();
    assert_eq!(opened, 1, "forty at once share a connection: {answers:?}");
    stage.end();
}

#[test]
fn alpn_decides_and_the_client_sees_it() {
    let stage = Stage::new("");
    let url = format!("{}/healthz", stage.url());
    for (arguments, words) in [
        (vec!["--http2"], "ALPN: server accepted h2"),
        (vec!["--http1.1"], "ALPN: server accepted http/1.1"),
        (vec!["--no-alpn", "--http2"], "HTTP/1.1 200"),
    ] {
        let text = curl(&[&["--verbose", "--include"], &arguments[..], &[&url]].concat());
        assert!(
            text.contains(words) && text.contains("{\"status\":\"ok\"}"),
            "{arguments:?}: {text}"
        );
    }
    stage.end();
}

#[test]
fn the_plain_listener_speaks_both_versions_and_an_upgrade_to_http_2_is_not_taken() {
    let stage = Stage::new(PLAIN);
    let url = format!("http://{}/healthz", stage.plain_address());
    for (flag, version) in [
        ("--http2-prior-knowledge", "2"),
        ("--http1.1", "1.1"),
        ("--http2", "1.1"),
    ] {
        assert_eq!(many(&[flag], &url, 1), [format!("200 1 {version}")], "{flag}");
    }
    stage.end();
}

#[test]
fn bodies_are_read_however_they_are_framed() {
    let stage = Stage::new("");
    let url = format!("{}/api/pair/claim", stage.url());
    let json = [
        "--header",
        "content-type: application/json",
        "--data-binary",
        r#"{"pair_code": "no"}"#,
    ];
    // Longer than curl may take: whoever waits for a 100 in vain fails.
    let framings: [&[&str]; 4] = [
        &[],
        &["--header", "expect: 100-continue", "--expect100-timeout", "100"],
        &["--http1.1", "--header", "transfer-encoding: chunked"],
        &[
            "--http1.1",
            "--header",
            "transfer-encoding: chunked",
            "--header",
            "expect: 100-continue",
        ],
    ];
    for framing in framings {
        for (flag, _) in VERSIONS {
            let text = curl(&[&["--include", flag], framing, &json, &[&url]].concat());
            assert!(
                text.contains(" 403") && text.contains("\"status\":403"),
                "{framing:?}: {text}"
            );
            let told = framing.contains(&"expect: 100-continue") && text.starts_with("HTTP/1.1 ");
            assert!(!told || text.starts_with("HTTP/1.1 100 "), "{text}");
        }
    }
    for (flag, _) in VERSIONS {
        let head = curl(&["--head", flag, &format!("{}/healthz", stage.url())]);
        assert!(head.contains(" 200") && head.contains("application/json"), "{head}");
        assert!(!head.contains("\"ok\""), "{head}");
    }
    stage.end();
}

#[test]
fn a_hello_that_curl_posts_is_answered_before_the_body_of_the_answer_ends() {
    let stage = Stage::new("");
    for (index, (flag, _)) in VERSIONS.into_iter().enumerate() {
        let device = Device::new(&format!("posted-{index}"));
        let (state, payload) = hello(&stage, &device, Pattern::Xk, |_| {});
        let url = format!("{}/connect", stage.url());
        let arguments = [
            "--silent",
            "--insecure",
            "--max-time",
            "60",
            flag,
            "--output",
            "answer",
            "--data-binary",
            "@-",
            &url,
        ];
        let folder = tempfile::tempdir().unwrap();
        run_in(folder.path(), "curl", &arguments, &frame(kind::HELLO, 0, 1, payload)).well();
        let mut body = std::fs::read(folder.path().join("answer")).unwrap();
        let auth = wire::take(&mut body).unwrap();
        let auth: Value = serde_json::from_slice(&auth.payload).unwrap();
        let message = hex::decode(auth["handshake"].as_str().unwrap()).unwrap();
        assert!(state.read_auth(&message).is_ok(), "{auth}");
        assert_eq!(
            wire::take(&mut body).map(|seen| seen.kind),
            None,
            "the request has ended, and so does the answer"
        );
    }
    stage.end();
}
