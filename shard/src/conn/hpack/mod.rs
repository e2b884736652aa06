//! HPACK (RFC 7541): a decoder for hostile input and a stateless encoder. Used by `h2` only.
//!
//! Why not a crate: the maintained stand-alone decoder (loona-hpack 0.4) builds two levels of hash maps for each Huffman
//! string it meets and looks every bit up in them (a block of 16 KiB can hold 5,000 such strings), takes table size
//! updates anywhere in a block, and cannot be stopped, so that a block of one-octet references to a large entry is
//! expanded in full. All three hand a client CPU time for few bytes.
//!
//! Bounds: the dynamic table is at most [`HPACK_TABLE`] octets; one block decodes to at most `budget` octets in HPACK's
//! own measure (32 per field added), references included; then it fails. Integers above what a block can mean fail.

pub(super) mod encode;
mod huffman;
mod table;

use thiserror::Error;

use self::table::{Dynamic, ENTRY_OVERHEAD, STATIC};
use super::limits::HPACK_TABLE;

/// A block that cannot be decoded. The table may be out of step with the peer's, so the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HpackError {
    /// The block ends inside a field.
    #[error("header block is truncated")]
    Truncated,
    /// An integer of more than 28 bits.
    #[error("header block integer overflows")]
    Integer,
    /// An index without an entry.
    #[error("header index without an entry")]
    Index,
    /// EOS in a string, or wrong padding.
    #[error("invalid Huffman code")]
    Huffman,
    /// A table larger than ours, or an update behind a field.
    #[error("invalid dynamic table size update (at most {HPACK_TABLE})")]
    TableSize,
    /// More fields than the budget.
    #[error("header list too large")]
    TooLarge,
}

/// The decoding side of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: Dynamic,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// An empty table; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Dynamic::new() }
    }

    /// Decodes a whole block, and gives each field to `field` in order.
    pub fn decode(
        &mut self,
        block: &[u8],
        budget: usize,
        field: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackError> {
        let mut rest = block;
        let mut budget = budget;
        let mut first = true;
        let mut scratch = Vec::new();
        while let Some(&octet) = rest.first() {
            if octet & 0xe0 == 0x20 {
                // RFC 7541 § 4.2: only at the beginning of a block.
                let max = integer(&mut rest, 5)?;
                self.table.resize(max).filter(|()| first).ok_or(HpackError::TableSize)?;
                continue;
            }
            first = false;
            if octet & 0x80 != 0 {
                let (name, value) = self.entry(integer(&mut rest, 7)?)?;
                charge(&mut budget, name.len() + value.len())?;
                field(name, value);
                continue;
            }
            let indexed = octet & 0x40 != 0;
            let index = integer(&mut rest, if indexed { 6 } else { 4 })?;
            scratch.clear();
            if index == 0 {
                string(&mut rest, &mut scratch)?;
            } else {
                scratch.extend_from_slice(self.entry(index)?.0);
            }
            let name_len = scratch.len();
            string(&mut rest, &mut scratch)?;
            charge(&mut budget, scratch.len())?;
            let (name, value) = scratch.split_at(name_len);
            field(name, value);
            if indexed {
                self.table.insert(name, value);
            }
        }
        Ok(())
    }

    /// Name and value at an index of both tables (RFC 7541 § 2.3.3).
    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), HpackError> {
        let place = index.checked_sub(1).ok_or(HpackError::Index)?;
        match STATIC.get(place) {
            Some((name, value)) => Ok((name.as_bytes(), value.as_bytes())),
            None => self.table.get(place - STATIC.len()).ok_or(HpackError::Index),
        }
    }
}

fn charge(budget: &mut usize, octets: usize) -> Result<(), HpackError> {
    *budget = budget
        .checked_sub(octets + ENTRY_OVERHEAD)
        .ok_or(HpackError::TooLarge)?;
    Ok(())
}

/// RFC 7541 § 5.1, at most four octets behind the prefix.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let mask = (1usize << prefix) - 1;
    let mut value = usize::from(octet(rest)?) & mask;
    if value < mask {
        return Ok(value);
    }
    for shift in [0, 7, 14, 21] {
        let next = octet(rest)?;
        value += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HpackError::Integer)
}

/// RFC 7541 § 5.2; the text is appended to `out`.
fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let huffman = rest.first().is_some_and(|octet| octet & 0x80 != 0);
    let len = integer(rest, 7)?;
    let (text, after) = rest.split_at_checked(len).ok_or(HpackError::Truncated)?;
    *rest = after;
    if huffman {
        huffman::decode(text, out).ok_or(HpackError::Huffman)
    } else {
        out.extend_from_slice(text);
        Ok(())
    }
}

fn octet(rest: &mut &[u8]) -> Result<u8, HpackError> {
    let (&octet, after) = rest.split_first().ok_or(HpackError::Truncated)?;
    *rest = after;
    Ok(octet)
}
