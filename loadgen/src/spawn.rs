//! A relay of our own for one run: `commucat-server` beside this program, with an empty data directory and a free port.
//!
//! Dropping it stops it: SIGTERM, then, if it does not end, SIGKILL; and removes the directory.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use commucat_client::Endpoint;
use commucat_client::blocking::{Options, server_info};
use commucat_client::tls::Trust;

use crate::cli::{Common, Reach};
use crate::error::LoadError;
use crate::limits::{SPAWN, STOP};
use crate::machine::cores::Cores;

/// Lines of the relay's own output that an error shows.
const LOG_LINES: usize = 20;

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    child: Child,
    directory: PathBuf,
    log: PathBuf,
}

impl Relay {
    /// Starts a relay and waits until it answers; makes the reach of `common` lead to it.
    pub(crate) fn start(common: &mut Common) -> Result<Self, LoadError> {
        let program = program(common.server.as_deref())?;
        let directory = std::env::temp_dir().join(format!("commucat-loadgen-{}", std::process::id()));
        let log = directory.join("relay.log");
        let data = directory.join("data");
        let io = |doing, source| LoadError::Io { doing, source };
        fs::create_dir_all(&directory).map_err(|source| io("make a directory for the relay", source))?;
        let everywhere = Cores::allowed();
        let output = File::create(&log).map_err(|source| io("make the relay's log", source))?;
        let errors = output
            .try_clone()
            .map_err(|source| io("make the relay's log", source))?;
        let port = free_port()?;
        let mut command = Command::new(&program);
        command
            .arg("--listen")
            .arg(format!("127.0.0.1:{port}"))
            .arg("--data")
            .arg(&data);
        if let Some(shards) = common.shards {
            command.arg("--shards").arg(shards.to_string());
        }
        let plain = match common.plain {
            true => Some(free_port()?),
            false => None,
        };
        if let Some(plain) = plain {
            command.arg("--plain-listen").arg(format!("127.0.0.1:{plain}"));
        }
        // A child may run where the thread that starts it may.
        if let Some(cores) = &common.server_cores {
            cores.keep_to()?;
        }
        let child = command
            // Ctrl-C is for us: the relay ends by our SIGTERM, after the last frame.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| io("start commucat-server", source));
        if common.server_cores.is_some() {
            everywhere.keep_to()?;
        }
        let child = child?;
        let mut relay = Self { child, directory, log };
        let reach = &mut common.reach;
        reach.url = here(true, port);
        reach.ca = Some(data.join("tls/cert.pem"));
        relay.wait_until_it_answers(reach)?;
        if let Some(plain) = plain {
            reach.url = here(false, plain);
        }
        Ok(relay)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_answers(&mut self, reach: &Reach) -> Result<(), LoadError> {
        let deadline = Instant::now() + SPAWN;
        let certificate = reach.ca.clone().unwrap_or_default();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(format!("it ended with {status}")));
            }
            let options = Options {
                trust: Trust::File(certificate.clone()),
                timeout: Duration::from_secs(2),
                ..Options::default()
            };
            let answer = server_info(&reach.url, &options);
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(self.failed(error.to_string())),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn failed(&self, what: String) -> LoadError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        LoadError::Spawn {
            what,
            log: lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself; then there is nobody to tell.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                eprintln!("loadgen: the relay did not end within {STOP:?} after SIGTERM; killing it");
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port of loopback.
fn here(secure: bool, port: u16) -> Endpoint {
    Endpoint {
        secure,
        host: "127.0.0.1".to_owned(),
        port,
    }
}

fn program(named: Option<&Path>) -> Result<PathBuf, LoadError> {
    if let Some(program) = named {
        return match program.is_file() {
            true => Ok(program.to_owned()),
            false => Err(LoadError::File {
                path: program.to_owned(),
                what: "--server: there is no such program".to_owned(),
            }),
        };
    }
    let own = std::env::current_exe().map_err(|source| LoadError::Io {
        doing: "find this program",
        source,
    })?;
    let program = own.parent().unwrap_or(Path::new(".")).join("commucat-server");
    if program.is_file() {
        return Ok(program);
    }
    Err(LoadError::File {
        path: program,
        what: "--spawn needs the relay there (cargo build --release --bin commucat-server), or --server PROGRAM"
            .to_owned(),
    })
}

/// A port nobody listens on. Between here and the relay's own bind somebody else could take it; then the relay says so.
fn free_port() -> Result<u16, LoadError> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|source| LoadError::Io {
            doing: "find a free port",
            source,
        })
}
