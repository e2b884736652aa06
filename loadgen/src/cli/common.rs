//! What every scenario takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::reach::{Offer, Reach};
use crate::error::LoadError;
use crate::machine::cores::Cores;

/// The relay, this program's own threads, and the report.
#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) offer: Offer,
    /// Without TLS: from the plain listener of the spawned relay, or of the one that --url http://HOST:PORT names.
    #[arg(long, help_heading = "Relay")]
    pub(crate) plain: bool,
    /// Start a relay for this run, with an empty data directory: commucat-server beside this program, or --server.
    #[arg(long, conflicts_with_all = ["url", "insecure", "ca", "server_key", "pid"], help_heading = "Relay")]
    pub(crate) spawn: bool,
    /// Which program to start.
    #[arg(long, value_name = "PROGRAM", requires = "spawn", help_heading = "Relay")]
    pub(crate) server: Option<PathBuf>,
    /// Shards of the spawned relay; its own default when not given.
    #[arg(long, requires = "spawn", value_parser = clap::value_parser!(u16).range(1..=128), help_heading = "Relay")]
    pub(crate) shards: Option<u16>,
    /// Cores that the spawned relay may use, like 0 or 0-3.
    #[arg(long, value_name = "LIST", requires = "spawn", help_heading = "Relay")]
    pub(crate) server_cores: Option<Cores>,
    /// The relay's process, whose processor time is reported; found by its port when the relay is on this machine.
    #[arg(long, help_heading = "Relay")]
    pub(crate) pid: Option<u32>,
    /// Threads of the load generator; one for each of --cores, or for half of all cores.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Load")]
    pub(crate) threads: Option<u16>,
    /// Keep each thread on a core of its own, out of these, like 1 or 4-7.
    #[arg(long, value_name = "LIST", help_heading = "Load")]
    pub(crate) cores: Option<Cores>,
    /// Come from so many addresses of 127.0.0.0/8, each of which has its own 28,000 ports; as many as needed when not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load")]
    pub(crate) sources: Option<u32>,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Common {
    /// How many threads, and on which cores.
    pub(crate) fn threads(&self) -> Result<usize, LoadError> {
        let Some(cores) = &self.cores else {
            let half = (Cores::allowed().len() / 2).max(1);
            return Ok(self.threads.map_or(half, usize::from));
        };
        cores.check("--cores")?;
        match self.threads.map(usize::from) {
            Some(threads) if threads > cores.len() => Err(LoadError::Argument(format!(
                "--threads {threads} on --cores {cores}: two load threads on one core would measure each other"
            ))),
            threads => Ok(threads.unwrap_or(cores.len())),
        }
    }

    /// Refuses what does not go together.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        if self.plain && !self.spawn && self.reach.url.secure {
            return Err(LoadError::Argument(
                "--plain: write the address of the relay's plain listener (--url http://HOST:PORT), or let --spawn start one"
                    .to_owned(),
            ));
        }
        if let Some(cores) = &self.server_cores {
            cores.check("--server-cores")?;
        }
        self.output.check()
    }
}

/// Where the result goes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Report")]
pub(crate) struct Output {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the result as one self-contained HTML page as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// A line of your own for the report: what was being tried.
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
}

impl Output {
    /// Finds out now, and not after the run, whether the page can be written.
    fn check(&self) -> Result<(), LoadError> {
        let Some(path) = &self.report else { return Ok(()) };
        let was_there = path.exists();
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // A run that fails leaves nothing behind that looks like a report.
        let tried = opened.and_then(|_| if was_there { Ok(()) } else { std::fs::remove_file(path) });
        tried.map_err(|error| LoadError::File {
            path: path.clone(),
            what: format!("the report cannot be written there: {error}"),
        })
    }
}

/// How long.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Period {
    /// How long to measure.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(crate) seconds: Duration,
    /// How long traffic flows before measuring.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) warmup: Duration,
}

/// What is sent, and when.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Messages {
    /// Bytes of each message.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(24..=16_000_000))]
    pub(crate) payload: u32,
    /// Closed loop: messages each sender keeps in flight until they are delivered (fewer when they are large).
    #[arg(long, default_value_t = 32, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) window: u32,
    /// Open loop: messages per second of all senders together, on a schedule that does not wait for deliveries. What is due
    /// within 50 microseconds is sent together; how late this program itself was is reported.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
}

/// Seconds, with a fraction.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write seconds, like 10 or 0.5, at most 1000000");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=1e6).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(wrong())
    }
}

/// Something per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is no rate: write a number per second from 0.01 to 1000000000");
    let rate: f64 = text.parse().map_err(|_| wrong())?;
    if (0.01..=1e9).contains(&rate) {
        Ok(rate)
    } else {
        Err(wrong())
    }
}
