//! The sending half and the windows, both ways.

use commucat_shard::conn::h2::{Code, H2, H2Limits};

use crate::wire::*;

#[test]
fn bad_window_updates_of_a_stream_reset_it() {
    assert_eq!(run(&[post(1), window_update(1, 0)]).reset(1), PROTOCOL_ERROR);
    assert_eq!(
        run(&[post(1), window_update(1, 0x7fff_ffff)]).reset(1),
        FLOW_CONTROL_ERROR
    );
}

#[test]
fn answers_are_written_in_frames() {
    let mut h2 = opened(H2Limits::default());
    let mut out = Vec::new();
    let fields = [
        ("content-type", "a/b"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("x-y", "z"),
    ];
    h2.head(1, 200, &fields, false, &mut out);
    assert_eq!(h2.data(1, b"hello", false, &mut out), 5);
    assert_eq!(h2.data(1, b"", false, &mut out), 0);
    let at = h2.open_data(&mut out);
    out.extend_from_slice(b"written in place");
    h2.close_data(1, at, true, &mut out);
    assert_eq!(h2.window(1), 0, "our half is closed");
    assert_eq!(h2.data(1, b"more", true, &mut out), 0);
    h2.head(1, 200, &[], false, &mut out);
    h2.head(99, 200, &[], true, &mut out);
    let want = [
        frame(HEADERS, END_HEADERS, 1, b"\x20\x88\x0f\x10\x03a/b\0\x03x-y\x01z"),
        frame(DATA, 0, 1, b"hello"),
        frame(DATA, END_STREAM, 1, b"written in place"),
    ];
    assert_eq!(replies(&out), replies(&want.concat()));
    assert_eq!(h2.active(), 1, "until the peer ends its half");
    feed(&mut h2, &frame(DATA, END_STREAM, 1, &[]), &mut Vec::new()).unwrap();
    assert_eq!(h2.active(), 0);
}

#[test]
fn our_settings_come_before_any_answer() {
    let mut h2 = H2::new(H2Limits::default());
    feed(&mut h2, &[hello(), post(1)].concat(), &mut Vec::new()).unwrap();
    let mut out = Vec::new();
    h2.head(1, 204, &[], true, &mut out);
    let kinds: Vec<u8> = replies(&out).iter().map(|reply| reply.kind).collect();
    assert_eq!(kinds, [SETTINGS, WINDOW_UPDATE, SETTINGS, HEADERS]);
}

#[test]
fn a_large_answer_head_is_continued() {
    let mut h2 = opened(H2Limits::default());
    let value = "v".repeat(40_000);
    let mut out = Vec::new();
    h2.head(1, 200, &[("x", &value)], true, &mut out);
    let frames = replies(&out);
    let shape: Vec<_> = frames.iter().map(|f| (f.kind, f.flags, f.stream)).collect();
    assert_eq!(
        shape,
        [
            (HEADERS, END_STREAM, 1),
            (CONTINUATION, 0, 1),
            (CONTINUATION, END_HEADERS, 1)
        ]
    );
    assert!(frames.iter().all(|frame| frame.payload.len() <= 16_384));
    let len: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    assert_eq!(len, 1 + 1 + (1 + 2 + 4 + 40_000), "table update, status, literal");
}

#[test]
fn sending_stays_within_the_windows() {
    let mut h2 = opened(H2Limits::default());
    let (mut out, mut seen) = (Vec::new(), Vec::new());
    assert_eq!((h2.window(1), h2.room(1)), (65_535, 16_384));
    assert_eq!(h2.data(1, &[1; 100_000], true, &mut out), 65_535);
    assert!(
        replies(&out)
            .iter()
            .all(|frame| frame.flags == 0 && frame.payload.len() <= 16_384)
    );
    assert_eq!(replies(&out).len(), 4);
    out.clear();

    // The stream's window opens, the connection's is still closed.
    feed(&mut h2, &window_update(1, 10), &mut seen).unwrap();
    assert_eq!((seen.pop(), h2.window(1)), (Some(Seen::Writable(1)), 0));
    feed(&mut h2, &window_update(0, 4), &mut seen).unwrap();
    assert_eq!((seen.pop(), h2.window(1)), (Some(Seen::Writable(0)), 4));
    // A smaller initial window takes it below zero.
    feed(&mut h2, &settings(&[(4, 65_000)]), &mut seen).unwrap();
    assert_eq!((seen.pop(), h2.window(1)), (None, 0));
    feed(&mut h2, &window_update(0, 1_000), &mut seen).unwrap();
    feed(&mut h2, &settings(&[(4, 65_526)]), &mut seen).unwrap();
    assert_eq!((seen.pop(), h2.window(1)), (Some(Seen::Writable(0)), 1));
    assert_eq!(h2.data(1, b"ab", true, &mut out), 1);
    assert_eq!(h2.data(1, b"", true, &mut out), 0);
    assert_eq!(
        replies(&out),
        replies(&[frame(DATA, 0, 1, b"a"), frame(DATA, END_STREAM, 1, b"")].concat())
    );
}

#[test]
fn windows_reopen_only_by_credit_and_in_batches() {
    let limits = H2Limits {
        stream_window: 65_535,
        connection_window: 100_000,
        ..H2Limits::default()
    };
    let mut h2 = opened(limits);
    let (mut seen, body) = (Vec::new(), [0; 16_000]);
    for _ in 0..4 {
        feed(&mut h2, &frame(DATA, 0, 1, &body), &mut seen).unwrap();
    }
    assert!(!h2.has_pending(), "nothing was routed");
    h2.credit(1, 32_000);
    assert!(!h2.has_pending(), "less than half a window");
    h2.credit(1, 1_000);
    assert_eq!(pending(&mut h2), replies(&window_update(1, 33_000)));
    h2.credit(1, 17_000);
    assert_eq!(pending(&mut h2), replies(&window_update(0, 50_000)));
    h2.credit(1, u32::MAX);
    assert!(!h2.has_pending(), "never more than was taken");
    // Padding is nobody's data: it goes back by itself.
    let mut padded = vec![255];
    padded.resize(256, 0);
    for _ in 0..200 {
        feed(&mut h2, &frame(DATA, PADDED, 1, &padded), &mut seen).unwrap();
    }
    let given_back = pending(&mut h2);
    assert!(
        given_back
            .iter()
            .any(|reply| (reply.kind, reply.stream) == (WINDOW_UPDATE, 1))
    );
}

#[test]
fn data_beyond_a_window_is_a_flow_control_error() {
    let limits = H2Limits {
        stream_window: 65_535,
        connection_window: 70_000,
        ..H2Limits::default()
    };
    let full: Vec<Vec<u8>> = (0..4).map(|_| frame(DATA, 0, 1, &[0; 16_383])).collect();
    let beyond_stream = run_limited(
        limits,
        &[vec![post(1)], full.clone(), vec![frame(DATA, 0, 1, &[0; 4])]].concat(),
    );
    assert_eq!(beyond_stream.reset(1), FLOW_CONTROL_ERROR);
    let more = [post(3), frame(DATA, 0, 3, &[0; 5_000])];
    let beyond_connection = run_limited(limits, &[vec![post(1)], full, more.to_vec()].concat());
    assert_eq!(beyond_connection.goaway(), FLOW_CONTROL_ERROR);
}

#[test]
fn a_stream_that_goes_gives_its_credit_to_the_connection() {
    let limits = H2Limits {
        stream_window: 65_535,
        connection_window: 65_535,
        ..H2Limits::default()
    };
    let mut h2 = opened(limits);
    let body = frame(DATA, 0, 1, &[0; 16_000]);
    for piece in [&body[..], &body, &body[..8_000]] {
        feed(&mut h2, piece, &mut Vec::new()).unwrap();
    }
    h2.reset(1, Code::Cancel);
    assert_eq!(
        pending(&mut h2),
        replies(&[window_update(0, 39_991), rst(1, CANCEL)].concat())
    );
    // The rest of the frame was on its way.
    feed(&mut h2, &body[8_000..], &mut Vec::new()).unwrap();
    h2.credit(1, 40_000);
    assert!(!h2.has_pending());
    for stream in [3, 5, 7, 9] {
        let mut wire = [post(stream), frame(DATA, END_STREAM, stream, &[0; 14_000])].concat();
        let mut seen = Vec::new();
        feed(&mut h2, &wire, &mut seen).expect("no window leaks");
        h2.data(stream, b"", true, &mut wire);
    }
    assert_eq!(h2.active(), 0);
}
