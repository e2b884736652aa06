//! Buffers that are used again: send buffers and the beginnings of frames that straddle reads.

/// Buffers kept at most.
const KEPT: usize = 64;
/// Larger ones are given back to the allocator.
const KEPT_SIZE: usize = 512 << 10;

/// What a new one has. Capacities that double from here have room to spare for a frame that is a byte longer than the
/// last, which those that began with the length of some response head have not.
const FIRST: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// An empty buffer, with whatever capacity it had before.
    pub(crate) fn lease(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(FIRST))
    }

    pub(crate) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < KEPT && (1..=KEPT_SIZE).contains(&buffer.capacity()) {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}
