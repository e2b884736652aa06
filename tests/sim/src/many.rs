//! Many seeds, side by side on several threads.
//!
//! Invariant: seeds are begun in their order, so when one makes `each` stop, every lower one has been run, and the lowest
//! failure is the same however many threads there are. Called by the binary `sim` and by this package's tests.

use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::{Options, Report, run};

/// Runs every seed of `seeds` with the rest of `options`, and gives each report to `each`, in the order in which they end.
/// After a `Break` no seed above that one is begun.
pub fn many(
    options: &Options,
    seeds: Range<u64>,
    threads: NonZero<usize>,
    each: impl Fn(Report) -> ControlFlow<()> + Sync,
) {
    let (next, end) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let report = run(&Options {
                seed,
                ..options.clone()
            });
            if each(report).is_break() {
                end.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(work);
        }
    });
}
