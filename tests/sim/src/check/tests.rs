//! Each checker, told a short story in which its promise is broken.

mod open;

use commucat_proto::FrameType;
use commucat_shard::counters::Gauges;

use super::Checkers;
use crate::dice::{Dice, Rate};
use crate::fact::{Body, Fact, WireFrame};
use crate::ids::{DeviceNo, FrameKey, SessionNo};
use crate::weather::Weather;

const ALICE: SessionNo = SessionNo(0);
const BOB: SessionNo = SessionNo(1);
const BOB_AGAIN: SessionNo = SessionNo(2);
const CAROL: SessionNo = SessionNo(3);
const TO_BOB: &[DeviceNo] = &[DeviceNo(1)];

fn weather() -> Weather {
    Weather {
        store_fails: Rate::NEVER,
        port: 4_096,
        ..Weather::draw(&mut Dice::new(1, "weather", 0))
    }
}

/// Bob's first session has agreed to acknowledge, and was given frames 1 to 3.
fn acknowledging() -> Checkers {
    let mut checkers = story();
    let auth = wire(FrameType::Auth, 0, 3, Body::Auth { delivery_ack: true });
    tell(
        &mut checkers,
        Fact::Emitted {
            session: BOB,
            frame: &auth,
        },
    );
    for counter in 1..=3 {
        let frame = &msg(counter, 3 + counter);
        tell(&mut checkers, Fact::Emitted { session: BOB, frame });
        tell(&mut checkers, Fact::Taken { session: BOB, frame });
    }
    checkers
}

/// Bob acknowledges what came under this number, and the relay has seen it.
fn confirm(checkers: &mut Checkers, number: u32) {
    tell(
        checkers,
        Fact::Confirmed {
            session: BOB,
            number,
            own: 8,
        },
    );
    tell(
        checkers,
        Fact::Joined {
            session: BOB,
            channel: 5,
            sequence: 9,
        },
    );
    tell(
        checkers,
        Fact::Emitted {
            session: BOB,
            frame: &ack(9, 7, &[], ""),
        },
    );
}

/// Alice has said frames 1 to 3 to Bob on channel 5.
fn story() -> Checkers {
    let mut checkers = Checkers::new(&weather());
    for (session, device) in [(ALICE, 0), (BOB, 1), (BOB_AGAIN, 1), (CAROL, 2)] {
        tell(
            &mut checkers,
            Fact::Dialled {
                session,
                device: DeviceNo(device),
                hostile: false,
            },
        );
        tell(
            &mut checkers,
            Fact::Emitted {
                session,
                frame: &wire(FrameType::Auth, 0, 1, Body::Auth { delivery_ack: false }),
            },
        );
        tell(
            &mut checkers,
            Fact::Emitted {
                session,
                frame: &wire(FrameType::Ack, 0, 2, Body::Ready),
            },
        );
    }
    for counter in 1..=3 {
        let fact = Fact::Said {
            key: key(counter),
            kind: FrameType::Msg,
            sequence: counter,
            roster: TO_BOB,
        };
        tell(&mut checkers, fact);
    }
    checkers
}

fn tell(checkers: &mut Checkers, fact: Fact<'_>) {
    checkers.hear(&fact).expect("the story is fine so far");
}

/// Who complains about the next fact.
fn complaint(mut checkers: Checkers, fact: Fact<'_>) -> &'static str {
    checkers.hear(&fact).expect_err("a promise is broken").checker
}

fn key(counter: u32) -> FrameKey {
    FrameKey {
        session: ALICE,
        channel: 5,
        counter,
    }
}

fn wire(kind: FrameType, channel: u32, sequence: u32, body: Body) -> WireFrame {
    WireFrame {
        kind,
        channel,
        sequence,
        continued: false,
        body,
    }
}

fn msg(counter: u32, sequence: u32) -> WireFrame {
    wire(
        FrameType::Msg,
        5,
        sequence,
        Body::Marked {
            key: key(counter),
            kind: FrameType::Msg,
        },
    )
}

fn ack(number: u32, sequence: u32, rejected: &[&str], reason: &str) -> WireFrame {
    let rejected = rejected.iter().map(|name| (*name).to_owned()).collect();
    wire(
        FrameType::Ack,
        5,
        sequence,
        Body::Ack {
            number,
            rejected,
            reason: reason.to_owned(),
        },
    )
}

#[test]
fn a_stranger_must_not_be_given_a_frame() {
    assert_eq!(
        complaint(
            story(),
            Fact::Emitted {
                session: CAROL,
                frame: &msg(1, 3)
            }
        ),
        "roster"
    );
    assert_eq!(
        complaint(
            story(),
            Fact::Stored {
                device: DeviceNo(2),
                key: key(1)
            }
        ),
        "roster"
    );
}

#[test]
fn a_frame_must_keep_its_channel() {
    let frame = wire(
        FrameType::Msg,
        6,
        3,
        Body::Marked {
            key: key(1),
            kind: FrameType::Msg,
        },
    );
    assert_eq!(
        complaint(
            story(),
            Fact::Emitted {
                session: BOB,
                frame: &frame
            }
        ),
        "roster"
    );
}

#[test]
fn a_frame_must_not_come_after_a_later_one_or_twice() {
    for (first, second) in [(2, 1), (2, 2)] {
        let mut checkers = story();
        tell(
            &mut checkers,
            Fact::Emitted {
                session: BOB,
                frame: &msg(first, 3),
            },
        );
        assert_eq!(
            complaint(
                checkers,
                Fact::Emitted {
                    session: BOB,
                    frame: &msg(second, 4)
                }
            ),
            "order"
        );
    }
}

#[test]
fn a_frame_must_not_come_first_on_a_later_connection_than_its_successor() {
    let mut checkers = story();
    tell(
        &mut checkers,
        Fact::Emitted {
            session: BOB,
            frame: &msg(2, 3),
        },
    );
    assert_eq!(
        complaint(
            checkers,
            Fact::Emitted {
                session: BOB_AGAIN,
                frame: &msg(1, 3)
            }
        ),
        "order"
    );
}

#[test]
fn an_earlier_connection_must_not_be_given_a_frame_after_a_later_one() {
    let mut checkers = story();
    tell(
        &mut checkers,
        Fact::Emitted {
            session: BOB,
            frame: &msg(1, 3),
        },
    );
    tell(
        &mut checkers,
        Fact::Emitted {
            session: BOB_AGAIN,
            frame: &msg(2, 3),
        },
    );
    assert_eq!(
        complaint(
            checkers,
            Fact::Emitted {
                session: BOB,
                frame: &msg(3, 4)
            }
        ),
        "sessions"
    );
}

#[test]
fn a_number_must_not_be_skipped_and_an_ack_not_invented() {
    assert_eq!(
        complaint(
            story(),
            Fact::Emitted {
                session: BOB,
                frame: &msg(1, 4)
            }
        ),
        "sequences"
    );
    assert_eq!(
        complaint(
            story(),
            Fact::Emitted {
                session: ALICE,
                frame: &ack(9, 3, &[], "")
            }
        ),
        "sequences"
    );
}

#[test]
fn an_ack_needs_a_live_connection_or_a_row() {
    let mut checkers = story();
    tell(&mut checkers, Fact::Closed { session: BOB });
    tell(&mut checkers, Fact::Closed { session: BOB_AGAIN });
    let late = FrameKey { counter: 4, ..key(4) };
    tell(
        &mut checkers,
        Fact::Said {
            key: late,
            kind: FrameType::Msg,
            sequence: 4,
            roster: TO_BOB,
        },
    );
    assert_eq!(
        complaint(
            checkers,
            Fact::Emitted {
                session: ALICE,
                frame: &ack(4, 3, &[], "")
            }
        ),
        "kept"
    );
}

#[test]
fn a_row_must_not_be_deleted_before_its_frame_was_sent() {
    let mut checkers = story();
    tell(
        &mut checkers,
        Fact::Stored {
            device: DeviceNo(1),
            key: key(1),
        },
    );
    assert_eq!(
        complaint(
            checkers,
            Fact::Forgotten {
                device: DeviceNo(1),
                key: key(1)
            }
        ),
        "kept"
    );
}

#[test]
fn what_was_acknowledged_must_be_somewhere_in_the_end() {
    let mut checkers = story();
    tell(
        &mut checkers,
        Fact::Emitted {
            session: ALICE,
            frame: &ack(1, 3, &[], ""),
        },
    );
    assert_eq!(checkers.finish().expect_err("frame 1 is nowhere").checker, "kept");
    tell(
        &mut checkers,
        Fact::Taken {
            session: BOB,
            frame: &msg(1, 3),
        },
    );
    checkers.finish().expect_err("two connections of one device are live");
}

#[test]
fn who_has_left_a_channel_hears_nothing_of_it() {
    let mut checkers = story();
    tell(
        &mut checkers,
        Fact::Left {
            session: BOB,
            channel: 5,
            sequence: 1,
        },
    );
    tell(
        &mut checkers,
        Fact::Emitted {
            session: BOB,
            frame: &ack(1, 3, &[], ""),
        },
    );
    assert_eq!(
        complaint(
            checkers,
            Fact::Emitted {
                session: BOB,
                frame: &msg(1, 4)
            }
        ),
        "left"
    );
}

#[test]
fn a_known_device_must_not_be_refused_as_unknown() {
    let frame = ack(1, 3, &["device-1"], "unknown");
    assert_eq!(
        complaint(
            story(),
            Fact::Emitted {
                session: ALICE,
                frame: &frame
            }
        ),
        "refused"
    );
}

#[test]
fn a_queue_must_not_outgrow_its_limit_and_nothing_must_be_left() {
    let mut checkers = story();
    let outbox = Gauges {
        outbox_max: 1 << 30,
        ..Gauges::default()
    };
    let bulk = Gauges {
        bulk_max: 1 << 25,
        ..Gauges::default()
    };
    let media = Gauges {
        media_max: 1 << 25,
        ..Gauges::default()
    };
    for gauges in [outbox, bulk, media] {
        let complaint = checkers.gauges(0, &gauges).expect_err("that is too much");
        assert_eq!(complaint.checker, "bytes");
    }
    let gauges = Gauges {
        peers: 1,
        ..Gauges::default()
    };
    assert_eq!(
        checkers.empty(0, &gauges).expect_err("a route is left").checker,
        "bytes"
    );
}

#[test]
fn what_a_client_acknowledged_must_not_come_again_and_what_it_did_not_may() {
    let again = |counter| Fact::Emitted {
        session: BOB_AGAIN,
        frame: Box::leak(Box::new(msg(counter, 3))),
    };
    let mut checkers = acknowledging();
    confirm(&mut checkers, 4);
    assert_eq!(complaint(checkers, again(1)), "confirmed");
    let mut checkers = acknowledging();
    confirm(&mut checkers, 4);
    tell(&mut checkers, again(2));
    // Without the first, the second is not done with.
    let mut checkers = acknowledging();
    confirm(&mut checkers, 5);
    tell(&mut checkers, again(2));
}

#[test]
fn what_was_sent_and_not_acknowledged_is_owed_and_its_row_stays() {
    let mut checkers = acknowledging();
    tell(
        &mut checkers,
        Fact::Emitted {
            session: ALICE,
            frame: &ack(1, 3, &[], ""),
        },
    );
    assert_eq!(
        checkers.finish().expect_err("frame 1 is not acknowledged").checker,
        "kept"
    );
    let row = (DeviceNo(1), key(1));
    let stored = Fact::Stored {
        device: row.0,
        key: row.1,
    };
    tell(&mut checkers, stored);
    let forgotten = Fact::Forgotten {
        device: row.0,
        key: row.1,
    };
    assert_eq!(complaint(checkers, forgotten), "kept");
}

#[test]
fn a_revoked_device_must_not_be_given_a_frame_or_become_ready_or_stay() {
    let revoked = || {
        let mut checkers = story();
        tell(&mut checkers, Fact::Revoking { device: DeviceNo(2) });
        tell(&mut checkers, Fact::Revoked { device: DeviceNo(2) });
        checkers
    };
    let given = |session, frame| Fact::Emitted { session, frame };
    assert_eq!(complaint(revoked(), Fact::Healed), "revoked");
    let mut checkers = revoked();
    let error = wire(
        FrameType::Error,
        0,
        3,
        Body::Error {
            title: "Device Revoked".to_owned(),
        },
    );
    tell(&mut checkers, given(CAROL, &error));
    tell(&mut checkers, Fact::Healed);
    let late = SessionNo(4);
    tell(
        &mut checkers,
        Fact::Dialled {
            session: late,
            device: DeviceNo(2),
            hostile: false,
        },
    );
    let auth = wire(FrameType::Auth, 0, 1, Body::Auth { delivery_ack: false });
    tell(&mut checkers, given(late, &auth));
    let ready = wire(FrameType::Ack, 0, 2, Body::Ready);
    assert_eq!(complaint(checkers, given(late, &ready)), "revoked");

    let to_carol = |checkers: &mut Checkers| {
        let fact = Fact::Said {
            key: key(4),
            kind: FrameType::Msg,
            sequence: 4,
            roster: &[DeviceNo(2)],
        };
        tell(checkers, fact);
    };
    let frame = msg(4, 3);
    let mut checkers = story();
    to_carol(&mut checkers);
    tell(&mut checkers, given(CAROL, &frame));
    let mut checkers = revoked();
    to_carol(&mut checkers);
    assert_eq!(complaint(checkers, given(CAROL, &frame)), "revoked");
}

#[test]
fn who_wavers_is_owed_what_names_it_unless_bytes_of_its_own_may_have_been_a_leave() {
    let (session, device) = (SessionNo(4), DeviceNo(3));
    for hostile in [false, true] {
        let mut checkers = story();
        let auth = wire(FrameType::Auth, 0, 1, Body::Auth { delivery_ack: false });
        let acked = ack(4, 3, &[], "");
        for fact in [
            Fact::Dialled {
                session,
                device,
                hostile,
            },
            Fact::Emitted { session, frame: &auth },
            Fact::Wavers { session },
            Fact::Said {
                key: key(4),
                kind: FrameType::Msg,
                sequence: 4,
                roster: &[device],
            },
            Fact::Emitted {
                session: ALICE,
                frame: &acked,
            },
        ] {
            tell(&mut checkers, fact);
        }
        assert_eq!(checkers.hear(&Fact::Stopped).is_ok(), hostile);
    }
}
