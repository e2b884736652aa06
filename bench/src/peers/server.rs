//! The program under load: started alone on its core with an empty folder, ended when it is dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use commucat_client::blocking::{DriverError, Options, server_info};
use commucat_client::tls::Trust;
use commucat_client::{Endpoint, PublicKey};
use tempfile::TempDir;

use super::{Peer, Variant};
use crate::relay::{Relay, RelayError, Start, beside, pinned};

/// From the start to the first accepted connection.
const START: Duration = Duration::from_secs(20);

/// Why no server runs.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Not installed.
    #[error("{program} does not start ({source}): apt-get install {package}")]
    Missing {
        /// Which program.
        program: &'static str,
        /// Which package has it.
        package: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It does not accept connections.
    #[error("{program} does not accept connections; its log says:\n{log}")]
    Silent {
        /// Which program.
        program: &'static str,
        /// What it said.
        log: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// Ours.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Ours does not tell its key.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> ServerError {
    move |source| ServerError::Io { doing, source }
}

/// Where a server listens, and as which process.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub(crate) pid: u32,
    plain: u16,
    tls: u16,
    /// The relay's static key.
    pub(super) noise: Option<PublicKey>,
}

impl Reach {
    /// The address for TLS or for plain connections.
    pub(super) fn address(&self, tls: bool) -> SocketAddr {
        let port = if tls { self.tls } else { self.plain };
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    reach: Reach,
    _process: Process,
}

#[derive(Debug)]
enum Process {
    Ours(#[expect(dead_code, reason = "held for its end")] Relay),
    Theirs { child: Child, _directory: TempDir },
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Theirs { child, .. } = self {
            // Nothing of a measurement is worth an orderly end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Server {
    /// Starts what `variant` needs on `core`.
    ///
    /// # Errors
    /// When it is not installed, or does not begin to serve.
    pub fn start(variant: Variant, core: usize) -> Result<Self, ServerError> {
        match variant.peer {
            Peer::CommuCat { .. } => ours(core),
            peer => theirs(peer, variant.tls, core),
        }
    }

    /// How to connect to it.
    #[must_use]
    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

fn ours(core: usize) -> Result<Server, ServerError> {
    let relay = Relay::start(&Start {
        shards: 1,
        core: Some(core),
        log_filter: Some("warn"),
        ..Start::default()
    })?;
    let (tls, plain) = relay.ports();
    let endpoint = Endpoint {
        secure: false,
        host: Ipv4Addr::LOCALHOST.to_string(),
        port: plain,
    };
    let options = Options {
        trust: Trust::Insecure,
        ..Options::default()
    };
    let info = server_info(&endpoint, &options)?;
    Ok(Server {
        reach: Reach {
            pid: relay.pid(),
            plain,
            tls,
            noise: Some(info.noise_public),
        },
        _process: Process::Ours(relay),
    })
}

fn theirs(peer: Peer, tls: bool, core: usize) -> Result<Server, ServerError> {
    let directory = tempfile::tempdir().map_err(io("make a directory"))?;
    certificate(directory.path())?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(io("find a free port"))?
        .port();
    let (program, package) = match peer {
        Peer::Redis => ("redis-server", "redis-server"),
        Peer::Mosquitto => ("mosquitto", "mosquitto"),
        Peer::Bare(_) => ("bare", "none, it is built with this program"),
        _ => ("nats-server", "nats-server"),
    };
    let log = File::create(directory.path().join("log")).map_err(io("make a log"))?;
    let errors = log.try_clone().map_err(io("make a log"))?;
    let path = match peer {
        Peer::Bare(_) => beside(program)?,
        _ => PathBuf::from(program),
    };
    let mut command = pinned(&path, Some(core));
    arguments(&mut command, peer, tls, port, directory.path())?;
    let child = command
        .current_dir(directory.path())
        // Debian's place for servers is not on every user's path.
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("GOMAXPROCS", "1")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|source| ServerError::Missing {
            program,
            package,
            source,
        })?;
    let mut process = Process::Theirs {
        child,
        _directory: directory,
    };
    let pid = wait_until_it_accepts(&mut process, program, port)?;
    Ok(Server {
        reach: Reach {
            pid,
            plain: port,
            tls: port,
            noise: None,
        },
        _process: process,
    })
}

/// Without persistence, statistics or limits that a relay of messages does not need.
fn arguments(command: &mut Command, peer: Peer, tls: bool, port: u16, directory: &Path) -> Result<(), ServerError> {
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let port = port.to_string();
    match peer {
        Peer::Redis => {
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--maxclients",
                "15000",
            ]);
            if tls {
                command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
                command
                    .arg("--tls-cert-file")
                    .arg(&cert)
                    .arg("--tls-key-file")
                    .arg(&key);
                command.arg("--tls-ca-cert-file").arg(&cert);
            } else {
                command.args(["--port", &port]);
            }
        }
        Peer::Mosquitto => {
            let mut text = format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nuser root\n"
            );
            if tls {
                text += &format!("certfile {}\nkeyfile {}\n", cert.display(), key.display());
            }
            let file = directory.join("mosquitto.conf");
            fs::write(&file, text).map_err(io("write a configuration"))?;
            command.arg("-c").arg(file);
        }
        Peer::Bare(runtime) => {
            let runtime = runtime.to_possible_value();
            command.arg("--runtime").arg(runtime.as_ref().map_or("", |value| value.get_name()));
            command.args(["--port", &port]);
            if tls {
                command.arg("--certificate").arg(&cert).arg("--key").arg(&key);
            }
        }
        _ => {
            command.args(["--addr", "127.0.0.1", "--port", &port]);
            if tls {
                command
                    .arg("--tls")
                    .arg("--tlscert")
                    .arg(&cert)
                    .arg("--tlskey")
                    .arg(&key);
            }
        }
    }
    Ok(())
}

/// The kind that the relay makes for itself: ECDSA on P-256.
fn certificate(directory: &Path) -> Result<(), ServerError> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    fs::write(directory.join("cert.pem"), made.cert.pem()).map_err(io("write a certificate"))?;
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).map_err(io("write a key"))
}

fn wait_until_it_accepts(process: &mut Process, program: &'static str, port: u16) -> Result<u32, ServerError> {
    let Process::Theirs { child, _directory } = process else {
        unreachable!("the relay has its own way to wait");
    };
    let deadline = Instant::now() + START;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(child.id());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(ServerError::Silent {
        program,
        log: fs::read_to_string(_directory.path().join("log")).unwrap_or_default(),
    })
}
