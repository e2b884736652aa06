//! Open loop: who sends when, by a clock that does not wait for anybody.
//!
//! The flows of a thread take turns on one grid: flow 0 at `start`, flow 1 a step later, and so on round and round. So the
//! load is even however many flows there are, and finding who is due costs nothing.

use super::flow::FlowRef;
use super::phase::Moment;
use crate::measure::tally::Tally;

/// See the module.
#[derive(Debug)]
pub(crate) struct Schedule {
    flows: Vec<FlowRef>,
    next_ns: u64,
    step_ns: f64,
    /// What of `step_ns` the grid owes, below a nanosecond.
    rest: f64,
    cursor: usize,
}

impl Schedule {
    /// Of `flows`, all of them together `rate` times a second, from `start_ns` on.
    pub(crate) fn new(flows: Vec<FlowRef>, rate: f64, start_ns: u64) -> Self {
        Self {
            flows,
            next_ns: start_ns,
            step_ns: 1e9 / rate.max(1e-6),
            rest: 0.0,
            cursor: 0,
        }
    }

    /// When somebody is due; never, when there is nobody.
    pub(crate) fn next_ns(&self) -> u64 {
        if self.flows.is_empty() { u64::MAX } else { self.next_ns }
    }

    /// Sends what is due by `moment`.
    pub(crate) fn run(&mut self, moment: &Moment, tally: &mut Tally) {
        if self.flows.is_empty() {
            return;
        }
        let period_ns = (self.step_ns * self.flows.len() as f64) as u64;
        while self.next_ns <= moment.now_ns {
            self.flows[self.cursor]
                .borrow_mut()
                .due(self.next_ns, period_ns, moment, tally);
            self.cursor = (self.cursor + 1) % self.flows.len();
            let step = self.step_ns + self.rest;
            self.rest = step.fract();
            self.next_ns += (step as u64).max(1);
        }
    }
}
