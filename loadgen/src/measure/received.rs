//! The books of one recipient of one flow: what has arrived, what is missing, what came twice.
//!
//! Invariant: each counter of the flow is in exactly one of three places: above `expected`, among the missing, or seen.

use std::ops::Range;

/// Gaps that are remembered one by one. A relay that makes more is broken beyond doubt; what fills a forgotten gap counts
/// as a repetition.
const GAPS: usize = 4096;

/// What an arrival is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one, or one after a gap.
    New,
    /// One that later ones have overtaken.
    Late,
    /// One that was here before.
    Again,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Received {
    expected: u64,
    /// Nobody has any unless something went wrong: so it is one word.
    missing: Option<Box<Gaps>>,
}

/// In order, none empty, none touching another.
#[derive(Debug, Default)]
struct Gaps(Vec<Range<u64>>);

impl Received {
    /// Message number `counter` is here.
    #[inline]
    pub(crate) fn arrive(&mut self, counter: u64) -> Arrival {
        if counter == self.expected {
            self.expected += 1;
            return Arrival::New;
        }
        self.out_of_turn(counter)
    }

    #[cold]
    fn out_of_turn(&mut self, counter: u64) -> Arrival {
        if counter > self.expected {
            let Gaps(gaps) = &mut **self.missing.get_or_insert_default();
            if gaps.len() < GAPS {
                gaps.push(self.expected..counter);
            }
            self.expected = counter + 1;
            return Arrival::New;
        }
        let Some(Gaps(gaps)) = self.missing.as_deref_mut() else {
            return Arrival::Again;
        };
        let Some(index) = gaps.iter().position(|gap| gap.contains(&counter)) else {
            return Arrival::Again;
        };
        let gap = gaps[index].clone();
        let rest = [gap.start..counter, counter + 1..gap.end];
        gaps.splice(index..=index, rest.into_iter().filter(|rest| !rest.is_empty()));
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Received};

    fn arrivals(counters: &[u64]) -> Vec<Arrival> {
        let mut book = Received::default();
        counters.iter().map(|counter| book.arrive(*counter)).collect()
    }

    #[test]
    fn what_comes_in_order_is_new() {
        assert_eq!(arrivals(&[0, 1, 2]), [Arrival::New; 3]);
    }

    #[test]
    fn a_gap_that_is_filled_too_late_is_told_from_what_came_twice() {
        use Arrival::{Again, Late, New};
        assert_eq!(
            arrivals(&[0, 5, 2, 2, 1, 4, 3, 3, 0, 5, 6]),
            [New, New, Late, Again, Late, Late, Late, Again, Again, Again, New]
        );
    }

    #[test]
    fn however_many_gaps_there_are_memory_has_an_end() {
        let mut book = Received::default();
        for counter in (1..100_000).step_by(2) {
            assert_eq!(book.arrive(counter), Arrival::New);
        }
        assert!(book.missing.expect("gaps").0.len() <= super::GAPS);
    }
}
