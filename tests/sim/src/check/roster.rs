//! Nobody outside a sender's roster, as it was when the frame was sent, ever gets the frame, live or into an inbox; and
//! what arrives is what was sent: type, channel, every byte. A group's roster is whoever somebody had asked into it when
//! the frame was acknowledged; and nobody else is let in. In an open channel is whoever had asked to be by then; and what
//! is said there is also for whoever had asked for a roster that names the speaker.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact, WireFrame};
use crate::ids::{DeviceNo, FrameKey, SessionNo};

/// The checker.
#[derive(Default)]
pub(crate) struct Roster {
    /// To whom each frame goes.
    rosters: BTreeMap<FrameKey, Vec<DeviceNo>>,
    /// The group that a frame goes to.
    groups: BTreeMap<FrameKey, u16>,
    /// Whom somebody has asked into a group, and when.
    asked: BTreeMap<(u16, DeviceNo), u64>,
    /// Frames to open channels.
    openly: BTreeSet<FrameKey>,
    /// Who has asked to be in the open channel of a number, and when.
    opened: BTreeMap<(u32, DeviceNo), u64>,
    /// Who has asked for a roster on a number that names a speaker, and when.
    names: BTreeMap<(u32, DeviceNo, DeviceNo), u64>,
    hostile: BTreeSet<DeviceNo>,
    /// Frames to groups and open channels that are not acknowledged, by session and sequence.
    unacked: BTreeMap<(SessionNo, u32), FrameKey>,
    acked: BTreeMap<FrameKey, u64>,
    /// JOINs of strangers.
    trespasses: BTreeMap<(SessionNo, u32), u16>,
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
        if known.hostile(key.session) || roster.contains(&device) || self.may_be_in(device, key, known) {
            return Ok(());
        }
        let text = format!(
            "{device} got {key} of {}, whose roster was {roster:?}",
            known.device(key.session)
        );
        Err(Violation::new("roster", text))
    }

    /// Whether the device may be in the group, or the open channel, that the frame went to.
    fn may_be_in(&self, device: DeviceNo, key: FrameKey, known: &Known) -> bool {
        if self.openly.contains(&key) {
            let speaker = known.device(key.session);
            let opened = self.opened.get(&(key.channel, device));
            let names = self.names.get(&(key.channel, device, speaker));
            let by = self.acked.get(&key).copied().unwrap_or(u64::MAX);
            let may = opened.into_iter().chain(names).any(|at| *at < by);
            return device != speaker && (may || self.hostile.contains(&device));
        }
        let asked = self
            .groups
            .get(&key)
            .and_then(|group| self.asked.get(&(*group, device)));
        let by = self.acked.get(&key).copied().unwrap_or(u64::MAX);
        device != known.device(key.session) && asked.is_some_and(|at| *at < by)
    }

    fn acknowledged(&mut self, session: SessionNo, number: u32, known: &Known) -> Result<(), Violation> {
        if let Some(key) = self.unacked.remove(&(session, number)) {
            self.acked.insert(key, known.at);
        }
        let device = known.device(session);
        match self.trespasses.remove(&(session, number)) {
            // What of a hostile person is acknowledged, it alone knows.
            Some(group) if !known.hostile(session) && !self.asked.contains_key(&(group, device)) => {
                Err(Violation::new(
                    "roster",
                    format!("{device} was let into group {group}, and nobody had asked it"),
                ))
            }
            _ => Ok(()),
        }
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
            Fact::Dialled {
                hostile: true, device, ..
            } => {
                self.hostile_seen = true;
                self.hostile.insert(*device);
            }
            Fact::Opened { device, channel } => {
                self.opened.entry((*channel, *device)).or_insert(known.at);
            }
            Fact::Naming {
                device,
                channel,
                speakers,
            } => {
                for speaker in *speakers {
                    let names = self.names.entry((*channel, *device, *speaker));
                    names.or_insert(known.at);
                }
            }
            Fact::Openly { key, .. } => {
                self.openly.insert(*key);
            }
            Fact::Said {
                key, roster, sequence, ..
            } => {
                self.rosters.insert(*key, roster.to_vec());
                if self.groups.contains_key(key) || self.openly.contains(key) {
                    self.unacked.insert((key.session, *sequence), *key);
                }
            }
            Fact::Addressed { key, group } => {
                self.groups.insert(*key, *group);
            }
            Fact::Gathering { group, devices } => {
                for device in *devices {
                    self.asked.entry((*group, *device)).or_insert(known.at);
                }
            }
            Fact::Trespassed {
                session,
                sequence,
                group,
                ..
            } => {
                self.trespasses.insert((*session, *sequence), *group);
            }
            Fact::Emitted { session, frame } => {
                if let Body::Ack { number, .. } = &frame.body {
                    self.acknowledged(*session, *number, known)?;
                }
                self.frame(*session, frame, known)?;
            }
            Fact::Stored { device, key } => self.member(*device, *key, known)?,
            _ => {}
        }
        Ok(())
    }
}
