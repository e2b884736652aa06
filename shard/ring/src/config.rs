//! What the owner of a ring may choose.

use std::time::Duration;

use crate::error::SetupError;
use crate::limits;

/// Sizes and times of one ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Size of the direct descriptor table; connections beyond it wait in the listeners' backlogs. The kernel wants it
    /// at or below RLIMIT_NOFILE. Accepts that are outstanding reserve their place in it.
    pub connections: u32,
    /// Length of the submission queue, a power of two. When it is full the driver submits early; nothing is lost.
    pub entries: u32,
    /// Number of receive buffers, shared by all connections.
    pub buffers: u16,
    /// Length of each. `buffers * buffer_size` should fit the second-level cache.
    pub buffer_size: u32,
    /// Let many receives share one buffer, where the kernel can (6.12).
    pub incremental: bool,
    /// Accepts outstanding per listener: how many connections one turn can take from a backlog.
    pub accepts: u16,
    /// After a graceful close has sent its FIN: how long to discard what still arrives before the socket is closed.
    pub linger: Duration,
    /// How long a graceful close may wait for the send that was outstanding.
    pub flush: Duration,
}

impl Default for RingConfig {
    fn default() -> Self {
        RingConfig {
            connections: 16_384,
            entries: 1024,
            buffers: 16,
            buffer_size: 64 * 1024,
            incremental: true,
            accepts: 16,
            linger: Duration::from_secs(1),
            flush: Duration::from_secs(10),
        }
    }
}

impl RingConfig {
    pub(crate) fn validate(&self) -> Result<(), SetupError> {
        let within = |setting, value: u64, low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(SetupError::OutOfRange {
                    setting,
                    value,
                    low,
                    high,
                })
            }
        };
        within("connections", self.connections.into(), 1, limits::CONNECTIONS.into())?;
        within("entries", self.entries.into(), 1, limits::ENTRIES.into())?;
        within("buffers", self.buffers.into(), 1, limits::BUFFERS.into())?;
        within("buffer_size", self.buffer_size.into(), 64, 1 << 30)?;
        within("accepts", self.accepts.into(), 1, limits::ACCEPTS.into())
    }
}
