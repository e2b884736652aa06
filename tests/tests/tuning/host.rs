//! `tuning/apply` on this host, where it only looks, and on a host that is a folder, where it works.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use commucat_tests::relay::Home;
use commucat_tests::repository::{read, root};

/// The keys of the list with their values, in order.
fn list() -> Vec<(String, String)> {
    let text = read("tuning/sysctl.conf");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn apply(arguments: &[&str]) -> Output {
    Command::new(root().join("tuning/apply"))
        .args(arguments)
        .output()
        .unwrap()
}

/// What it printed, when all went well.
fn said(arguments: &[&str]) -> String {
    let output = apply(arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

fn in_proc(folder: &Path, key: &str) -> PathBuf {
    folder.join("proc/sys").join(key.replace('.', "/"))
}

/// Everything below a folder.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            files.insert(path, text);
        }
    }
    files
}

/// A host as a kernel makes it, with less than the list wants of everything but one.
fn host() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let values = [
        ("kernel.io_uring_disabled", "2"),
        ("fs.nr_open", "1073741816"),
        ("net.core.somaxconn", "128"),
        ("net.ipv4.tcp_syncookies", "0"),
        ("net.ipv4.tcp_slow_start_after_idle", "1"),
        ("net.ipv4.tcp_notsent_lowat", "4294967295"),
        ("net.ipv4.tcp_mtu_probing", "0"),
        ("net.ipv4.tcp_congestion_control", "cubic"),
        ("net.ipv4.ip_local_port_range", "32768\t60999"),
    ];
    for (key, value) in values {
        let path = in_proc(folder.path(), key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value}\n")).unwrap();
    }
    folder
}

/// The key of a line, and whether it is one that would be set.
fn verdicts(text: &str) -> BTreeMap<String, bool> {
    text.lines()
        .filter_map(|line| {
            let short = line.strip_prefix("would set ");
            let rest = short.or_else(|| line.strip_prefix("ok    ").or(line.strip_prefix("skip  ")))?;
            Some((rest.split([' ', ':']).next()?.to_owned(), short.is_some()))
        })
        .collect()
}

#[test]
fn a_dry_run_changes_nothing_and_names_every_setting() {
    let now = || -> Vec<_> {
        list()
            .iter()
            .map(|(key, _)| fs::read_to_string(in_proc(Path::new("/"), key)).unwrap_or_default())
            .collect()
    };
    let places = ["/etc/sysctl.d", "/var/lib/commucat-tuning"].map(Path::new);
    let before = (now(), places.map(tree));
    let text = said(&["--dry-run"]);
    assert_eq!(before, (now(), places.map(tree)));
    let keys: Vec<_> = list().into_iter().map(|(key, _)| key).collect();
    assert!(keys.len() > 5);
    for key in &keys {
        assert!(verdicts(&text).contains_key(key), "{key}: {text}");
    }
}

#[test]
fn the_doctor_calls_weak_what_apply_would_set_and_nothing_else() {
    let planned = verdicts(&said(&["--dry-run"]));
    let report = Home::new().cli(&["doctor", "--json"]).json();
    let found: BTreeMap<String, bool> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            (
                check["check"].as_str().unwrap(),
                check["verdict"] != "ok",
                &check["text"],
            )
        })
        .filter(|(name, ..)| planned.contains_key(*name))
        .map(|(name, weak, text)| {
            assert_eq!(weak, text.as_str().unwrap().contains("run tuning/apply"), "{text}");
            (name.to_owned(), weak)
        })
        .collect();
    assert_eq!(found, planned);
}

#[test]
fn what_apply_sets_stays_set_at_the_next_boot_and_can_be_undone() {
    let host = host();
    let at = host.path().to_str().unwrap();
    let fresh = tree(host.path());
    let text = said(&["--root", at, "--dry-run"]);
    assert_eq!(tree(host.path()), fresh, "{text}");

    said(&["--root", at]);
    let short: Vec<_> = verdicts(&text).into_iter().filter(|(_, short)| *short).collect();
    assert_eq!(short.len(), 7, "{text}");
    let persistent = read(host.path().join("etc/sysctl.d/90-commucat-sysctl.conf"));
    for (key, wanted) in list() {
        let set = short.iter().any(|(name, _)| *name == key);
        let line = format!("{key} = {wanted}\n");
        assert_eq!(persistent.contains(&line), set, "{key}: {persistent}");
        if set {
            assert_eq!(read(in_proc(host.path(), &key)).trim(), wanted);
        }
    }
    assert_eq!(
        read(in_proc(host.path(), "fs.nr_open")).trim(),
        "1073741816",
        "more than the least stays"
    );

    let done = tree(host.path());
    let again = said(&["--root", at]);
    assert!(!again.contains("set "), "{again}");
    assert_eq!(tree(host.path()), done, "a second run changes nothing");

    said(&["--root", at, "--undo"]);
    assert_eq!(tree(host.path()), fresh);
    assert!(said(&["--root", at, "--undo"]).contains("nothing to undo"));
}

#[test]
fn the_list_for_many_outgoing_connections_is_set_and_undone_by_itself() {
    let host = host();
    let at = host.path().to_str().unwrap();
    let fresh = tree(host.path());
    let with = |more: &[&str]| said(&[&["--root", at, "--list", "load.conf"], more].concat());
    assert!(with(&["--dry-run"]).contains("net.ipv4.ip_local_port_range = 1024 65535 (now 32768 60999)"));
    with(&[]);
    assert_eq!(
        read(in_proc(host.path(), "net.ipv4.ip_local_port_range")).trim(),
        "1024 65535"
    );
    assert!(
        said(&["--root", at, "--undo"]).contains("nothing to undo"),
        "of the other list"
    );
    with(&["--undo"]);
    let back: BTreeMap<_, _> = tree(host.path())
        .into_iter()
        .map(|(path, text)| (path, text.replace("32768 60999", "32768\t60999")))
        .collect();
    assert_eq!(back, fresh);
}

#[test]
fn each_queues_interrupt_gets_a_core_of_its_own() {
    let host = host();
    let at = host.path().to_str().unwrap();
    let file = |path: &str, text: &str| {
        let path = host.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("proc/cpuinfo", "processor\t: 0\nprocessor\t: 1\n");
    let mut interrupts = " CPU0 CPU1\n".to_owned();
    let names = ["nic0-config", "nic0-TxRx-0", "nic0-TxRx-1", "nic0-TxRx-2"];
    for (irq, name) in (24..).zip(names) {
        interrupts += &format!(" {irq}:  0  0  PCI-MSIX-0000:01:00.0  {irq}-edge  {name}\n");
        file(&format!("proc/irq/{irq}/smp_affinity_list"), "0-1\n");
        file(&format!("sys/class/net/nic0/device/msi_irqs/{irq}"), "msix\n");
    }
    file("proc/interrupts", &interrupts);
    let affinity = |irq: u32| read(host.path().join(format!("proc/irq/{irq}/smp_affinity_list")));
    said(&["--root", at, "--interface", "nic0"]);
    assert_eq!([24, 25, 26, 27].map(affinity), ["0-1\n", "0\n", "1\n", "0\n"]);
    said(&["--root", at, "--undo"]);
    assert_eq!([24, 25, 26, 27].map(affinity), ["0-1\n"; 4]);
    let missing = apply(&["--root", at, "--dry-run", "--interface", "nic7"]);
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
}

#[test]
fn what_a_host_refuses_is_said_and_not_written_down_for_the_next_boot() {
    let host = host();
    let at = host.path().to_str().unwrap();
    // What can be read but not written, by root neither.
    let path = in_proc(host.path(), "net.core.somaxconn");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/proc/sys/kernel/ostype", &path).unwrap();
    let list = host.path().join("list.conf");
    fs::write(&list, "#: exactly\nnet.core.somaxconn = 4096\n").unwrap();
    let refused = apply(&["--root", at, "--list", list.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("fail  net.core.somaxconn"));
    assert!(!host.path().join("etc").exists());
    let undone = said(&["--root", at, "--list", list.to_str().unwrap(), "--undo"]);
    assert!(undone.contains("nothing to undo"), "{undone}");
}

#[test]
fn wrong_words_are_wrong_usage() {
    for words in [&["--dryrun"][..], &["--list"], &["--list", "/nowhere.conf"]] {
        assert_eq!(apply(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn the_page_has_a_line_for_every_setting() {
    let page = read("tuning/README.md");
    for (key, value) in list() {
        assert!(page.contains(&format!("| `{key}` = {value} |")), "{key}");
    }
}
