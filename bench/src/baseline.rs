//! The committed instruction counts, and the judgement of new ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// A figure may grow by so many percent before it is a regression. Unchanged code gives unchanged counts; the same code
/// built elsewhere may be laid out a little differently.
pub const TOLERANCE_PERCENT: f64 = 3.0;

/// What one piece of work took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// All of them together.
    pub instructions: u64,
    /// How many frames that was for.
    pub frames: u64,
}

impl Figure {
    /// Instructions per frame.
    #[must_use]
    pub fn each(self) -> f64 {
        self.instructions as f64 / self.frames.max(1) as f64
    }
}

/// Figures by name.
pub type Figures = BTreeMap<String, Figure>;

/// The file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// The compiler it was made with.
    pub toolchain: String,
    /// What was counted.
    pub figures: Figures,
}

/// One figure, next to what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// To the instruction.
    Same,
    /// By so many percent, within the tolerance or an improvement.
    Moved(f64),
    /// By so many percent.
    Regressed(f64),
    /// The baseline has no such figure.
    New,
}

impl Verdict {
    /// Judges a figure.
    #[must_use]
    pub fn of(now: Figure, before: Option<Figure>) -> Self {
        let Some(before) = before else { return Self::New };
        if now == before {
            return Self::Same;
        }
        let percent = (now.each() / before.each() - 1.0) * 100.0;
        if percent > TOLERANCE_PERCENT {
            Self::Regressed(percent)
        } else {
            Self::Moved(percent)
        }
    }
}

/// The file as text.
///
/// # Errors
/// Never for figures with ordinary names.
pub fn write(baseline: &Baseline) -> Result<String, toml::ser::Error> {
    Ok(format!(
        "# Instructions by `cargo bench -p commucat-bench --bench instructions -- --save`; see RESULTS.md.\n\n{}",
        toml::to_string(baseline)?
    ))
}

/// Figures as a table, each next to what it was; and whether any has regressed.
#[must_use]
pub fn compare(now: &Figures, before: &Baseline) -> (String, bool) {
    let mut table = String::new();
    let mut bad = false;
    for (name, figure) in now {
        let verdict = Verdict::of(*figure, before.figures.get(name).copied());
        let says = match verdict {
            Verdict::Same => "=".to_owned(),
            Verdict::Moved(percent) => format!("{percent:+.2} %"),
            Verdict::Regressed(percent) => format!("{percent:+.2} %  REGRESSION"),
            Verdict::New => "new".to_owned(),
        };
        bad |= matches!(verdict, Verdict::Regressed(_));
        // Writing to a String cannot fail.
        let _ = writeln!(table, "{name:<24} {:>10.1}  {says}", figure.each());
    }
    (table, bad)
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Figure, Figures, Verdict, compare, write};

    const fn figure(instructions: u64) -> Figure {
        Figure {
            instructions,
            frames: 10,
        }
    }

    #[test]
    fn three_percent_more_is_borne_and_the_next_instruction_is_not() {
        let before = Some(figure(10_000));
        assert_eq!(Verdict::of(figure(10_000), before), Verdict::Same);
        assert!(matches!(Verdict::of(figure(10_299), before), Verdict::Moved(_)));
        assert!(matches!(Verdict::of(figure(10_301), before), Verdict::Regressed(_)));
        assert!(matches!(Verdict::of(figure(5_000), before), Verdict::Moved(_)));
        assert_eq!(Verdict::of(figure(1), None), Verdict::New);
    }

    #[test]
    fn what_is_written_is_read_again_and_compares_as_the_same() {
        let figures: Figures = [("h1/32/flush".to_owned(), figure(77))].into();
        let baseline = Baseline {
            toolchain: "rustc 1".to_owned(),
            figures: figures.clone(),
        };
        let read: Baseline = toml::from_str(&write(&baseline).expect("TOML")).expect("TOML");
        let (table, bad) = compare(&figures, &read);
        assert!(!bad && table.contains('='), "{table}");
        let (table, bad) = compare(&[("h1/32/flush".to_owned(), figure(80))].into(), &read);
        assert!(bad && table.contains("REGRESSION"), "{table}");
    }
}
