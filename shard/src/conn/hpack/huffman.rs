//! The Huffman code of RFC 7541, Appendix B. It is canonical: the length of each symbol's code is all there is to know, so
//! the tables are computed from the lengths at compile time.

/// Code length of each octet, then of EOS.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const SHORTEST: u32 = 5;
const LONGEST: u32 = 30;
const EOS: u16 = 256;

/// The codes of one length: consecutive numbers from `first`, for the symbols from `SYMBOLS[offset]` on.
#[derive(Clone, Copy)]
struct Row {
    first: u32,
    count: u32,
    offset: u32,
}

/// Rows by code length, and the symbols ordered by length, then value.
const TABLES: ([Row; LONGEST as usize + 1], [u16; 257]) = {
    let mut rows = [Row {
        first: 0,
        count: 0,
        offset: 0,
    }; LONGEST as usize + 1];
    let mut symbols = [0; 257];
    let (mut length, mut at, mut code) = (1, 0, 0);
    while length <= LONGEST as usize {
        code <<= 1;
        rows[length] = Row {
            first: code,
            count: 0,
            offset: at as u32,
        };
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[at] = symbol as u16;
                at += 1;
                code += 1;
                rows[length].count += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    assert!(at == 257 && code == 1 << LONGEST, "the code is complete");
    (rows, symbols)
};
static ROWS: [Row; LONGEST as usize + 1] = TABLES.0;
static SYMBOLS: [u16; 257] = TABLES.1;

/// Appends what `coded` says to `out`. `None` for EOS inside, for padding of a byte or more, or of other bits than ones.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut input = coded.iter();
    // The low `have` bits of `bits` are read and not yet decoded.
    let (mut bits, mut have) = (0u64, 0u32);
    loop {
        while have < LONGEST {
            let Some(&octet) = input.next() else { break };
            bits = bits << 8 | u64::from(octet);
            have += 8;
        }
        let Some((symbol, length)) = first_symbol(bits, have) else {
            break;
        };
        if symbol == EOS {
            return None;
        }
        out.push(symbol as u8);
        have -= length;
    }
    let padding = (1 << have) - 1;
    (have < 8 && bits & padding == padding).then_some(())
}

/// The symbol that begins the last `have` bits of `bits`, and the length of its code.
fn first_symbol(bits: u64, have: u32) -> Option<(u16, u32)> {
    for length in SHORTEST..=LONGEST.min(have) {
        let code = (bits >> (have - length)) as u32 & ((1 << length) - 1);
        let row = &ROWS[length as usize];
        // A code below `first` would have matched a shorter length.
        let place = code - row.first;
        if place < row.count {
            return Some((SYMBOLS[(row.offset + place) as usize], length));
        }
    }
    None
}
