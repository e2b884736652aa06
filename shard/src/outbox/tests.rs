//! `delivery-ack` in the outbox: what is kept, what is given back, and when a row is done with.

use super::*;

const CHANNEL: ChannelId = ChannelId::new(3);
const OTHER: ChannelId = ChannelId::new(4);
const ROOM: usize = 1 << 20;

/// An outbox that waits for ACKs, with so many frames queued, each of which says its number.
fn outbox(frames: u8) -> Outbox {
    let mut outbox = Outbox::default();
    outbox.await_acks();
    (1..=frames).for_each(|number| push(&mut outbox, number, None));
    outbox
}

fn frame(payload: &[u8]) -> Opaque<'_> {
    Opaque {
        keep_until: super::KEEP,
        kind: FrameType::Msg,
        channel: CHANNEL,
        payload,
        shared: None,
    }
}

fn push(outbox: &mut Outbox, number: u8, row: Option<u64>) {
    outbox.push_bulk(frame(&[number]), row.map(RowId));
}

fn send(outbox: &mut Outbox) {
    assert_eq!(outbox.fill(&mut Vec::new(), ROOM, &mut [0; 20]), Filled::Good);
    assert_eq!(outbox.completed(0), None, "the kernel's word counts for nothing");
}

fn ack(outbox: &mut Outbox, channel: ChannelId, from: u32, to: u32) -> Option<u64> {
    let row = outbox.acknowledged(channel, Sequence::new(from), Sequence::new(to));
    row.map(|row| row.0)
}

/// What goes to the inbox when the session ends now.
fn owed(outbox: &mut Outbox) -> Vec<u8> {
    let mut owed = Vec::new();
    outbox.residue(true, |frame| owed.push(frame.payload[0]));
    owed
}

#[test]
fn what_was_sent_is_kept_and_counts_until_it_is_acknowledged() {
    let mut outbox = outbox(4);
    let full = outbox.bytes();
    send(&mut outbox);
    assert!(outbox.is_quiet() && !outbox.has_unsent());
    assert_eq!(outbox.bytes(), full);
    ack(&mut outbox, CHANNEL, 1, 2);
    assert_eq!(outbox.bytes(), full / 2);
    assert_eq!(owed(&mut outbox), [3, 4]);
}

#[test]
fn acks_come_in_any_order_and_twice_and_for_what_is_not_there() {
    let mut outbox = outbox(4);
    assert_eq!(ack(&mut outbox, CHANNEL, 1, 4), None, "nothing has left");
    send(&mut outbox);
    for (channel, from, to) in [
        (OTHER, 0, u32::MAX),
        (CHANNEL, 5, u32::MAX),
        (CHANNEL, 0, 0),
        (CHANNEL, 4, 3),
        (CHANNEL, 3, 3),
        (CHANNEL, 3, 3),
        (CHANNEL, 1, 1),
        (CHANNEL, 1, 1),
    ] {
        ack(&mut outbox, channel, from, to);
    }
    assert_eq!(owed(&mut outbox), [2, 4]);
}

#[test]
fn rows_are_done_with_up_to_the_first_that_is_not_acknowledged() {
    let mut outbox = outbox(0);
    (1..=4).for_each(|number| push(&mut outbox, number, Some(u64::from(number) * 10)));
    send(&mut outbox);
    assert_eq!(ack(&mut outbox, CHANNEL, 2, 3), None);
    assert_eq!(ack(&mut outbox, CHANNEL, 1, 1), Some(30));
    assert_eq!(ack(&mut outbox, CHANNEL, 4, 4), Some(40));
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_frame_that_has_not_left_whole_cannot_be_acknowledged() {
    let mut outbox = outbox(2);
    let mut out = Vec::new();
    outbox.fill(&mut out, 3, &mut [0; 20]);
    ack(&mut outbox, CHANNEL, 1, 1);
    outbox.fill(&mut out, ROOM, &mut [0; 20]);
    ack(&mut outbox, CHANNEL, 2, 2);
    assert_eq!(owed(&mut outbox), [1]);
}

#[test]
fn after_a_spill_rows_find_their_frames_whatever_was_acknowledged_meanwhile() {
    for acknowledged in [&[][..], &[1], &[2], &[1, 2], &[3], &[1, 2, 3]] {
        let mut outbox = outbox(3);
        send(&mut outbox);
        push(&mut outbox, 4, None);
        let mut spilled = Vec::new();
        outbox.spill(|frame| spilled.push(frame.payload[0]));
        assert_eq!(spilled, [1, 2, 3, 4]);
        for number in acknowledged {
            ack(&mut outbox, CHANNEL, *number, *number);
        }
        // As the home does it: rows in order, those that have arrived are done with.
        let mut done = 0;
        for number in 1..=4_u8 {
            let row = RowId(u64::from(number) * 10);
            if outbox.push_row(frame(&[number]), row, false) {
                done = row.0;
            }
        }
        let arrived = (1..=3).take_while(|number| acknowledged.contains(number)).count() as u64;
        assert_eq!(done, arrived * 10, "{acknowledged:?}");
        send(&mut outbox);
        for number in 1..=4 {
            done = ack(&mut outbox, CHANNEL, number, number).unwrap_or(done);
        }
        assert_eq!(done, 40, "{acknowledged:?}");
        assert_eq!(outbox.bytes(), 0);
        assert!(outbox.is_quiet());
    }
}

#[test]
fn what_was_acknowledged_before_a_spill_is_not_stored() {
    let mut outbox = outbox(3);
    send(&mut outbox);
    ack(&mut outbox, CHANNEL, 2, 2);
    let mut spilled = Vec::new();
    outbox.spill(|frame| spilled.push(frame.payload[0]));
    assert_eq!(spilled, [1, 3]);
    assert!(!outbox.push_row(frame(&[1]), RowId(10), false));
    assert!(!outbox.push_row(frame(&[3]), RowId(20), false));
    assert_eq!(ack(&mut outbox, CHANNEL, 1, 1), Some(10));
    assert_eq!(ack(&mut outbox, CHANNEL, 3, 3), Some(20));
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn copies_that_expired_in_the_inbox_are_passed_over() {
    let mut outbox = outbox(3);
    send(&mut outbox);
    outbox.spill(|_| {});
    assert!(!outbox.push_row(frame(&[3]), RowId(30), false));
    assert_eq!(ack(&mut outbox, CHANNEL, 1, 3), Some(30));
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_frame_of_a_channel_that_was_left_does_not_hold_up_what_is_before_or_behind_it() {
    let mut outbox = outbox(1);
    send(&mut outbox);
    push(&mut outbox, 2, Some(20));
    outbox.leave(CHANNEL);
    let elsewhere = Opaque {
        channel: OTHER,
        ..frame(&[3])
    };
    outbox.push_bulk(elsewhere, Some(RowId(30)));
    send(&mut outbox);
    // The one that was passed over has no number of its own.
    assert_eq!(ack(&mut outbox, OTHER, 2, 2), None);
    assert_eq!(ack(&mut outbox, CHANNEL, 1, 1), Some(30));
    assert_eq!(outbox.bytes(), 0);
}
