//! The service and the container, against what the binaries take.

use std::collections::BTreeSet;

use commucat_server::config::Config;
use commucat_server::config::table::key;
use commucat_tests::relay::Home;
use commucat_tests::repository::{metadata, read, root};
use serde_json::Value;

/// The values of a name in the unit, in order.
fn unit(name: &str) -> Vec<String> {
    let text = read("tuning/commucat.service");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
        .collect()
}

#[test]
fn the_server_takes_the_flags_that_the_unit_gives_it() {
    let help = Home::new().run(&["--help"], &[]).stdout;
    let start = unit("ExecStart").concat();
    let flags: Vec<_> = start.split(' ').filter(|word| word.starts_with("--")).collect();
    assert_eq!(flags.len(), 2, "{start}");
    for flag in flags {
        assert!(help.contains(&format!("{flag} <")), "{flag}: {help}");
    }
}

#[test]
fn variables_of_unit_and_container_are_keys_of_the_relay() {
    let files = ["tuning/commucat.service", "tuning/Containerfile"].map(read);
    let mut seen = 0;
    for text in &files {
        for name in text.split(|c: char| !c.is_ascii_uppercase() && c != '_') {
            if let Some(rest) = name.strip_prefix("COMMUCAT_") {
                seen += 1;
                // COMMUCAT_STORE_POSTGRES_URL is store.postgres_url.
                let plain = rest.to_ascii_lowercase();
                let dotted = plain.replacen('_', ".", 1);
                assert!(key(&plain).is_some() || key(&dotted).is_some(), "{name}");
            }
        }
    }
    assert!(seen >= 2);
}

#[test]
fn the_unit_waits_for_the_whole_drain() {
    let seconds: u64 = unit("TimeoutStopSec").concat().parse().unwrap();
    let drain = Config::default().limits.drain_timeout.as_secs();
    // After it the relay gives what is owed as long again to be stored.
    assert!(seconds >= 2 * drain + 10, "{seconds}");
    assert_eq!(unit("KillSignal"), ["SIGTERM"]);
    assert!(unit("ExecReload").concat().contains("-HUP"));
}

#[test]
fn the_unit_lets_every_shard_have_its_connections_and_its_ring() {
    let descriptors: u64 = unit("LimitNOFILE").concat().parse().unwrap();
    assert!(descriptors >= u64::from(Config::default().limits.connections));
    let list = read("tuning/sysctl.conf");
    assert!(
        list.contains(&format!("fs.nr_open = {descriptors}\n")),
        "systemd cannot give more than fs.nr_open"
    );
    let calls = unit("SystemCallFilter").join(" ");
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        assert!(calls.contains(call), "{calls}");
    }
}

#[test]
fn the_profile_allows_rings_and_forbids_what_nobody_named() {
    let profile: Value = serde_json::from_str(&read("tuning/seccomp.json")).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let allowed: BTreeSet<&str> = profile["syscalls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|group| group["action"] == "SCMP_ACT_ALLOW")
        .flat_map(|group| group["names"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for call in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "execve",
        "sched_setaffinity",
    ] {
        assert!(allowed.contains(call), "{call}");
    }
    for call in [
        "ptrace",
        "mount",
        "bpf",
        "unshare",
        "keyctl",
        "perf_event_open",
        "userfaultfd",
    ] {
        assert!(!allowed.contains(call), "{call}");
    }
}

#[test]
fn the_container_is_built_from_every_part_of_the_workspace() {
    let text = read("tuning/Containerfile");
    let copied: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("COPY ")?.split_once(' '))
        .map(|(folder, _)| folder)
        .collect();
    for package in metadata()["packages"].as_array().unwrap() {
        let manifest = std::path::Path::new(package["manifest_path"].as_str().unwrap());
        let folder = manifest.strip_prefix(root()).unwrap();
        let top = folder.iter().next().unwrap().to_str().unwrap();
        assert!(copied.contains(top), "{top}");
    }
    assert!(copied.contains("tuning"), "the doctor reads its list");
    let toolchain = read("Cargo.toml");
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'))
        .unwrap();
    assert!(text.contains(&format!("rust:{version}-")), "{version}");
    let user = text.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert_ne!(user.split(':').next(), Some("0"));
}
