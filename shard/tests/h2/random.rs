//! Valid wire images perturbed, random frames with operations between them, and random bytes.

use commucat_shard::conn::h2::{Code, H2, H2Limits};
use proptest::prelude::*;

use crate::wire::*;

/// Valid first, then perturbed.
fn valid() -> Vec<u8> {
    let body = vec![b'x'; 300];
    [
        hello(),
        settings(&[(4, 1_000), (3, 5)]),
        post(1),
        frame(DATA, 0, 1, &body),
        frame(PING, 0, 0, b"12345678"),
        frame(HEADERS, PADDED, 3, &[&[2][..], &block(&POST[..2]), &[0, 0]].concat()),
        frame(CONTINUATION, END_HEADERS, 3, &block(&POST[2..])),
        frame(DATA, PADDED, 3, b"\x02data\0\0"),
        window_update(3, 5_000),
        frame(PRIORITY, 0, 3, &[0; 5]),
        rst(1, CANCEL),
        frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&[("t", "1")])),
        frame(HEADERS, END_HEADERS | END_STREAM, 5, &with(&[("content-length", "0")])),
        frame(GOAWAY, 0, 0, &[0; 10]),
    ]
    .concat()
}

proptest! {
    #[test]
    fn mutated_frames_never_panic_and_mean_the_same_in_every_cut(
        edits in proptest::collection::vec((24usize..900, any::<u8>(), 0u8..3), 0..6),
        cuts in proptest::collection::vec(1usize..60, 1..30),
    ) {
        let mut wire = valid();
        for (at, octet, kind) in edits {
            let at = at % wire.len();
            match kind {
                0 => wire[at] = octet,
                1 => wire.insert(at, octet),
                _ => drop(wire.remove(at)),
            }
        }
        let mut pieces = Vec::new();
        let mut rest = &wire[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, next) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = next;
        }
        let limits = H2Limits::default();
        prop_assert_eq!(in_pieces(limits, pieces), in_pieces(limits, [&wire[..]]));
    }

    #[test]
    fn random_frames_with_operations_between_never_panic(
        frames in proptest::collection::vec((0u8..11, any::<u8>(), 0u32..8, proptest::collection::vec(any::<u8>(), 0..64)), 0..40),
        operations in proptest::collection::vec((0u8..8, 0u32..8, 0usize..100_000), 40),
    ) {
        let mut h2 = H2::new(H2Limits { streams: 3, ..H2Limits::default() });
        let (mut out, mut seen) = (Vec::new(), Vec::new());
        feed(&mut h2, &hello(), &mut seen).unwrap();
        for ((kind, flags, stream, payload), (operation, on, size)) in frames.iter().zip(operations) {
            let wire = match kind {
                10 => frame(HEADERS, END_HEADERS | flags & END_STREAM, *stream, &block(&POST)),
                _ => frame(*kind, *flags, *stream, payload),
            };
            if feed(&mut h2, &wire, &mut seen).is_err() {
                break;
            }
            match operation {
                0 => h2.head(on, 200, &[], size % 2 == 0, &mut out),
                1 => { h2.data(on, &vec![0; size], size % 3 == 0, &mut out); }
                2 => h2.reset(on, Code::Cancel),
                3 => h2.credit(on, size as u32),
                4 => h2.pending(&mut out),
                5 => h2.ping([0; 8]),
                6 => h2.tick(size as u32),
                _ => if size % 10 == 0 { h2.goaway(Code::NoError) },
            }
        }
        // Whatever happened, what we sent is well formed.
        h2.pending(&mut out);
        replies(&out);
    }

    #[test]
    fn random_bytes_after_the_preface_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = in_pieces(H2Limits::default(), [&hello()[..], &bytes]);
    }
}
