//! OpenSSL's `s_client`: TLS 1.3 with everything the relay offers, and the alert for everything it does not (decisions § 1,
//! RFC 8446, RFC 7301).
//!
//! | asked for | promised |
//! |---|---|
//! | TLS 1.3, any of its three AEADs, X25519, P-256, P-384, X25519MLKEM768 | served |
//! | TLS 1.2 and older | an alert |
//! | ALPN `h2`, `http/1.1`, none | that, that, HTTP/1.1 |
//! | ALPN of others alone | `no_application_protocol` |
//! | any SNI or none | the one certificate; the client judges it |
//! | compression, renegotiation | do not exist in TLS 1.3; KeyUpdate does |
//! | resumption | one ticket for each handshake, good until the relay restarts |
//! | early data | never: it could be replayed |

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use commucat_tests::stage::Stage;

use crate::tool::{Ended, run};

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const OK: &str = "{\"status\":\"ok\"}";

/// One connection; asks for health over it when it stands.
fn connect(stage: &Stage, arguments: &[&str]) -> Ended {
    let fixed = ["s_client", "-connect", stage.address(), "-ign_eof"];
    run("openssl", &[&fixed, arguments].concat(), ASK)
}

fn served(stage: &Stage, arguments: &[&str]) -> String {
    let ended = connect(stage, arguments);
    assert!(ended.code == 0 && ended.says(OK), "{arguments:?}: {ended:?}");
    ended.text
}

/// Refused by a fatal alert of this number.
fn refused(stage: &Stage, arguments: &[&str], alert: u8) {
    let ended = connect(stage, arguments);
    let words = format!("SSL alert number {alert}\n");
    assert!(ended.says(&words) && !ended.says("HTTP/1"), "{arguments:?}: {ended:?}");
}

const HANDSHAKE_FAILURE: u8 = 40;
const ILLEGAL_PARAMETER: u8 = 47;
const PROTOCOL_VERSION: u8 = 70;
const NO_APPLICATION_PROTOCOL: u8 = 120;

#[test]
fn every_suite_is_served_with_every_group() {
    let stage = Stage::new("");
    let suites = [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];
    let mut groups = vec!["X25519", "P-256", "P-384"];
    // Post-quantum, since OpenSSL 3.5.
    let hybrid = "X25519MLKEM768";
    if run("openssl", &["list", "-kem-algorithms"], b"").says(hybrid) {
        groups.push(hybrid);
    } else {
        println!("not tried: this OpenSSL does not know {hybrid}");
    }
    for suite in suites {
        for group in &groups {
            let text = served(&stage, &["-ciphersuites", suite, "-groups", group, "-brief"]);
            assert!(text.contains(&format!("Ciphersuite: {suite}\n")), "{text}");
            assert!(text.contains("Protocol version: TLSv1.3\n"), "{text}");
        }
    }
    // A key share of a group that is not served, and a group that is: the relay asks for the other one.
    let text = served(&stage, &["-groups", "P-521:X25519", "-msg"]);
    assert_eq!(
        text.matches("<<< TLS 1.3, Handshake [length 0058], ServerHello")
            .count(),
        1,
        "HelloRetryRequest: {text}"
    );
    assert_eq!(text.matches(", ServerHello").count(), 2, "{text}");
    for group in ["P-521", "X448"] {
        refused(&stage, &["-groups", group], HANDSHAKE_FAILURE);
    }
    for suites in ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"] {
        refused(&stage, &["-ciphersuites", suites], HANDSHAKE_FAILURE);
    }
    // The development certificate is of P-256.
    refused(&stage, &["-sigalgs", "RSA+SHA256:RSA-PSS+SHA256"], HANDSHAKE_FAILURE);
    stage.end();
}

#[test]
fn no_older_version_is_spoken_however_it_is_asked_for() {
    let stage = Stage::new("");
    let weak = ["-cipher", "DEFAULT@SECLEVEL=0"];
    for version in [&["-tls1_2"] as &[&str], &["-tls1_2", "-fallback_scsv"], &["-no_tls1_3"]] {
        refused(&stage, &[version, &weak].concat(), PROTOCOL_VERSION);
    }
    // These have no extension that would say what else they take.
    for version in ["-tls1_1", "-tls1"] {
        let ended = connect(&stage, &[&[version], weak.as_slice()].concat());
        let alerts = [PROTOCOL_VERSION, HANDSHAKE_FAILURE].map(|alert| format!("SSL alert number {alert}\n"));
        assert!(alerts.iter().any(|alert| ended.says(alert)), "{ended:?}");
        assert!(!ended.says("HTTP/1"), "{ended:?}");
    }
    // Whoever speaks both gets the newer one.
    assert!(served(&stage, &["-brief"]).contains("Protocol version: TLSv1.3\n"));
    stage.end();
}

#[test]
fn alpn_that_nobody_here_speaks_is_refused_and_none_is_http_1_1() {
    let stage = Stage::new("");
    for (asked, got) in [
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("foo,http/1.1", "ALPN protocol: http/1.1"),
    ] {
        assert!(served(&stage, &["-alpn", asked]).contains(got), "{asked}");
    }
    for asked in ["h2", "http/1.1,h2", "foo,h2,http/1.1"] {
        // The relay's order counts; a request of HTTP/1.1 is no preface, and ends the connection.
        let ended = connect(&stage, &["-alpn", asked]);
        assert!(ended.says("ALPN protocol: h2\n"), "{asked}: {ended:?}");
    }
    assert!(served(&stage, &[]).contains("No ALPN negotiated"));
    for asked in ["foo", "http/1.0", "h2c", "H2,HTTP/1.1", "h3"] {
        refused(&stage, &["-alpn", asked], NO_APPLICATION_PROTOCOL);
    }
    stage.end();
}

#[test]
fn every_name_gets_the_one_certificate_and_the_client_judges_it() {
    let stage = Stage::new("domain = \"relay.example\"\n");
    let certificate = stage.home().data().join("tls/cert.pem");
    let trusting = ["-CAfile", certificate.to_str().unwrap(), "-verify_return_error"];
    for name in ["localhost", "relay.example"] {
        let text = served(
            &stage,
            &[
                &trusting[..],
                &["-servername", name, "-verify_hostname", name, "-brief"],
            ]
            .concat(),
        );
        assert!(text.contains(&format!("Verified peername: {name}")), "{text}");
    }
    for arguments in [["-servername", "other.example"].as_slice(), &["-noservername"]] {
        served(&stage, arguments);
    }
    let wrong = ["-servername", "other.example", "-verify_hostname", "other.example"];
    let ended = connect(&stage, &[&trusting[..], &wrong].concat());
    assert!(ended.code != 0 && ended.says("hostname mismatch"), "{ended:?}");
    // What is no host name at all (RFC 6066 § 3).
    refused(&stage, &["-servername", "no host..name"], ILLEGAL_PARAMETER);
    // Nobody is asked who they are.
    assert!(served(&stage, &[]).contains("No client certificate CA names sent"));
    stage.end();
}

#[test]
fn a_ticket_shortens_the_next_handshake_until_the_relay_restarts_and_carries_no_early_data() {
    let mut stage = Stage::new("");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (session, early) = (path("session"), path("early"));
    std::fs::write(&early, ASK).unwrap();
    let text = served(&stage, &["-sess_out", &session]);
    assert!(
        text.contains("New, TLSv1.3") && text.contains("Max Early Data: 0\n"),
        "{text}"
    );
    assert_eq!(
        text.matches("Post-Handshake New Session Ticket arrived").count(),
        1,
        "{text}"
    );
    let text = served(&stage, &["-sess_in", &session]);
    assert!(text.contains("Reused, TLSv1.3"), "{text}");
    // The client itself sends none for such a ticket.
    let text = served(&stage, &["-sess_in", &session, "-early_data", &early]);
    assert!(
        text.contains("Reused, TLSv1.3") && text.contains("Early data was not sent"),
        "{text}"
    );
    // A ticket is nobody's but this process's: after a restart it is not an error, and not worth anything.
    stage.restart_with("");
    let text = served(&stage, &["-sess_in", &session]);
    assert!(text.contains("New, TLSv1.3"), "{text}");
    stage.end();
}

#[test]
fn there_is_no_compression_and_records_may_be_as_small_as_they_like() {
    let stage = Stage::new("");
    assert!(served(&stage, &["-comp"]).contains("Compression: NONE"));
    for small in [["-max_send_frag", "512"], ["-maxfraglen", "512"]] {
        served(&stage, &small);
    }
    let text = served(&stage, &["-msg"]);
    assert!(
        text.contains("<<< TLS 1.3, Alert [length 0002], warning close_notify"),
        "{text}"
    );
    stage.end();
}

#[test]
fn keys_are_updated_whenever_the_client_asks_and_nothing_is_renegotiated() {
    let stage = Stage::new("");
    let mut client = Command::new("timeout")
        .args([
            "120",
            "stdbuf",
            "-oL",
            "openssl",
            "s_client",
            "-connect",
            stage.address(),
            "-msg",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    // s_client obeys letters at the start of a line once it is through with the handshake.
    assert!(lines.any(|line| line.contains("NewSessionTicket")), "no handshake");
    for _ in 0..3 {
        input.write_all(b"K\n").unwrap();
        assert!(lines.any(|line| line.starts_with(">>> TLS 1.3") && line.ends_with("KeyUpdate")));
    }
    input.write_all(ASK).unwrap();
    let rest: Vec<String> = lines.collect();
    // One of ours answers them all, before the next thing that we say (RFC 8446 § 4.6.3).
    let place = |words: &str| {
        rest.iter()
            .position(|line| line.contains(words))
            .unwrap_or_else(|| panic!("{rest:?}"))
    };
    assert!(
        place("<<< TLS 1.3, Handshake [length 0005], KeyUpdate") < place(OK),
        "{rest:?}"
    );
    drop(input);
    let _ = client.wait();
    // TLS 1.3 has no renegotiation, which a client that wants one finds out by itself.
    assert!(served(&stage, &[]).contains("Secure Renegotiation IS NOT supported"));
    stage.end();
}
