//! The relay's program, and a relay that runs before the load generator comes.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The relay's program. `SERVER_BINARY` names one; otherwise it is built as `cargo build` does it.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("SERVER_BINARY") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--bins",
            "--profile",
            profile,
            "--message-format",
            "json",
            "--offline",
        ])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("cargo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the relay does not build: {errors}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "commucat-server")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo says where it is")
}

/// A running relay.
pub(crate) struct Relay {
    child: Child,
    folder: TempDir,
    url: String,
}

impl Relay {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new(program())
            .args(["--listen", "127.0.0.1:0", "--shards", "1"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the relay starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let address = line.trim().strip_prefix("address")?;
                Some(address.split_whitespace().next()?.trim_end_matches(',').to_owned())
            })
            .expect("it says where it listens");
        // A pipe nobody reads would hold it up some day.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, folder, url }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self) -> u16 {
        let (_, port) = self.url.rsplit_once(':').expect("a port");
        port.parse().expect("a number")
    }

    /// How a load generator finds it.
    pub(crate) fn reach(&self) -> Vec<String> {
        let certificate = self.folder.path().join("commucat-data/tls/cert.pem");
        ["--url", &self.url, "--ca", &certificate.display().to_string()]
            .map(str::to_owned)
            .to_vec()
    }

    /// SIGKILL: nobody is told.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}
