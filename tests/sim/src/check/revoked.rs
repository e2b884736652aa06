//! Revoked means out: once a revocation has been answered, no session of the device becomes ready, and none is given a frame.

use std::collections::BTreeSet;

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::DeviceNo;

/// The checker.
#[derive(Default)]
pub(crate) struct Revoked {
    out: BTreeSet<DeviceNo>,
}

impl Checker for Revoked {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Revoked { device } => {
                self.out.insert(*device);
            }
            Fact::Emitted { session, frame } => {
                let device = known.device(*session);
                let given = match frame.body {
                    Body::Ready => true,
                    // The rest of a frame that was begun must follow.
                    Body::Marked { .. } => !frame.continued,
                    _ => false,
                };
                if given && self.out.contains(&device) {
                    let text = format!("{session} of {device}, which is revoked, is given {:?}", frame.body);
                    return Err(Violation::new("revoked", text));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
