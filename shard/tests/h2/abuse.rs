//! `conn::h2` against peers that want work or memory for nothing. Each flood ends in `ENHANCE_YOUR_CALM`.

use crate::wire::*;
use commucat_shard::conn::h2::{H2, H2Error, H2Limits};
use commucat_shard::conn::limits::{self, Allowance};

/// Sends `frames(n)` for n = 0, 1, … and flushes after each, until the connection ends. Returns how many it took.
fn flood(mut frames: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut h2 = opened(H2Limits::default());
    let mut out = Vec::new();
    for n in 0..100_000 {
        out.clear();
        h2.pending(&mut out);
        if let Err(error) = feed(&mut h2, &frames(n), &mut Vec::new()) {
            assert!(matches!(error, H2Error::Calm(_)), "{error}");
            assert_eq!(pending(&mut h2).last().unwrap().code(), ENHANCE_YOUR_CALM);
            assert_eq!(h2.buffered(), 0);
            return n;
        }
    }
    panic!("never calmed down");
}

fn resets() -> u32 {
    H2Limits::default().resets.burst
}

/// What is left after the first SETTINGS.
fn control() -> u32 {
    H2Limits::default().control.burst - 4
}

#[test]
fn rapid_reset() {
    let taken = flood(|n| [post(2 * n + 3), rst(2 * n + 3, CANCEL)].concat());
    assert_eq!(taken, resets());
}

#[test]
fn resets_that_the_peer_makes_us_send() {
    let overflow = |n: u32| [post(2 * n + 3), window_update(2 * n + 3, 0x7fff_ffff)].concat();
    assert_eq!(flood(overflow), resets());
    let malformed = |n: u32| frame(HEADERS, END_HEADERS, 2 * n + 3, &block(&POST[1..]));
    assert_eq!(flood(malformed), resets());
    let refused = |n: u32| frame(HEADERS, END_HEADERS, 2 * n + 3, &block(&[(":method", "CONNECT")]));
    assert_eq!(flood(refused), resets());
    assert_eq!(
        flood(|n| post(2 * n + 3)),
        resets() + 99,
        "beyond the 100 that may be open"
    );
}

#[test]
fn floods_of_frames_that_carry_nothing() {
    let body = || frame(DATA, 0, 1, &[]);
    assert_eq!(flood(|_| body()), control());
    assert_eq!(flood(|_| frame(PING, 0, 0, &[0; 8])), control());
    assert_eq!(flood(|_| frame(PING, ACK, 0, &[0; 8])), control());
    assert_eq!(flood(|_| frame(PRIORITY, 0, 1, &[0; 5])), control());
    assert_eq!(flood(|_| frame(0xfa, 0, 0, b"?")), control());
    assert_eq!(flood(|_| frame(SETTINGS, ACK, 0, &[])), control());
    assert_eq!(flood(|_| frame(GOAWAY, 0, 0, &[0; 8])), control());
    assert_eq!(flood(|_| window_update(1, 1)), control());
    assert_eq!(flood(|_| window_update(0, 1)), control());
    assert!(flood(|_| settings(&[])) <= control() / 4);
    assert!(flood(|n| settings(&[(4, 60_000 + n % 2)])) <= control() / 4);
    // On a stream that is gone.
    let gone = |n: u32| {
        if n == 0 {
            rst(1, CANCEL)
        } else {
            frame(HEADERS, END_HEADERS, 1, &[0x82])
        }
    };
    assert_eq!(flood(gone), control() + 1);
    assert_eq!(flood(|_| rst(1, CANCEL)), control() + 1);
}

#[test]
fn continuation_flood() {
    let mut first = true;
    let octets = |_| {
        let begin = std::mem::take(&mut first);
        frame(if begin { HEADERS } else { CONTINUATION }, 0, 3, &[0x82])
    };
    assert_eq!(flood(octets), u32::from(limits::H2_CONTINUATIONS) + 1);
    let empty = |n| frame(if n == 0 { HEADERS } else { CONTINUATION }, 0, 3, &[]);
    assert_eq!(flood(empty), u32::from(limits::H2_CONTINUATIONS) + 1);
    let full = |n| frame(if n == 0 { HEADERS } else { CONTINUATION }, 0, 3, &[0; 16_384]);
    assert_eq!(flood(full), 2, "32 KiB");
}

#[test]
fn a_header_block_that_stays_incomplete_holds_bounded_memory() {
    let mut h2 = opened(H2Limits::default());
    let mut most = 0;
    for n in 0..3 {
        let wire = frame(if n == 0 { HEADERS } else { CONTINUATION }, 0, 3, &[0; 16_384]);
        for octets in wire.chunks(100) {
            let _ = h2.next(&mut &octets[..]);
            most = most.max(h2.buffered());
        }
    }
    assert_eq!(most, limits::H2_BLOCK);
}

#[test]
fn a_hpack_bomb_ends_the_connection() {
    // An entry of 4,000 octets, and a thousand references to it.
    let mut bomb = vec![0x40, 1, b'x', 0x7f, 0x80 | 0x21, 0x1e];
    bomb.extend([b'y'; 4_000]);
    bomb.extend([0xbe; 1_000]);
    assert_eq!(
        run(&[frame(HEADERS, END_HEADERS, 1, &bomb)]).goaway(),
        ENHANCE_YOUR_CALM
    );
    let table = [0x3f, 0xff, 0xff, 0xff, 0x07];
    assert_eq!(
        run(&[frame(HEADERS, END_HEADERS, 1, &table)]).goaway(),
        COMPRESSION_ERROR
    );
}

#[test]
fn replies_that_nobody_reads_are_bounded() {
    let limits = H2Limits {
        control: Allowance {
            burst: u32::MAX,
            per_second: 0,
        },
        ..H2Limits::default()
    };
    let mut h2 = opened(limits);
    let pings: Vec<u8> = (0..1_000).flat_map(|_| frame(PING, 0, 0, &[0; 8])).collect();
    let error = feed(&mut h2, &pings, &mut Vec::new()).unwrap_err();
    assert_eq!(error, H2Error::Calm("unread control replies"));
    let mut out = Vec::new();
    h2.pending(&mut out);
    assert!(out.len() <= limits.pending + 2 * 17);
}

#[test]
fn a_peer_that_never_opens_its_window_costs_nothing() {
    let mut h2 = H2::new(H2Limits::default());
    let wire = [hello(), settings(&[(4, 0)]), post(1)].concat();
    feed(&mut h2, &wire, &mut Vec::new()).unwrap();
    let mut out = Vec::new();
    h2.head(1, 200, &[], false, &mut out);
    out.clear();
    assert_eq!(h2.window(1), 0);
    assert_eq!(h2.data(1, &[0; 100_000], true, &mut out), 0);
    assert!(
        out.is_empty() && !h2.has_pending(),
        "what does not fit stays with the caller"
    );
}

#[test]
fn time_and_traffic_give_budgets_back() {
    let limits = H2Limits {
        resets: Allowance {
            burst: 2,
            per_second: 1,
        },
        control: Allowance {
            burst: 4,
            per_second: 2,
        },
        ..H2Limits::default()
    };
    let mut h2 = opened(limits);
    let mut next = 1;
    let mut cancelled = |h2: &mut H2| {
        next += 2;
        feed(h2, &[post(next), rst(next, CANCEL)].concat(), &mut Vec::new())
    };
    for second in 1..100 {
        h2.tick(second);
        cancelled(&mut h2).expect("one a second is fine");
        feed(&mut h2, &frame(PING, 0, 0, &[0; 8]).repeat(2), &mut Vec::new()).expect("two a second are fine");
    }
    let mut out = Vec::new();
    for _ in 0..100 {
        assert_eq!(h2.data(1, b"x", false, &mut out), 1);
        feed(
            &mut h2,
            &[window_update(1, 1), window_update(0, 1)].concat(),
            &mut Vec::new(),
        )
        .expect("a naive client acknowledges each message");
        pending(&mut h2);
    }
    cancelled(&mut h2).unwrap();
    assert!(cancelled(&mut h2).is_err(), "no second has passed");
}
