//! Frames of one sender on one channel reach each recipient in order, live, spilled and replayed.
//!
//! Within one connection of the recipient the counters of a sender's connection rise strictly. Across its connections a
//! frame may come again (at least once), but none comes for the first time after a later one. And what the sender saw
//! acknowledged on one connection comes before what it sent afterwards on the next.

use std::collections::{BTreeMap, BTreeSet};

use super::absence::Absences;
use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, FrameKey, SessionNo};

#[derive(Clone, Copy)]
struct Said {
    at: u64,
    sequence: u32,
    /// When the sender read its ACK.
    settled: Option<u64>,
}

/// The checker.
#[derive(Default)]
pub(crate) struct Order {
    said: BTreeMap<FrameKey, Said>,
    by_sequence: BTreeMap<(SessionNo, u32), FrameKey>,
    /// Last counter of a sender's connection and channel on a recipient's connection.
    last: BTreeMap<(SessionNo, SessionNo, u32), u32>,
    /// Highest counter of a sender's connection and channel that the recipient's device was ever given.
    highest: BTreeMap<(DeviceNo, SessionNo, u32), u32>,
    /// When the latest frame of a sender's device on a channel was said, of those the recipient's device was given.
    latest: BTreeMap<(DeviceNo, DeviceNo, u32), (u64, FrameKey)>,
    given: BTreeSet<(DeviceNo, FrameKey)>,
    absences: Absences,
}

impl Order {
    fn emitted(&mut self, to: SessionNo, key: FrameKey, continued: bool, known: &Known) -> Result<(), Violation> {
        let last = self.last.insert((to, key.session, key.channel), key.counter);
        if let Some(last) = last.filter(|last| *last >= key.counter) {
            return Err(broken(to, key, &format!("after counter {last} on the same connection")));
        }
        let device = known.device(to);
        let since = self.said.get(&key).map_or(0, |said| said.at);
        // The rest of a frame that was begun on a connection follows there, whatever came meanwhile on another.
        let excused = continued || self.absences.since(device, key.channel, since);
        let first = self.given.insert((device, key)) && !excused;
        let highest = self
            .highest
            .entry((device, key.session, key.channel))
            .or_insert(key.counter);
        if first && *highest > key.counter {
            return Err(broken(to, key, &format!("for the first time after counter {highest}")));
        }
        *highest = key.counter.max(*highest);
        if first {
            self.across_connections(to, device, key, known)
        } else {
            Ok(())
        }
    }

    fn across_connections(
        &mut self,
        to: SessionNo,
        device: DeviceNo,
        key: FrameKey,
        known: &Known,
    ) -> Result<(), Violation> {
        let Some(said) = self.said.get(&key).copied() else {
            return Ok(());
        };
        let latest = self
            .latest
            .entry((device, known.device(key.session), key.channel))
            .or_insert((said.at, key));
        if said.settled.is_some_and(|settled| settled < latest.0) {
            let text = format!(
                "for the first time after {}, which was said when this one was settled",
                latest.1
            );
            return Err(broken(to, key, &text));
        }
        if latest.0 < said.at {
            *latest = (said.at, key);
        }
        Ok(())
    }
}

fn broken(to: SessionNo, key: FrameKey, how: &str) -> Violation {
    Violation::new("order", format!("{to} was given {key} {how}"))
}

impl Checker for Order {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        self.absences.hear(fact, known);
        match fact {
            Fact::Said { key, sequence, .. } => {
                self.said.insert(
                    *key,
                    Said {
                        at: known.at,
                        sequence: *sequence,
                        settled: None,
                    },
                );
                self.by_sequence.insert((key.session, *sequence), *key);
            }
            Fact::Heard { session, frame } => {
                if let Body::Ack { number, .. } = &frame.body
                    && let Some(key) = self.by_sequence.get(&(*session, *number))
                    && let Some(said) = self.said.get_mut(key)
                {
                    debug_assert_eq!(said.sequence, *number);
                    said.settled.get_or_insert(known.at);
                }
            }
            Fact::Emitted { session, frame } => {
                if let Body::Marked { key, .. } = frame.body
                    && !known.hostile(key.session)
                {
                    self.emitted(*session, key, frame.continued, known)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
