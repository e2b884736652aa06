//! nghttp2's own tools: a client that shows every frame, and one that asks as fast as it can.

use std::fs;

use commucat_tests::stage::Stage;

use crate::tool::run;

/// Nobody is limited here, and there is a plain listener.
const OPEN: &str = "plain_listen = \"127.0.0.1:0\"\n[limits]\nrest_calls = 4096\n[rest]\naddress_rate = 1000000\naddress_burst = 1000000\n\
    wrong_codes = 1000000\n";

/// Status and size of each answer, from nghttp's table.
fn answers(text: &str) -> Vec<(u16, usize)> {
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("id  responseEnd"))
        .skip(1);
    let row = |line: &str| {
        let mut words = line.split_whitespace().skip(4);
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    rows.map_while(row).collect()
}

/// Runs nghttp and checks that the relay has nothing to complain about: no reset, no GOAWAY with an error.
fn nghttp(arguments: &[&str], url: &str) -> (Vec<(u16, usize)>, String) {
    let text = run("nghttp", &[&["-nvsy"], arguments, &[url]].concat(), b"").well();
    assert!(!text.contains("recv RST_STREAM"), "{text}");
    for (at, _) in text.match_indices("recv GOAWAY") {
        assert!(text[at..].contains("NO_ERROR"), "{text}");
    }
    (answers(&text), text)
}

#[test]
fn nghttp_gets_every_answer_whole_however_it_frames_its_requests() {
    let stage = Stage::new(OPEN);
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    fs::write(&body, r#"{"pair_code": "nonsense"}"#).unwrap();
    let body = body.to_str().unwrap();
    let json = "content-type: application/json";
    let landing = {
        let answer = commucat_tests::curl::curl(&[&format!("{}/", stage.url())]).unwrap();
        (answer.status, answer.body.len())
    };
    let gets: [&[&str]; 10] = [
        &[],
        &["--multiply=100"],
        &["--multiply=100", "--padding=255"],
        &["--multiply=100", "--no-dep"],
        // Every DATA frame carries one octet, or seven, as wide as the window is.
        &["--window-bits=1"],
        &["--window-bits=3", "--multiply=5"],
        &["--connection-window-bits=16", "--multiply=100"],
        // No table for the answers' heads; a larger one; none for the requests'.
        &["--header-table-size=0", "--multiply=20"],
        &["--header-table-size=65536", "--multiply=20"],
        &["--encoder-header-table-size=0", "--multiply=20"],
    ];
    for arguments in gets {
        let times = arguments.iter().find_map(|word| word.strip_prefix("--multiply="));
        let times = times.map_or(1, |times| times.parse().unwrap());
        let (answers, text) = nghttp(arguments, &format!("{}/", stage.url()));
        assert_eq!(answers, vec![landing; times], "{arguments:?}: {text}");
    }
    let posts: [&[&str]; 5] = [
        &[],
        &["--no-content-length"],
        &["--trailer=checksum: 1"],
        &["--padding=200"],
        &["--expect-continue"],
    ];
    for arguments in posts {
        let arguments = [arguments, &["-d", body, "-H", json]].concat();
        let (answers, text) = nghttp(&arguments, &format!("{}/api/pair/claim", stage.url()));
        assert!(matches!(answers[..], [(403, 1..)]), "{arguments:?}: {text}");
    }
    stage.end();
}

#[test]
fn nghttp_is_told_what_the_configuration_says() {
    let stage = Stage::new("[limits]\nstreams = 7\n");
    let url = format!("{}/healthz", stage.url());
    let text = run("nghttp", &["-nvsy", "--multiply=50", &url], b"").well();
    // Whoever has sent more before it was told may send it again elsewhere (RFC 9113 § 8.7).
    let resets = text.matches("recv RST_STREAM").count();
    assert_eq!(
        text.matches("(error_code=REFUSED_STREAM(0x07))").count(),
        resets,
        "{text}"
    );
    let answers = answers(&text);
    assert_eq!(answers.len() + resets, 50, "{text}");
    assert!(answers.len() >= 7, "{text}");
    assert!(answers.iter().all(|(status, _)| *status == 200), "{text}");
    assert!(text.contains("The negotiated protocol: h2"), "{text}");
    for setting in [
        "MAX_CONCURRENT_STREAMS(0x03):7]",
        "INITIAL_WINDOW_SIZE(0x04):262144]",
        "MAX_HEADER_LIST_SIZE(0x06):16384]",
        "NO_RFC7540_PRIORITIES(0x09):1]",
        "ENABLE_CONNECT_PROTOCOL(0x08):1]",
    ] {
        assert!(text.contains(&format!("[SETTINGS_{setting}")), "{setting}: {text}");
    }
    stage.end();
}

#[test]
fn a_head_over_16_kib_in_continuations_is_a_431_problem_and_the_connection_goes_on() {
    let stage = Stage::new(OPEN);
    let url = format!("{}/healthz", stage.url());
    let (answers, text) = nghttp(&["--continuation", "--multiply=3"], &url);
    assert!(text.contains("content-type: application/problem+json"), "{text}");
    assert_eq!(answers.len(), 3, "{text}");
    assert!(answers.iter().all(|answer| matches!(answer, (431, 1..))), "{text}");
    stage.end();
}

#[test]
fn h2load_loses_no_answer_over_either_version_with_tls_and_without() {
    let stage = Stage::new(OPEN);
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    fs::write(&body, r#"{"ttl": 5}"#).unwrap();
    let (tls, plain) = (stage.url().to_owned(), format!("http://{}", stage.plain_address()));
    let mut runs = Vec::new();
    for base in [&tls, &plain] {
        runs.push((format!("{base}/healthz"), vec!["-m", "40"], "2xx"));
        // Windows of 4 KiB, and answers of twenty: what is left of each waits for credit.
        runs.push((
            format!("{base}/api/openapi.json"),
            vec!["-m", "10", "-w", "12", "-W", "20"],
            "2xx",
        ));
        runs.push((format!("{base}/healthz"), vec!["--h1"], "2xx"));
        let post = vec![
            "-m",
            "40",
            "-d",
            body.to_str().unwrap(),
            "-H",
            "content-type: application/json",
        ];
        runs.push((format!("{base}/api/pair"), post, "4xx"));
    }
    for (url, arguments, class) in runs {
        let text = run(
            "h2load",
            &[&["-n", "2000", "-c", "20"], &arguments[..], &[url.as_str()]].concat(),
            b"",
        )
        .well();
        let done = "2000 total, 2000 started, 2000 done, ";
        assert!(text.contains(done), "{url} {arguments:?}: {text}");
        assert!(text.contains(" 0 errored, 0 timeout"), "{url} {arguments:?}: {text}");
        assert!(text.contains(&format!(" 2000 {class}")), "{url} {arguments:?}: {text}");
    }
    stage.end();
}
