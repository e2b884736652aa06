//! What the machine offers a ring, in words an operator can act on. For a `doctor` command; [`crate::Ring::new`] fails
//! with the same explanations.

use std::fs;

use crate::bufs::Bufs;
use crate::config::RingConfig;
use crate::error::SetupError;
use crate::limits;
use crate::setup;

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, slower or with less than configured.
    Weak,
    /// A ring cannot be set up.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found and, unless it is good, what to do.
    pub text: String,
}

/// Looks at everything a ring of this configuration needs. It opens one and closes it again, so it may run beside others.
#[must_use]
pub fn check(config: &RingConfig) -> Vec<Finding> {
    let mut findings = vec![finding("kernel", Verdict::Good, format!("Linux {}", release()))];
    findings.extend(config.validate().err().map(|error| missing("configuration", &error)));
    match setup::build(config.entries.clamp(1, limits::ENTRIES)) {
        Err(error) => findings.push(missing("io_uring", &error)),
        Ok(ring) => {
            findings.push(outcome(
                "io_uring",
                setup::check_features(&ring),
                "available, with every operation needed",
            ));
            let table = setup::register_table(&ring, config.connections);
            findings.push(outcome(
                "descriptors",
                table,
                "the table of connections fits RLIMIT_NOFILE",
            ));
            findings.push(buffers(&ring, config));
        }
    }
    findings.push(backlog());
    findings
}

fn finding(subject: &'static str, verdict: Verdict, text: impl Into<String>) -> Finding {
    Finding {
        subject,
        verdict,
        text: text.into(),
    }
}

fn missing(subject: &'static str, error: &SetupError) -> Finding {
    finding(subject, Verdict::Missing, error.to_string())
}

fn outcome(subject: &'static str, result: Result<(), SetupError>, good: &str) -> Finding {
    match result {
        Ok(()) => finding(subject, Verdict::Good, good),
        Err(error) => missing(subject, &error),
    }
}

fn buffers(ring: &io_uring::IoUring, config: &RingConfig) -> Finding {
    let subject = "receive buffers";
    if config.validate().is_err() {
        return finding(subject, Verdict::Weak, "not tried: the configuration is out of range");
    }
    match Bufs::register(ring, config) {
        Err(error) => missing(subject, &error),
        Ok(bufs) => {
            // The registration ends before the memory does.
            let ended = ring.submitter().unregister_buf_ring(crate::bufs::GROUP);
            let incremental = bufs.incremental();
            match (ended, incremental) {
                (Err(error), _) => {
                    std::mem::forget(bufs);
                    missing(subject, &SetupError::io("unregistering the buffer ring")(error))
                }
                (Ok(()), true) => finding(subject, Verdict::Good, "consumed incrementally"),
                (Ok(()), false) if config.incremental => finding(
                    subject,
                    Verdict::Weak,
                    "this kernel gives every receive a whole buffer; Linux 6.12 shares them, for the same memory and less time",
                ),
                (Ok(()), false) => finding(subject, Verdict::Good, "one per receive, as configured"),
            }
        }
    }
}

fn backlog() -> Finding {
    let subject = "listen backlog";
    let wanted = limits::BACKLOG;
    match read_number::<i64>("/proc/sys/net/core/somaxconn") {
        Some(allowed) if allowed < i64::from(wanted) => finding(
            subject,
            Verdict::Weak,
            format!("net.core.somaxconn is {allowed}: bursts of connections are cut short; set it to {wanted} or more"),
        ),
        _ => finding(subject, Verdict::Good, format!("{wanted} connections may wait")),
    }
}

fn read_number<T: std::str::FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// kernel.io_uring_disabled, where the kernel has it (6.6).
pub(crate) fn disabled() -> Option<u8> {
    read_number("/proc/sys/kernel/io_uring_disabled")
}

/// The running kernel's version.
pub(crate) fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| "(unknown)".into(), |text| text.trim().to_owned())
}

/// A soft resource limit of this process.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live rlimit, which the call fills or leaves alone.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    limit.rlim_cur
}
