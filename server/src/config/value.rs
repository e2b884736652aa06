//! The kinds of values a setting can have: how each is read from text, what is allowed, how it is written back.
//!
//! Invariant: what [`Kind::parse`] accepts, [`Kind::write`] writes so that it parses to the same value again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a setting may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number in a range.
    Count {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// Bytes, as a number or with KiB, MiB, GiB.
    Size {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// A duration with its unit.
    Time {
        /// Shortest allowed.
        min: Duration,
        /// Longest allowed.
        max: Duration,
    },
    /// ADDRESS:PORT.
    Address,
    /// ADDRESS:PORT, or not set.
    OptionalAddress,
    /// A file or folder.
    Path,
    /// A file, or not set.
    OptionalPath,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// Text that passes a check.
    Text {
        /// The check in words.
        allowed: &'static str,
        /// The check.
        check: fn(&str) -> bool,
    },
}

/// A value that passed its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of a switch.
    Switch(bool),
    /// Of a count or a size.
    Number(u64),
    /// Of a time.
    Time(Duration),
    /// Of an address.
    Address(Option<SocketAddr>),
    /// Of a path.
    Path(Option<PathBuf>),
    /// Of a choice or a text.
    Text(String),
}

const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const TIMES: [(&str, u64); 5] = [
    ("ms", 1),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
];

impl Kind {
    /// Reads a value; nothing when the text is not allowed.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Value> {
        let text = text.trim();
        match self {
            Self::Switch => text.parse().ok().map(Value::Switch),
            Self::Count { min, max } => number(text).filter(|n| (min..=max).contains(n)).map(Value::Number),
            Self::Size { min, max } => size(text).filter(|n| (min..=max).contains(n)).map(Value::Number),
            Self::Time { min, max } => time(text).filter(|t| (min..=max).contains(t)).map(Value::Time),
            Self::Address => text.parse().ok().map(|address| Value::Address(Some(address))),
            Self::OptionalAddress if text.is_empty() => Some(Value::Address(None)),
            Self::OptionalAddress => Self::Address.parse(text),
            Self::Path if text.is_empty() => None,
            Self::OptionalPath if text.is_empty() => Some(Value::Path(None)),
            Self::Path | Self::OptionalPath => Some(Value::Path(Some(PathBuf::from(text)))),
            Self::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Text { check, .. } => check(text).then(|| Value::Text(text.to_owned())),
        }
    }

    /// Whether a TOML file may give this kind of setting as that type of value.
    #[must_use]
    pub fn takes(self, value: &toml::Value) -> bool {
        match value {
            toml::Value::String(_) => !matches!(self, Self::Switch | Self::Count { .. }),
            toml::Value::Integer(_) => matches!(self, Self::Count { .. } | Self::Size { .. }),
            toml::Value::Boolean(_) => matches!(self, Self::Switch),
            _ => false,
        }
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Switch => "true or false".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Size { min, max } => {
                format!(
                    "bytes, or a number with KiB, MiB or GiB, from {} to {}",
                    write_size(min),
                    write_size(max)
                )
            }
            Self::Time { min, max } => {
                format!(
                    "a duration with ms, s, m, h or d, from {} to {}",
                    write_time(min),
                    write_time(max)
                )
            }
            Self::Address => "ADDRESS:PORT, like 127.0.0.1:8443 or [::]:8443".to_owned(),
            Self::OptionalAddress => "ADDRESS:PORT, like 127.0.0.1:8080; empty for none".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::OptionalPath => "a path; empty for none".to_owned(),
            Self::Choice(words) => words.join(" or "),
            Self::Text { allowed, .. } => allowed.to_owned(),
        }
    }

    /// What stands for the value in `--help`.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Switch => "BOOL",
            Self::Count { .. } => "N",
            Self::Size { .. } => "BYTES",
            Self::Time { .. } => "TIME",
            Self::Address | Self::OptionalAddress => "ADDR:PORT",
            Self::Path | Self::OptionalPath => "PATH",
            Self::Choice(_) => "WORD",
            Self::Text { .. } => "NAME",
        }
    }

    /// The value as text that `parse` takes.
    #[must_use]
    pub fn write(self, value: &Value) -> String {
        match (self, value) {
            (Self::Size { .. }, Value::Number(n)) => write_size(*n),
            (_, Value::Number(n)) => n.to_string(),
            (_, Value::Switch(on)) => on.to_string(),
            (_, Value::Time(time)) => write_time(*time),
            (_, Value::Address(address)) => address.map(|address| address.to_string()).unwrap_or_default(),
            (_, Value::Path(path)) => path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            (_, Value::Text(text)) => text.clone(),
        }
    }

    /// The value as TOML.
    #[must_use]
    pub fn write_toml(self, value: &Value) -> String {
        match value {
            Value::Switch(_) => self.write(value),
            Value::Number(_) if matches!(self, Self::Count { .. }) => self.write(value),
            _ => toml::Value::String(self.write(value)).to_string(),
        }
    }
}

/// Digits, with `_` between them as in TOML.
fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn size(text: &str) -> Option<u64> {
    for (unit, bytes) in SIZES {
        if let Some(count) = text.strip_suffix(unit) {
            return number(count.trim_end())?.checked_mul(bytes);
        }
    }
    number(text)
}

/// A duration as people write it: a number with ms, s, m, h or d.
#[must_use]
pub fn time(text: &str) -> Option<Duration> {
    for (unit, millis) in TIMES {
        if let Some(count) = text.strip_suffix(unit) {
            return number(count.trim_end())?.checked_mul(millis).map(Duration::from_millis);
        }
    }
    None
}

fn write_size(bytes: u64) -> String {
    match SIZES.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => bytes.to_string(),
    }
}

fn write_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Days are read and not written: "24h" is what people say.
    let (name, unit) = ["h", "m", "s"]
        .iter()
        .filter_map(|name| TIMES.iter().find(|(unit, _)| unit == name))
        .find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit))
        .unwrap_or(&("ms", 1));
    format!("{}{name}", millis / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Kind = Kind::Size { min: 0, max: u64::MAX };
    const TIME: Kind = Kind::Time {
        min: Duration::ZERO,
        max: Duration::MAX,
    };

    #[test]
    fn sizes_take_units_and_are_written_in_the_largest_that_fits() {
        for (text, bytes, written) in [
            ("0", 0, "0"),
            ("1000", 1000, "1000"),
            ("64KiB", 65_536, "64 KiB"),
            ("64 KiB", 65_536, "64 KiB"),
            ("1_024 KiB", 1 << 20, "1 MiB"),
            ("2 GiB", 2 << 30, "2 GiB"),
        ] {
            assert_eq!(SIZE.parse(text), Some(Value::Number(bytes)), "{text}");
            assert_eq!(SIZE.write(&Value::Number(bytes)), written);
        }
        for text in ["", "KiB", "1 KB", "-1", "1.5 MiB", "99999999999 GiB"] {
            assert_eq!(SIZE.parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        for (text, millis, written) in [
            ("250ms", 250, "250ms"),
            ("30s", 30_000, "30s"),
            ("90 s", 90_000, "90s"),
            ("24h", 86_400_000, "24h"),
            ("1d", 86_400_000, "24h"),
            ("0s", 0, "0ms"),
        ] {
            let value = Value::Time(Duration::from_millis(millis));
            assert_eq!(TIME.parse(text), Some(value.clone()), "{text}");
            assert_eq!(TIME.write(&value), written);
        }
        for text in ["30", "s", "-1s", "1 week"] {
            assert_eq!(TIME.parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_range_is_kept() {
        let kind = Kind::Count { min: 1, max: 8 };
        assert_eq!(kind.parse("8"), Some(Value::Number(8)));
        assert_eq!(kind.parse("0"), None);
        assert_eq!(kind.parse("9"), None);
    }
}
