//! Which cores there are, and pinning a thread to one.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores this process may use, in order. Never empty.
#[must_use]
pub fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(None).map(|set| (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect());
    match allowed {
        Ok::<Vec<usize>, _>(cores) if !cores.is_empty() => cores,
        _ => vec![0],
    }
}

/// Keeps the calling thread on a core, so that its caches stay its own. Refused in some containers, where it is no
/// error: the thread then goes where the scheduler puts it.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        tracing::warn!(core, %error, "this thread cannot be pinned to its core");
    }
}
