//! The command line as a person meets it, without a relay.

use std::net::TcpListener;
use std::process::{Command, Output};

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .output()
        .expect("the program starts")
}

fn complaint(arguments: &[&str]) -> String {
    let output = loadgen(arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn talking_to_oneself_is_refused() {
    let text = complaint(&["chat", "--device", "alice", "--to", "alice"]);
    assert!(text.contains("--to names the same device"), "{text}");
}

#[test]
fn a_url_that_is_none_is_refused_with_the_shape_to_write() {
    let text = complaint(&["run", "--url", "ftp://relay.example"]);
    assert!(text.contains("write https://HOST"), "{text}");
}

#[test]
fn believing_anybody_and_believing_one_file_exclude_each_other() {
    let text = complaint(&["run", "--insecure", "--ca", "cert.pem"]);
    assert!(text.contains("cannot be used with"), "{text}");
}

#[test]
fn a_server_key_that_is_no_key_is_refused() {
    let text = complaint(&["run", "--server-key", "abc"]);
    assert!(text.contains("64 hex digits"), "{text}");
}

#[test]
fn a_message_too_short_for_its_stamp_is_refused() {
    let text = complaint(&["run", "--payload", "23"]);
    assert!(text.contains("24..=16000000"), "{text}");
}

#[test]
fn a_relay_that_is_not_there_is_named_with_the_way_to_start_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    let keys = std::env::temp_dir().join(format!("loadgen-arguments-{}", std::process::id()));
    let url = format!("https://127.0.0.1:{port}");
    let folder = keys.display().to_string();
    let text = complaint(&[
        "chat",
        "--device",
        "alice",
        "--to",
        "bob",
        "--insecure",
        "--keys",
        &folder,
        "--url",
        &url,
    ]);
    assert!(text.contains(&url) && text.contains("commucat-server"), "{text}");
    std::fs::remove_dir_all(keys).expect("the key was made before the relay was looked for");
}

#[test]
fn help_says_what_is_measured() {
    let output = loadgen(&["run", "--help"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for word in ["p50_us", "ack_p50_us", "lost", "one way", "--spawn"] {
        assert!(text.contains(word), "{word} is missing from:\n{text}");
    }
}
