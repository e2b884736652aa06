//! The checkers: one promise per file. Each hears every fact and says at once when its promise is broken.

mod absence;
mod bytes;
mod calls;
mod confirmed;
mod kept;
mod left;
mod order;
mod refused;
mod revoked;
mod roster;
mod sequences;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use commucat_shard::counters::Gauges;

use crate::dice::Rate;
use crate::fact::Fact;
use crate::ids::{DeviceNo, FrameKey, SessionNo};
use crate::weather::Weather;

/// A broken promise.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{checker}: {what}")]
pub struct Violation {
    /// Which promise.
    pub checker: &'static str,
    /// How it was broken.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(checker: &'static str, what: impl Into<String>) -> Self {
        Self {
            checker,
            what: what.into(),
        }
    }
}

/// Who dialled a session; all that checkers know of people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialler {
    pub(crate) device: DeviceNo,
    pub(crate) hostile: bool,
}

/// What every checker may look up.
#[derive(Default)]
pub(crate) struct Known {
    sessions: BTreeMap<SessionNo, Dialler>,
    /// Facts so far: the only time that checkers have.
    pub(crate) at: u64,
    /// Some session's queue has overflowed: what had left was stored as well, and may come again.
    pub(crate) overflowed: bool,
}

impl Known {
    pub(crate) fn device(&self, session: SessionNo) -> DeviceNo {
        self.dialler(session)
            .map_or(DeviceNo(u16::MAX), |dialler| dialler.device)
    }

    pub(crate) fn hostile(&self, session: SessionNo) -> bool {
        self.dialler(session).is_none_or(|dialler| dialler.hostile)
    }

    fn dialler(&self, session: SessionNo) -> Option<Dialler> {
        self.sessions.get(&session).copied()
    }
}

/// One promise.
pub(crate) trait Checker {
    /// Hears a fact.
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation>;

    /// Looks at the end, when everything has healed and nothing moves any more.
    fn finish(&mut self, _known: &Known) -> Result<(), Violation> {
        Ok(())
    }
}

/// All of them.
pub(crate) struct Checkers {
    known: Known,
    all: Vec<Box<dyn Checker>>,
    kept: kept::Kept,
    bytes: bytes::Bytes,
}

impl Checkers {
    pub(crate) fn new(weather: &Weather) -> Self {
        let frame = match weather.huge {
            Rate::NEVER => weather.payload,
            _ => weather.payload.max(weather.huge_len),
        };
        Self {
            known: Known::default(),
            all: vec![
                Box::new(roster::Roster::default()),
                Box::new(order::Order::default()),
                Box::new(left::Left::default()),
                Box::new(calls::Calls::default()),
                Box::new(refused::Refused::default()),
                Box::new(sequences::Sequences::default()),
                Box::new(sessions::Sessions::default()),
                Box::new(confirmed::Confirmed::new(weather)),
                Box::new(revoked::Revoked::default()),
            ],
            kept: kept::Kept::default(),
            bytes: bytes::Bytes::new(&weather.limits, frame, usize::from(weather.devices)),
        }
    }

    /// Every checker hears the fact.
    pub(crate) fn hear(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.known.at += 1;
        if let Fact::Dialled {
            session,
            device,
            hostile,
        } = fact
        {
            self.known.sessions.insert(
                *session,
                Dialler {
                    device: *device,
                    hostile: *hostile,
                },
            );
        }
        self.kept.hear(fact, &self.known)?;
        self.all
            .iter_mut()
            .try_for_each(|checker| checker.hear(fact, &self.known))
    }

    /// Whether the device was never sent a frame that lies in its inbox.
    pub(crate) fn unsent(&self, device: DeviceNo, key: FrameKey) -> bool {
        self.kept.unsent(device, key)
    }

    /// Whether the inboxes hold what was said to be in them.
    pub(crate) fn audit(&self, rows: &BTreeSet<(DeviceNo, FrameKey)>) -> Result<(), Violation> {
        self.kept.audit(rows)
    }

    /// After each turn of a shard.
    pub(crate) fn gauges(&mut self, shard: u16, gauges: &Gauges) -> Result<(), Violation> {
        self.bytes.look(shard, gauges)
    }

    /// How often sessions of a shard have overflowed.
    pub(crate) fn overflows(&mut self, count: u64) {
        self.known.overflowed |= count > 0;
    }

    /// At the end, with everybody gone.
    pub(crate) fn empty(&self, shard: u16, gauges: &Gauges) -> Result<(), Violation> {
        self.bytes.empty(shard, gauges)
    }

    /// At the end.
    pub(crate) fn finish(&mut self) -> Result<(), Violation> {
        self.kept.finish(&self.known)?;
        self.all.iter_mut().try_for_each(|checker| checker.finish(&self.known))
    }
}
