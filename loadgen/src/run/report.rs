//! What a run found out, for a program and for a person.

use std::fmt;

use serde::Serialize;

use super::tally::Tally;
use crate::cli::Run;

/// Whose processor time `cpu_seconds` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CpuOf {
    /// The relay's: it runs on this machine and could be found.
    Server,
    /// The load generator's own, for want of a relay to look at.
    Loadgen,
}

/// One run. Times in microseconds unless they say otherwise.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) pairs: u32,
    pub(crate) payload: u32,
    pub(crate) window: u32,
    pub(crate) both: bool,
    pub(crate) ack_range: bool,
    pub(crate) delivery_ack: bool,
    pub(crate) noise_transport: bool,
    pub(crate) rate: Option<u64>,
    /// As `--http` names it.
    pub(crate) http: &'static str,
    pub(crate) tls: bool,
    pub(crate) threads: usize,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Messages sent while measuring.
    pub(crate) sent: u64,
    /// Of those, delivered, by the end of the drain period.
    pub(crate) delivered: u64,
    /// Not delivered by then, warm-up included.
    pub(crate) lost: u64,
    pub(crate) delivered_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    pub(crate) ack_p50_us: f64,
    pub(crate) ack_p99_us: f64,
    pub(crate) ack_p999_us: f64,
    pub(crate) disordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) rejected: u64,
    pub(crate) disconnected: u64,
    /// User and system time while measuring.
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_of: CpuOf,
    pub(crate) loadgen_cpu_seconds: f64,
    /// `cpu_seconds` per delivered message.
    pub(crate) cpu_ns_per_delivered: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_loss: Option<String>,
}

/// What was measured beside the tally.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) server_cpu: Option<f64>,
    pub(crate) loadgen_cpu: f64,
    pub(crate) threads: usize,
}

impl Report {
    pub(crate) fn new(arguments: &Run, measured: &Measured, tally: &Tally) -> Self {
        let micro = |nanoseconds: u64| (nanoseconds as f64 / 100.0).round() / 10.0;
        let delivery = |quantile| micro(tally.delivery.value_at_quantile(quantile));
        let ack = |quantile| micro(tally.acknowledged.value_at_quantile(quantile));
        let (cpu_seconds, cpu_of) = match measured.server_cpu {
            Some(cpu) => (cpu, CpuOf::Server),
            None => (measured.loadgen_cpu, CpuOf::Loadgen),
        };
        let per_delivered = if tally.delivered > 0 {
            cpu_seconds * 1e9 / tally.delivered as f64
        } else {
            0.0
        };
        Self {
            pairs: arguments.pairs,
            payload: arguments.payload,
            window: arguments.window,
            both: arguments.both,
            ack_range: arguments.offer.ack_range,
            delivery_ack: arguments.offer.delivery_ack,
            noise_transport: arguments.offer.noise_transport,
            rate: arguments.rate,
            http: arguments.reach.http.name(),
            tls: arguments.reach.url.secure,
            threads: measured.threads,
            seconds: (measured.seconds * 1000.0).round() / 1000.0,
            sent: tally.sent,
            delivered: tally.delivered,
            lost: tally.lost(),
            delivered_per_second: (tally.delivered as f64 / measured.seconds).round(),
            p50_us: delivery(0.5),
            p90_us: delivery(0.9),
            p99_us: delivery(0.99),
            p999_us: delivery(0.999),
            max_us: micro(tally.delivery.max()),
            ack_p50_us: ack(0.5),
            ack_p99_us: ack(0.99),
            ack_p999_us: ack(0.999),
            disordered: tally.disordered,
            corrupt: tally.corrupt,
            rejected: tally.rejected,
            disconnected: tally.disconnected,
            cpu_seconds: (cpu_seconds * 100.0).round() / 100.0,
            cpu_of,
            loadgen_cpu_seconds: (measured.loadgen_cpu * 100.0).round() / 100.0,
            cpu_ns_per_delivered: per_delivered.round(),
            first_loss: tally.first_loss.clone(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pairs,
            payload,
            window,
            threads,
            seconds,
            ..
        } = self;
        let tls = if self.tls { "TLS" } else { "no TLS" };
        let direction = if self.both { "both ways" } else { "one way" };
        let pace = match self.rate {
            Some(rate) => format!("{rate} messages per second"),
            None => format!("{window} in flight each"),
        };
        writeln!(
            f,
            "{pairs} pairs {direction}, {payload} bytes, {pace}, --http {}, {tls}, {threads} threads",
            self.http
        )?;
        writeln!(
            f,
            "delivered   {:>12} frames/s over {seconds:.1} s",
            thousands(self.delivered_per_second as u64)
        )?;
        writeln!(
            f,
            "frames      {:>12} sent, {} delivered, {} lost",
            thousands(self.sent),
            thousands(self.delivered),
            thousands(self.lost)
        )?;
        writeln!(
            f,
            "delivery    p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1} µs (sender to recipient)",
            self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us
        )?;
        writeln!(
            f,
            "round trip  p50 {:.1}  p99 {:.1}  p99.9 {:.1} µs (sender to the relay's ACK)",
            self.ack_p50_us, self.ack_p99_us, self.ack_p999_us
        )?;
        match self.cpu_of {
            CpuOf::Server => writeln!(
                f,
                "processor   {:.2} s of the relay ({:.0} ns per delivered frame), {:.2} s of loadgen",
                self.cpu_seconds, self.cpu_ns_per_delivered, self.loadgen_cpu_seconds
            )?,
            CpuOf::Loadgen => writeln!(
                f,
                "processor   {:.2} s of loadgen; the relay's process was not found on this machine",
                self.loadgen_cpu_seconds
            )?,
        }
        for (count, what) in [
            (self.disordered, "out of order or twice"),
            (self.corrupt, "not what was sent"),
            (self.rejected, "rejected by the relay"),
            (self.disconnected, "sessions lost"),
        ] {
            if count > 0 {
                writeln!(f, "trouble     {:>12} {what}", thousands(count))?;
            }
        }
        match &self.first_loss {
            Some(why) => writeln!(f, "            first lost session: {why}"),
            None => Ok(()),
        }
    }
}

/// `1234567` as `1 234 567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(thousands(number), text);
        }
    }
}
