//! `commucat-cli` as an operator uses it: the real binary beside a real relay.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use commucat_client::{Config, HttpVersion, PublicKey};
use commucat_tests::curl::curl;
use commucat_tests::people::{Device, PATIENCE};
use commucat_tests::relay::{Ended, Home};
use commucat_tests::stage::Stage;
use rustix::process::Signal;
use serde_json::Value;

/// The check of that name in what the doctor printed with `--json`.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap()
}

fn doctor(home: &Home, more: &[&str]) -> Ended {
    home.cli(&[&["doctor", "--json"], more].concat())
}

#[test]
fn the_doctor_is_content_with_a_fresh_host_and_names_what_it_looked_at() {
    let home = Home::new();
    let ended = doctor(&home, &[]);
    assert!(ended.status.success(), "{ended:?}");
    let report = ended.json();
    assert_eq!(report["ok"], true);
    for name in [
        "configuration",
        "open files",
        "kernel",
        "io_uring",
        "descriptors",
        "receive buffers",
        "listen backlog",
        "locked memory",
        "net.core.somaxconn",
        "clock",
        "address",
        "certificate",
        "noise key",
        "federation key",
        "store",
    ] {
        assert_ne!(check(&report, name)["verdict"], "fail", "{name}");
    }
    let words = home.cli(&["doctor"]).stdout;
    assert_eq!(words.lines().count(), report["checks"].as_array().unwrap().len());
    assert!(
        words
            .lines()
            .all(|line| line.starts_with("ok ") || line.starts_with("weak ")),
        "{words}"
    );
    assert!(!home.data().exists(), "looking changes nothing");
}

#[test]
fn the_doctor_says_what_to_do_about_what_is_wrong() {
    let stage = Stage::new("");
    let home = stage.home();
    let key = home.data().join("noise.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = doctor(home, &[]);
    assert_eq!(ended.status.code(), Some(1));
    let report = ended.json();
    assert_eq!(
        (&report["ok"], &check(&report, "noise key")["verdict"]),
        (&false.into(), &"fail".into())
    );
    let text = check(&report, "noise key")["text"].as_str().unwrap();
    assert!(text.contains("chmod 0600"), "{text}");

    std::fs::write(home.path().join("wrong.toml"), "limits.roster = 0\n").unwrap();
    let ended = doctor(home, &["--config", "wrong.toml"]);
    assert_eq!(ended.status.code(), Some(1));
    let report = ended.json();
    let text = check(&report, "configuration")["text"].as_str().unwrap();
    assert!(text.contains("limits.roster"), "{text}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whether `device` comes in by a handshake made for `server`.
fn comes_in(stage: &Stage, device: &Device, server: PublicKey) -> bool {
    let config = Config {
        server,
        ..device.config(stage, HttpVersion::Http2)
    };
    device.connect_with(stage, config).is_ok()
}

fn until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "it never became true");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_rotated_noise_key_and_the_one_before_both_work_until_the_grace_is_over() {
    let mut stage = Stage::new("");
    let (ada, bob) = (Device::new("ada"), Device::new("bob"));
    let old: PublicKey = stage.noise_public().parse().unwrap();
    let mut live = bob.connect(&stage, HttpVersion::Http1);
    live.join(1, [&ada]);
    assert!(comes_in(&stage, &ada, old));

    let rotated = stage.home().cli(&["rotate-keys", "--json", "--grace", "1h"]).json();
    let new: PublicKey = rotated["noise_public"].as_str().unwrap().parse().unwrap();
    assert_eq!(rotated["previous_noise_public"], old.to_string());
    assert!(
        !comes_in(&stage, &ada, new),
        "a relay takes a key over when it is told to"
    );
    stage.signal(Signal::HUP);
    until(|| comes_in(&stage, &ada, new));
    assert!(comes_in(&stage, &ada, old));
    let info = curl(&[&format!("{}/api/server-info", stage.url())]).unwrap().json();
    assert_eq!(info["noise_public"], new.to_string());
    assert_eq!(
        info["noise_keys"],
        serde_json::json!([new.to_string(), old.to_string()])
    );
    live.say(1, "the session was not touched");

    stage.restart_with("");
    assert!(
        comes_in(&stage, &ada, new) && comes_in(&stage, &ada, old),
        "both, after a restart as well"
    );

    let again = stage.home().cli(&["rotate-keys", "--json", "--grace", "2s"]).json();
    let newest: PublicKey = again["noise_public"].as_str().unwrap().parse().unwrap();
    stage.signal(Signal::HUP);
    until(|| comes_in(&stage, &ada, newest));
    assert!(!comes_in(&stage, &ada, old), "only one key is on its way out");
    until(|| !comes_in(&stage, &ada, new));
    assert!(comes_in(&stage, &ada, newest));
    stage.end();
}

#[test]
fn a_rotated_federation_seed_has_another_public_key() {
    let stage = Stage::new("");
    let before = doctor(stage.home(), &[]).json();
    let rotated = stage
        .home()
        .cli(&["rotate-keys", "--json", "--keys", "federation"])
        .json();
    let after = doctor(stage.home(), &[]).json();
    let key = |report: &Value| check(report, "federation key")["text"].clone();
    assert_ne!(key(&before), key(&after));
    assert_eq!(rotated["federation_public"], key(&after));
    assert!(rotated["noise_public"].is_null(), "the Noise key was not asked for");
}

#[test]
fn migrating_takes_the_store_for_itself() {
    let mut stage = Stage::new("");
    let ended = stage.home().cli(&["migrate", "--json"]);
    assert_eq!(ended.status.code(), Some(1), "a relay is using it");
    assert!(
        ended.json()["error"].as_str().unwrap().contains("commucat-data"),
        "{ended:?}"
    );
    let (status, _) = stage.take().terminate();
    assert!(status.success());
    let migrated = stage.home().cli(&["migrate", "--json"]);
    assert!(migrated.status.success(), "{migrated:?}");
    assert_eq!(migrated.json()["store"], "embedded");
}

/// `commucat-cli` against a relay, with the keys in `commucat-client` of its folder.
fn ask(stage: &Stage, arguments: &[&str]) -> Ended {
    let reach = ["--url", stage.url(), "--insecure", "--json"];
    stage.home().cli(&[arguments, &reach].concat())
}

#[test]
fn a_second_device_is_paired_listed_and_revoked_from_the_command_line() {
    let stage = Stage::new("");
    let ada = Device::new("ada");
    ada.connect(&stage, HttpVersion::Http1).bye();
    let folder = stage.home().path().join("commucat-client");
    commucat_client::keys::keep(&folder, &ada.id, &ada.key).unwrap();

    let offered = ask(&stage, &["pair", "--device", "ada", "--ttl", "2m"]);
    assert!(offered.status.success(), "{offered:?}");
    let offered = offered.json();
    assert_eq!(offered["ttl"], 120);
    let code = offered["pair_code"].as_str().unwrap();
    let claimed = ask(&stage, &["pair", "--claim", code, "--name", "tablet"]);
    assert!(claimed.status.success(), "{claimed:?}");
    let second = claimed.json()["device_id"].as_str().unwrap().to_owned();
    let again = ask(&stage, &["pair", "--claim", code]);
    assert!(
        !again.status.success() && again.json()["error"].is_string(),
        "{again:?}"
    );

    let listed = ask(&stage, &["devices", "--device", &second]);
    assert!(listed.status.success(), "{listed:?}");
    let names = |listed: &Value| {
        let devices = listed["devices"].as_array().unwrap().iter();
        let mut names: Vec<_> = devices
            .map(|device| device["device_id"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let mut both = vec!["ada".to_owned(), second.clone()];
    both.sort();
    assert_eq!(names(&listed.json()), both);

    assert!(
        ask(&stage, &["devices", "--device", "ada", "--revoke", &second])
            .status
            .success()
    );
    let refused = ask(&stage, &["devices", "--device", &second]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn the_statistics_of_a_talk_are_told_by_shard_and_together() {
    let stage = Stage::new("");
    let (ada, bob) = (Device::new("ada"), Device::new("bob"));
    let (mut from, _to) = (
        ada.connect(&stage, HttpVersion::Http2),
        bob.connect(&stage, HttpVersion::Http2),
    );
    from.join(1, [&bob]);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| ask(&stage, &["stats", "--interval", "2s", "--count", "1"]));
        for number in 0..200 {
            from.say(1, format!("{number}"));
            std::thread::sleep(Duration::from_millis(10));
        }
        let told = watching.join().unwrap();
        assert!(told.status.success(), "{told:?}");
        let told = told.json();
        assert_eq!(told["shards"].as_array().unwrap().len(), 2);
        assert_eq!(told["all"]["devices"], 2.0);
        assert!(told["all"]["frames_in"].as_f64().unwrap() > 0.0, "{told}");
    });
}
