//! Every choice of a simulation comes from here: one seed, split by name so that a choice more in one component does
//! not shift the choices of another.

use commucat_crypto::Entropy;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A rate in parts per million; integers, so that no platform rounds a fault away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u32);

impl Rate {
    pub(crate) const NEVER: Self = Self(0);
}

/// A seeded generator.
#[derive(Clone)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The generator of the component `label`, number `index`, of a run.
    pub(crate) fn new(seed: u64, label: &str, index: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(&index.to_le_bytes());
        hasher.update(label.as_bytes());
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform below `bound`, which is at least 1. The bias of the modulo is far below what a fault rate means.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    /// As `below`, for indices.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Uniform in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True at the given rate.
    pub(crate) fn happens(&mut self, rate: Rate) -> bool {
        rate.0 > 0 && self.below(1_000_000) < u64::from(rate.0)
    }

    /// Between 0 and `ceiling`, small values far more often than large ones: most delays are short, some are long.
    pub(crate) fn skewed(&mut self, ceiling: u64) -> u64 {
        let bits = self.below(u64::from(64 - ceiling.leading_zeros()) + 1);
        self.below((1 << bits.min(62)) + 1).min(ceiling)
    }

    /// One of the items.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = self.index(items.len());
        &items[index]
    }

    /// The index of a weight, drawn in proportion.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        let mut left = self.below(total.max(1));
        for (index, weight) in weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        weights.len() - 1
    }
}

impl Entropy for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}
