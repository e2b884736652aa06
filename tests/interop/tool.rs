//! Runs a program of the machine to its end, within bounds.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Seconds; far longer than any of them takes.
const LONGEST: &str = "120";

/// How a program has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; 124 when it took too long.
    pub(crate) code: i32,
    /// What it said, and then its complaints.
    pub(crate) text: String,
}

impl Ended {
    /// What it said, of a program that has done its work.
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, 0, "{}", self.text);
        self.text
    }

    /// Whether a line of it contains this.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.text.contains(words)
    }
}

/// Runs `program`, with this on its standard input, in a folder where it may leave what it likes.
pub(crate) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), program, arguments, input)
}

/// The same in this folder.
pub(crate) fn run_in(folder: &Path, program: &str, arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new("timeout")
        .args([LONGEST, program])
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that has ended early takes nothing more; what it says then is the better report.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap_or(-1);
    assert_ne!(code, 127, "these tests need {program}: tests/run installs it");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ended { code, text }
}
