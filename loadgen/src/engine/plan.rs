//! What a run is made of, before anything is opened.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use commucat_client::{Entropy, OsEntropy};

use crate::cli::Offer;
use crate::error::LoadError;
use crate::limits::{BUSY_READ, FLIGHT_BYTES, INCOMING, READ_MEMORY, SESSIONS, SMALL_READ};
use crate::machine::cores::Cores;
use crate::machine::sources::Sources;

/// Who takes part. What is zero is not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    /// Pairs of devices; one talks to the other, or both do.
    pub(crate) pairs: u32,
    pub(crate) both: bool,
    /// Recipients of one sender.
    pub(crate) recipients: u32,
    /// Groups, each of so many members, of whom so many talk.
    pub(crate) groups: u32,
    pub(crate) members: u32,
    pub(crate) speakers: u32,
    /// Calls of two, each of which lasts so long and is then made again.
    pub(crate) calls: u32,
    pub(crate) voice: usize,
    pub(crate) call: Duration,
    /// Sessions that say nothing.
    pub(crate) idle: u32,
    /// Newcomers at once, who connect, are accepted, and leave; so many a second, or as fast as it goes.
    pub(crate) lanes: u32,
    pub(crate) newcomers: Option<f64>,
    /// Each is a device that the relay has never seen.
    pub(crate) unknown: bool,
}

impl Crowd {
    /// Sessions open at once.
    pub(crate) fn sessions(&self) -> u64 {
        let groups = u64::from(self.groups) * u64::from(self.members);
        2 * u64::from(self.pairs) + self.fan() + groups + 2 * u64::from(self.calls) + self.idle_and_lanes()
    }

    /// Pairs, recipients, groups, calls and idle sessions: what is waited for before traffic begins.
    pub(crate) fn units(&self) -> u64 {
        u64::from(self.pairs) + self.fan() + u64::from(self.groups) + u64::from(self.calls) + u64::from(self.idle)
    }

    /// Senders of messages.
    pub(crate) fn flows(&self) -> u64 {
        let pairs = u64::from(self.pairs) * if self.both { 2 } else { 1 };
        let groups = u64::from(self.groups) * u64::from(self.speakers);
        pairs + groups + u64::from(self.recipients > 0)
    }

    /// Refuses what no machine holds.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let sessions = self.sessions();
        if sessions > SESSIONS {
            return Err(LoadError::Argument(format!(
                "{sessions} sessions are more than the {SESSIONS} of one load generator; run several"
            )));
        }
        let heard = u64::from(self.groups) * u64::from(self.members) * u64::from(self.speakers);
        if heard > INCOMING {
            return Err(LoadError::Argument(format!(
                "members times speakers of all groups are {heard}, and the books hold {INCOMING}: lower --speakers"
            )));
        }
        Ok(())
    }

    fn fan(&self) -> u64 {
        if self.recipients > 0 {
            u64::from(self.recipients) + 1
        } else {
            0
        }
    }

    fn idle_and_lanes(&self) -> u64 {
        u64::from(self.idle) + u64::from(self.lanes)
    }
}

/// Everything a thread has to know.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Distinguishes this run's devices and messages from every other run's.
    pub(crate) run: u64,
    pub(crate) threads: usize,
    /// Each thread stays on one of these.
    pub(crate) cores: Option<Cores>,
    pub(crate) sources: Sources,
    pub(crate) offer: Offer,
    /// Bytes of a message.
    pub(crate) payload: usize,
    /// Messages outstanding for each recipient (closed loop).
    pub(crate) window: u32,
    /// Messages a second of all senders together (open loop).
    pub(crate) rate: Option<f64>,
    pub(crate) crowd: Crowd,
    /// How long is measured, when that is known.
    pub(crate) length: Option<Duration>,
    /// What all recipients of the one sender have received, on whatever thread.
    pub(crate) fan_arrived: Arc<AtomicU64>,
}

impl Plan {
    /// Which of `units` are thread `index`'s.
    pub(crate) fn share(&self, units: u32, index: usize) -> Range<u32> {
        let bound = |index: usize| (u64::from(units) * index as u64 / self.threads.max(1) as u64) as u32;
        bound(index)..bound(index + 1)
    }

    /// What a busy session reads at once.
    pub(crate) fn read(&self) -> usize {
        let sessions = usize::try_from(self.crowd.sessions()).unwrap_or(usize::MAX);
        (READ_MEMORY / sessions.max(1)).clamp(SMALL_READ, BUSY_READ)
    }

    /// The window of a sender whose recipients hear `senders` of them: bounded in bytes, too.
    pub(crate) fn window(&self, senders: u32) -> u64 {
        let fits = FLIGHT_BYTES / self.payload.max(1) / (senders.max(1) as usize);
        u64::from(self.window).min(fits.max(1) as u64)
    }

    /// The measured time in nanoseconds.
    pub(crate) fn length_ns(&self) -> Option<u64> {
        self.length
            .map(|length| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A number nobody else has.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::Crowd;

    #[test]
    fn sessions_units_and_senders_are_counted() {
        let crowd = Crowd {
            pairs: 10,
            both: true,
            recipients: 5,
            groups: 2,
            members: 4,
            speakers: 3,
            calls: 1,
            idle: 7,
            lanes: 2,
            ..Crowd::default()
        };
        assert_eq!(crowd.sessions(), 20 + 6 + 8 + 2 + 7 + 2);
        assert_eq!(crowd.units(), 10 + 6 + 2 + 1 + 7);
        assert_eq!(crowd.flows(), 20 + 6 + 1);
        assert!(crowd.check().is_ok());
    }

    #[test]
    fn what_no_machine_holds_is_refused() {
        let sessions = Crowd {
            idle: 2_000_000,
            ..Crowd::default()
        };
        assert!(sessions.check().is_err());
        let books = Crowd {
            groups: 1,
            members: 100_000,
            speakers: 100_000,
            ..Crowd::default()
        };
        let error = books.check().expect_err("ten milliards").to_string();
        assert!(error.contains("--speakers"), "{error}");
    }
}
