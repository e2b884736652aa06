//! CCP-1, Varint Encoding.

use commucat_proto::varint::{self, Overflow};

const MINIMAL: [(u64, &[u8]); 12] = [
    (0, b"\x00"),
    (1, b"\x01"),
    (127, b"\x7f"),
    (128, b"\x80\x01"),
    (300, b"\xac\x02"),
    (16_383, b"\xff\x7f"),
    (16_384, b"\x80\x80\x01"),
    (16_777_216, b"\x80\x80\x80\x08"),
    (u32::MAX as u64, b"\xff\xff\xff\xff\x0f"),
    (1 << 56, b"\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    (1 << 63, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    (u64::MAX, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
];

#[test]
fn numbers_are_written_and_read_as_the_specification_has_them() {
    for (value, bytes) in MINIMAL {
        let mut out = Vec::new();
        varint::encode(value, &mut out);
        assert_eq!(out, bytes, "{value}");
        assert_eq!(varint::len(value), bytes.len(), "{value}");
        assert_eq!(varint::decode(bytes), Ok(Some((value, bytes.len()))));
        let followed = [bytes, b"\xff\xff"].concat();
        assert_eq!(varint::decode(&followed), Ok(Some((value, bytes.len()))));
    }
}

#[test]
fn an_unfinished_number_waits() {
    for (value, bytes) in MINIMAL {
        for cut in 0..bytes.len() {
            assert_eq!(varint::decode(&bytes[..cut]), Ok(None), "{value} cut at {cut}");
        }
    }
}

#[test]
fn non_minimal_numbers_are_accepted() {
    let table: [(u64, &[u8]); 5] = [
        (0, b"\x80\x00"),
        (1, b"\x81\x80\x00"),
        (127, b"\xff\x80\x80\x80\x00"),
        (0, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        (5, b"\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
    ];
    for (value, bytes) in table {
        assert_eq!(varint::decode(bytes), Ok(Some((value, bytes.len()))));
    }
}

#[test]
fn more_than_64_bits_or_ten_bytes_overflow() {
    let table: [&[u8]; 4] = [
        // Bit 64.
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        // An eleventh byte, even if it adds nothing; refused before it arrives.
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x81",
    ];
    for bytes in table {
        assert_eq!(varint::decode(bytes), Err(Overflow), "{bytes:02x?}");
    }
}
