//! All metrics as OpenMetrics 1.0 text, which Prometheus reads.

use std::fmt::Write;

use commucat_shard::histogram::Histogram;

use super::catalogue::{Metric, Source, View};
use super::metrics::METRICS;

/// `content-type` of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes every metric.
#[must_use]
pub fn write(view: &View<'_>) -> String {
    let mut text = String::with_capacity(64 << 10);
    for metric in METRICS {
        write_metric(metric, view, &mut text);
    }
    text.push_str("# EOF\n");
    text
}

// Writing into a string cannot fail, so no result here says anything.
fn write_metric(metric: &Metric, view: &View<'_>, out: &mut String) {
    let name = metric.name;
    let _ = writeln!(out, "# TYPE {name} {}", metric.source.kind());
    if !metric.unit.is_empty() {
        let _ = writeln!(out, "# UNIT {name} {}", metric.unit);
    }
    let _ = writeln!(out, "# HELP {name} {}", metric.help);
    let suffix = metric.source.suffix();
    match metric.source {
        Source::Counter(read) | Source::Gauge(read) => {
            for (shard, snapshot) in view.shards {
                let _ = writeln!(out, "{name}{suffix}{{shard=\"{shard}\"}} {}", read(snapshot));
            }
        }
        Source::CounterBy(label, read) => {
            for (shard, snapshot) in view.shards {
                for (value, count) in read(snapshot) {
                    let _ = writeln!(out, "{name}{suffix}{{shard=\"{shard}\",{label}=\"{value}\"}} {count}");
                }
            }
        }
        Source::Histogram(read) => {
            for (shard, snapshot) in view.shards {
                write_histogram(name, *shard, read(snapshot), out);
            }
        }
        Source::Total(read) => {
            let _ = writeln!(out, "{name}{suffix} {}", read(view));
        }
        Source::Now(read) => {
            if let Some(value) = read(view) {
                let _ = writeln!(out, "{name} {value}");
            }
        }
        Source::Info(label, value) => {
            let _ = writeln!(out, "{name}{suffix}{{{label}=\"{value}\"}} 1");
        }
    }
}

fn write_histogram(name: &str, shard: usize, histogram: &Histogram, out: &mut String) {
    for (micros, count) in histogram.cumulative() {
        let bound = seconds(micros);
        let _ = writeln!(out, "{name}_bucket{{shard=\"{shard}\",le=\"{bound}\"}} {count}");
    }
    let count = histogram.count();
    let _ = writeln!(out, "{name}_bucket{{shard=\"{shard}\",le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "{name}_sum{{shard=\"{shard}\"}} {}", seconds(histogram.sum()));
    let _ = writeln!(out, "{name}_count{{shard=\"{shard}\"}} {count}");
}

/// Exact, also where a float's shortest form would be `1e-6`.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
