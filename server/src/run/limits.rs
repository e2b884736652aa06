//! What the host lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Raises RLIMIT_NOFILE as far as it goes, since the kernel measures each ring's table of connections against it, and
/// says how many connections a shard can have of those that were asked for.
pub(super) fn connections(wanted: u32, shards: u16) -> u32 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let granted = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(_) => limit.current.unwrap_or(u64::MAX),
    };
    let connections = wanted.min(u32::try_from(granted).unwrap_or(u32::MAX));
    if connections < wanted {
        warn!(
            wanted,
            connections,
            shards,
            "fewer connections per shard than configured: RLIMIT_NOFILE is in the way (systemd: LimitNOFILE)"
        );
    }
    connections
}
