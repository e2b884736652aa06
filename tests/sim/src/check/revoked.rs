//! Revoked means out: once a revocation has been answered, no session of the device is given a frame, none that dials
//! becomes ready, and none that was ready is still there when nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, SessionNo};

/// The checker.
#[derive(Default)]
pub(crate) struct Revoked {
    out: BTreeSet<DeviceNo>,
    /// Connections that dialled when their device was out already.
    late: BTreeSet<SessionNo>,
    /// Connections that were called ready and have not ended.
    ready: BTreeMap<SessionNo, DeviceNo>,
}

impl Revoked {
    fn emitted(&mut self, session: SessionNo, device: DeviceNo, body: &Body, continued: bool) -> Result<(), Violation> {
        let given = match body {
            Body::Ready => {
                self.ready.insert(session, device);
                // What was ready before may have to wait for the wire; its ERROR follows.
                self.late.contains(&session)
            }
            Body::Error { .. } => {
                self.ready.remove(&session);
                false
            }
            // The rest of a frame that was begun must follow.
            Body::Marked { .. } => !continued && self.out.contains(&device),
            _ => false,
        };
        if given {
            let text = format!("{session} of {device}, which is revoked, is given {body:?}");
            return Err(Violation::new("revoked", text));
        }
        Ok(())
    }

    fn nobody_left(&self) -> Result<(), Violation> {
        match self.ready.iter().find(|(_, device)| self.out.contains(device)) {
            Some((session, device)) => {
                let text = format!("{session} of {device}, which is revoked, is still there");
                Err(Violation::new("revoked", text))
            }
            None => Ok(()),
        }
    }
}

impl Checker for Revoked {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Revoked { device } => {
                self.out.insert(*device);
            }
            Fact::Dialled { session, device, .. } if self.out.contains(device) => {
                self.late.insert(*session);
            }
            Fact::Emitted { session, frame } => {
                self.emitted(*session, known.device(*session), &frame.body, frame.continued)?;
            }
            Fact::Closed { session } => {
                self.ready.remove(session);
            }
            Fact::Crashed | Fact::Stopped => self.ready.clear(),
            Fact::Healed => self.nobody_left()?,
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _known: &Known) -> Result<(), Violation> {
        self.nobody_left()
    }
}
