//! What people and shards both stand on: time, wires, conditions, the trace, and the checkers that hear every fact.

use crate::agenda::Agenda;
use crate::check::{Checkers, Violation};
use crate::fact::Fact;
use crate::ring::Ring;
use crate::trace::Trace;
use crate::weather::Weather;

/// See the module.
pub(crate) struct Ground {
    pub(crate) agenda: Agenda,
    pub(crate) weather: Weather,
    pub(crate) ring: Ring,
    pub(crate) trace: Trace,
    pub(crate) checkers: Checkers,
}

impl Ground {
    /// A fact: into the trace, then to every checker.
    pub(crate) fn fact(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.trace.line(self.agenda.now(), || format!("{fact:?}"));
        self.checkers.hear(fact)
    }

    /// A line for people.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        self.trace.line(self.agenda.now(), line);
    }
}
