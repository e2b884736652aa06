//! A list of cores, as `taskset` writes one, and keeping a thread on them.

use std::fmt;
use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::LoadError;

/// Some cores, in the order in which they were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    /// Those that this process may use.
    pub(crate) fn allowed() -> Self {
        let set = sched_getaffinity(None);
        Self(set.map_or_else(
            |_| vec![0],
            |set| (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        ))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The core of thread `index`.
    pub(crate) fn of_thread(&self, index: usize) -> Option<usize> {
        self.0.get(index % self.0.len().max(1)).copied()
    }

    /// Refuses cores that this process may not use.
    pub(crate) fn check(&self, option: &str) -> Result<(), LoadError> {
        let allowed = Self::allowed();
        match self.0.iter().find(|core| !allowed.0.contains(core)) {
            None => Ok(()),
            Some(core) => Err(LoadError::Argument(format!(
                "{option}: this process may not use core {core}; it may use {allowed}"
            ))),
        }
    }

    /// Keeps the calling thread on these cores; what it starts inherits that.
    pub(crate) fn keep_to(&self) -> Result<(), LoadError> {
        let mut set = CpuSet::new();
        self.0.iter().for_each(|core| set.set(*core));
        sched_setaffinity(None, &set).map_err(|error| LoadError::Io {
            doing: "keep a thread on its cores",
            source: error.into(),
        })
    }

    /// Keeps the calling thread on one core.
    pub(crate) fn keep_to_one(core: usize) -> Result<(), LoadError> {
        Self(vec![core]).keep_to()
    }
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no list of cores: write 1 or 0,2 or 4-7");
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: usize = first.trim().parse().map_err(|_| wrong())?;
            let last: usize = last.trim().parse().map_err(|_| wrong())?;
            if first > last || last >= CpuSet::MAX_CPU {
                return Err(wrong());
            }
            cores.extend(first..=last);
        }
        let named = cores.len();
        let mut once = cores.clone();
        once.sort_unstable();
        once.dedup();
        if once.len() < named {
            return Err(format!("{text:?} names a core twice"));
        }
        Ok(Self(cores))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, core) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{core}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Cores;

    #[test]
    fn cores_are_named_one_by_one_and_from_to() {
        let cores: Cores = "3,0-2".parse().expect("cores");
        assert_eq!(cores.to_string(), "3,0,1,2");
        assert_eq!(
            (cores.len(), cores.of_thread(0), cores.of_thread(5)),
            (4, Some(3), Some(0))
        );
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "a", "1,", "3-1", "0-99999", "-1", "1,1", "0-3,2"] {
            assert!(text.parse::<Cores>().is_err(), "{text}");
        }
    }

    #[test]
    fn this_process_may_use_some_core_and_no_other_than_it_may() {
        let allowed = Cores::allowed();
        assert!(allowed.len() > 0 && allowed.check("--cores").is_ok());
        let other: Cores = "1000".parse().expect("a core");
        assert!(other.check("--cores").is_err());
    }
}
