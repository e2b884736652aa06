//! An allowance that time gives back.

use crate::conn::limits::Allowance;

#[derive(Debug)]
pub(super) struct Budget {
    left: u32,
    allowance: Allowance,
}

impl Budget {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            left: allowance.burst,
            allowance,
        }
    }

    /// `false` when it is spent.
    #[must_use]
    pub(super) fn spend(&mut self, cost: u32) -> bool {
        let enough = self.left >= cost;
        self.left = self.left.saturating_sub(cost);
        enough
    }

    pub(super) fn give(&mut self, back: u32) {
        self.left = self.left.saturating_add(back).min(self.allowance.burst);
    }

    pub(super) fn pass(&mut self, seconds: u32) {
        self.give(self.allowance.per_second.saturating_mul(seconds));
    }
}
