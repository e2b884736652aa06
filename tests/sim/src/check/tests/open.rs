//! Open channels.

use commucat_proto::FrameType;

use super::{ALICE, BOB_AGAIN, CAROL, TO_BOB, ack, complaint, key, story, tell, wire};
use crate::check::Checkers;
use crate::fact::{Body, Fact};
use crate::ids::DeviceNo;

fn said_openly() -> Checkers {
    let mut checkers = story();
    say_openly(&mut checkers);
    checkers
}

/// Alice says frame 4 in the open channel, where Bob is.
fn say_openly(checkers: &mut Checkers) {
    let facts = [
        Fact::Opened {
            device: DeviceNo(1),
            channel: 5,
        },
        Fact::Openly {
            key: key(4),
            sessions: &[(DeviceNo(1), BOB_AGAIN)],
        },
        Fact::Said {
            key: key(4),
            kind: FrameType::Msg,
            sequence: 4,
            roster: TO_BOB,
        },
    ];
    facts.into_iter().for_each(|fact| tell(checkers, fact));
}

#[test]
fn what_is_said_openly_is_for_those_who_have_joined_so_and_for_who_names_the_speaker() {
    let body = Body::Marked {
        key: key(4),
        kind: FrameType::Msg,
    };
    let frame = wire(FrameType::Msg, 5, 3, body);
    let to = |session| Fact::Emitted { session, frame: &frame };
    tell(&mut said_openly(), to(BOB_AGAIN));
    assert_eq!(complaint(said_openly(), to(CAROL)), "roster");
    let naming = |speaker: DeviceNo| {
        let mut checkers = said_openly();
        let fact = Fact::Naming {
            device: DeviceNo(2),
            channel: 5,
            speakers: &[speaker],
        };
        tell(&mut checkers, fact);
        checkers
    };
    tell(&mut naming(DeviceNo(0)), to(CAROL));
    assert_eq!(complaint(naming(DeviceNo(1)), to(CAROL)), "roster");
}

#[test]
fn what_is_said_openly_is_owed_to_those_who_stay() {
    let acked = ack(4, 3, &[], "");
    let acknowledged = || {
        let mut checkers = said_openly();
        let session = ALICE;
        tell(&mut checkers, Fact::Emitted { session, frame: &acked });
        checkers
    };
    assert_eq!(complaint(acknowledged(), Fact::Stopped), "kept");
    let mut gone = acknowledged();
    tell(&mut gone, Fact::Closed { session: BOB_AGAIN });
    assert_eq!(complaint(gone, Fact::Stopped), "kept");
    let mut gone_before = said_openly();
    let facts = [
        Fact::Closed { session: BOB_AGAIN },
        Fact::Emitted {
            session: ALICE,
            frame: &acked,
        },
        Fact::Stopped,
    ];
    facts.into_iter().for_each(|fact| tell(&mut gone_before, fact));
    let asks = Fact::Asks {
        session: BOB_AGAIN,
        sequence: 9,
    };
    for ending in [Fact::Stopping, Fact::Wavers { session: BOB_AGAIN }, asks] {
        let mut ends = story();
        tell(&mut ends, ending);
        say_openly(&mut ends);
        let session = ALICE;
        tell(&mut ends, Fact::Emitted { session, frame: &acked });
        tell(&mut ends, Fact::Stopped);
    }
}

#[test]
fn what_is_said_openly_is_owed_to_who_has_been_answered_by_a_group() {
    let mut checkers = story();
    let asks = Fact::Asks {
        session: BOB_AGAIN,
        sequence: 9,
    };
    let invited = Fact::Invited {
        session: BOB_AGAIN,
        channel: 5,
        sequence: 9,
    };
    [asks, invited].into_iter().for_each(|fact| tell(&mut checkers, fact));
    let answered = ack(9, 3, &[], "");
    let session = BOB_AGAIN;
    let frame = &answered;
    tell(&mut checkers, Fact::Emitted { session, frame });
    say_openly(&mut checkers);
    let acked = ack(4, 3, &[], "");
    let (session, frame) = (ALICE, &acked);
    tell(&mut checkers, Fact::Emitted { session, frame });
    assert_eq!(complaint(checkers, Fact::Stopped), "kept");
}
