//! How commands speak: words for a person, or one JSON object.

use std::error::Error;
use std::process::ExitCode;

use commucat_ring::probe::{Finding, Verdict};
use serde::Serialize;

/// Why a command came to nothing.
pub(super) struct Failure(pub(super) Box<dyn Error>);

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

/// A reason that no other error has words for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Told(pub(super) String);

/// Where to and in which form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Checked<'a> {
    ok: bool,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    check: &'a str,
    verdict: &'static str,
    text: &'a str,
}

impl Output {
    /// The result of a command: `words` for a person, `object` for a program.
    pub(super) fn done(self, words: &str, object: &impl Serialize) {
        if self.json {
            self.object(object);
        } else {
            println!("{words}");
        }
    }

    /// One object on one line.
    pub(super) fn object(self, object: &impl Serialize) {
        match serde_json::to_string(object) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("commucat-cli: {error}"),
        }
    }

    /// Findings, a line each; the exit code says whether one of them keeps a relay from running.
    pub(super) fn findings(self, findings: &[Finding]) -> ExitCode {
        let ok = findings.iter().all(|finding| finding.verdict != Verdict::Missing);
        if self.json {
            let check = |finding: &Finding| -> (&'static str, String) { (finding.subject, finding.text.clone()) };
            let texts: Vec<_> = findings.iter().map(check).collect();
            let checks = findings.iter().zip(&texts).map(|(finding, (subject, text))| Check {
                check: subject,
                verdict: word(finding.verdict),
                text,
            });
            self.object(&Checked {
                ok,
                checks: checks.collect(),
            });
        } else {
            let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
            for finding in findings {
                let word = word(finding.verdict);
                println!("{word:<5} {:<width$}  {}", finding.subject, finding.text);
            }
        }
        if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// A command that came to nothing.
    pub(super) fn fail(self, error: &dyn Error) -> ExitCode {
        #[derive(Serialize)]
        struct Object {
            error: String,
        }
        let text = error.to_string();
        if self.json {
            self.object(&Object { error: text });
        } else {
            for line in text.lines() {
                eprintln!("commucat-cli: {line}");
            }
        }
        ExitCode::FAILURE
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Weak => "weak",
        Verdict::Missing => "fail",
    }
}
