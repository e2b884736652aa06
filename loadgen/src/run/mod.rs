//! `loadgen run`: the coordinator. It starts the threads, moves them from phase to phase, shows what happens, and reports.
//!
//! ```text
//!  Connecting ─► Warming ─► Measuring ─► Draining ─► Done
//! ```

mod flow;
mod ledger;
mod payload;
mod report;
mod shared;
mod tally;
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) use report::thousands;
pub(crate) use worker::random;

use crate::cli::Run;
use crate::error::LoadError;
use crate::limits::DRAIN;
use crate::spawn::Relay;
use crate::stop::Stop;
use crate::target::Target;
use crate::{net, process};
use report::{Measured, Report};
use shared::{Phase, Shared};
use tally::Tally;
use worker::Plan;

/// How often the progress line changes.
const REFRESH: Duration = Duration::from_millis(200);

/// Pairs of one thread that connect at once.
const CONCURRENCY: u32 = 32;

/// Runs, prints the report, and tells whether every message arrived.
pub(crate) fn run(arguments: &Run) -> Result<bool, LoadError> {
    let mut arguments = arguments.clone();
    process::raise_file_limit();
    let stop = Stop::on_signals()?;
    let relay = match arguments.spawn {
        true => Some(Relay::start(&mut arguments.reach, arguments.shards)?),
        false => None,
    };
    let target = Target::find(&arguments.reach)?;
    let local = || {
        arguments
            .reach
            .url
            .is_loopback()
            .then(|| process::listening_on(arguments.reach.url.port))
            .flatten()
    };
    let server = relay.as_ref().map(Relay::pid).or_else(local);
    let threads = Threads::start(&arguments, &target)?;
    let progress = bar();
    let (measured, tally) = threads.conduct(&arguments, server, &stop, &progress)?;
    progress.finish_and_clear();
    drop(relay);
    let report = Report::new(&arguments, &measured, &tally);
    if arguments.json {
        let json = serde_json::to_string(&report).map_err(|error| LoadError::Argument(error.to_string()))?;
        println!("{json}");
    } else {
        print!("{report}");
    }
    Ok(tally.is_clean())
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
        bar.set_style(style);
    }
    bar
}

/// The threads of a run.
struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<Result<Tally, LoadError>>>,
}

impl Threads {
    fn start(arguments: &Run, target: &Target) -> Result<Self, LoadError> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let wanted = arguments.threads.unwrap_or(cores / 2).max(1);
        let count = u32::try_from(wanted).unwrap_or(u32::MAX).min(arguments.pairs);
        let shared = Arc::new(Shared::new());
        let run = random();
        let flows = u64::from(arguments.pairs) * if arguments.both { 2 } else { 1 };
        let period_ns = arguments
            .rate
            .map(|rate| 1_000_000_000_u64.saturating_mul(flows) / rate.max(1));
        let mut handles = Vec::new();
        for index in 0..count {
            let bound = |index: u32| (u64::from(arguments.pairs) * u64::from(index) / u64::from(count)) as u32;
            let plan = Plan {
                run,
                pairs: bound(index)..bound(index + 1),
                payload: arguments.payload as usize,
                window: arguments.window,
                both: arguments.both,
                offer: arguments.offer,
                period_ns,
                concurrency: CONCURRENCY,
            };
            let (target, shared) = (target.clone(), Arc::clone(&shared));
            let handle = std::thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || net::run(worker::work(plan, target, shared))?)
                .map_err(|source| LoadError::Io {
                    doing: "start a thread",
                    source,
                })?;
            handles.push(handle);
        }
        Ok(Self { shared, handles })
    }

    /// Moves the threads through their phases.
    fn conduct(
        self,
        arguments: &Run,
        server: Option<u32>,
        stop: &Stop,
        progress: &ProgressBar,
    ) -> Result<(Measured, Tally), LoadError> {
        let threads = self.handles.len();
        let pairs = u64::from(arguments.pairs);
        while self.shared.ready() < pairs && self.all_run() && !stop.requested() {
            progress.set_message(format!("connecting: {} of {pairs} pairs", self.shared.ready()));
            progress.tick();
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.shared.ready() < pairs {
            self.shared.enter(Phase::Done);
            return Err(self.failure());
        }
        self.shared.enter(Phase::Warming);
        self.watch("warming up", arguments.warmup, stop, progress);

        let own = std::process::id();
        let (server_before, own_before) = (server.and_then(process::cpu_seconds), process::cpu_seconds(own));
        let began = Instant::now();
        self.shared.enter(Phase::Measuring);
        self.watch("measuring", arguments.seconds, stop, progress);
        self.shared.enter(Phase::Draining);
        let seconds = began.elapsed().as_secs_f64();
        let (server_after, own_after) = (server.and_then(process::cpu_seconds), process::cpu_seconds(own));

        let deadline = Instant::now() + DRAIN;
        progress.set_message("draining");
        while !self.handles.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.enter(Phase::Done);
        let mut total = Tally::new();
        for handle in self.handles {
            total.merge(&join(handle)?);
        }
        let between = |before: Option<f64>, after: Option<f64>| Some(after? - before?);
        let measured = Measured {
            seconds,
            server_cpu: between(server_before, server_after),
            loadgen_cpu: between(own_before, own_after).unwrap_or_default(),
            threads,
        };
        Ok((measured, total))
    }

    fn all_run(&self) -> bool {
        !self.handles.iter().any(JoinHandle::is_finished)
    }

    /// Why a thread ended before its time.
    fn failure(self) -> LoadError {
        let ended = self.handles.into_iter().filter_map(|handle| join(handle).err()).next();
        ended.unwrap_or_else(|| LoadError::GaveUp("interrupted before all pairs were connected".to_owned()))
    }

    /// Lets `seconds` pass, showing the rate.
    fn watch(&self, what: &str, seconds: f64, stop: &Stop, progress: &ProgressBar) {
        let deadline = Instant::now() + Duration::from_secs_f64(seconds.clamp(0.0, 1e6));
        let (mut last, mut before) = (Instant::now(), self.shared.delivered());
        while !stop.requested() && self.all_run() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(REFRESH));
            let (now, delivered) = (Instant::now(), self.shared.delivered());
            let rate = (delivered - before) as f64 / (now - last).as_secs_f64();
            (last, before) = (now, delivered);
            let left = deadline.saturating_duration_since(now).as_secs_f64();
            progress.set_message(format!("{what}: {} frames/s, {left:.0} s left", thousands(rate as u64)));
            progress.tick();
        }
    }
}

fn join(handle: JoinHandle<Result<Tally, LoadError>>) -> Result<Tally, LoadError> {
    match handle.join() {
        Ok(result) => result,
        Err(_) => Err(LoadError::GaveUp("a thread of the load generator panicked".to_owned())),
    }
}
