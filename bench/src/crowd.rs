//! Idle sessions in great numbers: several `loadgen idle` at once, since none can hold more than a process has descriptors.
//!
//! Invariant: whoever drops a [`Crowd`] leaves none of its processes behind. Memory that runs out ends it before the machine
//! suffers.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::relay::{Relay, RelayError, loadgen, signal};

/// Longer than anybody holds them: they leave when they are told to.
const HOLD_SECONDS: &str = "3600";
/// Of one loopback address: far below its 28,000 ports, since those of a crowd that has just left wait for a minute.
const PER_SOURCE: u64 = 6_000;
/// Until all sessions stand, per thousand of them and in all.
const PATIENCE: Duration = Duration::from_secs(90);
const PATIENCE_PER_THOUSAND: Duration = Duration::from_secs(6);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Kilobytes of memory that must stay available.
const RESERVE: u64 = 3 << 20;

/// Some sessions that say nothing.
#[derive(Debug)]
pub struct Crowd {
    processes: Vec<Child>,
    reports: Receiver<Result<(), String>>,
    connections: u64,
}

impl Crowd {
    /// Opens `connections` sessions, as evenly as possible from so many processes, and waits until all stand.
    ///
    /// # Errors
    /// When one of them fails, when it takes too long, or when less than 3 GiB of the machine's memory are left.
    pub fn gather(relay: &Relay, http: &str, connections: u64, processes: u64) -> Result<Self, RelayError> {
        let processes = processes.clamp(1, connections.max(1));
        let (said, reports) = channel();
        let mut crowd = Self {
            processes: Vec::new(),
            reports,
            connections,
        };
        for index in 0..processes {
            let share = connections / processes + u64::from(index < connections % processes);
            let mut command = loadgen(None)?;
            command
                .args(["idle", "--threads", "1", "--connections", &share.to_string()])
                .args(["--http", http, "--seconds", HOLD_SECONDS])
                .args(relay.reach(true))
                .stdout(Stdio::null());
            if connections > PER_SOURCE {
                // The same addresses for all: the kernel gives each connection a free port of its own.
                command.args(["--sources", &connections.div_ceil(PER_SOURCE).to_string()]);
            }
            let mut child = command.spawn().map_err(RelayError::io("start loadgen"))?;
            let errors = child.stderr.take();
            crowd.processes.push(child);
            let said = said.clone();
            std::thread::spawn(move || {
                // Nobody listens once the crowd is given up.
                let _ = said.send(errors.map_or_else(|| Err(String::new()), listen));
            });
        }
        crowd.wait_until_all_are_there()?;
        Ok(crowd)
    }

    fn wait_until_all_are_there(&self) -> Result<(), RelayError> {
        let failed = |what: String, output: String| Err(RelayError::Loadgen { what, output });
        let thousands = u32::try_from(self.connections / 1_000).unwrap_or(u32::MAX);
        let deadline = Instant::now() + PATIENCE + PATIENCE_PER_THOUSAND * thousands;
        let mut there = 0;
        while there < self.processes.len() {
            let available = available_kilobytes()?;
            if available < RESERVE {
                let what = format!("was stopped: {available} kB of memory are left, and {RESERVE} have to be");
                return failed(what, String::new());
            }
            match self.reports.recv_timeout(LOOK) {
                Ok(Ok(())) => there += 1,
                Ok(Err(output)) => return failed("did not establish all sessions".to_owned(), output),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if Instant::now() > deadline {
                let count = self.processes.len();
                return failed(
                    format!("took too long: {there} of {count} processes have their sessions"),
                    String::new(),
                );
            }
        }
        Ok(())
    }

    /// They leave, and none must have been lost.
    ///
    /// # Errors
    /// When sessions had ended before.
    pub fn leave(mut self) -> Result<(), RelayError> {
        for process in &self.processes {
            signal(process, Signal::INT);
        }
        for process in &mut self.processes {
            let status = process.wait().map_err(RelayError::io("wait for loadgen"))?;
            if !status.success() {
                return Err(RelayError::Loadgen {
                    what: format!("ended with {status}"),
                    output: "sessions were lost".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for process in &mut self.processes {
            if matches!(process.try_wait(), Ok(None)) {
                // Whoever wanted an orderly end has called `leave`.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

/// `loadgen idle` says on its standard error when every session is established. What it says instead is the error.
fn listen(errors: impl Read) -> Result<(), String> {
    let mut said = String::new();
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        if line.contains("are established") {
            return Ok(());
        }
        said += &line;
        said.push('\n');
    }
    Err(said)
}

fn available_kilobytes() -> Result<u64, RelayError> {
    let text = fs::read_to_string("/proc/meminfo").map_err(RelayError::io("read /proc/meminfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| RelayError::io("read /proc/meminfo")(std::io::ErrorKind::InvalidData.into()))
}

#[cfg(test)]
mod tests {
    use super::{available_kilobytes, listen};

    #[test]
    fn a_crowd_is_there_when_it_says_so_and_what_it_says_instead_is_why_not() {
        assert_eq!(
            listen(&b"connecting\n10 sessions are established; Ctrl-C ends\n"[..]),
            Ok(())
        );
        assert_eq!(listen(&b"loadgen: no\n"[..]), Err("loadgen: no\n".to_owned()));
    }

    #[test]
    fn the_machine_says_how_much_memory_is_left() {
        assert!(available_kilobytes().is_ok_and(|kilobytes| kilobytes > 0));
    }
}
