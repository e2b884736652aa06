//! The limit on open files, looked at before the first connection instead of after the thousandth.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::error::LoadError;

/// What is open beside the sessions: rings, timers, the relay's log, standard streams; per thread and in all.
const PER_THREAD: u64 = 8;
const IN_ALL: u64 = 32;

/// Raises the limit as far as it goes, and refuses what it does not allow.
pub(crate) fn make_room_for(sessions: u64, threads: usize) -> Result<(), LoadError> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is forbidden the soft limit stands, and is what counts below.
    let _ = setrlimit(Resource::Nofile, limit);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match enough(sessions, threads, allowed) {
        Ok(()) => Ok(()),
        Err(needed) => Err(LoadError::Descriptors {
            sessions,
            needed,
            allowed,
        }),
    }
}

/// How many are needed, when so many are too few.
fn enough(sessions: u64, threads: usize, allowed: u64) -> Result<(), u64> {
    let needed = sessions
        .saturating_add(PER_THREAD.saturating_mul(threads as u64))
        .saturating_add(IN_ALL);
    if needed <= allowed { Ok(()) } else { Err(needed) }
}

#[cfg(test)]
mod tests {
    use super::enough;

    #[test]
    fn sessions_and_what_serves_them_have_to_fit() {
        assert_eq!(enough(900, 2, 1_024), Ok(()));
        assert_eq!(enough(1_000, 2, 1_024), Err(1_048));
        assert_eq!(enough(u64::MAX, 1, 1_024), Err(u64::MAX));
    }
}
