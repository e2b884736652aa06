//! Time comes in from outside: a shard reads no clock.

use std::ops::Add;
use std::time::Duration;

pub use commucat_storage::api::Wall;

/// Monotonic microseconds since the process (or the simulation) began. Deadlines are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now(pub u64);

impl Add<Duration> for Now {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// Both clocks at one moment: `now` orders and times, `wall` dates. The wall may step; `now` may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// For deadlines.
    pub now: Now,
    /// For dates that leave the process or survive it.
    pub wall: Wall,
}

impl Moment {
    /// When the wall will show that, if it does not step; now, when it has shown it.
    #[must_use]
    pub fn until(self, wall: Wall) -> Now {
        self.now + Duration::from_millis(wall.0.saturating_sub(self.wall.0))
    }
}
