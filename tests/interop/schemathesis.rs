//! schemathesis reads the OpenAPI document and asks for everything in it, rightly and wrongly: each answer must be one that
//! the document names, of its media type, headers and schema (RFC 9457 for problems), and what is wrong must be refused.
//!
//! `tests/run` puts it into a virtual environment and names it in `RELAY_SCHEMATHESIS`; without that, these tests say that
//! they were not run. `RELAY_INTEROP_EXAMPLES` asks for more cases of each call.

use std::fs;

use commucat_client::HttpVersion;
use commucat_tests::account::Person;
use commucat_tests::operator::{self, TOKEN};
use commucat_tests::relay::{Home, Relay};
use commucat_tests::stage::Stage;
use serde_json::Value;

use crate::tool::run;

/// Cases of each call and phase; enough to reach every rule of the document once.
const EXAMPLES: &str = "15";
/// What the document cannot say.
const EXCEPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/schemathesis.toml");
/// The same cases each time, whatever happens elsewhere.
const SEED: &str = "20260101";

const OPEN: &str = "[rest]\naddress_rate = 1000000\naddress_burst = 1000000\nsession_rate = 1000000\n\
    session_burst = 1000000\nwrong_codes = 1000000\n";

/// Where schemathesis is; or why it is not.
fn program() -> Option<String> {
    let program = std::env::var("RELAY_SCHEMATHESIS").ok().filter(|path| !path.is_empty());
    if program.is_none() {
        println!("NOT RUN: RELAY_SCHEMATHESIS names no schemathesis; tests/run installs it from PyPI");
    }
    program
}

fn examples() -> String {
    std::env::var("RELAY_INTEROP_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned())
}

/// Asks for everything, by somebody who shows this token.
fn try_everything(program: &str, home: &Home, relay: &Relay, token: Option<&str>, more: &[&str]) -> Value {
    let report = home.path().join("schemathesis.json");
    let _ = fs::remove_file(&report);
    let certificate = home.data().join("tls/cert.pem");
    let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
    let url = format!("{}/api/openapi.json", relay.url());
    let mut arguments = vec![
        "--config-file",
        EXCEPTIONS,
        "run",
        &url,
        "--no-color",
        "--continue-on-failure",
        "--checks",
        "all",
        "--seed",
        SEED,
        "--generation-database",
        "none",
    ];
    let (examples, report_path) = (examples(), report.to_str().unwrap());
    arguments.extend([
        "--max-examples",
        &examples,
        "--tls-verify",
        certificate.to_str().unwrap(),
    ]);
    arguments.extend(["--report", "json", "--report-json-path", report_path]);
    if let Some(bearer) = &bearer {
        arguments.extend(["--header", bearer]);
    }
    arguments.extend(more);
    println!("{}", run(program, &arguments, b"").well());
    serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap()
}

/// The calls of the document that a warning of the report names.
fn warned<'a>(report: &'a Value, warning: &str) -> Vec<&'a str> {
    let calls = report["warnings"][warning].as_array().unwrap();
    calls.iter().map(|call| call.as_str().unwrap()).collect()
}

/// Whether the right requests to this call were answered with success in some phase.
fn accepted(report: &Value, call: &str) -> bool {
    let phases = report["valid_rates"][call].as_object();
    phases.is_some_and(|phases| phases.values().any(|phase| phase["accepted"].as_u64() > Some(0)))
}

/// Nothing was wrong, and nothing was left out.
fn assert_whole(report: &Value) {
    assert_eq!(
        (&report["complete"], &report["exit_code"]),
        (&true.into(), &0.into()),
        "{report}"
    );
    let operations = &report["operations"];
    assert_eq!(operations["tested"], operations["total"], "{operations}");
    assert!(report["test_cases"]["generated"].as_u64() > Some(200), "{report}");
    for warning in [
        "base_url_mismatch",
        "missing_deserializer",
        "unsupported_regex",
        "method_not_allowed",
        "rate_limited",
    ] {
        assert_eq!(warned(report, warning), [""; 0], "{warning}");
    }
}

/// What takes a session's token.
const SECURED: [&str; 6] = [
    "GET /api/devices",
    "GET /api/friends",
    "POST /api/devices/revoke",
    "POST /api/devices/rotate-key",
    "POST /api/pair",
    "PUT /api/friends",
];
/// What anybody may ask.
const OPEN_CALLS: [&str; 6] = [
    "GET /",
    "GET /healthz",
    "GET /readyz",
    "GET /api/server-info",
    "GET /metrics",
    "GET /api/security-stats",
];

#[test]
fn whoever_has_no_token_gets_what_the_document_says() {
    let Some(program) = program() else { return };
    let stage = Stage::new(OPEN);
    let report = try_everything(&program, stage.home(), &stage, None, &[]);
    assert_whole(&report);
    assert_eq!(warned(&report, "missing_auth"), SECURED);
    for call in OPEN_CALLS {
        assert!(accepted(&report, call), "{call}: {report}");
    }
    stage.end();
}

#[test]
fn whoever_has_a_sessions_token_gets_what_the_document_says() {
    let Some(program) = program() else { return };
    let stage = Stage::new(OPEN);
    let person = Person::new(&stage, "ada", HttpVersion::Http2);
    let report = try_everything(&program, stage.home(), &stage, Some(person.token.expose()), &[]);
    assert_whole(&report);
    assert_eq!(warned(&report, "missing_auth"), [""; 0]);
    for call in SECURED {
        // Nobody has a device of a made-up name.
        assert!(
            accepted(&report, call) || call == "POST /api/devices/revoke",
            "{call}: {report}"
        );
    }
    stage.end();
}

#[test]
fn whoever_has_the_operators_token_gets_what_the_document_says() {
    let Some(program) = program() else { return };
    let home = Home::new();
    let relay = operator::start(&home, OPEN);
    let calls = ["--include-path", "/metrics", "--include-path", "/api/security-stats"];
    for token in [Some(TOKEN), None] {
        let report = try_everything(&program, &home, &relay, token, &calls);
        assert_eq!(
            (&report["complete"], &report["exit_code"]),
            (&true.into(), &0.into()),
            "{report}"
        );
        for call in ["GET /metrics", "GET /api/security-stats"] {
            assert_eq!(accepted(&report, call), token.is_some(), "{call}: {report}");
            assert_eq!(
                warned(&report, "missing_auth").contains(&call),
                token.is_none(),
                "{call}: {report}"
            );
        }
    }
    let (status, log) = relay.terminate();
    assert!(status.success(), "{log}");
}
