//! A relay with an operator: its token in a file, its numbers, its event streams as curl sees them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::curl::{Answer, curl};
use crate::openmetrics::Metrics;
use crate::people::PATIENCE;
use crate::relay::{Home, Relay};

/// The operator's token in these tests.
pub const TOKEN: &str = "a-token-for-tests-2Bc+%";

/// Puts a token into a file of this mode; gives its path.
///
/// # Panics
/// When it cannot be written.
pub fn token_file(home: &Home, token: &str, mode: u32) -> PathBuf {
    let path = home.path().join("admin-token");
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// A relay of two shards with these settings and an operator.
#[must_use]
pub fn start(home: &Home, settings: &str) -> Relay {
    let token = token_file(home, TOKEN, 0o600);
    let settings = format!("admin_token_file = \"{}\"\n{settings}", token.display());
    fs::write(home.path().join("commucat.toml"), settings).unwrap();
    home.start(&["--shards", "2", "--config", "commucat.toml"])
}

/// The header that opens everything.
#[must_use]
pub fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}")
}

/// A GET with the token.
///
/// # Panics
/// When the relay does not answer.
#[must_use]
pub fn get(relay: &Relay, path: &str) -> Answer {
    curl(&["--header", &bearer(), &format!("{}{path}", relay.url())]).unwrap()
}

/// What the relay counts.
///
/// # Panics
/// When it does not say, or not as OpenMetrics.
#[must_use]
pub fn metrics(relay: &Relay) -> Metrics {
    let answer = get(relay, "/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    Metrics::parse(&answer.body)
}

/// Asks for the numbers until they are as `wanted` says.
///
/// # Panics
/// When that takes too long.
pub fn until(relay: &Relay, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
    let started = Instant::now();
    loop {
        let metrics = metrics(relay);
        if wanted(&metrics) {
            return metrics;
        }
        assert!(started.elapsed() < PATIENCE, "the numbers stay at {metrics:?}");
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
}

/// `curl -N` on the page's event stream.
#[derive(Debug)]
pub struct Watcher {
    curl: Child,
    lines: BufReader<ChildStdout>,
}

impl Watcher {
    /// Begins to watch; `flag` chooses the version of HTTP. The stream's head is checked.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(relay: &Relay, flag: &str) -> Self {
        let mut curl = Command::new("curl")
            .args(["--no-buffer", "--silent", "--insecure", "--include", flag])
            .args(["--header", &bearer(), &format!("{}/admin/events", relay.url())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(curl.stdout.take().unwrap());
        let mut watcher = Self { curl, lines };
        let status = watcher.line();
        assert!(status.contains(" 200"), "{status}");
        let mut head = String::new();
        loop {
            let line = watcher.line();
            if line.is_empty() {
                break;
            }
            head.push_str(&line.to_lowercase());
            head.push('\n');
        }
        assert!(head.contains("content-type: text/event-stream\n"), "{head}");
        assert!(head.contains("cache-control: no-store\n"), "{head}");
        assert_eq!(watcher.line(), "retry: 2000");
        assert_eq!(watcher.line(), "");
        watcher
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next sample.
    ///
    /// # Panics
    /// When something else comes.
    pub fn sample(&mut self) -> Value {
        let line = self.line();
        let data = line
            .strip_prefix("data: ")
            .unwrap_or_else(|| panic!("{line:?} is no event"));
        let sample = serde_json::from_str(data).unwrap();
        assert_eq!(self.line(), "");
        sample
    }

    /// Reads to the end; gives curl's status, which is good only when the body ended as it should.
    ///
    /// # Panics
    /// When curl cannot be waited for.
    pub fn end(mut self) -> ExitStatus {
        while !self.line().is_empty() || !self.line().is_empty() {}
        self.curl.wait().unwrap()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}
