//! What a process holds, as the kernel counts it.

use std::fs;

use crate::relay::Relay;

/// A MiB.
pub const MIB: u64 = 1 << 20;

/// How far a relay's resident memory has risen above where it stood at first, at its highest.
#[derive(Debug)]
pub struct Watermark {
    pid: u32,
    before: u64,
}

impl Watermark {
    /// From here on.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn set(relay: &Relay) -> Self {
        let pid = relay.pid();
        // 5: the peak starts anew from what is resident now (proc_pid_clear_refs(5)).
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        Self {
            pid,
            before: field(pid, "VmRSS"),
        }
    }

    /// The rise so far, in bytes.
    ///
    /// # Panics
    /// When the process is gone.
    #[must_use]
    pub fn rise(&self) -> u64 {
        field(self.pid, "VmHWM").saturating_sub(self.before)
    }

    /// Checks that the rise is below a bound.
    ///
    /// # Panics
    /// When it is not.
    pub fn below(&self, bound: u64, what: &str) {
        let rise = self.rise();
        println!("{what}: {} KiB above {} KiB", rise >> 10, self.before >> 10);
        assert!(rise < bound, "{what} made the relay grow by {} MiB", rise / MIB);
    }
}

/// What a process holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its proportional share of resident memory, in bytes.
    pub pss: u64,
    /// The part of it that no file stands behind.
    pub anonymous: u64,
    /// Its open descriptors.
    pub descriptors: usize,
}

impl Held {
    /// Now.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn by(relay: &Relay) -> Self {
        let pid = relay.pid();
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        Self {
            pss: kib(&rollup, "Pss:"),
            anonymous: kib(&rollup, "Anonymous:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        }
    }
}

fn field(pid: u32, name: &str) -> u64 {
    kib(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap(), name)
}

/// The bytes that a line `NAME … kB` tells.
fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    kib << 10
}
