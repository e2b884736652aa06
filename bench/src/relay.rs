//! The real relay and the real load generator as child processes on loopback, and what `/proc` says of the former.
//!
//! Invariant: whoever drops a [`Relay`] leaves neither its process nor its data behind.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// From the start to the first accepted connection.
const START: Duration = Duration::from_secs(20);
/// From SIGTERM to the end; draining thousands of connections takes a while.
const STOP: Duration = Duration::from_secs(40);

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Not built.
    #[error("{0} is missing: cargo build --release -p commucat-server -p loadgen")]
    Missing(PathBuf),
    /// The system.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It ended, or did not begin, or did not end.
    #[error("the relay {what}; its log says:\n{log}")]
    Relay {
        /// What happened.
        what: String,
        /// Its log.
        log: String,
    },
    /// The load generator failed.
    #[error("loadgen {what}:\n{output}")]
    Loadgen {
        /// What happened.
        what: String,
        /// What it said.
        output: String,
    },
    /// Something in `/proc` that is not as it should be.
    #[error("/proc/{pid}/{file} has no {field}")]
    Proc {
        /// Whose.
        pid: u32,
        /// Which.
        file: &'static str,
        /// What was looked for.
        field: &'static str,
    },
}

impl RelayError {
    /// Names what was being done.
    pub fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// How a relay is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The program, when it is not the one beside this program.
    pub server: Option<PathBuf>,
    /// Threads that carry traffic; all cores when 0.
    pub shards: u16,
    /// The one core it may use.
    pub core: Option<usize>,
    /// The log's filter.
    pub log_filter: Option<&'static str>,
    /// Connections that each shard may have; the relay's own default when none.
    pub connections: Option<u32>,
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    child: Child,
    directory: TempDir,
    tls: u16,
    plain: u16,
}

impl Relay {
    /// Starts one with an empty store, and waits until it accepts connections.
    ///
    /// # Errors
    /// When there is none, or it ends.
    pub fn start(how: &Start) -> Result<Self, RelayError> {
        let program = match &how.server {
            Some(program) => program.clone(),
            None => beside("commucat-server")?,
        };
        let directory = tempfile::tempdir().map_err(RelayError::io("make a directory"))?;
        let (tls, plain) = (free_port()?, free_port()?);
        let log = File::create(directory.path().join("log")).map_err(RelayError::io("make the relay's log"))?;
        let errors = log.try_clone().map_err(RelayError::io("make the relay's log"))?;
        let mut command = pinned(&program, how.core);
        command
            .args(["--listen", &format!("127.0.0.1:{tls}")])
            .args(["--plain-listen", &format!("127.0.0.1:{plain}")])
            .args(["--shards", &how.shards.to_string()])
            .arg("--data")
            .arg(directory.path().join("data"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        if let Some(filter) = how.log_filter {
            command.env("COMMUCAT_LOG_FILTER", filter);
        }
        if let Some(connections) = how.connections {
            command.env("COMMUCAT_LIMITS_CONNECTIONS", connections.to_string());
        }
        let child = command.spawn().map_err(RelayError::io("start the relay"))?;
        let mut relay = Self {
            child,
            directory,
            tls,
            plain,
        };
        relay.wait_until_it_accepts()?;
        Ok(relay)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its ports with TLS and without.
    #[must_use]
    pub fn ports(&self) -> (u16, u16) {
        (self.tls, self.plain)
    }

    /// What `loadgen` needs to find it, by TLS or without.
    #[must_use]
    pub fn reach(&self, tls: bool) -> Vec<OsString> {
        if !tls {
            return vec!["--url".into(), format!("http://127.0.0.1:{}", self.plain).into()];
        }
        vec![
            "--url".into(),
            format!("https://127.0.0.1:{}", self.tls).into(),
            "--ca".into(),
            self.directory.path().join("data/tls/cert.pem").into(),
        ]
    }

    /// Ends it in order; gives its log.
    ///
    /// # Errors
    /// When it does not end by itself after SIGTERM.
    pub fn stop(mut self) -> Result<String, RelayError> {
        signal(&self.child, Signal::TERM);
        let deadline = Instant::now() + STOP;
        loop {
            match self.child.try_wait().map_err(RelayError::io("wait for the relay"))? {
                Some(status) if status.success() => return Ok(self.log()),
                Some(status) => return Err(self.failed(format!("ended with {status}"))),
                None if Instant::now() > deadline => return Err(self.failed(format!("did not end within {STOP:?}"))),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Proportional share of memory, in bytes.
    ///
    /// # Errors
    /// When `/proc` does not tell.
    pub fn pss(&self) -> Result<u64, RelayError> {
        pss(self.pid())
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), RelayError> {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(format!("ended with {status}")));
            }
            if TcpStream::connect(("127.0.0.1", self.tls)).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.failed(format!("does not accept after {START:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn failed(&self, what: String) -> RelayError {
        RelayError::Relay { what, log: self.log() }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Whoever wanted an orderly end has called `stop`.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `loadgen` with these arguments, allowed on one core.
///
/// # Errors
/// When it is not built.
pub fn loadgen(core: Option<usize>) -> Result<Command, RelayError> {
    let mut command = pinned(&beside("loadgen")?, core);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs a `loadgen` that reports in JSON to its end.
///
/// # Errors
/// When it fails or reports something else.
pub fn report(mut command: Command) -> Result<serde_json::Value, RelayError> {
    let output = command.output().map_err(RelayError::io("start loadgen"))?;
    let failed = |what: String| RelayError::Loadgen {
        what,
        output: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    };
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("reported what is not JSON ({error})")))
}

/// Asks a child to end.
pub fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself; then there is nobody to tell.
        let _ = kill_process(pid, signal);
    }
}

/// A number of a shard's last words: the sum of `key=N` over all lines that say "shard ended".
#[must_use]
pub fn last_words(log: &str, key: &str) -> u64 {
    let key = format!("{key}=");
    log.lines()
        .filter(|line| line.contains("shard ended"))
        .flat_map(str::split_whitespace)
        .filter_map(|word| word.strip_prefix(&key)?.parse::<u64>().ok())
        .sum()
}

/// The middle of some numbers.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// A process' proportional share of memory, in bytes.
///
/// # Errors
/// When `/proc` does not tell.
pub fn pss(pid: u32) -> Result<u64, RelayError> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .map_err(RelayError::io("read a process' smaps_rollup"))?;
    kilobytes(&text, "Pss:")
        .map(|kilobytes| kilobytes * 1024)
        .ok_or(RelayError::Proc {
            pid,
            file: "smaps_rollup",
            field: "Pss",
        })
}

fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(crate) fn pinned(program: &Path, core: Option<usize>) -> Command {
    let Some(core) = core else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(program);
    command
}

pub(crate) fn beside(name: &str) -> Result<PathBuf, RelayError> {
    let own = std::env::current_exe().map_err(RelayError::io("find this program"))?;
    let mut folder = own.parent().unwrap_or(Path::new("."));
    // Cargo puts benches and tests one folder below the programs.
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    let program = folder.join(name);
    if program.is_file() {
        Ok(program)
    } else {
        Err(RelayError::Missing(program))
    }
}

fn free_port() -> Result<u16, RelayError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(RelayError::io("find a free port"))
}

#[cfg(test)]
mod tests {
    use super::{kilobytes, last_words, median};

    #[test]
    fn memory_is_read_from_its_line_and_no_other() {
        let text = "Rss:  9 kB\nPss:                1234 kB\nPss_Dirty:  1 kB\n";
        assert_eq!(kilobytes(text, "Pss:"), Some(1234));
        assert_eq!(kilobytes(text, "Swap:"), None);
    }

    #[test]
    fn the_last_words_of_all_shards_are_added_up() {
        let log =
            "INFO x enters=7\nINFO shard ended shard=0 turns=10 enters=11\nINFO shard ended shard=1 turns=5 enters=5\n";
        assert_eq!(last_words(log, "enters"), 16);
        assert_eq!(last_words(log, "turns"), 15);
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert!((median(&[4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(&[]).is_nan());
    }
}
