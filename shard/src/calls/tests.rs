//! The life of a call, as its home sees it.

use std::collections::BTreeSet;

use super::*;
use crate::clock::Moment;

const CALL: CallKey = CallKey(7);
const LINGER: u64 = 10;
const ALICE: u128 = 1;
const BOB: u128 = 2;
const CAROL: u128 = 3;
const MALLORY: u128 = 9;

/// A home, and what it has told others.
struct Home {
    calls: Calls,
    now: u64,
    told: Vec<(u32, String)>,
}

fn name(of: u128) -> DeviceId {
    DeviceId::parse(&format!("device-{of}")).unwrap()
}

/// Each device has one session, named by its number.
fn seat(of: u128) -> Seat {
    let tunnel = TunnelId {
        slot: of as u32,
        generation: 0,
    };
    (ShardId(0), tunnel)
}

fn offer() -> Ask {
    Ask::Offer {
        to: Arc::from([]),
        until: Wall(60),
    }
}

impl Home {
    fn new(most: usize) -> Self {
        Self {
            calls: Calls::new(most),
            now: 0,
            told: Vec::new(),
        }
    }

    /// An offer of this call by Alice to these.
    fn offered(call: CallKey, to: &[u128]) -> Self {
        let mut home = Self::new(4);
        assert_ne!(home.offer(call, ALICE, to), Verdict::Full);
        home
    }

    fn offer(&mut self, call: CallKey, by: u128, to: &[u128]) -> Verdict {
        let one = |of: u128, part, seat| Participant {
            device: name(of),
            key: DeviceKey(of),
            part,
            seat,
        };
        let mut people = vec![one(by, Part::Caller, Some(seat(by)))];
        people.extend(to.iter().map(|of| one(*of, Part::Ringing, None)));
        self.asks(call, by, &offer(), people)
    }

    fn ask(&mut self, by: u128, ask: &Ask) -> Verdict {
        self.asks(CALL, by, ask, Vec::new())
    }

    fn asks(&mut self, call: CallKey, by: u128, ask: &Ask, people: Vec<Participant>) -> Verdict {
        let device = name(by);
        let asker = Asker {
            device: &device,
            key: DeviceKey(by),
            seat: seat(by),
            due: Now(self.now + 60),
            linger_until: Now(self.now + LINGER),
        };
        let mut notices = Notices::new();
        let verdict = self.calls.ask(call, &asker, ask, || people, &mut notices);
        self.heard(notices);
        verdict
    }

    fn leave(&mut self, by: u128) -> Vec<DeviceId> {
        let mut notices = Notices::new();
        let linger_until = Now(self.now + LINGER);
        let (rest, _) = self
            .calls
            .leave(CALL, DeviceKey(by), seat(by), linger_until, &mut notices);
        self.heard(notices);
        rest.to_vec()
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        let mut notices = Notices::new();
        self.calls.expire(Now(self.now), Now(self.now + LINGER), &mut notices);
        self.heard(notices);
    }

    fn heard(&mut self, notices: Notices) {
        for (_, notice) in notices {
            let (tunnel, what) = match notice {
                CallMessage::Over { tunnel, .. } => (tunnel, "over".to_owned()),
                CallMessage::Without { tunnel, gone, .. } => (tunnel, format!("without {}", gone[0].0)),
                other => panic!("{other:?}"),
            };
            self.told.push((tunnel.slot, what));
        }
        self.sound();
    }

    /// What the module promises of its tables.
    fn sound(&self) {
        let mut ringing = BTreeSet::new();
        let mut lingering = BTreeSet::new();
        for (key, call) in &self.calls.map {
            match call.phase {
                Phase::Open if call.has(Part::Ringing) => ringing.insert((call.due, *key)),
                Phase::Open => true,
                Phase::Expired(until) | Phase::Over(until) => lingering.insert((until, *key)),
            };
        }
        assert_eq!((&self.calls.ringing, &self.calls.lingering), (&ringing, &lingering));
    }
}

/// To whom a frame goes, and whether it is the last.
fn goes(verdict: Verdict) -> (Vec<DeviceId>, bool) {
    match verdict {
        Verdict::Go { others, last, .. } => (others.to_vec(), last),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_goes_from_offer_to_answer_to_one_end() {
    let mut home = Home::offered(CALL, &[BOB]);
    assert_eq!(goes(home.ask(BOB, &Ask::Accept)), (vec![name(ALICE)], false));
    assert_eq!(goes(home.ask(BOB, &Ask::Stats)), (vec![name(ALICE)], false));
    home.pass(1_000);
    assert_eq!(home.calls.open(), 1, "an answered call has no deadline");
    assert_eq!(goes(home.ask(ALICE, &Ask::End)), (vec![name(BOB)], true));
    assert_eq!(home.told, [(BOB as u32, "over".to_owned())]);
    assert_eq!(home.ask(BOB, &Ask::End), Verdict::Quiet, "the ends crossed");
    assert!(home.leave(BOB).is_empty());
    assert_eq!((home.calls.open(), home.calls.lingering()), (0, 1));
    home.pass(LINGER);
    assert_eq!((home.calls.lingering(), home.calls.map.len()), (0, 0));
    assert_eq!(home.ask(BOB, &Ask::End), Verdict::Stranger);
}

#[test]
fn strangers_are_told_what_they_are_told_of_calls_that_do_not_exist() {
    let mut home = Home::offered(CALL, &[BOB]);
    let everything = [Ask::Accept, Ask::Decline, Ask::Stats, Ask::End, offer()];
    for ask in &everything {
        assert_eq!(home.ask(MALLORY, ask), Verdict::Stranger);
    }
    assert_eq!(
        home.ask(BOB, &offer()),
        Verdict::Stranger,
        "nor may the called take it over"
    );
    let (mut empty, nothing) = (Home::new(1), &everything[..4]);
    assert!(nothing.iter().all(|ask| empty.ask(MALLORY, ask) == Verdict::Stranger));
    assert!(home.told.is_empty() && home.leave(MALLORY).is_empty());
    home.ask(BOB, &Ask::End);
    assert_eq!(
        home.ask(MALLORY, &offer()),
        Verdict::Stranger,
        "not even while it lingers"
    );
}

#[test]
fn a_second_offer_of_the_caller_changes_nobody() {
    let mut home = Home::offered(CALL, &[BOB]);
    assert_eq!(goes(home.offer(CALL, ALICE, &[BOB, MALLORY])), (vec![name(BOB)], false));
    assert_eq!(home.ask(MALLORY, &Ask::Accept), Verdict::Stranger);
    home.ask(ALICE, &Ask::End);
    assert_eq!(
        goes(home.offer(CALL, ALICE, &[CAROL])),
        (vec![name(CAROL)], false),
        "the call is a new one"
    );
}

#[test]
fn who_declines_is_out_and_the_last_one_ends_the_call() {
    let mut home = Home::offered(CALL, &[BOB, CAROL]);
    assert_eq!(
        goes(home.ask(BOB, &Ask::Decline)),
        (vec![name(ALICE), name(CAROL)], false)
    );
    assert_eq!(home.told, [(ALICE as u32, "without 2".to_owned())]);
    assert_eq!(home.ask(BOB, &Ask::Accept), Verdict::Stranger);
    assert_eq!(home.ask(BOB, &Ask::End), Verdict::Quiet);
    assert_eq!(goes(home.ask(ALICE, &Ask::Stats)), (vec![name(CAROL)], false));
    home.told.clear();
    assert_eq!(goes(home.ask(CAROL, &Ask::Decline)), (vec![name(ALICE)], true));
    assert_eq!(home.told, [(ALICE as u32, "over".to_owned())]);
    assert_eq!(home.calls.open(), 0);
}

#[test]
fn an_offer_that_nobody_answers_expires_and_its_end_may_still_be_said() {
    let mut home = Home::offered(CALL, &[BOB]);
    home.pass(59);
    assert_eq!(home.calls.open(), 1);
    home.pass(1);
    assert_eq!(
        (home.calls.open(), &home.told[..]),
        (0, &[(ALICE as u32, "over".to_owned())][..])
    );
    assert_eq!(home.ask(BOB, &Ask::Accept), Verdict::Stranger);
    assert_eq!(home.ask(BOB, &Ask::Decline), Verdict::Quiet);
    assert!(home.leave(ALICE).is_empty());
    assert_eq!(goes(home.ask(ALICE, &Ask::End)), (vec![name(BOB)], true));
    assert_eq!(home.ask(ALICE, &Ask::End), Verdict::Quiet);
    home.pass(LINGER);
    assert_eq!(home.calls.map.len(), 0);
}

#[test]
fn who_does_not_answer_in_time_is_out_of_a_call_that_goes_on() {
    let mut home = Home::offered(CALL, &[BOB, CAROL]);
    home.ask(BOB, &Ask::Accept);
    home.pass(60);
    let without = |of: u128| (of as u32, "without 3".to_owned());
    assert_eq!(home.told, [without(ALICE), without(BOB)]);
    assert_eq!(home.ask(CAROL, &Ask::Accept), Verdict::Stranger);
    assert_eq!(goes(home.ask(BOB, &Ask::Stats)), (vec![name(ALICE)], false));
}

#[test]
fn the_end_of_a_session_ends_the_call_of_who_is_in_it_and_of_nobody_else() {
    let mut home = Home::offered(CALL, &[BOB, CAROL]);
    home.ask(CAROL, &Ask::Stats);
    assert!(home.leave(CAROL).is_empty(), "it has not answered");
    home.ask(BOB, &Ask::Accept);
    assert_eq!(home.leave(BOB), [name(ALICE), name(CAROL)]);
    assert_eq!(home.told, [(ALICE as u32, "over".to_owned())]);
    assert!(home.leave(ALICE).is_empty(), "the end has been said");
    assert_eq!(home.ask(ALICE, &Ask::Stats), Verdict::Quiet);
}

#[test]
fn a_full_home_takes_no_call_and_forgets_ended_ones_first() {
    let mut home = Home::new(2);
    for call in 0..2 {
        assert_ne!(home.offer(CallKey(call), ALICE, &[BOB]), Verdict::Full);
    }
    assert_eq!(home.offer(CallKey(2), ALICE, &[BOB]), Verdict::Full);
    for call in 0..20 {
        home.asks(CallKey(call), ALICE, &Ask::End, Vec::new());
        assert_ne!(home.offer(CallKey(call + 2), ALICE, &[BOB]), Verdict::Full);
        assert!(home.calls.open() <= 2 && home.calls.lingering() <= 2);
    }
}

#[test]
fn a_call_and_a_device_of_one_name_have_different_keys() {
    let name = "2f1e4bbb";
    let device = crate::keys::device_key(&[7; 32], &DeviceId::parse(name).unwrap());
    assert_ne!(call_key(&[7; 32], &CallId::parse(name).unwrap()).0, device.0);
    let moment = Moment {
        now: Now(5),
        wall: Wall(1_000),
    };
    assert_eq!((moment.until(Wall(1_002)), moment.until(Wall(7))), (Now(2_005), Now(5)));
}
