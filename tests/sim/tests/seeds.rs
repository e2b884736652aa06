//! Many seeds, every promise. A failure names its seed and the command that repeats it. More of them, in a build that is
//! optimised: `cargo run --profile sim --bin sim -- --seeds 20000`.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Mutex;

use commucat_sim::{Options, many, run};

const SEEDS: u64 = 200;
/// Each has found something once, in the relay or in a checker.
const FOUND: [u64; 8] = [570, 606, 1_530, 2_349, 3_075, 5_888, 7_175, 46_162];
const STEPS: u64 = 3_000;

fn options(seed: u64) -> Options {
    Options {
        seed,
        steps: STEPS,
        shards: None,
        verbose: false,
        sabotage: None,
    }
}

#[test]
fn two_hundred_seeds_break_no_promise() {
    let complaints = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    many(&options(0), 1..SEEDS + 1, threads, |report| {
        if let Some(failure) = &report.failure {
            let seed = report.seed;
            complaints.lock().expect("nobody panics").push(format!(
                "seed {seed}: {}\n  cargo run --profile sim --bin sim -- --seed {seed} --steps {STEPS} --verbose",
                failure.violation
            ));
        }
        ControlFlow::Continue(())
    });
    let complaints = complaints.into_inner().expect("nobody panics");
    assert!(
        complaints.is_empty(),
        "{} of {SEEDS} seeds failed: {complaints:#?}",
        complaints.len()
    );
}

#[test]
fn seeds_that_have_found_something_break_no_promise_any_more() {
    for seed in FOUND {
        let failure = run(&options(seed)).failure.map(|failure| failure.violation.to_string());
        assert_eq!(failure, None, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    for seed in [7, 11, 23] {
        let (once, twice) = (run(&options(seed)), run(&options(seed)));
        assert_eq!(once.trace_hex(), twice.trace_hex(), "seed {seed} is not deterministic");
        assert_eq!(once.steps, twice.steps);
        assert_ne!(once.trace_hex(), run(&options(seed + 1)).trace_hex());
    }
}

#[test]
fn the_lowest_seed_that_stops_is_the_same_however_many_threads_there_are() {
    for threads in [1, 3] {
        let ended = Mutex::new(Vec::new());
        let threads = NonZero::new(threads).expect("more than none");
        many(&options(0), 1..40, threads, |report| {
            ended.lock().expect("nobody panics").push(report.seed);
            if report.seed >= 5 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let mut ended = ended.into_inner().expect("nobody panics");
        ended.sort_unstable();
        assert_eq!(ended[..5], [1, 2, 3, 4, 5]);
        assert!(ended.len() < 5 + 2 * threads.get(), "{ended:?}");
    }
}
