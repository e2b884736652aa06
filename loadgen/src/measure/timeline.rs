//! The course of a measurement: per slot of time, how much arrived and how long it took.
//!
//! A latency belongs to the slot in which its message was due: that is what somebody who sent then has met. An arrival
//! counts in the slot in which it came.

/// Slots of a measurement: as many columns as a page shows well.
pub(crate) const SLOTS: usize = 120;

/// Bands of latency, two per octave from a microsecond to a minute, with one below and one above.
pub(crate) const BANDS: usize = 2 * (LAST_OCTAVE - FIRST_OCTAVE) + 2;

/// 2^10 ns is about a microsecond.
const FIRST_OCTAVE: usize = 10;
/// 2^36 ns is about a minute.
const LAST_OCTAVE: usize = 36;

/// Slots are powers of two of nanoseconds, so that finding one is a shift. None is shorter than 67 ms: it would hold too
/// little to say anything.
const SHORTEST: u32 = 26;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    start_ns: u64,
    shift: u32,
    /// Slots of a measurement whose length is known; another grows, and its slots with it.
    length: Option<usize>,
    /// How many arrived, by when they came.
    pub(crate) arrivals: Vec<u64>,
    /// How many took so long, by when they were due.
    pub(crate) heat: Vec<[u32; BANDS]>,
}

impl Timeline {
    /// For a measurement of so many nanoseconds, or of as long as it takes. [`Timeline::begin`] says when it begins.
    pub(crate) fn new(length_ns: Option<u64>) -> Self {
        let least = length_ns.map_or(0, |length| length / SLOTS as u64 + 1);
        let shift = least.next_power_of_two().trailing_zeros().max(SHORTEST);
        let length = length_ns.map(|length| (length.div_ceil(1 << shift) as usize).clamp(1, SLOTS));
        let slots = length.unwrap_or(SLOTS);
        Self {
            start_ns: u64::MAX,
            shift,
            length,
            arrivals: vec![0; slots],
            heat: vec![[0; BANDS]; slots],
        }
    }

    /// The first slot begins now.
    pub(crate) fn begin(&mut self, now_ns: u64) {
        self.start_ns = now_ns;
    }

    /// How long a slot is.
    pub(crate) fn slot_seconds(&self) -> f64 {
        (1_u64 << self.shift) as f64 / 1e9
    }

    /// Slots that belong to the measurement.
    pub(crate) fn slots(&self) -> usize {
        let last = |slot: &usize| self.arrivals[*slot] > 0 || self.heat[*slot].iter().any(|count| *count > 0);
        self.length
            .unwrap_or_else(|| (0..self.arrivals.len()).rev().find(last).map_or(1, |slot| slot + 1))
    }

    /// What was due at `due_ns` arrived at `now_ns`.
    #[inline]
    pub(crate) fn record(&mut self, due_ns: u64, now_ns: u64) {
        let mut arrival = slot(self.start_ns, self.shift, now_ns);
        while self.length.is_none() && arrival >= SLOTS {
            self.coarsen();
            arrival = slot(self.start_ns, self.shift, now_ns);
        }
        // What arrives after the end has no slot of its own.
        if let Some(arrivals) = self.arrivals.get_mut(arrival) {
            *arrivals += 1;
        }
        let last = self.heat.len() - 1;
        let bands = &mut self.heat[slot(self.start_ns, self.shift, due_ns).min(last)];
        let count = &mut bands[band(now_ns.saturating_sub(due_ns))];
        *count = count.saturating_add(1);
    }

    /// Two slots become one.
    fn coarsen(&mut self) {
        self.shift += 1;
        for slot in 0..self.arrivals.len() {
            let (first, second) = (2 * slot, 2 * slot + 1);
            let of = |slot: usize| self.arrivals.get(slot).copied().unwrap_or(0);
            self.arrivals[slot] = of(first) + of(second);
            let nothing = [0; BANDS];
            let of = |slot: usize| self.heat.get(slot).copied().unwrap_or(nothing);
            let (one, other) = (of(first), of(second));
            self.heat[slot] = std::array::from_fn(|band| one[band].saturating_add(other[band]));
        }
    }

    /// Adds another thread's, of the same measurement.
    pub(crate) fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while self.shift < other.shift {
            self.coarsen();
        }
        while other.shift < self.shift {
            other.coarsen();
        }
        for (into, from) in self.arrivals.iter_mut().zip(&other.arrivals) {
            *into += from;
        }
        for (into, from) in self.heat.iter_mut().zip(&other.heat) {
            for (into, from) in into.iter_mut().zip(from) {
                *into = into.saturating_add(*from);
            }
        }
    }
}

fn slot(start_ns: u64, shift: u32, at_ns: u64) -> usize {
    usize::try_from(at_ns.saturating_sub(start_ns) >> shift).unwrap_or(usize::MAX)
}

/// Which band a latency is in.
fn band(latency_ns: u64) -> usize {
    let octave = latency_ns.max(1).ilog2() as usize;
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let half = (latency_ns >> (octave - 1)) as usize & 1;
    (1 + 2 * (octave - FIRST_OCTAVE) + half).min(BANDS - 1)
}

/// Where a band begins, in nanoseconds.
pub(crate) fn band_start_ns(band: usize) -> u64 {
    let Some(above) = band.checked_sub(1) else { return 0 };
    let whole = 1_u64 << (FIRST_OCTAVE + above / 2);
    whole + (above as u64 % 2) * whole / 2
}

#[cfg(test)]
mod tests {
    use super::{BANDS, SLOTS, Timeline, band, band_start_ns};

    #[test]
    fn every_latency_has_the_band_that_begins_below_it() {
        for latency in [0, 1, 1_023, 1_024, 1_535, 1_536, 2_048, 1_000_000, 30_000_000_000] {
            let found = band(latency);
            assert!(band_start_ns(found) <= latency, "{latency}");
            assert!(found + 1 == BANDS || latency < band_start_ns(found + 1), "{latency}");
        }
        assert_eq!(band(u64::MAX), BANDS - 1);
    }

    #[test]
    fn slots_cover_the_measurement_however_long_it_is() {
        for seconds in [1_u64, 10, 1_000, 100_000] {
            let mut line = Timeline::new(Some(seconds * 1_000_000_000));
            let slots = line.slots();
            assert!(slots <= SLOTS && slots as f64 * line.slot_seconds() >= seconds as f64);
            line.begin(5_000);
            line.record(5_000, 5_000 + 2_000);
            line.record(5_000 + seconds * 1_000_000_000 - 1, u64::MAX / 2);
            assert_eq!(line.arrivals.iter().sum::<u64>(), 1, "the second came when it was over");
            let heat = line.heat.iter().flatten().sum::<u32>();
            assert_eq!((heat, line.heat[0][band(2_000)]), (2, 1));
        }
    }

    #[test]
    fn a_measurement_without_an_end_keeps_everything_in_coarser_slots() {
        let mut line = Timeline::new(None);
        line.begin(0);
        for second in 0..1_000 {
            line.record(second * 1_000_000_000, second * 1_000_000_000 + 3_000_000);
        }
        assert!(line.slots() <= SLOTS && line.slots() as f64 * line.slot_seconds() >= 999.0);
        assert_eq!(line.arrivals.iter().sum::<u64>(), 1_000);
        let mut short = Timeline::new(None);
        short.begin(0);
        short.record(0, 3_000_000);
        short.merge(&line);
        assert_eq!(short.arrivals.iter().sum::<u64>(), 1_001);
        assert_eq!(short.heat.iter().flatten().sum::<u32>(), 1_001);
    }
}
