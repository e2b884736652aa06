//! Servers in turn under the same load, and a table of medians: what `peers` and `runtimes` print.
//!
//! Each server runs alone on one core, the load on another. A single figure moves by 10 % with the weather of the machine; ratios
//! within a run move far less.

use std::time::Duration;

use crate::peers::Variant;
use crate::peers::load::{Figures, LoadError, Plan, Shape, hold, run};
use crate::peers::server::{Server, ServerError};
use crate::relay::{RelayError, median, pss};
use clap::ValueEnum;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::Serialize;

/// After the last handshake, before memory is read: buffers are given back, timers of the handshake run out.
const SETTLE: Duration = Duration::from_secs(4);

/// One message in so many carries a time.
const SAMPLE: u64 = 16;

/// What is measured, and how.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to measure.
    #[arg(long, value_enum, default_values_t = [Scenario::Pairs, Scenario::Fan])]
    scenario: Vec<Scenario>,
    /// Pairs of devices, or half of the idle connections.
    #[arg(long, default_value_t = 100)]
    pairs: usize,
    /// Only one of the two of a pair speaks.
    #[arg(long)]
    one_way: bool,
    /// Recipients of the fan.
    #[arg(long, default_value_t = 1_000)]
    recipients: usize,
    /// Bytes of each message, 8 or more.
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Messages each sender of a pair has on their way.
    #[arg(long, default_value_t = 32)]
    window: usize,
    /// Messages the sender of a fan has on their way.
    #[arg(long, default_value_t = 8)]
    fan_window: usize,
    /// Idle connections per server.
    #[arg(long, default_value_t = 4_000)]
    idle: usize,
    /// How long each run measures.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Runs of each variant.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The load's core.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// One JSON object per row instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Two who talk to each other, many times over.
    Pairs,
    /// One to many.
    Fan,
    /// One pair, one message on its way: how long it takes there and back.
    Ping,
    /// Memory per connection that says nothing.
    Idle,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A server does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A run broke off.
    #[error("{variant}: {source}")]
    Load {
        /// With which server.
        variant: String,
        /// Why.
        source: LoadError,
    },
    /// Memory cannot be read.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The load's core is not to be had.
    #[error("cannot run on core {core}: {source}")]
    Core {
        /// Which.
        core: usize,
        /// Why.
        source: rustix::io::Errno,
    },
}

/// Measures and prints the table.
///
/// # Errors
/// When a server does not start or breaks off.
pub fn compare(arguments: &Arguments, variants: &[Variant]) -> Result<(), CompareError> {
    let core = arguments.load_core;
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|source| CompareError::Core { core, source })?;
    for &scenario in &arguments.scenario {
        let mut rows: Vec<Row> = variants.iter().map(|&variant| Row::new(variant)).collect();
        for round in 1..=arguments.rounds {
            for row in &mut rows {
                row.measure(arguments, scenario)?;
                eprintln!("{scenario:?}, round {round}: {}: {}", row.variant.name(), row.last());
            }
        }
        show(arguments, scenario, &rows);
    }
    Ok(())
}

/// What the runs of a variant gave.
#[derive(Debug)]
struct Row {
    variant: Variant,
    /// The figure that is compared: nanoseconds per message, or bytes per connection.
    figure: Vec<f64>,
    rate: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    server_share: Vec<f64>,
    load_share: Vec<f64>,
}

impl Row {
    fn new(variant: Variant) -> Self {
        Self {
            variant,
            figure: Vec::new(),
            rate: Vec::new(),
            p50: Vec::new(),
            p99: Vec::new(),
            server_share: Vec::new(),
            load_share: Vec::new(),
        }
    }

    fn measure(&mut self, arguments: &Arguments, scenario: Scenario) -> Result<(), CompareError> {
        let server = Server::start(self.variant, arguments.server_core)?;
        let failed = |source| CompareError::Load {
            variant: self.variant.name(),
            source,
        };
        if scenario == Scenario::Idle {
            let before = hold(server.reach(), self.variant, 50, || ())
                .map_err(failed)
                .and_then(|()| {
                    std::thread::sleep(SETTLE);
                    Ok(pss(server.reach().pid())?)
                })?;
            let held = hold(server.reach(), self.variant, arguments.idle / 2, || {
                std::thread::sleep(SETTLE);
                pss(server.reach().pid())
            })
            .map_err(failed)??;
            self.figure
                .push(held.saturating_sub(before) as f64 / arguments.idle as f64);
            return Ok(());
        }
        let figures = run(server.reach(), self.variant, &plan(arguments, scenario)).map_err(failed)?;
        self.keep(&figures);
        Ok(())
    }

    fn keep(&mut self, figures: &Figures) {
        let seconds = figures.elapsed.as_secs_f64();
        let delivered = figures.delivered.max(1) as f64;
        self.figure.push(figures.server_ns as f64 / delivered);
        self.rate.push(delivered / seconds);
        self.p50.push(figures.latency.value_at_quantile(0.5) as f64 / 1e3);
        self.p99.push(figures.latency.value_at_quantile(0.99) as f64 / 1e3);
        self.server_share.push(figures.server_ns as f64 / 1e9 / seconds);
        self.load_share.push(figures.load_ns as f64 / 1e9 / seconds);
    }

    fn last(&self) -> String {
        format!("{:.0}", self.figure.last().copied().unwrap_or(f64::NAN))
    }
}

fn plan(arguments: &Arguments, scenario: Scenario) -> Plan {
    let (shape, window) = match scenario {
        Scenario::Fan => (
            Shape::Fan {
                recipients: arguments.recipients,
            },
            arguments.fan_window,
        ),
        Scenario::Ping => (Shape::Pairs { count: 1, both: false }, 1),
        Scenario::Pairs | Scenario::Idle => (
            Shape::Pairs {
                count: arguments.pairs,
                both: !arguments.one_way,
            },
            arguments.window,
        ),
    };
    Plan {
        shape,
        payload: arguments.payload,
        window,
        sample: SAMPLE,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs_f64(arguments.seconds),
    }
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    scenario: String,
    variant: String,
    figure: f64,
    least: f64,
    most: f64,
    of_the_first: f64,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    server_share: f64,
    load_share: f64,
    runs: &'a [f64],
}

fn show(arguments: &Arguments, scenario: Scenario, rows: &[Row]) {
    let Some(first) = rows.first().map(|row| median(&row.figure)) else {
        return;
    };
    let what = match scenario {
        Scenario::Idle => "bytes of memory per idle connection",
        _ => "ns of server CPU per delivered message",
    };
    if !arguments.json {
        println!(
            "\n{scenario:?}, {} bytes, medians of {} runs: {what}",
            arguments.payload, arguments.rounds
        );
        println!(
            "{:<46} {:>8} {:>17} {:>8} {:>11} {:>9} {:>9} {:>7} {:>6}",
            "", "median", "least..most", "of first", "messages/s", "p50 µs", "p99 µs", "server", "load"
        );
    }
    for row in rows {
        let line = Line {
            scenario: format!("{scenario:?}"),
            variant: row.variant.name(),
            figure: median(&row.figure),
            least: row.figure.iter().copied().fold(f64::INFINITY, f64::min),
            most: row.figure.iter().copied().fold(0.0, f64::max),
            of_the_first: median(&row.figure) / first,
            rate: median(&row.rate),
            p50_us: median(&row.p50),
            p99_us: median(&row.p99),
            server_share: median(&row.server_share),
            load_share: median(&row.load_share),
            runs: &row.figure,
        };
        if arguments.json {
            // A structure of numbers and names is always JSON.
            println!("{}", serde_json::to_string(&line).unwrap_or_default());
            continue;
        }
        println!(
            "{:<46} {:>8.0} {:>17} {:>8.2} {:>11.0} {:>9.0} {:>9.0} {:>6.0}% {:>5.0}%",
            line.variant,
            line.figure,
            format!("{:.0}..{:.0}", line.least, line.most),
            line.of_the_first,
            line.rate,
            line.p50_us,
            line.p99_us,
            line.server_share * 100.0,
            line.load_share * 100.0,
        );
    }
}
