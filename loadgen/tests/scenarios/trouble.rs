//! What goes wrong, and what somebody else ends; and the way the benchmarks call.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::relay::Relay;
use crate::run::{Run, loadgen, said, start};

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn interrupt(process: u32) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(pid, Signal::INT).expect("it runs");
}

#[test]
fn the_old_name_and_the_old_version_of_http_work_against_a_relay_that_runs() {
    let relay = Relay::start();
    let mut arguments = words("run --threads 1 --pairs 3 --payload 64 --window 8 --seconds 0.5 --warmup 0.1 --http 1");
    let reach = relay.reach();
    arguments.extend(reach.iter().map(String::as_str));
    let run = Run::with(&arguments);
    run.some(&["cpu_ns_per_delivered", "delivered_per_second", "p99_us"]);
    assert_eq!(run.json["http"], "1.1");
    // It found the relay by its port.
    assert_eq!(run.number("relay.pid"), f64::from(relay.pid()));
}

/// How many connections to `port` come from each address of 127.1.0.0/16, as `/proc/net/tcp` has it.
fn sources(port: u16) -> BTreeMap<String, u32> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("a table");
    let (to, established) = (format!(":{port:04X}"), "01");
    let mut found = BTreeMap::new();
    for line in table.lines().skip(1) {
        let fields = words(line);
        let (local, remote, state) = (fields[1], fields[2], fields[3]);
        if remote.ends_with(&to) && state == established && local[..8].ends_with("017F") {
            *found.entry(local[..8].to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn sessions_come_from_as_many_addresses_as_asked_and_are_held_until_ctrl_c() {
    let relay = Relay::start();
    let reach = relay.reach();
    let mut arguments = words("idle --connections 9 --sources 3 --http 2 --json");
    arguments.extend(reach.iter().map(String::as_str));
    let mut load = start(&arguments);
    let errors = BufReader::new(load.stderr.take().expect("piped"));
    let established = errors
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("are established"));
    assert!(established.is_some());
    // 127.1.0.1 to 127.1.0.3, in the kernel's order of bytes.
    let expected = ["0100017F", "0200017F", "0300017F"].map(|address| (address.to_owned(), 3));
    assert_eq!(sources(relay.port()), BTreeMap::from(expected));
    interrupt(load.id());
    let output = load.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_relay_that_dies_is_a_fault_and_the_exit_code_says_so() {
    let mut relay = Relay::start();
    let mut arguments = words("idle --connections 5 --json");
    let reach = relay.reach();
    arguments.extend(reach.iter().map(String::as_str));
    let mut load = start(&arguments);
    let errors = BufReader::new(load.stderr.take().expect("piped"));
    let established = errors
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("are established"));
    assert!(established.is_some());
    relay.kill();
    let output = load.wait_with_output().expect("it ends by itself");
    assert!(!output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report all the same");
    assert_eq!(
        (&report["ledger"]["clean"], &report["ledger"]["disconnected"]),
        (&false.into(), &5.into())
    );
    assert!(
        report["ledger"]["first_trouble"]
            .as_str()
            .expect("a reason")
            .contains("session was lost")
    );
}

#[test]
fn messages_that_never_arrive_are_lost_in_the_ledger() {
    let mut relay = Relay::start();
    let reach = relay.reach();
    let mut arguments = words("pairs --pairs 2 --rate 2000 --seconds 60 --warmup 0 --json");
    arguments.extend(reach.iter().map(String::as_str));
    let load = start(&arguments);
    std::thread::sleep(Duration::from_secs(2));
    relay.kill();
    let output = load.wait_with_output().expect("it ends by itself");
    assert!(!output.status.success());
    let text = said(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&text);
    assert!(report["ledger"]["disconnected"].as_u64() > Some(0), "{text}");
    assert_eq!(report["ledger"]["clean"], false);
}

#[test]
fn ctrl_c_ends_a_run_early_and_it_still_reports() {
    let relay = Relay::start();
    let reach = relay.reach();
    let mut arguments = words("pairs --pairs 2 --rate 500 --seconds 600 --warmup 0 --json");
    arguments.extend(reach.iter().map(String::as_str));
    let load = start(&arguments);
    std::thread::sleep(Duration::from_secs(2));
    interrupt(load.id());
    let output = load.wait_with_output().expect("it ends");
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&text);
    assert_eq!(
        (&report["interrupted"], &report["ledger"]["clean"]),
        (&true.into(), &true.into())
    );
    assert!(report["delivered"].as_u64() > Some(0));
}

#[test]
fn a_table_is_what_a_person_gets() {
    let relay = Relay::start();
    let reach = relay.reach();
    let mut arguments = words("pairs --pairs 2 --seconds 0.5 --warmup 0.1");
    arguments.extend(reach.iter().map(String::as_str));
    let output = loadgen(&arguments).output().expect("it runs");
    let text = said(&output);
    for word in [
        "messages",
        "until its ACK",
        "p99.9 µs",
        "relay",
        "loadgen",
        "ledger",
        "ns for each",
        "arrived",
    ] {
        assert!(text.contains(word), "{word} is missing from:\n{text}");
    }
}
