//! Both clocks, read once per turn; below this, time is an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use commucat_shard::clock::{Moment, Now, Wall};

/// The process's clocks. All shards share one beginning, so that their moments compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The monotonic clock alone.
    #[must_use]
    pub fn now(&self) -> Now {
        Now(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// What time it is.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment {
            now: self.now(),
            wall: Wall(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
