//! One run of the load generator, and what has to hold of every one.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::markup::{is_self_contained, is_well_formed};
use crate::relay::program;

/// What a run left.
pub(crate) struct Run {
    pub(crate) json: Value,
    pub(crate) page: String,
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl Run {
    /// Runs a scenario against a relay of its own, and expects that all goes well.
    pub(crate) fn of(scenario: &str, options: &[&str]) -> Self {
        let server = program().display().to_string();
        let mut arguments = vec![scenario, "--spawn", "--server", &server];
        arguments.extend(options);
        Self::with(&arguments)
    }

    /// The same with arguments that name a relay.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        let output = loadgen(arguments)
            .args(["--json", "--report"])
            .arg(&path)
            .output()
            .expect("the load generator starts");
        let said = said(&output);
        assert!(output.status.success(), "{arguments:?}: {said}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
        let page = fs::read_to_string(&path).expect("the page");
        let run = Self {
            json,
            page,
            path,
            _folder: folder,
        };
        run.holds();
        run
    }

    /// A number of the report, by the path to it.
    pub(crate) fn number(&self, path: &str) -> f64 {
        let value = path.split('.').fold(&self.json, |value, key| &value[key]);
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{path} is {value} in {}", self.json))
    }

    /// What must be there, and more than nothing.
    pub(crate) fn some(&self, paths: &[&str]) {
        for path in paths {
            assert!(self.number(path) > 0.0, "{path} is nothing in {}", self.json);
        }
    }

    /// What is true of every run that went well.
    fn holds(&self) {
        assert_eq!(self.json["ledger"]["clean"], true, "{}", self.json);
        for fault in [
            "lost",
            "duplicated",
            "disordered",
            "corrupt",
            "unacknowledged",
            "rejected",
            "disconnected",
            "failed",
        ] {
            assert_eq!(self.number(&format!("ledger.{fault}")), 0.0, "{fault}: {}", self.json);
        }
        let same = |one: &str, other: &str| assert_eq!(self.number(one), self.number(other), "{one} and {other}");
        same("ledger.owed", "ledger.delivered");
        self.some(&[
            "seconds",
            "sessions",
            "threads",
            "server.cpu_seconds",
            "host.cores",
            "host.memory_mib",
        ]);
        assert_eq!(self.json["cpu_of"], "server");
        assert!(
            self.json["load"]["threads"][0]["thread"]
                .as_str()
                .expect("a name")
                .starts_with("load-")
        );
        let verdict = self.json["verdict"]["sentence"].as_str().expect("a verdict");
        is_well_formed(&self.page);
        is_self_contained(&self.page);
        // Its scenario in words, its verdict, and the machine, for whoever was not there.
        let kernel = self.json["host"]["kernel"].as_str().expect("a kernel");
        for text in [
            verdict.split('(').next().expect("words"),
            kernel,
            "What ran, on what",
            "Nothing was lost",
        ] {
            assert!(self.page.contains(&text.replace('\'', "&#39;")), "{text}");
        }
    }

    /// The page shows these kinds of traffic, each with its figures and its three pictures.
    pub(crate) fn shows(&self, kinds: &[(&str, &str)]) {
        for (heading, key) in kinds {
            let section = self
                .page
                .split("<section>")
                .find(|section| section.contains(&format!("<h2>{heading}</h2>")));
            let section = section.unwrap_or_else(|| panic!("no section {heading}"));
            assert_eq!(section.matches("<svg").count(), 3, "{heading}");
            let count = spaced(self.number(&format!("{key}.delivered")) as u64);
            assert!(section.contains(&format!("<b>{count}</b>")), "{heading}: {count}");
            // Something is drawn: the strip has shades.
            assert!(section.contains("class=\"heat\""), "{heading}");
        }
    }
}

/// The load generator with these arguments.
pub(crate) fn loadgen(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null());
    command
}

/// Starts one that is to be disturbed.
pub(crate) fn start(arguments: &[&str]) -> Child {
    loadgen(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the load generator starts")
}

/// Both of what it said.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `1234567` as `1 234 567`.
fn spaced(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits"))
        .collect();
    groups.join(" ")
}
