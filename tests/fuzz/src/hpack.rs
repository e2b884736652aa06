//! Header blocks, by our decoder and by another's (RFC 7541).

use commucat_shard::conn::hpack::Decoder;
use commucat_shard::conn::limits::{H2_BLOCK_DECODED, HPACK_TABLE};

use loona_hpack::decoder::DecoderError;

use crate::input::Input;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Blocks of one connection, each in front of it its length: what we take, the other takes for the same, and the tables of
/// both go on alike.
pub fn check(data: &[u8]) {
    let mut ours = Decoder::new();
    let mut other = loona_hpack::Decoder::new();
    other.set_max_table_size(HPACK_TABLE);
    other.set_max_allowed_table_size(HPACK_TABLE);
    let mut input = Input::new(data);
    while let Some(block) = input.piece() {
        let mut fields: Fields = Vec::new();
        let mut size = 0;
        let taken = ours.decode(block, H2_BLOCK_DECODED, &mut |name, value| {
            size += name.len() + value.len();
            fields.push((name.to_vec(), value.to_vec()));
        });
        assert!(size <= H2_BLOCK_DECODED, "{size} octets were decoded");
        if taken.is_err() {
            // The tables may differ from here on; a connection ends.
            return;
        }
        match other.decode(block) {
            Ok(others) => assert_eq!(fields, others),
            // It wants a field behind an update of the table's size; RFC 7541 does not.
            Err(DecoderError::SizeUpdateAtEnd) if fields.is_empty() => {}
            Err(error) => panic!("the other decoder refuses what ours takes: {error}"),
        }
    }
}

/// The examples of RFC 7541, appendix C, and updates of the table's size.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let lists: [&[&[u8]]; 6] = [
        &[b"\x40\x0acustom-key\x0dcustom-header", b"\xbe"],
        &[b"\x04\x0c/sample/path", b"\x10\x08password\x06secret", b"\x82"],
        &[
            b"\x82\x86\x84\x41\x0fwww.example.com",
            b"\x82\x86\x84\xbe\x58\x08no-cache",
            b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
        ],
        &[
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
        ],
        &[b"\x20\x3f\xe1\x1f\x82", b"\x3f\x21\x41\x03abc\xbe\xbf"],
        &[b"\x40\x01a\x01b\x40\x01c\x01d", b"\x21\x82", b"\xbe\xbf"],
    ];
    let framed = |block: &&[u8]| [&[block.len() as u8][..], block].concat();
    lists
        .iter()
        .map(|list| list.iter().flat_map(framed).collect())
        .collect()
}
