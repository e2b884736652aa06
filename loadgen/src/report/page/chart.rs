//! The three pictures of a kind of traffic, as SVG: how latency is distributed, its course over time, and throughput.

use std::fmt::Write;

use super::markup::{Escaped, amount, time};
use crate::measure::timeline::{BANDS, Timeline, band_start_ns};
use crate::report::figures::Percentiles;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;

/// Shades of the heat strip.
const SHADES: usize = 8;

/// Where things are drawn.
struct Canvas {
    svg: String,
    height: f64,
}

impl Canvas {
    fn new(height: f64, name: &str) -> Self {
        let name = Escaped(name);
        let svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{name}\">");
        Self { svg, height }
    }

    /// The x of a fraction of the width, and the y of a fraction of the height, from the bottom.
    fn x(&self, fraction: f64) -> f64 {
        LEFT + fraction.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, fraction: f64) -> f64 {
        self.height - BOTTOM - fraction.clamp(0.0, 1.0) * (self.height - TOP - BOTTOM)
    }

    fn add(&mut self, part: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.svg.write_fmt(part);
    }

    /// A horizontal line with its label.
    fn level(&mut self, fraction: f64, label: &str) {
        let (y, right, label) = (self.y(fraction), WIDTH - RIGHT, Escaped(label));
        self.add(format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        let (x, below) = (LEFT - 6.0, y + 4.0);
        self.add(format_args!(
            "<text x=\"{x}\" y=\"{below:.1}\" text-anchor=\"end\">{label}</text>"
        ));
    }

    /// A mark of the horizontal axis with its label.
    fn mark(&mut self, fraction: f64, label: &str) {
        let (x, top, bottom) = (self.x(fraction), TOP, self.height - BOTTOM);
        self.add(format_args!("<path class=\"grid\" d=\"M{x:.1} {top}V{bottom}\"/>"));
        let anchor = match fraction {
            0.99.. => "end",
            _ => "middle",
        };
        let (y, label) = (self.height - 8.0, Escaped(label));
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{label}</text>"
        ));
    }

    fn line(&mut self, points: &[(f64, f64)]) {
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{:.1} {:.1}", self.x(*x), self.y(*y)))
            .collect();
        let path = path.join("L");
        self.add(format_args!("<path class=\"line\" d=\"M{path}\"/>"));
    }

    fn end(mut self) -> String {
        let (bottom, right) = (self.height - BOTTOM, WIDTH - RIGHT);
        self.add(format_args!(
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/></svg>"
        ));
        self.svg
    }
}

/// Latency by percentile; each further nine has the same room.
pub(super) fn percentiles(latency: &Percentiles) -> String {
    let mut canvas = Canvas::new(220.0, "Latency by percentile");
    // No more nines than there are measurements for.
    let nines = (latency.count as f64).log10().clamp(1.0, 5.0);
    let (low, high) = (latency.min_us.max(0.1), latency.max_us.max(1.0));
    let scale = Decades::around(low, high);
    for (us, label) in scale.labels() {
        canvas.level(scale.fraction(us), &label);
    }
    let marks = [
        (0.0, "0 %"),
        (0.5, "50 %"),
        (0.9, "90 %"),
        (0.99, "99 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
    ];
    let across = |quantile: f64| -(1.0 - quantile).max(1e-9).log10() / nines;
    for (quantile, label) in marks {
        if across(quantile) <= 1.0 {
            canvas.mark(across(quantile), label);
        }
    }
    let points: Vec<(f64, f64)> = latency
        .curve
        .iter()
        .map(|(quantile, us)| (across(*quantile), scale.fraction(*us)))
        .filter(|(x, _)| *x <= 1.0)
        .collect();
    canvas.line(&points);
    canvas.end()
}

/// Latency over time: a column per slot of time, a row per band of latency, stronger where more messages took that long.
pub(super) fn heat(timeline: &Timeline) -> String {
    let slots = timeline.slots();
    let columns = &timeline.heat[..slots];
    let used = |band: &usize| columns.iter().any(|bands| bands[*band] > 0);
    let first = (0..BANDS).find(used).unwrap_or(0);
    let last = (0..BANDS).rev().find(used).unwrap_or(first);
    let rows = last - first + 1;
    let mut canvas = Canvas::new(
        TOP + BOTTOM + (rows as f64 * 9.0).clamp(80.0, 320.0),
        "Latency over time",
    );
    let most = columns.iter().flatten().copied().max().unwrap_or(1).max(2);
    let mut shades = vec![String::new(); SHADES];
    let (width, height) = (
        (WIDTH - LEFT - RIGHT) / slots as f64,
        (canvas.height - TOP - BOTTOM) / rows as f64,
    );
    for (column, bands) in columns.iter().enumerate() {
        for (row, count) in bands[first..=last].iter().enumerate() {
            let Some(shade) = shade(*count, most) else { continue };
            let x = canvas.x(column as f64 / slots as f64);
            let y = canvas.y((row + 1) as f64 / rows as f64);
            let _ = write!(shades[shade], "M{x:.1} {y:.1}h{width:.2}v{height:.2}h-{width:.2}z");
        }
    }
    for (shade, path) in shades.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let opacity = (shade + 1) as f64 / SHADES as f64;
        canvas.add(format_args!(
            "<path class=\"heat\" fill-opacity=\"{opacity:.3}\" d=\"{path}\"/>"
        ));
    }
    // A label every so many bands, where they begin.
    let step = rows.div_ceil(8).max(1);
    for band in (first..=last).step_by(step) {
        let label = time(band_start_ns(band) as f64 / 1e3);
        canvas.level((band - first) as f64 / rows as f64, &label);
    }
    seconds(&mut canvas, timeline);
    canvas.end()
}

/// How dark a count is; rare ones still show.
fn shade(count: u32, most: u32) -> Option<usize> {
    if count == 0 {
        return None;
    }
    let fraction = f64::from(count).ln() / f64::from(most).ln();
    Some(((fraction * SHADES as f64) as usize).min(SHADES - 1))
}

/// Arrivals per second over time.
pub(super) fn throughput(timeline: &Timeline) -> String {
    let slots = timeline.slots();
    let mut canvas = Canvas::new(150.0, "Throughput over time");
    let rates: Vec<f64> = timeline.arrivals[..slots]
        .iter()
        .map(|count| *count as f64 / timeline.slot_seconds())
        .collect();
    let most = rates.iter().copied().fold(0.0, f64::max).max(1.0);
    let step = nice(most / 3.0);
    let ceiling = (most / step).ceil() * step;
    for level in 0..=(ceiling / step) as usize {
        let rate = level as f64 * step;
        canvas.level(rate / ceiling, &amount(rate));
    }
    seconds(&mut canvas, timeline);
    let points: Vec<(f64, f64)> = (0_u32..)
        .zip(&rates)
        .flat_map(|(slot, rate)| [slot, slot + 1].map(|edge| (f64::from(edge) / slots as f64, rate / ceiling)))
        .collect();
    let outline: String = points
        .iter()
        .map(|(x, y)| format!("L{:.1} {:.1}", canvas.x(*x), canvas.y(*y)))
        .collect();
    let (left, bottom, right) = (canvas.x(0.0), canvas.y(0.0), canvas.x(1.0));
    canvas.add(format_args!(
        "<path class=\"area\" d=\"M{left:.1} {bottom:.1}{outline}L{right:.1} {bottom:.1}z\"/>"
    ));
    canvas.line(&points);
    canvas.end()
}

/// The horizontal axis of time.
fn seconds(canvas: &mut Canvas, timeline: &Timeline) {
    let all = timeline.slots() as f64 * timeline.slot_seconds();
    let step = nice(all / 8.0);
    let digits = if step < 1.0 { 1 } else { 0 };
    let mut at = 0.0;
    while at <= all * 1.000_001 {
        canvas.mark(at / all, &format!("{at:.digits$} s"));
        at += step;
    }
}

/// 1, 2 or 5 times a power of ten, at least so large.
fn nice(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| *step >= least * 0.999)
        .unwrap_or(10.0 * power)
}

/// A logarithmic scale of whole decades.
struct Decades {
    first: i32,
    last: i32,
}

impl Decades {
    fn around(low: f64, high: f64) -> Self {
        let first = low.log10().floor() as i32;
        Self {
            first,
            last: (high.log10().ceil() as i32).max(first + 1),
        }
    }

    fn fraction(&self, us: f64) -> f64 {
        (us.max(1e-3).log10() - f64::from(self.first)) / f64::from(self.last - self.first)
    }

    fn labels(&self) -> impl Iterator<Item = (f64, String)> {
        (self.first..=self.last).map(|power| {
            let us = 10_f64.powi(power);
            let label = match power {
                ..0 => format!("{us} µs"),
                0..3 => format!("{us:.0} µs"),
                3..6 => format!("{:.0} ms", us / 1e3),
                _ => format!("{:.0} s", us / 1e6),
            };
            (us, label)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Decades, heat, nice, shade, throughput};
    use crate::measure::timeline::Timeline;

    #[test]
    fn steps_are_ones_a_person_would_choose() {
        for (least, step) in [(0.13, 0.2), (1.0, 1.0), (3.0, 5.0), (70.0, 100.0), (1_100.0, 2_000.0)] {
            assert!((nice(least) - step).abs() < step / 1e6, "{least}");
        }
    }

    #[test]
    fn one_slow_message_among_a_million_still_shows() {
        assert_eq!(
            (shade(0, 1_000_000), shade(1, 1_000_000), shade(1_000_000, 1_000_000)),
            (None, Some(0), Some(7))
        );
    }

    #[test]
    fn a_scale_has_both_ends_inside() {
        let scale = Decades::around(33.0, 4_200.0);
        assert!(scale.fraction(33.0) >= 0.0 && scale.fraction(4_200.0) <= 1.0);
        let labels: Vec<String> = scale.labels().map(|(_, label)| label).collect();
        assert_eq!(labels, ["10 µs", "100 µs", "1 ms", "10 ms"]);
    }

    #[test]
    fn pictures_of_nothing_and_of_something_have_no_numbers_that_are_none() {
        let mut line = Timeline::new(Some(2_000_000_000));
        for full in [false, true] {
            if full {
                line.begin(0);
                (0..2_000).for_each(|at| line.record(at * 1_000_000, at * 1_000_000 + 50_000 + at * at));
            }
            for picture in [heat(&line), throughput(&line)] {
                assert!(picture.starts_with("<svg") && picture.ends_with("</svg>"));
                assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
            }
        }
    }
}
