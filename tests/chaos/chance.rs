//! Random choices, all of them from one seed that is printed.

use commucat_client::{Entropy, OsEntropy};

/// SplitMix64: small, and good enough to choose moments.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// From `RELAY_CHAOS_SEED`, or a new one.
    pub(crate) fn new(test: &str) -> Self {
        let mut fresh = [0; 8];
        OsEntropy.fill(&mut fresh);
        // Short enough to be typed.
        let seed = super::setting("RELAY_CHAOS_SEED", u64::from_le_bytes(fresh) >> 32);
        println!("{test}: RELAY_CHAOS_SEED={seed}");
        Self(seed)
    }

    /// Another stream of choices.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
