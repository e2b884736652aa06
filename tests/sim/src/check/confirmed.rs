//! What a client has acknowledged, together with everything before it, never comes again (`delivery-ack`).
//!
//! The relay is known to have taken a client's ACK once it acknowledges a later frame of the client. A crash may forget it,
//! and so may a store that fails or has no room; a queue that overflows stores what has left as well. Where that has
//! happened nothing is judged. That what was not acknowledged does come again is `kept`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, FrameKey, SessionNo};
use crate::weather::Weather;

/// A session with `delivery-ack`.
#[derive(Default)]
struct Given {
    /// Storable frames that it was given, in order, and are not settled.
    frames: VecDeque<(u32, FrameKey)>,
    /// Its ACKs by the client's own numbers.
    told: BTreeMap<u32, Vec<u32>>,
    /// Numbers that the relay knows the client to have.
    known: BTreeSet<u32>,
}

/// The checker.
pub(super) struct Confirmed {
    judges: bool,
    sessions: BTreeMap<SessionNo, Given>,
    settled: BTreeMap<(DeviceNo, FrameKey), SessionNo>,
}

impl Confirmed {
    pub(super) fn new(weather: &Weather) -> Self {
        Self {
            judges: weather.store_fails.0 == 0 && weather.port >= 4_096,
            sessions: BTreeMap::new(),
            settled: BTreeMap::new(),
        }
    }

    /// The relay has taken everything of the client before this number.
    fn taken(&mut self, session: SessionNo, device: DeviceNo, number: u32) {
        let Some(given) = self.sessions.get_mut(&session) else {
            return;
        };
        let later = given.told.split_off(&number);
        given
            .known
            .extend(std::mem::replace(&mut given.told, later).into_values().flatten());
        while let Some((_, key)) = given.frames.pop_front_if(|(number, _)| given.known.contains(number)) {
            self.settled.insert((device, key), session);
        }
    }

    fn given(&self, to: SessionNo, device: DeviceNo, key: FrameKey) -> Result<(), Violation> {
        match self.settled.get(&(device, key)) {
            Some(by) if *by != to => {
                let text = format!("{to} was given {key}, which {device} had acknowledged on {by}");
                Err(Violation::new("confirmed", text))
            }
            _ => Ok(()),
        }
    }
}

impl Checker for Confirmed {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        if !self.judges || known.overflowed {
            return Ok(());
        }
        match fact {
            Fact::Emitted { session, frame } => {
                let device = known.device(*session);
                match &frame.body {
                    Body::Auth { delivery_ack: true } => {
                        self.sessions.insert(*session, Given::default());
                    }
                    Body::Ack { number, .. } if !known.hostile(*session) => self.taken(*session, device, *number),
                    Body::Marked { key, .. } if frame.kind.is_storable() => {
                        if !frame.continued {
                            self.given(*session, device, *key)?;
                        }
                        if let Some(given) = self.sessions.get_mut(session) {
                            given.frames.push_back((frame.sequence, *key));
                        }
                    }
                    _ => {}
                }
            }
            Fact::Confirmed { session, number, own } => {
                if let Some(given) = self.sessions.get_mut(session) {
                    given.told.entry(*own).or_default().push(*number);
                }
            }
            Fact::Crashed => self.settled.clear(),
            _ => {}
        }
        Ok(())
    }
}
