//! How long things take: a histogram of microseconds in fixed buckets, as a plain array that one thread owns.
//!
//! Four buckets per doubling, so that a percentile read from it is at most 25 % above the truth. Recording is a shift, a mask
//! and two additions.

/// The last octave ends at 2²⁶ µs: 67 s. What takes longer is counted in one bucket of its own.
const OCTAVES: usize = 26;
/// Up to 4 µs a bucket is 1 µs wide; then each octave has four.
const BUCKETS: usize = 4 + 4 * (OCTAVES - 2) + 1;

/// Durations that were measured. Only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            sum: 0,
        }
    }
}

/// Where `micros` are counted: in the first bucket whose upper bound is not below them.
fn bucket(micros: u64) -> usize {
    let below = micros.saturating_sub(1);
    if below < 4 {
        return below as usize;
    }
    let octave = below.ilog2() as usize;
    let quarter = (below >> (octave - 2)) & 3;
    ((octave - 1) * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The highest value that a bucket counts; nothing for the last one.
fn upper(bucket: usize) -> Option<u64> {
    match bucket {
        0..4 => Some(bucket as u64 + 1),
        _ if bucket < BUCKETS - 1 => Some((5 + bucket as u64 % 4) << (bucket / 4 - 1)),
        _ => None,
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, micros: u64) {
        self.buckets[bucket(micros)] += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum, in microseconds.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// How many were at most 1, 2, 4, 8 … 2²⁶ µs: bound and count, for those who draw coarse buckets.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut below = 0;
        self.buckets.iter().enumerate().filter_map(move |(at, count)| {
            below += count;
            upper(at)
                .filter(|bound| bound.is_power_of_two())
                .map(|bound| (bound, below))
        })
    }

    /// The duration that this share of all (0 to 1) did not exceed, in microseconds: the upper bound of its bucket.
    /// Nothing when nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0;
        let at = self.buckets.iter().position(|bucket| {
            seen += bucket;
            seen >= rank
        })?;
        Some(upper(at).unwrap_or(1 << OCTAVES))
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *ours += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// What was counted since `earlier`, an earlier state of this one.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for (ours, theirs) in difference.buckets.iter_mut().zip(&earlier.buckets) {
            *ours = ours.saturating_sub(*theirs);
        }
        difference.sum = self.sum.saturating_sub(earlier.sum);
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_counted_below_the_bound_of_its_bucket_and_above_the_one_before() {
        for micros in (0..5000).chain((12..26).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1])) {
            let at = bucket(micros);
            assert!(upper(at).is_none_or(|bound| micros <= bound), "{micros}");
            assert!(at == 0 || upper(at - 1).is_some_and(|bound| micros > bound), "{micros}");
        }
        assert_eq!(upper(BUCKETS - 2), Some(1 << OCTAVES));
        assert_eq!(bucket((1 << OCTAVES) + 1), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_percentile_is_at_most_a_quarter_above_the_truth() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=10_000).for_each(|micros| histogram.record(micros));
        for (share, truth) in [(0.0, 1), (0.5, 5000), (0.9, 9000), (0.99, 9900), (1.0, 10_000)] {
            let told = histogram.quantile(share).unwrap();
            assert!(told >= truth && told * 4 <= truth * 5, "{share}: {told} for {truth}");
        }
        assert_eq!((histogram.count(), histogram.sum()), (10_000, 50_005_000));
    }

    #[test]
    fn coarse_buckets_are_the_powers_of_two_and_their_counts_add_up() {
        let mut histogram = Histogram::default();
        for micros in [0, 1, 2, 3, 4, 5, 1000, u64::MAX] {
            histogram.record(micros);
        }
        let coarse: Vec<_> = histogram.cumulative().collect();
        assert_eq!(coarse.len(), OCTAVES + 1);
        assert_eq!(&coarse[..4], &[(1, 2), (2, 3), (4, 5), (8, 6)]);
        assert_eq!(
            coarse.last(),
            Some(&(1 << OCTAVES, 7)),
            "one took longer than all of them"
        );
        assert_eq!(histogram.count(), 8);
    }

    #[test]
    fn a_difference_is_what_came_in_between_and_a_sum_is_both() {
        let mut histogram = Histogram::default();
        histogram.record(10);
        let earlier = histogram;
        histogram.record(1000);
        let between = histogram.since(&earlier);
        assert_eq!((between.count(), between.sum()), (1, 1000));
        let mut both = earlier;
        both.add(&between);
        assert_eq!(both, histogram);
    }
}
