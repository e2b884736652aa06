//! PostgreSQL and Redis, real ones: the pair that all tests share, or a pair of a test's own that it may stop and pause.
//!
//! `tests/services` starts them. Each relay gets a database and a number in Redis of its own, gone when the test ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::repository::root;

const PATIENCE: Duration = Duration::from_secs(60);

/// Where both servers are.
#[derive(Clone, Debug)]
pub struct Servers {
    postgres: String,
    redis: String,
    authority: PathBuf,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: this test needs PostgreSQL and Redis. Run `tests/run`, or \
             `tests/services run cargo nextest run -p commucat-tests`"
        )
    })
}

impl Servers {
    /// The pair that `tests/run` has started.
    ///
    /// # Panics
    /// When it has not; the message says what to do.
    #[must_use]
    pub fn shared() -> Self {
        Self {
            postgres: variable("RELAY_TEST_POSTGRES"),
            redis: variable("RELAY_TEST_REDIS"),
            authority: variable("RELAY_TEST_CA").into(),
        }
    }

    /// The password of both.
    #[must_use]
    pub fn password(&self) -> &str {
        let login = self.postgres.split('@').next().unwrap_or_default();
        login.rsplit(':').next().unwrap_or_default()
    }

    /// Runs SQL in a database; what it gives, columns separated by `|`.
    ///
    /// # Panics
    /// When PostgreSQL refuses.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let url = self.postgres_url(database);
        let authority = self.authority.display();
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &format!("{url}&sslrootcert={authority}"),
        ]);
        output(psql.args(["-c", sql]))
    }

    /// Runs a command in Redis.
    ///
    /// # Panics
    /// When Redis refuses.
    pub fn redis(&self, number: u32, command: &[&str]) -> String {
        let host = self.redis.rsplit('@').next().unwrap_or_default();
        let (host, port) = host.trim_end_matches("/0").split_once(':').unwrap_or((host, "6379"));
        let mut redis = Command::new("redis-cli");
        redis
            .env("REDISCLI_AUTH", self.password())
            .args(["--tls", "--cacert"])
            .arg(&self.authority)
            .args(["-h", host, "-p", port, "-n", &number.to_string()])
            .args(command);
        output(&mut redis)
    }

    fn postgres_url(&self, database: &str) -> String {
        self.postgres.replace("/postgres?", &format!("/{database}?"))
    }
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A database and a number in Redis, both empty at first.
#[derive(Debug)]
pub struct Databases {
    servers: Servers,
    name: String,
    number: u32,
}

impl Databases {
    /// New ones.
    #[must_use]
    pub fn new(servers: &Servers) -> Self {
        // Redis' database 0 only counts.
        let count: u32 = servers.redis(0, &["INCR", "tests"]).parse().unwrap();
        let number = 1 + count % 4_000;
        servers.redis(number, &["FLUSHDB"]);
        let name = format!("relay_{}_{count}", std::process::id());
        servers.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0"));
        Self {
            servers: servers.clone(),
            name,
            number,
        }
    }

    /// Runs SQL in it.
    pub fn sql(&self, sql: &str) -> String {
        self.servers.sql(&self.name, sql)
    }

    /// Runs a Redis command in it.
    pub fn redis(&self, command: &[&str]) -> String {
        self.servers.redis(self.number, command)
    }

    /// The password, which nothing may show.
    #[must_use]
    pub fn password(&self) -> &str {
        self.servers.password()
    }

    /// What a relay has to be told to keep its things here.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let redis = self.servers.redis.trim_end_matches("/0");
        let authority = self.servers.authority.display().to_string();
        [
            ("KIND", "postgres".to_owned()),
            ("POSTGRES_URL", self.servers.postgres_url(&self.name)),
            ("POSTGRES_CA", authority.clone()),
            ("REDIS_URL", format!("{redis}/{}", self.number)),
            ("REDIS_CA", authority),
        ]
        .map(|(name, value)| (format!("COMMUCAT_STORE_{name}"), value))
        .into()
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            self.servers.sql("postgres", &drop);
        }
    }
}

/// A pair of servers that a test may do anything to.
#[derive(Debug)]
pub struct OwnServers {
    folder: TempDir,
    servers: Servers,
}

impl OwnServers {
    /// Starts them.
    ///
    /// # Panics
    /// When they do not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        services("start", folder.path());
        let environment = std::fs::read_to_string(folder.path().join("environment")).unwrap();
        let variable = |name: &str| {
            let line = environment.lines().find(|line| line.contains(name)).unwrap();
            line.split('\'').nth(1).unwrap().to_owned()
        };
        let servers = Servers {
            postgres: variable("RELAY_TEST_POSTGRES"),
            redis: variable("RELAY_TEST_REDIS"),
            authority: variable("RELAY_TEST_CA").into(),
        };
        Self { folder, servers }
    }

    /// Where they are.
    #[must_use]
    pub const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Ends PostgreSQL; its clients lose their connections.
    pub fn stop_postgres(&self) {
        self.end(self.postmaster(), Signal::INT);
    }

    /// Starts it again where it was.
    pub fn start_postgres(&self) {
        services("postgres", self.folder.path());
    }

    /// All of PostgreSQL stands still, with every connection open.
    pub fn pause_postgres(&self) {
        self.signal_postgres(Signal::STOP);
    }

    /// It goes on as if nothing had been.
    pub fn resume_postgres(&self) {
        self.signal_postgres(Signal::CONT);
    }

    /// Ends Redis.
    pub fn stop_redis(&self) {
        self.end(self.redis_process(), Signal::TERM);
    }

    /// Starts it again, empty.
    pub fn start_redis(&self) {
        services("redis", self.folder.path());
    }

    /// Redis stands still, with every connection open.
    pub fn pause_redis(&self) {
        kill_process(self.redis_process(), Signal::STOP).unwrap();
    }

    /// It goes on as if nothing had been.
    pub fn resume_redis(&self) {
        kill_process(self.redis_process(), Signal::CONT).unwrap();
    }

    fn redis_process(&self) -> Pid {
        pid(&self.folder.path().join("redis.pid"))
    }

    fn postmaster(&self) -> Pid {
        pid(&self.folder.path().join("postgres/postmaster.pid"))
    }

    fn signal_postgres(&self, signal: Signal) {
        let postmaster = self.postmaster();
        kill_process(postmaster, signal).unwrap();
        for child in children(postmaster) {
            // It may have ended meanwhile.
            let _ = kill_process(child, signal);
        }
    }

    fn end(&self, pid: Pid, signal: Signal) {
        kill_process(pid, signal).unwrap();
        let started = Instant::now();
        while test_kill_process(pid).is_ok() && !is_zombie(pid) {
            assert!(started.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for OwnServers {
    fn drop(&mut self) {
        if self.folder.path().join("postgres/postmaster.pid").exists() {
            self.resume_postgres();
        }
        services("stop", self.folder.path());
    }
}

fn services(what: &str, folder: &Path) {
    let status = Command::new(root().join("tests/services"))
        .arg(what)
        .arg(folder)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "tests/services {what}: {status}");
}

/// The first line of a file.
fn pid(path: &Path) -> Pid {
    let text = std::fs::read_to_string(path).unwrap();
    let number = text.lines().next().and_then(|line| line.trim().parse().ok());
    number.and_then(Pid::from_raw).unwrap()
}

/// The fields of `/proc/PID/stat` after the name: state, parent.
fn stat(pid: &str) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

fn is_zombie(pid: Pid) -> bool {
    stat(&pid.as_raw_nonzero().to_string()).is_none_or(|fields| fields[0] == "Z")
}

fn children(parent: Pid) -> Vec<Pid> {
    let parent = parent.as_raw_nonzero().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|name| stat(name).is_some_and(|fields| fields[1] == parent))
        .filter_map(|name| Pid::from_raw(name.parse().ok()?))
        .collect()
}
