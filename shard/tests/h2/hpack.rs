//! `conn::hpack`: the examples of RFC 7541, Appendix C, and what hostile blocks may not do.

use commucat_shard::conn::hpack::{Decoder, HpackError};
use commucat_shard::conn::limits;
use proptest::prelude::*;

type Fields = Vec<(String, String)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, limits::H2_BLOCK_DECODED, &mut |name, value| {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        fields.push((text(name), text(value)));
    })?;
    Ok(fields)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|digit| char::from(digit).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn fields(want: &[(&str, &str)]) -> Fields {
    want.iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// Requests of C.3 and C.4: the same three, plain and Huffman coded.
#[test]
fn the_request_examples_of_the_rfc() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    let site = (":authority", "www.example.com");
    let want = [
        fields(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), site]),
        fields(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            site,
            ("cache-control", "no-cache"),
        ]),
        fields(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            site,
            ("custom-key", "custom-value"),
        ]),
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        for (block, want) in blocks.iter().zip(&want) {
            assert_eq!(decode(&mut decoder, &hex(block)).as_ref(), Ok(want));
        }
    }
}

/// Responses of C.5 and C.6, whose table of 256 octets evicts.
#[test]
fn the_response_examples_of_the_rfc() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 \
         3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 \
         7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 \
         6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad \
         1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
         e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    let private = ("cache-control", "private");
    let first = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let later = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
    let location = ("location", "https://www.example.com");
    let cookie = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
    let want = [
        fields(&[(":status", "302"), private, first, location]),
        fields(&[(":status", "307"), private, first, location]),
        fields(&[
            (":status", "200"),
            private,
            later,
            location,
            ("content-encoding", "gzip"),
            cookie,
        ]),
    ];
    for blocks in [plain, huffman] {
        let mut decoder = Decoder::new();
        // Table size update to 256.
        assert_eq!(decode(&mut decoder, &[0x3f, 0xe1, 0x01]), Ok(Fields::new()));
        for (block, want) in blocks.iter().zip(&want) {
            assert_eq!(decode(&mut decoder, &hex(block)).as_ref(), Ok(want));
        }
        // The first entries are gone: three are left (C.5.3).
        assert!(decode(&mut decoder, &[0x80 | 64]).is_ok());
        assert_eq!(decode(&mut decoder, &[0x80 | 65]), Err(HpackError::Index));
    }
}

#[test]
fn blocks_that_end_too_early_are_truncated() {
    let block = hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
    for len in 4..block.len() {
        assert_eq!(
            decode(&mut Decoder::new(), &block[..len]),
            Err(HpackError::Truncated),
            "{len}"
        );
    }
}

#[test]
fn wrong_blocks_have_their_names() {
    let cases: &[(&[u8], HpackError)] = &[
        (&[0x80], HpackError::Index),
        (&[0xbe], HpackError::Index),
        (&[0xff, 0x80, 0x80, 0x80, 0x00], HpackError::Index),
        (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], HpackError::Integer),
        (
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            HpackError::Integer,
        ),
        (&[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f], HpackError::Integer),
        (&[0x00, 0x7f, 0xff, 0xff, 0xff, 0x7f], HpackError::Truncated),
        // A table of 4,097, and an update behind a field.
        (&[0x3f, 0xe2, 0x1f], HpackError::TableSize),
        (&[0x82, 0x20], HpackError::TableSize),
        // EOS, eight bits of padding, and padding of zeros.
        (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], HpackError::Huffman),
        (&[0x04, 0x82, 0x07, 0xff], HpackError::Huffman),
        (&[0x04, 0x81, 0x00], HpackError::Huffman),
    ];
    for (block, want) in cases {
        assert_eq!(decode(&mut Decoder::new(), block), Err(*want), "{block:02x?}");
    }
    // 4,096 is fine, and several updates may begin a block.
    assert_eq!(
        decode(&mut Decoder::new(), &[0x20, 0x3f, 0xe1, 0x1f]),
        Ok(Fields::new())
    );
}

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &[0x40, 1, b'a', 1, b'b']).unwrap();
    assert_eq!(decode(&mut decoder, &[0xbe]), Ok(fields(&[("a", "b")])));
    let mut large = vec![0x40, 1, b'x', 0x7f, 0x81, 0x1f];
    large.extend([b'y'; 4_096]);
    assert_eq!(decode(&mut decoder, &large).unwrap()[0].1.len(), 4_096);
    assert_eq!(decode(&mut decoder, &[0xbe]), Err(HpackError::Index));
}

#[test]
fn an_entry_may_take_its_name_from_the_one_it_evicts() {
    let mut decoder = Decoder::new();
    let name = "n".repeat(100);
    // A table of 200 octets holds one of these.
    let mut block = vec![0x3f, 0xa9, 0x01, 0x40, 100];
    block.extend(name.as_bytes());
    block.extend([1, b'1']);
    block.extend([0x40 | 62, 1, b'2']);
    block.push(0x80 | 62);
    let seen = decode(&mut decoder, &block).unwrap();
    assert_eq!(seen, fields(&[(&name, "1"), (&name, "2"), (&name, "2")]));
    assert_eq!(decode(&mut decoder, &[0x80 | 63]), Err(HpackError::Index));
}

#[test]
fn a_block_of_references_to_a_large_entry_is_stopped() {
    let mut decoder = Decoder::new();
    let mut block = vec![0x40, 1, b'x', 0x7f, 0x80 | 0x21, 0x1e];
    block.extend([b'y'; 4_000]);
    block.extend([0xbe; 16_000]);
    let mut told = 0;
    let stopped = decoder.decode(&block, limits::H2_BLOCK_DECODED, &mut |_, value| told += value.len());
    assert_eq!(stopped, Err(HpackError::TooLarge));
    assert!(told <= limits::H2_BLOCK_DECODED, "64 MB in 20 KB was stopped at {told}");
}

#[test]
fn the_table_follows_a_model_through_many_evictions() {
    let mut decoder = Decoder::new();
    let mut model: Vec<(String, String)> = Vec::new();
    for round in 0..2_000usize {
        let name = format!("name-{}", round % 7);
        let value = "v".repeat(round * 31 % 300);
        let mut block = vec![0x40, name.len() as u8];
        block.extend(name.as_bytes());
        if value.len() < 127 {
            block.push(value.len() as u8);
        } else {
            block.extend([
                127,
                ((value.len() - 127) & 0x7f) as u8 | 0x80,
                ((value.len() - 127) >> 7) as u8,
            ]);
        }
        block.extend(value.as_bytes());
        decode(&mut decoder, &block).unwrap();
        model.insert(0, (name, value));
        let size = |model: &[(String, String)]| model.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>();
        while size(&model) > limits::HPACK_TABLE {
            model.pop();
        }
        let all: Vec<u8> = (0..model.len()).map(|place| 0x80 | (62 + place) as u8).collect();
        let some = &all[..all.len().min(65)];
        let mut seen = Vec::new();
        for octet in some {
            seen.extend(decode(&mut decoder, &[*octet]).unwrap());
        }
        assert_eq!(seen, model[..some.len()]);
    }
}

proptest! {
    #[test]
    fn random_blocks_never_panic(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8)) {
        let mut decoder = Decoder::new();
        for block in blocks {
            if decode(&mut decoder, &block).is_err() {
                break;
            }
        }
    }

    #[test]
    fn huffman_codes_with_flipped_bits_never_panic(
        flips in proptest::collection::vec((0usize..60, 0u8..8), 0..4), cut in 0usize..60,
    ) {
        let mut text = hex("94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07");
        for (at, bit) in flips {
            let at = at % text.len();
            text[at] ^= 1 << bit;
        }
        text.truncate(cut);
        let mut block = vec![0x04, 0x80 | text.len() as u8];
        block.extend(text);
        let _ = decode(&mut Decoder::new(), &block);
    }
}
