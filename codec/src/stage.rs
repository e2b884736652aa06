//! A layer between frames and the bytes of the transport: `noise-transport`, `adaptive-obf`. Bytes in, bytes out, no
//! I/O, so that layers stack.

/// One layer. Both sides of a connection run the same stack.
pub trait Stage {
    /// Why the other side's bytes are refused; always the end of the stream.
    type Error: std::error::Error;

    /// Appends the outer form of `inner` to `out`.
    ///
    /// # Errors
    /// When the layer can seal no more.
    fn seal(&mut self, inner: &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;

    /// Opens the whole units at the start of `outer`, appends what was in them to `inner`, and tells how many bytes of
    /// `outer` that took; the rest is the beginning of a unit that has not arrived yet.
    ///
    /// # Errors
    /// When a unit is not the other side's next one.
    fn open(&mut self, outer: &[u8], inner: &mut Vec<u8>) -> Result<usize, Self::Error>;
}
