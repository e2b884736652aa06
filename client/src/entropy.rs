//! The operating system's randomness, for the drivers. The session never asks for it: it is given an [`Entropy`].

use commucat_crypto::Entropy;

/// `getrandom(2)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    /// # Panics
    /// When the operating system has no randomness, for then no key may be made.
    #[expect(clippy::panic, reason = "the process of a client, whose system is broken")]
    fn fill(&mut self, out: &mut [u8]) {
        if let Err(error) = getrandom::fill(out) {
            panic!("the operating system gives no randomness: {error}");
        }
    }
}
