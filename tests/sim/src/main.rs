//! `sim --seed N --steps M --shards K`: runs one seed; `--seeds COUNT` of them, up to the first failure; or, with
//! `--nightly`, one after the other until it is stopped, with every failure noted in a file.
//!
//! Exit code 0 when every promise held, 1 with the command that repeats the failure when not, 2 when it could not run.

use std::fs::File;
use std::io::Write;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use commucat_sim::{Options, Report, Tally, many};

/// Simulates the relay under faults from a seed.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Arguments {
    /// The first seed: 1, or with --nightly the present second.
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds.
    #[arg(long, default_value_t = 1, conflicts_with = "nightly")]
    seeds: u64,
    /// Events of the phase in which things fail.
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// Shards; drawn from the seed when not given.
    #[arg(long)]
    shards: Option<NonZero<u16>>,
    /// Seeds at a time: as many as there are cores.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// Print every fact.
    #[arg(long)]
    verbose: bool,
    /// Fail when some path of the relay was not met by any seed.
    #[arg(long)]
    every_path: bool,
    /// Go on until Ctrl-C or SIGTERM, past failures.
    #[arg(long)]
    nightly: bool,
    /// Where --nightly notes failures.
    #[arg(long, default_value = "sim-failures.txt")]
    failures: PathBuf,
}

/// What has come of the seeds so far.
#[derive(Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    tally: Tally,
    /// Of the lowest seed.
    first_failure: Option<Report>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.steps += report.steps;
        self.tally.merge(&report.tally);
        let lower = self.first_failure.as_ref().is_none_or(|first| report.seed < first.seed);
        if report.failure.is_some() && lower {
            self.first_failure = Some(report);
        }
    }
}

fn main() -> ExitCode {
    match simulate(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn simulate(arguments: &Arguments) -> Result<bool, std::io::Error> {
    let begun = Instant::now();
    let sum = Mutex::new(Sum::default());
    let notes = arguments.nightly.then(|| open(&arguments.failures)).transpose()?;
    let notes = Mutex::new(notes);
    let stopped = Arc::new(AtomicBool::new(false));
    if arguments.nightly {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stopped))?;
        }
    }
    let seeds = seeds(arguments);
    let options = options(arguments, seeds.start);
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok());
    many(&options, seeds, threads.unwrap_or(NonZero::<usize>::MIN), |report| {
        if arguments.verbose || arguments.seeds == 1 && !arguments.nightly {
            println!("{report}");
        }
        let failed = report.failure.is_some();
        if failed && let Some(notes) = lock(&notes).as_mut() {
            note(notes, &report, arguments);
        }
        let mut sum = lock(&sum);
        sum.add(report);
        if arguments.nightly && sum.seeds.is_multiple_of(1_000) {
            println!("{} seeds, {} steps, {:.0?}", sum.seeds, sum.steps, begun.elapsed());
        }
        let stop = stopped.load(Ordering::Relaxed) || failed && !arguments.nightly;
        if stop {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(tell(&sum, arguments))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path) -> Result<File, std::io::Error> {
    File::options().create(true).append(true).open(path)
}

fn seeds(arguments: &Arguments) -> std::ops::Range<u64> {
    if arguments.nightly {
        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |age| age.as_secs());
        return arguments.seed.unwrap_or(second)..u64::MAX;
    }
    let first = arguments.seed.unwrap_or(1);
    first..first.saturating_add(arguments.seeds)
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    Options {
        seed,
        steps: arguments.steps,
        shards: arguments.shards.map(NonZero::get),
        verbose: arguments.verbose,
        sabotage: None,
    }
}

fn replay(report: &Report, arguments: &Arguments) -> String {
    let shards = arguments
        .shards
        .map(|shards| format!(" --shards {shards}"))
        .unwrap_or_default();
    format!(
        "cargo run --profile sim --bin sim -- --seed {} --steps {}{shards} --verbose",
        report.seed, arguments.steps
    )
}

/// A failure of the night; one that cannot be written down is at least printed.
fn note(file: &mut File, report: &Report, arguments: &Arguments) {
    let Some(failure) = &report.failure else { return };
    let line = format!("{report}: {}\n  {}\n", failure.violation, replay(report, arguments));
    eprint!("{line}");
    if let Err(error) = file.write_all(line.as_bytes()) {
        eprintln!("{}: {error}", arguments.failures.display());
    }
}

/// Prints what came of it; says whether all is well.
fn tell(sum: &Sum, arguments: &Arguments) -> bool {
    if let Some(report) = &sum.first_failure {
        if let Some(failure) = &report.failure {
            for line in &failure.last {
                eprintln!("{line}");
            }
            println!("{report}");
            eprintln!("FAILED {}", failure.violation);
        }
        eprintln!("replay: {}", replay(report, arguments));
        return false;
    }
    for (name, count) in sum.tally.counts() {
        println!("{count:>12} {name}");
    }
    println!("{} seeds, {} steps: every promise held", sum.seeds, sum.steps);
    if !arguments.every_path {
        return true;
    }
    let unmet: Vec<_> = sum.tally.unmet().collect();
    for path in &unmet {
        eprintln!("no seed met: {path}");
    }
    unmet.is_empty()
}
