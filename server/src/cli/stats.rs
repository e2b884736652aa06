//! `stats`: a running relay by its own numbers (`/metrics`), a line per shard and one for all, again and again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use commucat_client::blocking::Call;
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::{Failure, Output, Told};
use super::reach::Reach;
use crate::config::value;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    relay: Reach,
    /// The file with the operator's token, when the relay has one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How often
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// So many times; 0 goes on until it is interrupted
    #[arg(long, value_name = "N", default_value_t = 0)]
    count: u64,
}

fn interval(text: &str) -> Result<Duration, String> {
    value::time(text)
        .filter(|time| *time >= Duration::from_millis(250))
        .ok_or_else(|| "a duration of at least 250ms, like 1s".to_owned())
}

/// Samples by name and, where they have one, by shard; those of other labels are added up.
#[derive(Debug, Default)]
struct Reading(BTreeMap<(String, Option<u16>), f64>);

/// What is told of one shard, or of all of them: rates are per second since the reading before.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<u16>,
    connections: f64,
    devices: f64,
    frames_in: f64,
    frames_out: f64,
    stored: f64,
    dropped: f64,
    /// Processor time of the shard's thread, of 1.
    load: f64,
}

#[derive(Debug, Serialize)]
struct Watched {
    /// Seconds since the reading before.
    seconds: f64,
    shards: Vec<Line>,
    all: Line,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox_frames: Option<f64>,
}

pub(super) fn run(options: &Options, output: Output) -> Result<ExitCode, Failure> {
    let token = match &options.token_file {
        Some(path) => {
            let read = std::fs::read_to_string(path);
            let read = read.map_err(|error| Told(format!("{}: {error}", path.display())))?;
            Some(Zeroizing::new(read.trim().to_owned()))
        }
        None => None,
    };
    let read = || -> Result<(Instant, Reading), Failure> {
        let asked = Call {
            bearer: token.as_deref().map(String::as_str),
            ..Call::get("/metrics")
        };
        let answer = options.relay.ask(&asked)?;
        Ok((Instant::now(), Reading::of(&String::from_utf8_lossy(&answer.body))))
    };
    let mut before = read()?;
    let mut left = options.count;
    loop {
        std::thread::sleep(options.interval);
        let now = read()?;
        let told = compare(&before.1, &now.1, now.0 - before.0);
        if output.json {
            output.object(&told);
        } else {
            if std::io::stdout().is_terminal() {
                // Over the table before.
                print!("\x1b[H\x1b[2J");
            }
            print!("{}", table(&told));
        }
        before = now;
        left = left.wrapping_sub(1);
        if left == 0 {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

impl Reading {
    /// Of an OpenMetrics text. Lines of other shapes are none of ours.
    fn of(text: &str) -> Self {
        let mut reading = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let shard = labels
                .trim_end_matches('}')
                .split(',')
                .find_map(|label| label.strip_prefix("shard=\"")?.strip_suffix('"')?.parse().ok());
            *reading.0.entry((name.to_owned(), shard)).or_default() += value;
        }
        reading
    }

    fn shards(&self) -> Vec<u16> {
        let of = |((name, shard), _): (&(String, Option<u16>), &f64)| shard.filter(|_| name == "commucat_connections");
        self.0.iter().filter_map(of).collect()
    }

    fn get(&self, name: &str, shard: Option<u16>) -> f64 {
        self.0.get(&(name.to_owned(), shard)).copied().unwrap_or(0.0)
    }
}

fn compare(before: &Reading, now: &Reading, time: Duration) -> Watched {
    let seconds = time.as_secs_f64().max(0.001);
    let line = |shard| {
        let rate = |name| ((now.get(name, Some(shard)) - before.get(name, Some(shard))) / seconds).max(0.0);
        Line {
            shard: Some(shard),
            connections: now.get("commucat_connections", Some(shard)),
            devices: now.get("commucat_devices", Some(shard)),
            frames_in: rate("commucat_frames_received_total"),
            frames_out: rate("commucat_frames_sent_total"),
            stored: rate("commucat_frames_stored_total"),
            dropped: rate("commucat_frames_dropped_total"),
            load: rate("commucat_cpu_seconds_total"),
        }
    };
    let shards: Vec<Line> = now.shards().into_iter().map(line).collect();
    let sum = |of: fn(&Line) -> f64| shards.iter().map(of).sum();
    let all = Line {
        shard: None,
        connections: sum(|line| line.connections),
        devices: sum(|line| line.devices),
        frames_in: sum(|line| line.frames_in),
        frames_out: sum(|line| line.frames_out),
        stored: sum(|line| line.stored),
        dropped: sum(|line| line.dropped),
        load: sum(|line| line.load),
    };
    Watched {
        seconds,
        shards,
        all,
        inbox_frames: now.0.get(&("commucat_inbox_frames".to_owned(), None)).copied(),
    }
}

fn table(told: &Watched) -> String {
    let mut table = format!(
        "{:<6} {:>11} {:>8} {:>10} {:>10} {:>9} {:>9} {:>6}\n",
        "shard", "connections", "devices", "in/s", "out/s", "stored/s", "dropped/s", "load"
    );
    for line in told.shards.iter().chain([&told.all]) {
        let name = line.shard.map_or_else(|| "all".to_owned(), |shard| shard.to_string());
        let _ = writeln!(
            table,
            "{name:<6} {:>11} {:>8} {:>10.0} {:>10.0} {:>9.0} {:>9.0} {:>5.0}%",
            line.connections,
            line.devices,
            line.frames_in,
            line.frames_out,
            line.stored,
            line.dropped,
            line.load * 100.0,
        );
    }
    if let Some(frames) = told.inbox_frames {
        let _ = writeln!(table, "{frames} frames wait in inboxes");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_become_rates_by_shard_and_their_other_labels_are_added_up() {
        let page = |msg: u32, ack: u32| {
            format!(
                "# TYPE commucat_frames_received counter\n\
                 commucat_connections{{shard=\"0\"}} 3\ncommucat_connections{{shard=\"1\"}} 4\n\
                 commucat_frames_received_total{{shard=\"0\",type=\"MSG\"}} {msg}\n\
                 commucat_frames_received_total{{shard=\"0\",type=\"ACK\"}} {ack}\n\
                 commucat_inbox_frames 7\n# EOF\n"
            )
        };
        let (before, now) = (Reading::of(&page(10, 5)), Reading::of(&page(20, 25)));
        let told = compare(&before, &now, Duration::from_secs(2));
        assert_eq!((told.shards.len(), told.all.connections), (2, 7.0));
        assert_eq!((told.shards[0].frames_in, told.shards[1].frames_in), (15.0, 0.0));
        assert_eq!((told.all.frames_in, told.inbox_frames), (15.0, Some(7.0)));
        assert_eq!(table(&told).lines().count(), 5);
    }
}
