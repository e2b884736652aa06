//! The load of every trouble: pairs that talk, a group, senders whose recipients are away, stay, or come and go.
//!
//! | who | speaks | conduct |
//! |---|---|---|
//! | `PAIRS`, two each | to the other | stays |
//! | `GROUP`, the first its owner | to the group | the owner stays; the others take turns |
//! | `SENDERS` | to every recipient, each on a channel of its own | stays |
//! | `RECIPIENTS` | never | takes turns |
//!
//! Who takes turns is away for one round, stays for the next, then comes and goes. The crowd lives in rounds, the relay in
//! lives, and a round is within one life. Invariant: after a round every frame of it is promised, refused or, when the relay
//! has died, unanswered; [`Crowd::settle`] then brings everybody back and holds the ledger against what they hear.

mod person;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use commucat_client::HttpVersion;
use commucat_proto::GroupId;
use commucat_proto::control::GroupCreate;
use commucat_tests::curl::curl;
use commucat_tests::ledger::{Hearing, Ledger, Tally, message};
use commucat_tests::people::{Device, Got, PATIENCE, WAYS};
use commucat_tests::relay::Relay;

use crate::chance::Chance;
use person::{Person, Route};

const PAIRS: usize = 2;
const GROUP: usize = 5;
const SENDERS: usize = 3;
const RECIPIENTS: usize = 6;

/// Where the group's members, the senders and the recipients begin.
const MEMBERS_AT: usize = 2 * PAIRS;
const SENDERS_AT: usize = MEMBERS_AT + GROUP;
const RECIPIENTS_AT: usize = SENDERS_AT + SENDERS;
const ALL: usize = RECIPIENTS_AT + RECIPIENTS;

/// What a round may do to the crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// The relay ends, and with it everybody's session and the round.
    ends: bool,
    /// It does so by a kill.
    kill: bool,
    /// The store fails for a while: it refuses frames and sessions, and repeats deliveries that it could not note.
    store: bool,
}

impl Trouble {
    /// Sessions are never refused, frames neither.
    pub(crate) const NONE: Self = Self {
        ends: false,
        kill: false,
        store: false,
    };
    /// SIGTERM: in good order.
    pub(crate) const END: Self = Self {
        ends: true,
        ..Self::NONE
    };
    pub(crate) const KILL: Self = Self {
        ends: true,
        kill: true,
        store: false,
    };
    pub(crate) const STORE: Self = Self {
        store: true,
        ..Self::NONE
    };
    /// The relay is killed while its store fails.
    pub(crate) const KILL_AND_STORE: Self = Self {
        store: true,
        ..Self::KILL
    };
}

/// What somebody does during a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    Away,
    Stays,
    ComesAndGoes,
}

/// How fast everybody speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Somebody's messages that wait for their acknowledgement.
    pub(crate) window: usize,
    /// Between two looks at the window when nothing comes.
    pub(crate) moment: Duration,
    /// Between two messages of one person; zero for as fast as they are acknowledged.
    pub(crate) pause: Duration,
    /// Bytes of most messages.
    pub(crate) length: usize,
}

impl Pace {
    pub(crate) const FAST: Self = Self {
        window: 24,
        moment: Duration::from_millis(5),
        pause: Duration::ZERO,
        length: 200,
    };
}

/// A round, as everybody in it sees it.
struct Round<'a> {
    relay: &'a Relay,
    ledger: &'a Ledger,
    group: &'a GroupId,
    number: usize,
    trouble: Trouble,
    /// A kill or a failing store has been: deliveries may come again to who was not cut off.
    may_repeat: bool,
    pace: Pace,
    over: AtomicBool,
    /// Somebody has found something wrong.
    broken: AtomicBool,
    refused: AtomicUsize,
    turned_away: AtomicUsize,
}

impl Round<'_> {
    fn conduct(&self, index: usize) -> Conduct {
        let takes_turns = (MEMBERS_AT + 1..SENDERS_AT).contains(&index) || index >= RECIPIENTS_AT;
        match (index + self.number) % 3 {
            _ if !takes_turns => Conduct::Stays,
            0 => Conduct::Away,
            1 => Conduct::Stays,
            _ => Conduct::ComesAndGoes,
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The recipients of what `from` says on a route.
    fn recipients(&self, from: usize, route: Route) -> Vec<usize> {
        match route {
            Route::To(index) => vec![index],
            Route::Group => (MEMBERS_AT..SENDERS_AT).filter(|index| *index != from).collect(),
        }
    }

    /// What an acknowledgement promises: a relay that dies takes with it what is queued for who is connected.
    fn promise(&self, from: usize, to: usize, number: u32) {
        if self.trouble.kill && self.conduct(to) != Conduct::Away {
            self.ledger.promise_queued(from, to, number);
        } else {
            self.ledger.promise(from, to, number);
        }
    }
}

/// What the test itself sees of a round that is going on.
pub(crate) struct Scene<'a>(&'a Round<'a>);

impl Scene<'_> {
    /// Waits until so many more messages have been acknowledged than are now.
    pub(crate) fn goes_on(&self, more: usize) {
        let from = self.0.ledger.promised();
        self.until(&format!("{more} acknowledgements"), || {
            self.0.ledger.promised() >= from + more
        });
    }

    /// Waits until so many more messages have been heard than are now.
    pub(crate) fn hears(&self, more: usize) {
        let from = self.0.ledger.heard();
        self.until(&format!("{more} deliveries"), || self.0.ledger.heard() >= from + more);
    }

    /// Waits until so many more frames have been refused than are now.
    pub(crate) fn refuses(&self, more: usize) {
        let from = self.refused();
        self.until(&format!("{more} refusals"), || self.refused() >= from + more);
    }

    /// Frames refused so far, counted for each recipient.
    pub(crate) fn refused(&self) -> usize {
        self.0.refused.load(Ordering::Acquire)
    }

    /// Sessions that the relay did not want.
    pub(crate) fn turned_away(&self) -> usize {
        self.0.turned_away.load(Ordering::Acquire)
    }

    /// Waits until `/readyz` gives this status; when it is not 200, it says that it is the store.
    pub(crate) fn until_ready(&self, status: u16) {
        let url = format!("{}/readyz", self.0.relay.url());
        self.until(&format!("/readyz is {status}"), || {
            let answer = curl(&[&url]).unwrap();
            answer.status == status && (status == 200 || answer.body.contains("the store"))
        });
    }

    /// Waits for something; a panic of anybody ends that.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() && !self.is_broken() {
            assert!(started.elapsed() < PATIENCE, "{what}: never; {}", self.0.relay.log());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether somebody has found something wrong, which is told at the end of the round.
    pub(crate) fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::Acquire)
    }
}

/// Everybody, across the relay's lives.
pub(crate) struct Crowd {
    people: Vec<Person>,
    group: GroupId,
    ledger: Ledger,
    pace: Pace,
    rounds: usize,
    /// A kill or a failing store has been among the rounds: deliveries may come again to who was not cut off.
    may_repeat: bool,
}

impl Crowd {
    /// Everybody comes once, so that the relay knows them, and the group is made.
    pub(crate) fn gather(relay: &Relay, chance: &mut Chance, pace: Pace) -> Self {
        let people: Vec<Person> = (0..ALL)
            .map(|index| Person::new(index, routes(index), chance.split()))
            .collect();
        for person in &people {
            person.device().connect(relay, HttpVersion::Http1).bye();
        }
        let group = GroupId::parse("crowd").unwrap();
        let members = &people[MEMBERS_AT..SENDERS_AT];
        let create = GroupCreate {
            group_id: Some(group.clone()),
            members: members.iter().map(|person| person.device().id.clone()).collect(),
            relay: true,
            ..GroupCreate::default()
        };
        let mut owner = members[0].device().connect(relay, HttpVersion::Http2);
        owner.create_group(1, &create);
        owner.bye();
        Self {
            people,
            group,
            ledger: Ledger::default(),
            pace,
            rounds: 0,
            may_repeat: false,
        }
    }

    /// Everybody talks and listens while `meanwhile` happens, then finishes what is begun.
    pub(crate) fn live<T>(&mut self, relay: &Relay, trouble: Trouble, meanwhile: impl FnOnce(&Scene<'_>) -> T) -> T {
        self.rounds += 1;
        self.may_repeat |= trouble != Trouble::NONE;
        let Self {
            people,
            ledger,
            group,
            pace,
            ..
        } = self;
        let round = Round {
            relay,
            ledger,
            group,
            number: self.rounds,
            trouble,
            may_repeat: self.may_repeat,
            pace: *pace,
            over: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
        };
        std::thread::scope(|scope| {
            let round = &round;
            for person in people.iter_mut() {
                if round.conduct(person.index()) != Conduct::Away {
                    scope.spawn(move || {
                        let _guard = Alarm(&round.broken);
                        person.live(round);
                    });
                }
            }
            let _guard = Finally(&round.over);
            meanwhile(&Scene(round))
        })
    }

    /// Everybody comes back and hears what is owed; nothing is lost.
    pub(crate) fn settle(&mut self, relay: &Relay) -> Tally {
        let last = self.say_the_last_word(relay);
        // Whatever was kept comes before it.
        self.hear_all(relay, |got| got.payload == message(last, 1, 20));
        let tally = self.ledger.settle();
        assert!(tally.acknowledged > 0);
        tally
    }

    /// Everybody comes and hears what was promised to be kept, and whatever is there at that moment.
    pub(crate) fn collect(&mut self, relay: &Relay) {
        self.hear_all(relay, |_| false);
    }

    /// Each hears until nothing is owed, or until `is_last`.
    fn hear_all(&self, relay: &Relay, is_last: impl Fn(&Got) -> bool) {
        for person in &self.people {
            let (mut peer, index) = (person.device().connect(relay, WAYS[person.index() % 4]), person.index());
            let mut hearing = Hearing::of(index);
            while self.ledger.owed(index) > 0 {
                let got = peer.hear();
                self.ledger.hear(&mut hearing, &got);
                if is_last(&got) {
                    break;
                }
            }
            for got in peer.bye() {
                self.ledger.hear(&mut hearing, &got);
            }
        }
    }

    /// Somebody new says a word to everybody while all are away; gives who.
    fn say_the_last_word(&self, relay: &Relay) -> usize {
        let last = ALL + self.rounds;
        let mut peer = Device::new(&format!("last-{last}")).connect(relay, HttpVersion::Http1);
        for person in &self.people {
            let channel = u32::try_from(person.index()).unwrap() + 1;
            peer.join(channel, [person.device()]);
            peer.say(channel, message(last, 1, 20));
            self.ledger.promise(last, person.index(), 1);
        }
        peer.bye();
        last
    }
}

/// To whom somebody speaks.
fn routes(index: usize) -> Vec<Route> {
    match index {
        0..MEMBERS_AT => vec![Route::To(index ^ 1)],
        MEMBERS_AT..SENDERS_AT => vec![Route::Group],
        SENDERS_AT..RECIPIENTS_AT => (RECIPIENTS_AT..ALL).map(Route::To).collect(),
        _ => Vec::new(),
    }
}

/// Raised by a panic.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Raised at the end, whatever brings it.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
