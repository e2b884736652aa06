//! Where randomness comes in. Nothing in this crate asks the operating system: the process hands in a generator of
//! its own, the simulator a seeded one.

/// A generator of secrets.
pub trait Entropy {
    /// Fills `out` with bytes nobody else can guess.
    fn fill(&mut self, out: &mut [u8]);
}

impl<E: Entropy + ?Sized> Entropy for &mut E {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }
}
