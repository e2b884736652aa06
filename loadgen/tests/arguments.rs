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
    for scenario in ["pairs", "run", "fanout", "groups", "calls", "mixed"] {
        let output = loadgen(&[scenario, "--help"]);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        for word in ["one way", "lost", "cannot hide it", "--spawn", "--report"] {
            assert!(text.contains(word), "{word} is missing from:\n{text}");
        }
    }
}

/// Refused before anything is connected or started, with words that say what to do.
#[test]
fn options_that_do_not_go_together_are_refused_with_what_to_do() {
    let missing = std::env::temp_dir().join("no-such-folder-of-loadgen/report.html");
    let missing = missing.display().to_string();
    for (arguments, words) in [
        ("groups --members 4 --speakers 5", "--speakers 5: a group has 4 members"),
        ("pairs --plain", "--url http://HOST:PORT"),
        ("pairs --threads 2 --cores 0", "two load threads on one core"),
        ("pairs --cores 0,zero", "is no list of cores"),
        ("pairs --cores 1000", "may not use core 1000"),
        ("pairs --spawn --server-cores 1000", "may not use core 1000"),
        ("pairs --shards 2", "--spawn"),
        ("pairs --spawn --server /no/such/program", "there is no such program"),
        ("pairs --rate 0", "is no rate"),
        ("pairs --rate nan", "is no rate"),
        ("pairs --rate 5 --window 5", "cannot be used with"),
        ("pairs --seconds forever", "is no time"),
        ("pairs --seconds=-1", "is no time"),
        ("pairs --http 3", "1.1, 2, ws, ws2"),
        ("pairs --pid 4194305", "there is no such process"),
        ("pairs --sources 0", "1..=1000000"),
        ("fanout --recipients 0", "1..=65536"),
        ("groups --groups 1000 --members 100000", "sessions are more than"),
        ("offline --messages 0", "1..=100000"),
        ("connect --concurrency 0", "1..=100000"),
        ("mixed --pairs 0 --groups 0", "nobody would send messages"),
        (
            "pairs --url http://192.0.2.1:1 --server-key KEY --sources 2",
            "127.0.0.0/8",
        ),
        (
            &format!("pairs --report {missing}"),
            "the report cannot be written there",
        ),
    ] {
        let arguments = arguments.replace("KEY", &"09".repeat(32));
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let text = complaint(&arguments);
        assert!(
            text.contains(words),
            "{arguments:?} should say {words:?}, and says:\n{text}"
        );
    }
}

#[test]
fn too_few_descriptors_are_noticed_up_front_with_the_command_that_helps() {
    let program = env!("CARGO_BIN_EXE_loadgen");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 100 && exec \"$0\" idle --connections 5000", program])
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("may have 100") && text.contains("ulimit -n 50"), "{text}");
}
