//! Runs a program under callgrind and reads how many instructions each region took.
//!
//! The profile is callgrind's text with whole names: after a line `fn=NAME` come cost lines, whose last number is a
//! count of instructions; the line after `calls=` is the cost of what was called. So the lines of one function's blocks
//! add up to its inclusive cost.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::regions::Region;

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum CallgrindError {
    /// Not installed, or not executable.
    #[error("valgrind cannot be started ({0}); install it, e.g. `apt-get install valgrind`")]
    Start(std::io::Error),
    /// The program or valgrind ended badly.
    #[error("valgrind ended with {status}:\n{output}")]
    Ended {
        /// How.
        status: std::process::ExitStatus,
        /// What both said.
        output: String,
    },
    /// Its profile.
    #[error("{0}")]
    Profile(#[from] std::io::Error),
    /// A profile with a line that is none.
    #[error("not a cost line of callgrind's: {0}")]
    Line(String),
    /// The regions are not all there is in the profile: a region function was renamed, inlined or merged.
    #[error("the regions have {regions} instructions of {total} that were collected")]
    Leak {
        /// Those of all regions.
        regions: u64,
        /// All.
        total: u64,
    },
}

/// Instructions by region, zero left out.
pub type Counts = BTreeMap<Region, u64>;

/// Runs `program` with `arguments`, collecting in the regions only; the profile is left in `profile`.
///
/// # Errors
/// When valgrind is missing or the program fails.
pub fn run<A: AsRef<OsStr>>(program: &Path, arguments: &[A], profile: &Path) -> Result<Counts, CallgrindError> {
    let mut out_file = std::ffi::OsString::from("--callgrind-out-file=");
    out_file.push(profile);
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(out_file)
        .args(Region::ALL.map(|region| format!("--toggle-collect=*{}*", region.function())))
        .arg(program)
        .args(arguments)
        // Its size moves the stack, and with it what an aligned copy costs.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    let output = command.output().map_err(CallgrindError::Start)?;
    if !output.status.success() {
        return Err(CallgrindError::Ended {
            status: output.status,
            output: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        });
    }
    read(&std::fs::read_to_string(profile)?)
}

/// Reads a profile.
///
/// # Errors
/// When it is none, or has instructions outside the regions.
pub fn read(profile: &str) -> Result<Counts, CallgrindError> {
    let mut counts = Counts::new();
    let mut region = None;
    let mut total = 0;
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            region = Region::ALL.into_iter().find(|region| name.contains(region.function()));
        } else if let Some(sum) = line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")) {
            total = sum.trim().parse().map_err(|_| CallgrindError::Line(line.to_owned()))?;
        } else if is_cost(line)
            && let Some(region) = region
        {
            *counts.entry(region).or_default() += cost(line).ok_or_else(|| CallgrindError::Line(line.to_owned()))?;
        }
    }
    let regions = counts.values().sum();
    if regions != total {
        return Err(CallgrindError::Leak { regions, total });
    }
    Ok(counts)
}

/// One function's share of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its name.
    pub function: String,
    /// Instructions of its own, what was inlined into it included.
    pub own: u64,
    /// With everything it called.
    pub inclusive: u64,
}

/// All functions of a profile, the most expensive first.
#[must_use]
pub fn shares(profile: &str) -> Vec<Share> {
    let mut costs: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut function = "";
    let mut called = false;
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            called = true;
        } else if is_cost(line)
            && let Some(cost) = cost(line)
        {
            let (own, inclusive) = costs.entry(function).or_default();
            *own += if called { 0 } else { cost };
            *inclusive += cost;
            called = false;
        }
    }
    let share = |(function, (own, inclusive)): (&str, (u64, u64))| Share {
        function: function.to_owned(),
        own,
        inclusive,
    };
    let mut shares: Vec<Share> = costs.into_iter().map(share).collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.own));
    shares
}

/// Whether a line begins with a position, as cost lines do.
fn is_cost(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
}

/// Its last number.
fn cost(line: &str) -> Option<u64> {
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{CallgrindError, read, shares};
    use crate::regions::Region;

    const PROFILE: &str = "version: 1\nevents: Ir\n\nob=/x\nfl=a.rs\nfn=bench::regions::region_flush\n\
        10 7\ncfi=b.rs\ncfn=shard::flush\ncalls=3 90\n11 500\nfi=c.rs\n20 3\n\nfl=b.rs\nfn=shard::flush\n90 500\n\
        \nfl=a.rs\nfn=bench::regions::region_sent\n12 40\n\ntotals: 550\n";

    #[test]
    fn a_region_costs_what_it_does_and_what_it_calls() {
        let counts = read(PROFILE).expect("a profile");
        assert_eq!(counts[&Region::Flush], 510);
        assert_eq!(counts[&Region::Sent], 40);
        assert_eq!(counts.len(), 2);
    }

    #[test]
    fn a_share_is_what_a_function_did_itself_and_with_what_it_called() {
        let shares = shares(PROFILE);
        assert_eq!((shares[0].own, shares[0].inclusive), (500, 500));
        assert_eq!((shares[1].own, shares[1].inclusive), (40, 40));
        assert_eq!(shares[2].function, "bench::regions::region_flush");
        assert_eq!((shares[2].own, shares[2].inclusive), (10, 510));
    }

    #[test]
    fn instructions_outside_the_regions_are_an_error() {
        let leaking = PROFILE.replace("totals: 550", "totals: 551");
        assert!(matches!(
            read(&leaking),
            Err(CallgrindError::Leak {
                regions: 550,
                total: 551
            })
        ));
    }

    #[test]
    fn a_damaged_cost_line_is_an_error() {
        assert!(matches!(
            read(&PROFILE.replace("12 40", "12 4x")),
            Err(CallgrindError::Line(_))
        ));
    }
}
