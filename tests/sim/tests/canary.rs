//! The checkers can fail: each deliberate fault outside the contracts is seen by somebody.

use commucat_sim::{Options, Sabotage, run};

/// The first or the second sees most faults; what is rare in the world is rarely broken.
const SEEDS: u64 = 300;
const STEPS: u64 = 2_000;

/// Which checkers see the fault, seed by seed, for as long as somebody asks; an assertion of the relay counts as one.
fn seen_by(sabotage: Sabotage) -> impl Iterator<Item = String> {
    let one = move |seed| {
        let options = Options {
            seed,
            steps: STEPS,
            shards: None,
            verbose: false,
            sabotage: Some(sabotage),
        };
        run(&options)
            .failure
            .map(|failure| failure.violation.checker.to_owned())
    };
    (1..=SEEDS).filter_map(one)
}

#[test]
fn every_sabotage_is_seen() {
    for sabotage in Sabotage::ALL {
        let checker = seen_by(sabotage).next();
        println!("{sabotage:?}: {checker:?}");
        assert!(checker.is_some(), "{sabotage:?} was not seen in {SEEDS} seeds");
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
        let seen = seen_by(sabotage).any(|seen| seen == checker);
        assert!(seen, "{sabotage:?} was not seen by {checker} in {SEEDS} seeds");
    }
}
