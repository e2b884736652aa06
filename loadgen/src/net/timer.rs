//! A timer that is as precise as the kernel's: the runtime's own wheel has ticks of a millisecond, and an open-loop sender
//! that leaves a millisecond late measures its own wheel.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use monoio::fs::File as RingFile;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::error::LoadError;

/// One timer, for one task.
#[derive(Debug)]
pub(crate) struct Timer {
    settings: OwnedFd,
    expiries: RingFile,
    buffer: Vec<u8>,
}

impl Timer {
    /// A timer that is not running.
    pub(crate) fn new() -> Result<Self, LoadError> {
        let io = |source: std::io::Error| LoadError::Io {
            doing: "make a timer",
            source,
        };
        let settings =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).map_err(|error| io(error.into()))?;
        let expiries = settings.try_clone().map_err(io)?;
        Ok(Self {
            settings,
            expiries: RingFile::from_std(File::from(expiries)).map_err(io)?,
            buffer: Vec::with_capacity(8),
        })
    }

    /// Lets so much time pass.
    pub(crate) async fn sleep(&mut self, time: Duration) -> Result<(), LoadError> {
        let failed = |source: std::io::Error| LoadError::Io {
            doing: "use a timer",
            source,
        };
        // Nothing at all would stop it.
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: value,
        };
        timerfd_settime(&self.settings, TimerfdTimerFlags::empty(), &once).map_err(|error| failed(error.into()))?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let (read, buffer) = self.expiries.read_at(buffer, 0).await;
        self.buffer = buffer;
        read.map(drop).map_err(failed)
    }
}
