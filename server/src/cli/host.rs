//! The host's settings against `tuning/sysctl.conf`, the list that `tuning/apply` carries out: one finding per setting, so that
//! what the doctor calls weak is what `apply --dry-run` would set. And the memory that the kernel locks for rings.

use std::fs;
use std::path::Path;

use commucat_ring::probe::{Finding, Verdict};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// A file of sysctl.d(5), with a line `#: RULE` above each setting.
const LIST: &str = include_str!("../../../tuning/sysctl.conf");

/// What the kernel locks for the queues of one ring and charges to the relay's user; measured on Linux 6.18: 140 KiB.
const RING_MEMORY: u64 = 160 << 10;

/// What of the host's own value is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    AtLeast,
    AtMost,
    Exactly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    key: &'static str,
    rule: Rule,
    wanted: &'static str,
}

impl Setting {
    fn holds(self, now: &str) -> bool {
        let numbers = || Some((now.parse::<u64>().ok()?, self.wanted.parse::<u64>().ok()?));
        match self.rule {
            Rule::Exactly => now == self.wanted,
            Rule::AtLeast => numbers().is_some_and(|(now, wanted)| now >= wanted),
            Rule::AtMost => numbers().is_some_and(|(now, wanted)| now <= wanted),
        }
    }

    /// `net.core.somaxconn` lies in `net/core/somaxconn` of `folder`.
    fn look(self, folder: &Path) -> Finding {
        let (verdict, text) = match fs::read_to_string(folder.join(self.key.replace('.', "/"))) {
            Err(_) => (
                Verdict::Good,
                "not seen: this kernel does not have it, or shows it only on the host".to_owned(),
            ),
            Ok(text) => {
                let now = text.split_whitespace().collect::<Vec<_>>().join(" ");
                if self.holds(&now) {
                    (Verdict::Good, now)
                } else {
                    let text = format!("{now}, wanted is {}: run tuning/apply", self.wanted);
                    (Verdict::Weak, text)
                }
            }
        };
        Finding {
            subject: self.key,
            verdict,
            text,
        }
    }
}

/// Compares the running host with the list.
pub(super) fn settings() -> Vec<Finding> {
    let folder = Path::new("/proc/sys");
    list(LIST).into_iter().map(|setting| setting.look(folder)).collect()
}

/// A probe's one ring fits where those of all shards do not: the limit is over all of a user's rings.
pub(super) fn locked_memory(shards: u64) -> Finding {
    const SUBJECT: &str = "locked memory";
    let needed = shards.saturating_mul(RING_MEMORY);
    let unlimited =
        || capabilities(None).is_ok_and(|capabilities| capabilities.effective.contains(CapabilitySet::IPC_LOCK));
    let (verdict, text) = match getrlimit(Resource::Memlock).current {
        Some(limit) if limit < needed && !unlimited() => (
            Verdict::Missing,
            format!(
                "RLIMIT_MEMLOCK is {} KiB, the rings of {shards} shard(s) need {}: set LimitMEMLOCK in the unit",
                limit >> 10,
                needed >> 10
            ),
        ),
        _ => (
            Verdict::Good,
            format!("room for {} KiB, the rings of {shards} shard(s)", needed >> 10),
        ),
    };
    Finding {
        subject: SUBJECT,
        verdict,
        text,
    }
}

/// Settings without a rule are left out; a test sees to it that there are none.
fn list(text: &'static str) -> Vec<Setting> {
    let mut rule = None;
    let mut settings = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(word) = line.strip_prefix("#:") {
            rule = match word.trim() {
                "at-least" => Some(Rule::AtLeast),
                "at-most" => Some(Rule::AtMost),
                "exactly" => Some(Rule::Exactly),
                _ => None,
            };
        } else if let (Some((key, wanted)), false) = (line.split_once('='), line.starts_with('#')) {
            settings.extend(rule.take().map(|rule| Setting {
                key: key.trim(),
                rule,
                wanted: wanted.trim(),
            }));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(rule: Rule, wanted: &'static str) -> Setting {
        Setting {
            key: "net.core.somaxconn",
            rule,
            wanted,
        }
    }

    #[test]
    fn every_line_of_the_list_is_a_setting_with_a_rule() {
        let lines = LIST
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .count();
        assert!(lines > 5);
        let settings = list(LIST);
        assert_eq!(settings.len(), lines);
        for setting in settings {
            assert!(setting.holds(setting.wanted), "{setting:?}");
        }
    }

    #[test]
    fn a_host_may_have_more_than_the_least_and_less_than_the_most() {
        let least = setting(Rule::AtLeast, "4096");
        assert!(least.holds("65535") && !least.holds("128"));
        let most = setting(Rule::AtMost, "131072");
        assert!(most.holds("16384") && !most.holds("4294967295"));
        let word = setting(Rule::Exactly, "bbr");
        assert!(word.holds("bbr") && !word.holds("cubic"));
        assert!(!least.holds("many"), "what is no number is not enough");
    }

    #[test]
    fn a_setting_that_is_short_says_what_to_run_and_one_that_is_not_there_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let least = setting(Rule::AtLeast, "4096");
        assert_eq!(least.look(folder.path()).verdict, Verdict::Good);
        fs::create_dir_all(folder.path().join("net/core")).unwrap();
        fs::write(folder.path().join("net/core/somaxconn"), "128\n").unwrap();
        let finding = least.look(folder.path());
        assert_eq!(finding.verdict, Verdict::Weak);
        assert!(
            finding.text.contains("128") && finding.text.contains("tuning/apply"),
            "{finding:?}"
        );
        fs::write(folder.path().join("net/core/somaxconn"), "4096\n").unwrap();
        assert_eq!(least.look(folder.path()).verdict, Verdict::Good);
    }
}
