//! The process: what it makes, keeps and refuses, how it is configured and how it ends.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use commucat_tests::curl::curl;
use commucat_tests::relay::Home;
use rustix::process::Signal;

fn mode(path: impl AsRef<Path>) -> u32 {
    path.as_ref().metadata().unwrap().mode() & 0o7777
}

#[test]
fn a_first_start_makes_keys_and_folders_for_their_owner_alone() {
    let home = Home::new();
    let relay = home.start(&[]);
    let data = home.data();
    for folder in [data.clone(), data.join("tls"), data.join("store")] {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
    }
    for file in ["noise.key", "tls/cert.pem", "tls/key.pem"] {
        assert_eq!(mode(data.join(file)), 0o600, "{file}");
    }
    let secret = fs::read_to_string(data.join("noise.key")).unwrap();
    assert_eq!(secret.trim().len(), 64);
    assert!(!relay.log().contains(secret.trim()), "the key is in the log");
}

#[test]
fn a_restart_keeps_keys_and_certificate() {
    let home = Home::new();
    let kept = |name: &str| fs::read(home.data().join(name)).unwrap();
    let first = home.start(&[]);
    let public = first.noise_public().to_owned();
    let before = [kept("noise.key"), kept("tls/cert.pem"), kept("tls/key.pem")];
    assert!(first.terminate().0.success());
    let second = home.start(&[]);
    assert_eq!(second.noise_public(), public);
    assert_eq!([kept("noise.key"), kept("tls/cert.pem"), kept("tls/key.pem")], before);
    second.kill();
    assert_eq!(home.start(&[]).noise_public(), public, "after a kill, too");
}

#[test]
fn a_new_domain_gets_a_new_development_certificate_and_keeps_the_key() {
    let home = Home::new();
    let kept = |name: &str| fs::read(home.data().join(name)).unwrap();
    let _ = home.start(&[]).terminate();
    let (certificate, key) = (kept("tls/cert.pem"), kept("tls/key.pem"));
    let _ = home.start(&["--domain", "other.example"]).terminate();
    assert_ne!(kept("tls/cert.pem"), certificate);
    assert_eq!(kept("tls/key.pem"), key);
}

#[test]
fn a_secret_that_others_could_have_read_is_refused() {
    let home = Home::new();
    let _ = home.start(&[]).terminate();
    for file in ["noise.key", "tls/key.pem"] {
        let path = home.data().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let ended = home.run(&["--listen", "127.0.0.1:0"], &[]);
        assert_eq!(ended.status.code(), Some(1));
        assert!(
            ended.stderr.contains(file) && ended.stderr.contains("chmod 0600"),
            "{}",
            ended.stderr
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(home.start(&[]).terminate().0.success());
}

#[test]
fn a_second_relay_on_the_same_folder_or_port_is_refused() {
    let (home, other) = (Home::new(), Home::new());
    let relay = home.start(&[]);
    let ended = home.run(&["--listen", "127.0.0.1:0"], &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains(&relay.pid().to_string()),
        "it names the one that runs: {}",
        ended.stderr
    );
    let ended = other.run(&["--listen", relay.address()], &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(relay.address()), "{}", ended.stderr);
    assert_eq!(curl(&[&format!("{}/healthz", relay.url())]).unwrap().status, 200);
}

#[test]
fn sigterm_and_sigint_end_it_with_status_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let relay = home.start(&[]);
        assert_eq!(curl(&[&format!("{}/healthz", relay.url())]).unwrap().status, 200);
        relay.signal(signal);
        let (status, log) = relay.wait();
        assert!(status.success(), "{status}: {log}");
        assert!(log.contains("drained"), "{log}");
    }
}

#[test]
fn idle_and_half_open_connections_do_not_hold_the_end_up() {
    let home = Home::new();
    let relay = home.start(&[]);
    let idle: Vec<_> = (0..50).map(|_| TcpStream::connect(relay.address()).unwrap()).collect();
    for mut half in idle.iter().take(25) {
        // The first bytes of a TLS record that never goes on.
        half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    }
    let (status, log) = relay.terminate();
    assert!(status.success(), "{status}: {log}");
    assert!(log.contains("drained"), "{log}");
}

#[test]
fn a_wrong_configuration_is_told_with_place_key_and_what_is_allowed() {
    let home = Home::new();
    let file = home.path().join("relay.toml");
    fs::write(&file, "shards = 1000\ncolour = \"red\"\n").unwrap();
    let file = file.to_str().unwrap();
    let ended = home.run(&["--config", file, "--check"], &[("COMMUCAT_LOG", "xml")]);
    assert_eq!(ended.status.code(), Some(2));
    let expected = [
        format!("{file}: `shards`: 1000 is not allowed; allowed: a whole number from 0 to 128"),
        format!("{file}: `colour`: there is no such key"),
        "environment variable COMMUCAT_LOG: `log`: \"xml\" is not allowed; allowed: text or json".to_owned(),
    ];
    for line in expected {
        assert!(ended.stderr.contains(&line), "{line}\n{}", ended.stderr);
    }
    assert!(!home.data().exists());
}

#[test]
fn check_validates_and_makes_nothing() {
    let home = Home::new();
    let ended = home.run(&["--check", "--shards", "3"], &[("COMMUCAT_LIMITS_ROSTER", "77")]);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("\nshards = 3\n") && ended.stdout.contains("\nroster = 77\n"),
        "{}",
        ended.stdout
    );
    assert!(!home.data().exists());
    // What it prints is a configuration file.
    let file = home.path().join("relay.toml");
    fs::write(&file, &ended.stdout).unwrap();
    let again = home.run(&["--check", "--config", file.to_str().unwrap()], &[]);
    assert_eq!(again.stdout, ended.stdout);
}

#[test]
fn check_reads_the_operators_certificate() {
    let home = Home::new();
    let ended = home.run(
        &["--check"],
        &[
            ("COMMUCAT_TLS_CERTIFICATE", "none.pem"),
            ("COMMUCAT_TLS_PRIVATE_KEY", "none.key"),
        ],
    );
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("none.pem"), "{}", ended.stderr);
}

#[test]
fn log_lines_are_objects_when_asked_and_carry_no_secret() {
    let home = Home::new();
    let relay = home.start(&["--log", "text"]);
    let (_, text) = relay.terminate();
    assert!(text.contains("listening"), "{text}");

    let ended = home.run(&["--log", "json", "--listen", "203.0.113.1:1"], &[]);
    let mut lines = ended.stderr.lines().filter(|line| line.starts_with('{'));
    let line = lines.next_back().expect("a log line");
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(object["level"], "ERROR");
    assert!(object["error"].as_str().unwrap().contains("203.0.113.1:1"), "{object}");
}
