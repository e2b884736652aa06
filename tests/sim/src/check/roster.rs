//! Nobody outside a sender's roster, as it was when the frame was sent, ever gets the frame, live or into an inbox; and
//! what arrives is what was sent: type, channel, every byte.

use std::collections::BTreeMap;

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact, WireFrame};
use crate::ids::{DeviceNo, FrameKey, SessionNo};

/// The checker.
#[derive(Default)]
pub(crate) struct Roster {
    /// To whom each frame goes.
    rosters: BTreeMap<FrameKey, Vec<DeviceNo>>,
    hostile_seen: bool,
}

impl Roster {
    fn member(&self, device: DeviceNo, key: FrameKey, known: &Known) -> Result<(), Violation> {
        let Some(roster) = self.rosters.get(&key) else {
            return Err(Violation::new(
                "roster",
                format!("{device} got {key}, which nobody sent"),
            ));
        };
        // What a hostile person says to the relay is not what it told us.
        if known.hostile(key.session) || roster.contains(&device) {
            return Ok(());
        }
        let text = format!(
            "{device} got {key} of {}, whose roster was {roster:?}",
            known.device(key.session)
        );
        Err(Violation::new("roster", text))
    }

    fn frame(&self, session: SessionNo, frame: &WireFrame, known: &Known) -> Result<(), Violation> {
        let Body::Marked { key, kind } = frame.body else {
            let opaque = frame.kind.is_opaque() && !self.hostile_seen;
            return if opaque {
                Err(Violation::new(
                    "roster",
                    format!("{session} got a {} that nobody sent", frame.kind.name()),
                ))
            } else {
                Ok(())
            };
        };
        self.member(known.device(session), key, known)?;
        if known.hostile(key.session) || (frame.kind == kind && frame.channel == key.channel) {
            return Ok(());
        }
        let text = format!(
            "{key} left as {} and arrived as {} on {}",
            kind.name(),
            frame.kind.name(),
            frame.channel
        );
        Err(Violation::new("roster", text))
    }
}

impl Checker for Roster {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Dialled { hostile: true, .. } => self.hostile_seen = true,
            Fact::Said { key, roster, .. } => {
                self.rosters.insert(*key, roster.to_vec());
            }
            Fact::Emitted { session, frame } => self.frame(*session, frame, known)?,
            Fact::Stored { device, key } => self.member(*device, *key, known)?,
            _ => {}
        }
        Ok(())
    }
}
