//! What happened, as one hash: two runs of a seed that differ anywhere differ here. Every event of the world goes in,
//! with the bytes it carried.

use std::collections::VecDeque;

/// How many of the last lines a failure shows.
const TAIL: usize = 60;

/// The running hash, and the last lines for a person to read.
pub(crate) struct Trace {
    hasher: blake3::Hasher,
    tail: VecDeque<String>,
    verbose: bool,
}

impl Trace {
    pub(crate) fn new(verbose: bool) -> Self {
        Self {
            hasher: blake3::Hasher::new(),
            tail: VecDeque::with_capacity(TAIL),
            verbose,
        }
    }

    /// One event: its moment, a stable name, its numbers and its bytes.
    pub(crate) fn event(&mut self, now: u64, name: &'static str, numbers: &[u64], bytes: &[u8]) {
        self.hasher.update(&now.to_le_bytes());
        self.hasher.update(name.as_bytes());
        for number in numbers {
            self.hasher.update(&number.to_le_bytes());
        }
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }

    /// A line for people; it is part of the hash too, since it tells what was decided.
    pub(crate) fn line(&mut self, now: u64, line: impl FnOnce() -> String) {
        let line = line();
        self.hasher.update(line.as_bytes());
        let line = format!("{:>12} {line}", now);
        if self.verbose {
            println!("{line}");
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(crate) fn hash(&self) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&self.hasher.finalize().as_bytes()[..16]);
        short
    }

    pub(crate) fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }
}
