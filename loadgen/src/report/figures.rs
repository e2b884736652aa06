//! Rates and latencies of one kind of traffic.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::ledger::Ledger;
use super::round;
use crate::measure::tally::Class;
use crate::measure::timeline::Timeline;

/// A distribution in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) min_us: f64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) p9999_us: f64,
    pub(crate) max_us: f64,
    /// The whole curve: of how many in a million it was at most so much. For the page alone.
    #[serde(skip)]
    pub(crate) curve: Vec<(f64, f64)>,
}

impl Percentiles {
    /// Of a histogram in nanoseconds; none, when it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let at = |quantile| micro(histogram.value_at_quantile(quantile) as f64);
        // Equal steps of "one in so many": each digit of the percentile gets the same room.
        let curve = (0..=100)
            .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 20.0))
            .map(|quantile| (quantile, at(quantile)))
            .collect();
        Some(Self {
            count: histogram.len(),
            min_us: micro(histogram.min() as f64),
            mean_us: micro(histogram.mean()),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: micro(histogram.max() as f64),
            curve,
        })
    }
}

/// Nanoseconds as microseconds, to a tenth.
fn micro(nanoseconds: f64) -> f64 {
    (nanoseconds / 100.0).round() / 10.0
}

/// One kind of traffic.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// Sent, or begun, while measuring.
    pub(crate) sent: u64,
    /// Of the deliveries these should make, how many were made.
    pub(crate) owed: u64,
    pub(crate) delivered: u64,
    pub(crate) seconds: f64,
    /// Deliveries made per second of the measured time.
    pub(crate) per_second: f64,
    /// And per second of the relay's processor time.
    pub(crate) per_cpu_second: Option<f64>,
    /// From due to arrived.
    pub(crate) latency: Option<Percentiles>,
    /// From due to the relay's ACK.
    pub(crate) ack: Option<Percentiles>,
    #[serde(skip)]
    pub(crate) timeline: Timeline,
}

impl Figures {
    /// Of what was counted in `seconds`, in which the relay took `cpu` seconds of processor time; none, when there was nothing.
    pub(crate) fn of(class: &Class, seconds: f64, cpu: Option<f64>) -> Option<Self> {
        if class.owed == 0 {
            return None;
        }
        let delivered = class.delivered as f64;
        Some(Self {
            sent: class.sent,
            owed: class.owed,
            delivered: class.delivered,
            seconds: round(seconds),
            per_second: round(delivered / seconds.max(1e-9)),
            per_cpu_second: cpu.filter(|cpu| *cpu > 0.0).map(|cpu| round(delivered / cpu)),
            latency: Percentiles::of(&class.latency),
            ack: Percentiles::of(&class.acknowledged),
            timeline: class.timeline.clone(),
        })
    }
}

/// The scenario's main figures, in one flat row for other programs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Headline {
    sent: u64,
    delivered: u64,
    lost: u64,
    pub(crate) delivered_per_second: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    ack_p50_us: f64,
    ack_p99_us: f64,
    ack_p999_us: f64,
    disordered: u64,
    duplicated: u64,
    corrupt: u64,
    rejected: u64,
    disconnected: u64,
    /// Processor time of the relay (see `cpu_of`) for each.
    pub(crate) cpu_ns_per_delivered: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_trouble: Option<String>,
}

impl Figures {
    /// The same of messages that an ACK is all there is of.
    pub(crate) fn of_acknowledged(class: &Class, seconds: f64, cpu: Option<f64>) -> Option<Self> {
        let mut figures = Self::of(class, seconds, cpu)?;
        figures.delivered = class.acknowledged.len().saturating_sub(class.rejected);
        let delivered = figures.delivered as f64;
        figures.per_second = round(delivered / seconds.max(1e-9));
        figures.per_cpu_second = cpu.filter(|cpu| *cpu > 0.0).map(|cpu| round(delivered / cpu));
        figures.latency = None;
        Some(figures)
    }
}

impl Headline {
    pub(crate) fn new(figures: &Figures, ledger: &Ledger, cpu_seconds: f64) -> Self {
        let of =
            |percentiles: &Option<Percentiles>, pick: fn(&Percentiles) -> f64| percentiles.as_ref().map_or(0.0, pick);
        let (latency, ack) = (&figures.latency, &figures.ack);
        Self {
            sent: figures.sent,
            delivered: figures.delivered,
            lost: ledger.lost,
            delivered_per_second: figures.per_second.round(),
            p50_us: of(latency, |latency| latency.p50_us),
            p90_us: of(latency, |latency| latency.p90_us),
            p99_us: of(latency, |latency| latency.p99_us),
            p999_us: of(latency, |latency| latency.p999_us),
            max_us: of(latency, |latency| latency.max_us),
            ack_p50_us: of(ack, |ack| ack.p50_us),
            ack_p99_us: of(ack, |ack| ack.p99_us),
            ack_p999_us: of(ack, |ack| ack.p999_us),
            disordered: ledger.disordered,
            duplicated: ledger.duplicated,
            corrupt: ledger.corrupt,
            rejected: ledger.rejected,
            disconnected: ledger.disconnected,
            cpu_ns_per_delivered: (cpu_seconds * 1e9 / figures.delivered.max(1) as f64).round(),
            first_trouble: ledger.first_trouble.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Percentiles};
    use crate::measure::tally::{Kind, Tally};

    #[test]
    fn nothing_has_no_figures() {
        let tally = Tally::new(None);
        assert!(Figures::of(tally.of(Kind::Voice), 1.0, None).is_none());
        assert!(Percentiles::of(&tally.late).is_none());
    }

    #[test]
    fn a_curve_rises_from_the_fastest_to_the_slowest() {
        let mut tally = Tally::new(None);
        for latency in 1..=1_000 {
            tally.sent_late(0, latency * 1_000);
        }
        let found = Percentiles::of(&tally.late).expect("a thousand");
        assert_eq!((found.min_us, found.max_us, found.count), (1.0, 1_000.4, 1_000));
        assert!((found.p50_us - 500.0).abs() < 1.0 && (found.p99_us - 990.0).abs() < 1.0);
        assert!(
            found
                .curve
                .is_sorted_by(|one, other| one.0 < other.0 && one.1 <= other.1)
        );
    }
}
