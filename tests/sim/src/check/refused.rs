//! A refusal is as true as a promise: `unknown` is nobody who has been here, and once everything has healed nothing is
//! refused for somebody who listens.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, SessionNo};

/// The checker.
#[derive(Default)]
pub(crate) struct Refused {
    /// Devices that had a ready session, and since when.
    founded: BTreeMap<DeviceNo, u64>,
    /// When each frame was said.
    said: BTreeMap<(SessionNo, u32), u64>,
    /// Devices that no hostile person has.
    honest: BTreeSet<DeviceNo>,
    healed_at: Option<u64>,
    /// Devices that are, or may be, revoked: they are unknown by right.
    revoked: BTreeSet<DeviceNo>,
}

impl Refused {
    fn refused(&self, device: DeviceNo, reason: &str, since: u64) -> Result<(), Violation> {
        if self.revoked.contains(&device) {
            return Ok(());
        }
        let known = self.founded.get(&device).is_some_and(|founded| *founded < since);
        if known && reason == "unknown" {
            return Err(Violation::new(
                "refused",
                format!("{device} is refused as unknown, and had been here before"),
            ));
        }
        let healed = self.healed_at.is_some_and(|healed| healed < since);
        // A queue and an inbox may both be too small for what everybody says at once; and where somebody of another
        // domain is refused as well, the reason is theirs.
        let excused = matches!(reason, "inbox full" | "federation unavailable" | "expired");
        if known && healed && !excused && self.honest.contains(&device) {
            let text = format!("a frame for {device} is refused ({reason}), and nothing fails any more");
            return Err(Violation::new("refused", text));
        }
        Ok(())
    }
}

impl Checker for Refused {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Dialled {
                device, hostile: false, ..
            } => {
                self.honest.insert(*device);
            }
            Fact::Said { key, sequence, .. } => {
                self.said.insert((key.session, *sequence), known.at);
            }
            Fact::Revoking { device } => {
                self.revoked.insert(*device);
            }
            Fact::Healed => self.healed_at = Some(known.at),
            Fact::Emitted { session, frame } => match &frame.body {
                Body::Ready => {
                    self.founded.entry(known.device(*session)).or_insert(known.at);
                }
                Body::Ack {
                    number,
                    rejected,
                    reason,
                } => {
                    let Some(since) = self.said.get(&(*session, *number)).copied() else {
                        return Ok(());
                    };
                    for device in rejected.iter().filter_map(|name| DeviceNo::from_name(name)) {
                        self.refused(device, reason, since)?;
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
