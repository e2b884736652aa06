//! curl: a client that is not ours.

use std::process::Command;

use serde_json::Value;

/// What curl got.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `1.1` or `2`, as curl saw it.
    pub version: String,
    /// All header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is an RFC 9457 problem of its own status.
    ///
    /// # Panics
    /// When it is none.
    pub fn assert_problem(&self, status: u16, title: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["title"], title, "{problem}");
        assert_eq!(problem["type"], "about:blank", "{problem}");
        assert!(
            problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{problem}"
        );
    }
}

/// Runs curl; an error of curl's own is the exit code.
///
/// # Errors
/// curl's exit code.
///
/// # Panics
/// When there is no curl.
pub fn curl(arguments: &[&str]) -> Result<Answer, i32> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--insecure",
            "--include",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_version}",
        ])
        .args(arguments)
        .output()
        .expect("these tests need curl: tests/run installs it");
    if !output.status.success() {
        return Err(output.status.code().unwrap_or(-1));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, version) = text.rsplit_once('\n').unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.unwrap_or_else(|| panic!("no status line: {text:?}")),
        version: version.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    })
}
