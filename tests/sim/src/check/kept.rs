//! Acknowledged means kept: an ACK says that every recipient has the frame in the queue of its live connection or in its
//! inbox. Checked when the ACK leaves (there was a live connection or a row), when a row is deleted (its frame was sent),
//! through a crash (rows stay), and at the end (everything acknowledged was sent or lies in an inbox).

use std::collections::{BTreeMap, BTreeSet};

use commucat_proto::FrameType;

use super::absence::Absences;
use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, FrameKey, SessionNo};

/// What became of a frame for one recipient.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// The kernel took it whole, or the client has it; with `delivery-ack` the client has acknowledged it.
    taken: bool,
    /// It was given to a client.
    given: bool,
    /// It lies in the inbox.
    row: bool,
    /// It lay there once.
    was_row: bool,
    /// It was too old in the inbox.
    lapsed: bool,
    /// It was promised to a live connection and the relay died.
    lost_with_relay: bool,
}

struct Sent {
    kind: FrameType,
    at: u64,
    roster: Vec<DeviceNo>,
    acked: bool,
    rejected: BTreeSet<DeviceNo>,
    fates: BTreeMap<DeviceNo, Fate>,
}

/// A connection as the checker sees it from outside.
#[derive(Clone, Copy)]
struct Live {
    device: DeviceNo,
    closed: Option<u64>,
}

/// The checker.
#[derive(Default)]
pub(crate) struct Kept {
    sent: BTreeMap<FrameKey, Sent>,
    by_sequence: BTreeMap<(SessionNo, u32), FrameKey>,
    /// Connections that have been answered with AUTH; from then on the relay may know them as live.
    live: BTreeMap<SessionNo, Live>,
    absences: Absences,
    /// Sessions whose clients acknowledge, and what they were given.
    acknowledging: BTreeSet<SessionNo>,
    numbers: BTreeMap<(SessionNo, u32), FrameKey>,
    /// What is owed to a session for being in an open channel, or for naming its speaker. What is not acknowledged yet
    /// when that ends is owed no more.
    open: BTreeMap<(SessionNo, u32), Vec<FrameKey>>,
    /// Of those to whom the next frame goes for that reason, the ones whose session may be over and who do not know yet.
    gone: BTreeSet<DeviceNo>,
    /// Sessions that the relay, or the client, has begun to end.
    ending: BTreeSet<SessionNo>,
    /// What sessions have asked of groups under these numbers, and not been answered.
    asking: BTreeSet<(SessionNo, u32)>,
    stopping: bool,
    /// Devices that are, or may be, revoked: nothing is kept for them.
    revoked: BTreeSet<DeviceNo>,
}

impl Kept {
    fn fate(&mut self, device: DeviceNo, key: FrameKey) -> Option<&mut Fate> {
        Some(self.sent.get_mut(&key)?.fates.entry(device).or_default())
    }

    /// Whether the device had left the channel at some time since the frame was sent.
    fn had_left(&self, device: DeviceNo, key: FrameKey) -> bool {
        let since = self.sent.get(&key).map_or(0, |sent| sent.at);
        self.absences.since(device, key.channel, since)
    }

    /// Whether the frame was never sent to the device.
    pub(super) fn unsent(&self, device: DeviceNo, key: FrameKey) -> bool {
        let fate = self.sent.get(&key).and_then(|sent| sent.fates.get(&device));
        fate.is_some_and(|fate| !fate.given) && !self.had_left(device, key)
    }

    fn acked(&mut self, session: SessionNo, number: u32, rejected: &[String]) -> Result<(), Violation> {
        let Some(key) = self.by_sequence.get(&(session, number)).copied() else {
            return Ok(());
        };
        let Some(sent) = self.sent.get_mut(&key) else {
            return Ok(());
        };
        if sent.acked {
            return Ok(());
        }
        sent.acked = true;
        sent.rejected = rejected.iter().filter_map(|name| DeviceNo::from_name(name)).collect();
        if !sent.kind.is_storable() {
            return Ok(());
        }
        let (since, owed): (u64, Vec<DeviceNo>) = (sent.at, sent.owed().collect());
        owed.into_iter()
            .try_for_each(|device| self.promise_holds(device, key, since))
    }

    fn promise_holds(&mut self, device: DeviceNo, key: FrameKey, since: u64) -> Result<(), Violation> {
        let live = self
            .live
            .values()
            .any(|live| live.device == device && live.closed.is_none_or(|end| end >= since));
        let excused = live || self.had_left(device, key) || self.revoked.contains(&device);
        let Some(fate) = self.fate(device, key) else {
            return Ok(());
        };
        if excused || fate.taken || fate.was_row {
            return Ok(());
        }
        let text = format!("{key} is acknowledged, and {device} has neither a live connection nor a row: {fate:?}");
        Err(Violation::new("kept", text))
    }

    fn forgotten(&mut self, device: DeviceNo, key: FrameKey, known: &Known) -> Result<(), Violation> {
        let excused = self.had_left(device, key) || known.hostile(key.session);
        let Some(fate) = self.fate(device, key) else {
            return Ok(());
        };
        fate.row = false;
        if excused || fate.taken {
            return Ok(());
        }
        Err(Violation::new(
            "kept",
            format!("the row of {key} for {device} was deleted before it had arrived"),
        ))
    }

    /// The session is, or may be, in the open channels of these numbers no more: nothing is owed to it for being there.
    fn not_open(&mut self, session: SessionNo, channel: Option<u32>, known: &Known) {
        let device = known.device(session);
        let numbers = channel.map_or(0..=u32::MAX, |channel| channel..=channel);
        let range = (session, *numbers.start())..=(session, *numbers.end());
        let keys: Vec<FrameKey> = self
            .open
            .range_mut(range)
            .flat_map(|(_, keys)| std::mem::take(keys))
            .collect();
        for key in keys {
            if let Some(sent) = self.sent.get_mut(&key).filter(|sent| !sent.acked) {
                sent.roster.retain(|owed| *owed != device);
            }
        }
    }

    /// Whether the session may be over without anybody knowing.
    fn may_be_over(&self, session: SessionNo) -> bool {
        let mut asked = self.asking.range((session, 0)..=(session, u32::MAX));
        self.stopping || self.ending.contains(&session) || asked.next().is_some()
    }

    /// The session is, or may be, about to end.
    fn ends(&mut self, session: SessionNo, known: &Known) {
        self.ending.insert(session);
        self.not_open(session, None, known);
    }

    /// A new session of the device may take the place of any other, even if it is over itself before that one knows.
    fn replaced(&mut self, device: DeviceNo, known: &Known) {
        let sessions: Vec<SessionNo> = self
            .live
            .iter()
            .filter(|(_, live)| live.device == device)
            .map(|(no, _)| *no)
            .collect();
        for session in sessions {
            self.ends(session, known);
        }
    }

    /// Every connection is over.
    fn all_over(&mut self, at: u64) {
        for live in self.live.values_mut() {
            live.closed.get_or_insert(at);
        }
    }

    fn crashed(&mut self) {
        for sent in self.sent.values_mut().filter(|sent| sent.acked) {
            let owed: Vec<DeviceNo> = sent.owed().collect();
            for device in owed {
                let fate = sent.fates.entry(device).or_default();
                // What was a row stays one; only the promise of a live queue dies with the process.
                fate.lost_with_relay |= !fate.was_row;
            }
        }
    }

    fn wire(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Emitted { session, frame } => match &frame.body {
                Body::Auth { delivery_ack } => {
                    if *delivery_ack {
                        self.acknowledging.insert(*session);
                    }
                    self.live.insert(
                        *session,
                        Live {
                            device: known.device(*session),
                            closed: None,
                        },
                    );
                }
                Body::Error { .. } => self.ends(*session, known),
                Body::Ack { number, rejected, .. } if !known.hostile(*session) => {
                    self.asking.remove(&(*session, *number));
                    self.acked(*session, *number, rejected)?;
                }
                Body::Marked { key, .. } if self.acknowledging.contains(session) => {
                    self.numbers.insert((*session, frame.sequence), *key);
                    if let Some(fate) = self.fate(known.device(*session), *key) {
                        // A hostile one may acknowledge whatever leaves for it, and so do without it.
                        fate.taken |= known.hostile(*session);
                    }
                }
                _ => {}
            },
            Fact::Taken { session, frame } | Fact::Heard { session, frame } => {
                if let Body::Marked { key, .. } = frame.body {
                    let waits = self.acknowledging.contains(session);
                    if let Some(fate) = self.fate(known.device(*session), key) {
                        fate.given = true;
                        fate.taken |= !waits;
                    }
                }
            }
            Fact::Confirmed { session, number, .. } => {
                if let Some(key) = self.numbers.get(&(*session, *number)).copied()
                    && let Some(fate) = self.fate(known.device(*session), key)
                {
                    fate.taken = true;
                }
            }
            Fact::Closed { session } => {
                if let Some(live) = self.live.get_mut(session) {
                    live.closed = Some(known.at);
                }
                self.ends(*session, known);
            }
            _ => {}
        }
        Ok(())
    }

    fn store(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Stored { device, key } => {
                if let Some(fate) = self.fate(*device, *key) {
                    (fate.row, fate.was_row) = (true, true);
                }
            }
            Fact::Forgotten { device, key } => self.forgotten(*device, *key, known)?,
            Fact::Expired { device, key } => {
                if let Some(fate) = self.fate(*device, *key) {
                    (fate.row, fate.lapsed) = (false, true);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Sent {
    /// Whom the ACK promises the frame.
    fn owed(&self) -> impl Iterator<Item = DeviceNo> + use<'_> {
        self.roster
            .iter()
            .copied()
            .filter(|device| !self.rejected.contains(device))
    }
}

impl Checker for Kept {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        self.absences.hear(fact, known);
        match fact {
            Fact::Said {
                key,
                kind,
                sequence,
                roster,
            } if !known.hostile(key.session) => {
                let sent = Sent {
                    kind: *kind,
                    at: known.at,
                    // An answer or an end may have crossed the end of its call, and is for nobody then.
                    roster: match kind {
                        FrameType::CallAnswer | FrameType::CallEnd => Vec::new(),
                        _ => roster.iter().copied().filter(|it| !self.gone.contains(it)).collect(),
                    },
                    acked: false,
                    rejected: BTreeSet::new(),
                    fates: BTreeMap::new(),
                };
                self.sent.insert(*key, sent);
                self.gone.clear();
                self.by_sequence.insert((key.session, *sequence), *key);
            }
            Fact::Openly { key, sessions } => {
                self.gone.clear();
                for (device, session) in *sessions {
                    if self.may_be_over(*session) {
                        self.gone.insert(*device);
                    }
                    self.open.entry((*session, key.channel)).or_default().push(*key);
                }
            }
            Fact::Joined { session, channel, .. } | Fact::Left { session, channel, .. } => {
                self.not_open(*session, Some(*channel), known);
            }
            Fact::Wavers { session } => self.ends(*session, known),
            Fact::Asks { session, sequence } => {
                self.asking.insert((*session, *sequence));
                self.not_open(*session, None, known);
            }
            Fact::Stopping => {
                self.stopping = true;
                let sessions: Vec<SessionNo> = self.live.keys().copied().collect();
                sessions.into_iter().for_each(|session| self.ends(session, known));
            }
            Fact::Dialled { device, .. } => self.replaced(*device, known),
            Fact::Revoking { device } => {
                self.revoked.insert(*device);
            }
            Fact::Crashed => {
                self.stopping = false;
                self.all_over(known.at);
                self.crashed();
            }
            Fact::Stopped => {
                self.stopping = false;
                self.all_over(known.at);
                self.nothing_owed()?;
            }
            _ => {
                self.wire(fact, known)?;
                self.store(fact, known)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, _known: &Known) -> Result<(), Violation> {
        self.nothing_owed()
    }
}

impl Kept {
    /// Every row that was durable, and was neither delivered nor too old, is still there.
    pub(super) fn audit(&self, rows: &BTreeSet<(DeviceNo, FrameKey)>) -> Result<(), Violation> {
        for (key, sent) in &self.sent {
            for (device, fate) in &sent.fates {
                if fate.row && !rows.contains(&(*device, *key)) {
                    return Err(Violation::new(
                        "kept",
                        format!("the row of {key} for {device} has vanished"),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Everything acknowledged was sent or lies in an inbox.
    fn nothing_owed(&self) -> Result<(), Violation> {
        for (key, sent) in self
            .sent
            .iter()
            .filter(|(_, sent)| sent.acked && sent.kind.is_storable())
        {
            for device in sent.owed() {
                let fate = sent.fates.get(&device).copied().unwrap_or_default();
                let kept = fate.taken || fate.row || fate.lapsed || fate.lost_with_relay;
                if !kept && !self.had_left(device, *key) && !self.revoked.contains(&device) {
                    let text = format!("{key} was acknowledged, and {device} neither was sent it nor has it: {fate:?}");
                    return Err(Violation::new("kept", text));
                }
            }
        }
        Ok(())
    }
}
