//! `sim --seed N --steps M --shards K`: runs one seed, or `--seeds COUNT` of them; exit code 0 when every promise held, 1
//! with the command that repeats the failure when not.

use std::process::ExitCode;

use clap::Parser;
use commucat_sim::{Options, Report, Tally};

/// Simulates the relay under faults from a seed.
#[derive(Parser)]
#[command(name = "sim", version)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Events of the phase in which things fail.
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// Shards; drawn from the seed when not given.
    #[arg(long)]
    shards: Option<u16>,
    /// Print every fact.
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.shards == Some(0) {
        eprintln!("--shards 0: a relay has at least one");
        return ExitCode::FAILURE;
    }
    let mut all = Tally::default();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.seeds) {
        let options = Options {
            seed,
            steps: arguments.steps,
            shards: arguments.shards,
            verbose: arguments.verbose,
            sabotage: None,
        };
        tell_seed_on_panic(&options);
        let report = commucat_sim::run(&options);
        println!("{report}");
        all.merge(&report.tally);
        if report.failure.is_some() {
            return fail(&report, &options);
        }
    }
    for (name, count) in all.counts() {
        println!("{count:>12} {name}");
    }
    ExitCode::SUCCESS
}

fn replay(options: &Options) -> String {
    let shards = options
        .shards
        .map(|shards| format!(" --shards {shards}"))
        .unwrap_or_default();
    format!(
        "cargo run --release --bin sim -- --seed {} --steps {}{shards} --verbose",
        options.seed, options.steps
    )
}

fn fail(report: &Report, options: &Options) -> ExitCode {
    if let Some(failure) = &report.failure {
        for line in &failure.last {
            eprintln!("{line}");
        }
        eprintln!("FAILED {}", failure.violation);
    }
    eprintln!("replay: {}", replay(options));
    ExitCode::FAILURE
}

/// A failed assertion inside the relay is a failure like any other: it names its seed, and the exit code is 1 even where
/// a panic would abort.
fn tell_seed_on_panic(options: &Options) {
    let command = replay(options);
    std::panic::set_hook(Box::new(move |panic| {
        eprintln!("{panic}");
        eprintln!("replay: {command}");
        std::process::exit(1);
    }));
}
