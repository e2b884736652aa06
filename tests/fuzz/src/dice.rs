//! A seeded generator, and damage done to an input by it.

use commucat_crypto::Entropy;

/// SplitMix64: good enough to choose with, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Starts at this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % (end.max(1) as u64)) as usize
    }

    /// One to eight edits of `input`: bits flipped, bytes replaced, inserted, removed, pieces repeated or taken from `other`.
    #[must_use]
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(8) {
            self.edit(&mut bytes, other);
        }
        bytes
    }

    fn edit(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let piece = |dice: &mut Self, of: &[u8]| {
            let start = dice.below(of.len());
            let len = dice.below(of.len().min(64));
            of[start..].iter().copied().take(len).collect::<Vec<u8>>()
        };
        match self.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.draw() as u8,
            2 if !bytes.is_empty() => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
            3 => bytes.insert(at, self.draw() as u8),
            4 => {
                let again = piece(self, bytes);
                bytes.splice(at..at, again);
            }
            5 => {
                let foreign = piece(self, other);
                bytes.splice(at..at, foreign);
            }
            _ => bytes.truncate(bytes.len() - self.below(bytes.len().min(16))),
        }
    }
}

impl Entropy for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.draw() as u8;
        }
    }
}
