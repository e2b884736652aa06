//! Little-endian base-128 integers with a continuation bit (CCP-1, Varint Encoding).
//!
//! Non-minimal encodings are accepted (decisions § 2); more than ten bytes or more than 64 bits are not.

use crate::limits::MAX_VARINT_LEN;

/// The varint needs more than ten bytes or more than 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a varint takes more than 10 bytes or 64 bits")]
pub struct Overflow;

/// Reads the varint at the start of `buf`: its value and how many bytes it took, or `None` when `buf` ends inside it.
///
/// # Errors
/// [`Overflow`], as soon as the bytes present prove it.
#[inline]
pub fn decode(buf: &[u8]) -> Result<Option<(u64, usize)>, Overflow> {
    Ok(split(buf)?.map(|(value, rest)| (value, buf.len() - rest.len())))
}

/// [`decode`], for a reader that goes on behind the number.
#[inline]
pub(crate) fn split(buf: &[u8]) -> Result<Option<(u64, &[u8])>, Overflow> {
    match *buf {
        // Most numbers of a frame take one byte; sequences and the lengths of texts two or three.
        [a, ref rest @ ..] if a < 0x80 => Ok(Some((u64::from(a), rest))),
        [a, b, ref rest @ ..] if b < 0x80 => Ok(Some((low(a) | u64::from(b) << 7, rest))),
        [a, b, c, ref rest @ ..] if c < 0x80 => Ok(Some((low(a) | low(b) << 7 | u64::from(c) << 14, rest))),
        _ => split_long(buf),
    }
}

#[inline]
fn low(byte: u8) -> u64 {
    u64::from(byte & 0x7f)
}

#[expect(clippy::indexing_slicing, reason = "there is an octet at the index")]
fn split_long(buf: &[u8]) -> Result<Option<(u64, &[u8])>, Overflow> {
    let mut value = 0_u64;
    for (index, &byte) in buf.iter().take(MAX_VARINT_LEN).enumerate() {
        // The tenth byte holds bit 63 alone; anything more, a continuation included, does not fit.
        if index == MAX_VARINT_LEN - 1 && byte > 1 {
            return Err(Overflow);
        }
        value |= low(byte) << (7 * index);
        if byte < 0x80 {
            return Ok(Some((value, &buf[index + 1..])));
        }
    }
    Ok(None)
}

/// How many bytes the minimal encoding of `value` takes.
#[inline]
#[must_use]
pub const fn len(value: u64) -> usize {
    // A seventh of the bits, rounded up, without a division.
    let highest = 63 - (value | 1).leading_zeros() as usize;
    (highest * 9 + 73) / 64
}

/// Writes the minimal encoding of `value` to the start of `out` and returns its length.
///
/// # Panics
/// When `out` is shorter than [`len`]`(value)`: the caller's mistake, never the network's.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the caller gives room, as said above")]
pub fn write(mut value: u64, out: &mut [u8]) -> usize {
    let mut index = 0;
    while value >= 0x80 {
        out[index] = value as u8 | 0x80;
        value >>= 7;
        index += 1;
    }
    out[index] = value as u8;
    index + 1
}

/// Appends the minimal encoding of `value`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "write says how much it wrote")]
pub fn encode(value: u64, out: &mut Vec<u8>) {
    let mut bytes = [0; MAX_VARINT_LEN];
    let len = write(value, &mut bytes);
    out.extend_from_slice(&bytes[..len]);
}
