//! A call ends once: whoever takes part hears at most one end of it, by whomever, and nobody else hears any. (That those
//! who stay do hear it is asked of people, at rest: see `people::calls`.)

use std::collections::{BTreeMap, BTreeSet};

use commucat_proto::FrameType;

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, FrameKey, SessionNo};

/// Whose word it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Said(FrameKey),
    Relay,
}

/// The checker.
#[derive(Default)]
pub(crate) struct Calls {
    people: BTreeMap<String, BTreeSet<DeviceNo>>,
    of: BTreeMap<FrameKey, String>,
    heard: BTreeMap<(DeviceNo, String), End>,
    connections: BTreeSet<(SessionNo, String)>,
}

impl Calls {
    fn ended(&mut self, to: SessionNo, call: &str, end: End, known: &Known) -> Result<(), Violation> {
        let device = known.device(to);
        let Some(people) = self.people.get(call) else {
            return Ok(());
        };
        let broken = |what: String| Err(Violation::new("calls", format!("{to} of {device}: {what}")));
        if !people.contains(&device) {
            return broken(format!("it heard the end of {call}, of which it was no part"));
        }
        if !self.connections.insert((to, call.to_owned())) {
            return broken(format!("it heard a second end of {call}: {end:?}"));
        }
        let first = *self.heard.entry((device, call.to_owned())).or_insert(end);
        if first == end {
            Ok(())
        } else {
            broken(format!("it heard two ends of {call}: {first:?}, {end:?}"))
        }
    }
}

impl Checker for Calls {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::OfCall { key, call, people } if !known.hostile(key.session) => {
                self.of.insert(*key, (*call).to_owned());
                self.people
                    .entry((*call).to_owned())
                    .or_insert_with(|| people.iter().copied().collect());
            }
            Fact::Emitted { session, frame } => match &frame.body {
                Body::Marked {
                    key,
                    kind: FrameType::CallEnd,
                } => {
                    if let Some(call) = self.of.get(key).cloned() {
                        self.ended(*session, &call, End::Said(*key), known)?;
                    }
                }
                Body::Gone { call } => self.ended(*session, call, End::Relay, known)?,
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
