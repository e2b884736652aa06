//! Text into markup, and numbers into text.

use std::fmt;

/// Text that can stand anywhere in the page, in attributes, too: whatever it holds, it is text.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Not allowed in a document, escaped or not.
                control if control.is_control() && !matches!(control, '\n' | '\t') => f.write_str("\u{fffd}")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// Microseconds as a person says them.
pub(super) fn time(us: f64) -> String {
    match us {
        0.0..100.0 => format!("{us:.1} µs"),
        100.0..1_000.0 => format!("{us:.0} µs"),
        1_000.0..100_000.0 => format!("{:.1} ms", us / 1e3),
        100_000.0..1_000_000.0 => format!("{:.0} ms", us / 1e3),
        _ => format!("{:.1} s", us / 1e6),
    }
}

/// A large number as a person says it.
pub(super) fn amount(number: f64) -> String {
    match number.abs() {
        0.0..10.0 => format!("{number:.1}"),
        10.0..10_000.0 => format!("{number:.0}"),
        10_000.0..1_000_000.0 => format!("{:.0} k", number / 1e3),
        _ => format!("{:.1} M", number / 1e6),
    }
}

/// An argument as it would be typed.
pub(super) fn quoted(argument: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,@%+".contains(character);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{Escaped, amount, quoted, time};

    #[test]
    fn whatever_is_written_stays_text() {
        let text = Escaped("<script>alert(\"&'\u{0}\")</script>").to_string();
        assert_eq!(
            text,
            "&lt;script&gt;alert(&quot;&amp;&#39;\u{fffd}&quot;)&lt;/script&gt;"
        );
    }

    #[test]
    fn numbers_are_said_in_their_own_size() {
        let times = [0.5, 312.0, 3_512.0, 250_000.0, 61_000_000.0].map(time);
        assert_eq!(times, ["0.5 µs", "312 µs", "3.5 ms", "250 ms", "61.0 s"]);
        assert_eq!(
            [9.0, 1_234.0, 56_700.0, 7.89e6].map(amount),
            ["9.0", "1234", "57 k", "7.9 M"]
        );
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("--rate"), "--rate");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
