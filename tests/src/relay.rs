//! A real relay in a folder of its own, on a port of its own, killed when the test lets go of it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far longer than any start takes; a test that waits so long has failed.
const START: Duration = Duration::from_secs(60);

/// The folder of one relay's life, across its restarts, and the variables it is started with.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// A program and its arguments, which becomes the server.
    launcher: Vec<String>,
}

impl Home {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Vec::new())
    }

    /// An empty one, whose relays are started with these variables.
    #[must_use]
    pub fn with(environment: Vec<(String, String)>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment,
            launcher: Vec::new(),
        }
    }

    /// The same, its relays started by a program that confines itself and then becomes what stands behind its arguments:
    /// `prlimit`, `nsenter` …
    #[must_use]
    pub fn launched_by<T: Into<String>>(mut self, launcher: impl IntoIterator<Item = T>) -> Self {
        self.launcher = launcher.into_iter().map(Into::into).collect();
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The relay's data folder in it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path().join("commucat-data")
    }

    /// Starts a relay here, on a free port of loopback, and waits until it listens.
    #[must_use]
    pub fn start(&self, flags: &[&str]) -> Relay {
        let mut relay = self.begin(flags);
        relay.wait_until_it_listens();
        relay
    }

    /// Starts a relay here and waits for nothing: it has no address yet.
    #[must_use]
    pub fn begin(&self, flags: &[&str]) -> Relay {
        let mut child = self
            .launched(binary())
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let errors = child.stderr.take().map(|errors| keep(errors, Arc::clone(&log)));
        Relay {
            child,
            errors,
            log,
            url: String::new(),
            noise_public: String::new(),
        }
    }

    /// Runs the server until it ends by itself.
    #[must_use]
    pub fn run(&self, flags: &[&str], environment: &[(&str, &str)]) -> Ended {
        Ended::of(self.command(binary()).args(flags).envs(environment.iter().copied()))
    }

    /// Runs `commucat-cli`, which was built beside the server.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Ended {
        let program = binary().with_file_name("commucat-cli");
        Ended::of(self.command(&program).args(arguments))
    }

    /// The server, started by the launcher when there is one.
    fn launched(&self, server: &Path) -> Command {
        match self.launcher.split_first() {
            None => self.command(server),
            Some((program, arguments)) => {
                let mut command = self.command(Path::new(program));
                command.args(arguments).arg(server);
                command
            }
        }
    }

    /// A program in this folder, with this home's variables and no others of ours.
    fn command(&self, program: &Path) -> Command {
        let mut command = clean(program, self.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // Resident memory is then what is used, and not what a huge page rounds it up to by chance.
        command.env("MIMALLOC_ALLOW_THP", "0");
        command
    }
}

impl Ended {
    fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it printed, as JSON.
    ///
    /// # Panics
    /// When it is not one object.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it said.
    pub stdout: String,
    /// Its log and its errors.
    pub stderr: String,
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    child: Child,
    errors: Option<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
    url: String,
    noise_public: String,
}

impl Relay {
    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address without the scheme.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("https://")
    }

    /// `ADDRESS:PORT` of its plain listener.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn plain_address(&self) -> String {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("plain listener")).unwrap();
        let (_, address) = line.split_once("address=").unwrap();
        address.split_whitespace().next().unwrap().to_owned()
    }

    /// The key it prints, hex.
    #[must_use]
    pub fn noise_public(&self) -> &str {
        &self.noise_public
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end; gives its status and its whole log.
    #[must_use]
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.join_log();
        (status, self.log())
    }

    /// SIGTERM, then its end.
    #[must_use]
    pub fn terminate(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL, then its end: nothing of it was told to stop.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        let _ = self.wait();
    }

    fn wait_until_it_listens(&mut self) {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let started = Instant::now();
        while self.noise_public.is_empty() {
            assert!(started.elapsed() < START, "the relay does not start: {}", self.log());
            let Some(Ok(line)) = lines.next() else {
                self.join_log();
                panic!("the relay ended while starting: {}", self.log());
            };
            if let Ok(banner) = serde_json::from_str::<serde_json::Value>(&line) {
                self.url = banner["listening"].as_str().unwrap().to_owned();
                self.noise_public = banner["noise_public"].as_str().unwrap().to_owned();
                break;
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("address") => self.url = words.next().unwrap().trim_end_matches(',').to_owned(),
                Some("noise") => self.noise_public = words.nth(1).unwrap().to_owned(),
                _ => {}
            }
        }
        // Its remaining lines: a pipe nobody reads would hold it up some day.
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn join_log(&mut self) {
        if let Some(errors) = self.errors.take() {
            let _ = errors.join();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(mut from: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            log.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    })
}

/// `program` in `folder`, without this process's own settings.
fn clean(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COMMUCAT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Built on first use, so that a test never runs yesterday's server. `SERVER_BINARY` names another build to be tested.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("SERVER_BINARY") {
        Some(path) => path.into(),
        None => build("commucat-server"),
    })
}

/// Builds the workspace's binaries in the profile of the tests, as `cargo build` does it, and says where one of them is.
/// All of them: a build of one package alone would choose other features, and build half of the dependencies again.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn build(name: &str) -> PathBuf {
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
        .current_dir(crate::repository::root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name} does not build: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .unwrap()
}
