//! Randomness: a ChaCha20 generator for each owner, seeded once by the system.

use std::fmt;

use commucat_crypto::Entropy;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// One owner's generator. A shard draws from it without a system call.
pub struct SystemEntropy(ChaCha20Rng);

impl SystemEntropy {
    /// A generator with a seed of its own.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self(ChaCha20Rng::from_seed(*seed)))
    }
}

impl Entropy for SystemEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

impl fmt::Debug for SystemEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemEntropy(..)")
    }
}
