//! One of the crowd: comes, speaks to whom its routes name, notes what is promised and what it hears, and goes, in good order
//! or by a cut.
//!
//! A cut loses what stands in the socket, for the kernel has taken it and nobody has said that it arrived: only those who
//! have `delivery-ack` are cut (decisions § 8). So it is with a kill and somebody who speaks: what it has sent and the relay has not read makes the
//! kernel throw away what is on its way back.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use commucat_client::blocking::DriverError;
use commucat_client::{Config, Incoming};
use commucat_proto::control::{Ack, Join};
use commucat_proto::{ChannelId, DeviceId, Sequence};
use commucat_tests::ledger::{Hearing, message};
use commucat_tests::people::{Acked, Device, PATIENCE, Peer, WAYS};

use super::{ALL, Conduct, MEMBERS_AT, RECIPIENTS_AT, Round, SENDERS_AT, Trouble};
use crate::chance::Chance;

/// Looks at a session before its owner has enough of it.
const VISIT: u64 = 200;
/// Events that one look takes at most.
const LOOK: usize = 256;

/// To whom a channel leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    To(usize),
    Group,
}

/// Somebody, across the relay's lives: no number is used again.
pub(super) struct Person {
    index: usize,
    device: Device,
    routes: Vec<Route>,
    chance: Chance,
    number: u32,
}

/// A session of somebody.
struct Visit {
    peer: Peer,
    hearing: Hearing,
    /// What waits for its acknowledgement; nothing to promise for a JOIN.
    sent: VecDeque<(Sequence, Option<(Route, u32)>)>,
    turn: usize,
    spoke: Instant,
}

impl Person {
    pub(super) fn new(index: usize, routes: Vec<Route>, chance: Chance) -> Self {
        Self {
            index,
            device: Device::new(&format!("person-{index}")),
            routes,
            chance,
            number: 0,
        }
    }

    pub(super) const fn index(&self) -> usize {
        self.index
    }

    pub(super) const fn device(&self) -> &Device {
        &self.device
    }

    fn has_delivery_ack(&self) -> bool {
        (MEMBERS_AT..SENDERS_AT).contains(&self.index) || (self.index >= RECIPIENTS_AT && self.index.is_multiple_of(2))
    }

    /// A whole round.
    pub(super) fn live(&mut self, round: &Round<'_>) {
        round.ledger.new_life(self.index, self.number + 1);
        while !round.is_over()
            && let Some(visit) = self.arrive(round)
        {
            self.stay(visit, round);
        }
    }

    /// A session with all routes asked for. None when the relay is gone, or the round over.
    fn arrive(&mut self, round: &Round<'_>) -> Option<Visit> {
        let config = self.config(round);
        let mut peer = loop {
            let error = match self.device.connect_with(round.relay, config.clone()) {
                Ok(peer) => break peer,
                Err(error) => error,
            };
            match round.trouble {
                Trouble { store: true, .. } if is_problem(&error) => {
                    round.turned_away.fetch_add(1, Ordering::AcqRel);
                    if round.is_over() {
                        return None;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                // Before it ends in good order it says so.
                Trouble { ends: true, kill, .. } if !kill || !is_problem(&error) => return None,
                _ => panic!("{} does not come in: {error}", self.device.id.as_str()),
            }
        };
        let mut sent = VecDeque::new();
        for route in &self.routes {
            sent.push_back((ask(&mut peer, *route, round), None));
        }
        Some(Visit {
            peer,
            hearing: Hearing::of(self.index),
            sent,
            turn: self.chance.below(ALL as u64) as usize,
            spoke: Instant::now(),
        })
    }

    fn config(&mut self, round: &Round<'_>) -> Config {
        let http = WAYS[self.chance.below(4) as usize];
        let mut config = self.device.config(round.relay, http);
        if self.has_delivery_ack() {
            config.capabilities.push("delivery-ack".to_owned());
        }
        if self.chance.once_in(2) {
            config.capabilities.push("ack-range".to_owned());
        }
        config
    }

    /// Speaks and listens until it is enough, then goes.
    fn stay(&mut self, mut visit: Visit, round: &Round<'_>) {
        let enough = match round.conduct(self.index) {
            Conduct::ComesAndGoes => 1 + self.chance.below(VISIT),
            _ => u64::MAX,
        };
        let mut looks = 0;
        while !visit.peer.is_over() && !round.is_over() && looks < enough {
            looks += 1;
            self.speak(&mut visit, round);
            self.look(&mut visit, round);
        }
        if looks == enough && self.has_delivery_ack() && self.chance.once_in(2) {
            // Cut: nothing says goodbye.
            return;
        }
        self.finish(visit, round);
    }

    /// Fills the window.
    fn speak(&mut self, visit: &mut Visit, round: &Round<'_>) {
        let pace = round.pace;
        while !self.routes.is_empty()
            && visit.sent.len() < pace.window
            && !visit.peer.is_over()
            && (pace.pause.is_zero() || visit.spoke.elapsed() >= pace.pause)
        {
            self.number += 1;
            let at = visit.turn % self.routes.len();
            visit.turn += 1;
            visit.spoke = Instant::now();
            let length = if self.chance.once_in(16) { 4_096 } else { pace.length };
            let said = message(self.index, self.number, length);
            let sequence = visit.peer.send(channel(self.routes[at]), said);
            visit.sent.push_back((sequence, Some((self.routes[at], self.number))));
        }
    }

    /// Takes what has come: who speaks reads all of it first, as no queue is to grow because its owner is busy speaking.
    fn look(&self, visit: &mut Visit, round: &Round<'_>) {
        visit.peer.take_in(round.pace.moment, LOOK);
        while let Some(acked) = visit.peer.glance(Duration::ZERO) {
            // Channels are acknowledged apart: it need not be the oldest.
            let at = visit.sent.iter().position(|(sequence, _)| *sequence == acked.sequence);
            let (_, said) = visit.sent.remove(at.expect("it was sent")).unwrap();
            let rejected = rejected(&acked, round);
            if let Some((route, number)) = said {
                for to in round.recipients(self.index, route) {
                    if rejected.contains(&to) {
                        round.refused.fetch_add(1, Ordering::AcqRel);
                    } else {
                        round.promise(self.index, to, number);
                    }
                }
            }
        }
        while let Some(got) = visit.peer.overhear(Duration::ZERO) {
            round.ledger.hear(&mut visit.hearing, &got);
        }
    }

    /// Waits for what is unanswered, says goodbye, and hears the rest.
    fn finish(&self, mut visit: Visit, round: &Round<'_>) {
        let started = Instant::now();
        while !visit.sent.is_empty() && !visit.peer.is_over() {
            let name = self.device.id.as_str();
            assert!(
                started.elapsed() < PATIENCE,
                "{name}: {:?} are never answered",
                visit.sent
            );
            self.look(&mut visit, round);
        }
        let _ = visit.peer.client().close();
        while !visit.peer.is_over() {
            assert!(started.elapsed() < 2 * PATIENCE, "the session never ends");
            self.look(&mut visit, round);
        }
        self.look(&mut visit, round);
        let repeated = visit.hearing.repeated();
        assert!(
            repeated == 0 || round.may_repeat || self.has_delivery_ack(),
            "{} hears {repeated} messages again, for no reason",
            self.device.id.as_str()
        );
    }
}

/// Asks for a route; the answer comes among the others.
fn ask(peer: &mut Peer, route: Route, round: &Round<'_>) -> Sequence {
    match route {
        Route::Group => peer.ask_to_join_group(channel(route), round.group),
        Route::To(index) => {
            let join = Join {
                members: vec![DeviceId::parse(&format!("person-{index}")).unwrap()],
                relay: true,
                group_id: None,
            };
            let connection = peer.client().connection();
            connection.join(ChannelId::new(channel(route)), &join).unwrap()
        }
    }
}

fn channel(route: Route) -> u32 {
    match route {
        Route::To(index) => u32::try_from(index).unwrap() + 1,
        Route::Group => u32::try_from(ALL).unwrap() + 1,
    }
}

/// Whether the relay has said why it does not want the session.
fn is_problem(error: &DriverError) -> bool {
    matches!(error, DriverError::Refused { what, .. } if matches!(**what, Incoming::Problem(_)))
}

/// For whom a frame could not be kept.
fn rejected(acked: &Acked, round: &Round<'_>) -> Vec<usize> {
    let Some(Ack { rejected, reason, .. }) = acked.body.as_deref() else {
        return Vec::new();
    };
    if rejected.is_empty() {
        return Vec::new();
    }
    assert!(round.trouble.store, "kept for everybody: {acked:?}");
    assert_eq!(
        reason.as_ref().map(ToString::to_string).as_deref(),
        Some("store unavailable")
    );
    rejected
        .iter()
        .map(|id| id.as_str().trim_start_matches("person-").parse().unwrap())
        .collect()
}
