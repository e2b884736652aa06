//! One session per device: once a later connection of a device was given a frame, no earlier one is given another.

use std::collections::BTreeMap;

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, SessionNo};

/// The checker.
#[derive(Default)]
pub(crate) struct Sessions {
    /// The connection that was given the last frame, and those that were before it.
    current: BTreeMap<DeviceNo, SessionNo>,
    over: BTreeMap<SessionNo, SessionNo>,
    /// Connections the relay has called ready and not yet ended.
    live: BTreeMap<SessionNo, DeviceNo>,
}

impl Sessions {
    fn given(&mut self, device: DeviceNo, session: SessionNo) -> Result<(), Violation> {
        if let Some(successor) = self.over.get(&session) {
            let text = format!("{session} of {device} was given a frame after {successor} had been");
            return Err(Violation::new("sessions", text));
        }
        if let Some(before) = self.current.insert(device, session)
            && before != session
        {
            self.over.insert(before, session);
        }
        Ok(())
    }
}

impl Checker for Sessions {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Emitted { session, frame } => match frame.body {
                // The rest of a frame that was begun must follow, whatever has happened since.
                Body::Marked { .. } if frame.continued => {}
                Body::Marked { .. } => self.given(known.device(*session), *session)?,
                Body::Ready => {
                    self.live.insert(*session, known.device(*session));
                }
                Body::Error { .. } => {
                    self.live.remove(session);
                }
                _ => {}
            },
            Fact::Closed { session } => {
                self.live.remove(session);
            }
            Fact::Crashed | Fact::Stopped => self.live.clear(),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _known: &Known) -> Result<(), Violation> {
        let mut seen = BTreeMap::new();
        for (session, device) in &self.live {
            if let Some(other) = seen.insert(device, session) {
                let text = format!("{other} and {session} of {device} are both live when nothing moves any more");
                return Err(Violation::new("sessions", text));
            }
        }
        Ok(())
    }
}
