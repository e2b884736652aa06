//! Every property over its first inputs, its corpus, what once broke it, and mutations of all: the fuzzer's findings as
//! tests, on stable Rust.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use commucat_fuzz::dice::Dice;
use commucat_fuzz::{TARGETS, Target};

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target")
}

fn files(folder: &str, target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target.name);
    let entries = fs::read_dir(&folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let corpus = files("corpus", target);
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let seeds = (target.seeds)().into_iter().enumerate();
    let seeds = seeds.map(|(index, seed)| (format!("seed {index}"), seed));
    let files = corpus.into_iter().chain(files("found", target));
    let files = files.map(|file| (file.display().to_string(), fs::read(&file).unwrap()));
    seeds.chain(files).collect()
}

fn run(target: &Target, name: &str, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    assert!(outcome.is_ok(), "{} is broken by {name}: {input:02x?}", target.name);
}

/// The corpus, then so many mutations of it, the same ones each time; `FUZZ_ROUNDS` times as many, all different, when
/// that is set.
fn replay(name: &str, mutations: usize) {
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(1, |rounds| rounds.parse().expect("FUZZ_ROUNDS is a number"));
    let mutations = mutations * rounds;
    let (target, mut dice) = (target(name), Dice::new(rounds as u64));
    let corpus = corpus(target);
    for (name, input) in &corpus {
        run(target, name, input);
    }
    for number in 0..mutations {
        let (of, input) = &corpus[dice.below(corpus.len())];
        let (_, other) = &corpus[dice.below(corpus.len())];
        run(
            target,
            &format!("mutation {number} of {of}"),
            &dice.mutate(input, other),
        );
    }
}

#[test]
fn two_frame_parsers_agree() {
    replay("frame", 20_000);
}

#[test]
fn two_parsers_of_control_payloads_agree() {
    replay("control", 10_000);
}

#[test]
fn http1_means_the_same_in_every_cut_and_chunks_the_same_to_a_second_reader() {
    replay("http1", 10_000);
}

#[test]
fn http2_means_the_same_in_every_cut_and_is_bounded() {
    replay("http2", 10_000);
}

#[test]
fn two_decoders_of_header_blocks_agree() {
    replay("hpack", 20_000);
}

#[test]
fn websocket_frames_mean_the_same_to_a_second_reader() {
    replay("websocket", 10_000);
}

#[test]
fn nobody_gets_in_by_a_handshake_that_proves_nothing() {
    replay("handshake", 500);
}

#[test]
fn whatever_a_stranger_sends_the_others_go_on_talking() {
    replay("shard", 200);
}

#[test]
fn a_damaged_store_refuses_or_holds_what_it_once_held() {
    replay("recovery", 60);
}

#[test]
fn every_target_has_its_test_and_its_binary() {
    let (tests, manifest) = (include_str!("replay.rs"), include_str!("../targets/Cargo.toml"));
    for Target { name, .. } in TARGETS {
        assert!(tests.contains(&format!("replay(\"{name}\"")), "{name} is not replayed");
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name} is not fuzzed"
        );
    }
}
