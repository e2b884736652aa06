//! Latency of the real relay under `loadgen`: how much it can carry, and how long a frame takes at shares of that.
//!
//! Capacity is what a closed loop moves: every connection keeps a fixed number of frames in flight, so the rate settles at what
//! both programs can do. The shares are an open loop: frames are due by a clock that waits for nobody, and each is timed from the
//! moment it was due, so a relay that stalls pays for all that was due meanwhile (no coordinated omission).

use std::ffi::OsString;

use serde::Serialize;

use crate::relay::{Relay, RelayError, loadgen, report};

/// Who talks, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Both of each pair speak: twice as many connections.
    pub pairs: u32,
    /// Bytes of each message.
    pub payload: u32,
    /// How long is measured.
    pub seconds: f64,
    /// How long traffic flows before.
    pub warm_up: f64,
    /// The load generator's core.
    pub core: usize,
}

/// What sets the pace.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// Closed loop: so many frames of each sender are in flight.
    Window(u32),
    /// Open loop: so many frames a second, of all senders together.
    Rate(f64),
}

/// What a run gave; times in microseconds, from due (or sent, in a closed loop) to arrived.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Frames delivered a second.
    pub rate: f64,
    /// The median.
    pub p50_us: f64,
    /// Nine of ten took at most so long.
    pub p90_us: f64,
    /// All but one in a hundred.
    pub p99_us: f64,
    /// All but one in a thousand.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// How much of its core the relay's busiest thread took.
    pub relay_busy: f64,
    /// How much of its core the load generator's did.
    pub load_busy: f64,
    /// In an open loop, how late the load generator itself was with one in a hundred: part of every latency here.
    pub own_p99_us: Option<f64>,
}

/// Pairs over HTTP/2 and TLS with `ack-range`, for once.
///
/// # Errors
/// When the load generator fails, loses a message, or reports something else than expected.
pub fn pairs(relay: &Relay, crowd: &Crowd, pace: Pace) -> Result<Run, RelayError> {
    let mut command = loadgen(Some(crowd.core))?;
    command
        .args([
            "pairs",
            "--both",
            "--json",
            "--threads",
            "1",
            "--http",
            "2",
            "--ack-range",
        ])
        .args(["--pairs", &crowd.pairs.to_string()])
        .args(["--payload", &crowd.payload.to_string()])
        .args(["--seconds", &crowd.seconds.to_string()])
        .args(["--warmup", &crowd.warm_up.to_string()])
        .args(["--pid", &relay.pid().to_string()])
        .args(paced(pace))
        .args(relay.reach(true));
    read(&report(command)?)
}

fn paced(pace: Pace) -> [OsString; 2] {
    match pace {
        Pace::Window(frames) => ["--window".into(), frames.to_string().into()],
        Pace::Rate(rate) => ["--rate".into(), format!("{rate:.2}").into()],
    }
}

/// The figures of a report in JSON.
fn read(report: &serde_json::Value) -> Result<Run, RelayError> {
    let number = |value: &serde_json::Value, key: &str| {
        value[key].as_f64().ok_or_else(|| RelayError::Loadgen {
            what: format!("reported no {key}"),
            output: report.to_string(),
        })
    };
    let verdict = &report["verdict"];
    Ok(Run {
        rate: number(report, "delivered_per_second")?,
        p50_us: number(report, "p50_us")?,
        p90_us: number(report, "p90_us")?,
        p99_us: number(report, "p99_us")?,
        p999_us: number(report, "p999_us")?,
        max_us: number(report, "max_us")?,
        relay_busy: number(verdict, "server_busy")?,
        load_busy: number(verdict, "loadgen_busy")?,
        own_p99_us: report["own_lateness"]["p99_us"].as_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_report_without_its_figures_is_no_run() {
        let mut report = serde_json::json!({
            "delivered_per_second": 1000.0, "p50_us": 1.0, "p90_us": 2.0, "p99_us": 3.0, "p999_us": 4.0, "max_us": 5.0,
            "verdict": { "server_busy": 0.5, "loadgen_busy": 0.6 },
        });
        let run = read(&report).expect("all of it");
        assert!((run.rate - 1000.0).abs() < 1e-9 && (run.p99_us - 3.0).abs() < 1e-9 && run.own_p99_us.is_none());
        report["own_lateness"] = serde_json::json!({ "p99_us": 7.0 });
        assert_eq!(read(&report).expect("all of it").own_p99_us, Some(7.0));
        report["verdict"]["server_busy"] = serde_json::Value::Null;
        let error = read(&report).expect_err("nobody knows how busy the relay was");
        assert!(error.to_string().contains("server_busy"), "{error}");
    }
}
