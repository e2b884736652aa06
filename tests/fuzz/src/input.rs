//! Choices read from an input: what libFuzzer mutates, a property understands as numbers and pieces.

/// The part of an input that has not been read.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of it.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte; `None` at the end, where a property stops.
    pub fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// Two bytes, the higher one first.
    pub fn short(&mut self) -> Option<u16> {
        let (&bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(bytes))
    }

    /// A length in one byte, and so many bytes, or as many as are left.
    pub fn piece(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.byte()?).min(self.0.len());
        let (piece, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(piece)
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// `wire` in pieces whose lengths follow from `rhythm`; in single bytes for 0.
pub fn cut(mut wire: &[u8], rhythm: u8) -> impl Iterator<Item = &[u8]> {
    let mut turn = 0_usize;
    std::iter::from_fn(move || {
        if wire.is_empty() {
            return None;
        }
        turn += 1;
        let len = 1 + (usize::from(rhythm) * turn % 251).min(wire.len() - 1);
        let (piece, rest) = wire.split_at(len.min(wire.len()));
        wire = rest;
        Some(piece)
    })
}
