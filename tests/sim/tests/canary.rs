//! The checkers can fail: each deliberate fault outside the contracts is seen by somebody.

use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};

use commucat_sim::{Options, Sabotage, run};

/// A few seeds are enough: the first or the second sees most faults.
const SEEDS: u64 = 30;
const STEPS: u64 = 2_000;

/// Which checkers saw the fault, over the seeds; an assertion of the relay counts as one.
fn seen_by(sabotage: Sabotage) -> BTreeSet<String> {
    let one = |seed| {
        let options = Options {
            seed,
            steps: STEPS,
            shards: None,
            verbose: false,
            sabotage: Some(sabotage),
        };
        match panic::catch_unwind(AssertUnwindSafe(|| run(&options))) {
            Ok(report) => report.failure.map(|failure| failure.violation.checker.to_owned()),
            Err(_) => Some("assertion".to_owned()),
        }
    };
    (1..=SEEDS).filter_map(one).collect()
}

#[test]
fn every_sabotage_is_seen() {
    for sabotage in Sabotage::ALL {
        let checkers = seen_by(sabotage);
        println!("{sabotage:?}: {checkers:?}");
        assert!(!checkers.is_empty(), "{sabotage:?} was not seen in {SEEDS} seeds");
    }
}

#[test]
fn a_fault_is_seen_by_the_checker_of_the_promise_it_breaks() {
    for (sabotage, checker) in [
        (Sabotage::MeshMisdelivers, "roster"),
        (Sabotage::MeshReorders, "order"),
        (Sabotage::MeshEmptiesInvite, "kept"),
        (Sabotage::StoreLosesRow, "kept"),
        (Sabotage::StoreAnswersEarly, "kept"),
        (Sabotage::ShardsUntold, "revoked"),
    ] {
        let checkers = seen_by(sabotage);
        assert!(checkers.contains(checker), "{sabotage:?} was seen by {checkers:?} only");
    }
}
