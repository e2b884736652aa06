//! Header blocks for responses. The encoder keeps no state: every field is a literal that is not indexed, its name from
//! the static table where it stands there. A response head is sent once per stream, so a table would save little and
//! cost memory for each connection.

use super::table::STATIC;

/// A dynamic table size of 0, to begin the first block of a connection: it holds whatever size the peer sets later.
pub(in crate::conn) const NO_TABLE: u8 = 0x20;

/// Index of the first `:status` in the static table.
const STATUS: usize = 8;

/// Appends `:status`.
pub(in crate::conn) fn status(status: u16, out: &mut Vec<u8>) {
    let digits = status.to_string();
    let known = STATIC[STATUS - 1..]
        .iter()
        .position(|&field| field == (":status", &digits));
    match known {
        Some(place) => integer(STATUS + place, 7, 0x80, out),
        None => {
            integer(STATUS, 4, 0, out);
            string(digits.as_bytes(), out);
        }
    }
}

/// Appends a field. `name` is lower case.
pub(in crate::conn) fn field(name: &str, value: &str, out: &mut Vec<u8>) {
    match STATIC.iter().position(|(known, _)| *known == name) {
        Some(place) => integer(place + 1, 4, 0, out),
        None => {
            out.push(0);
            string(name.as_bytes(), out);
        }
    }
    string(value.as_bytes(), out);
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    integer(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}

/// RFC 7541 § 5.1, below the bits of `pattern`.
fn integer(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}
