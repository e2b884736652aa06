//! When a device had left a channel. What is sent to it then, or still waits for it, is owed no more: the relay may skip
//! it, and may give it after all when a crash forgets that it was skipped. `kept` and `order` excuse what this says.

use std::collections::BTreeMap;

use super::Known;
use crate::fact::{Body, Fact};
use crate::ids::{DeviceNo, SessionNo};

/// From LEAVE to JOIN or to the end of the connection.
struct Window {
    session: SessionNo,
    /// Of the LEAVE.
    sequence: u32,
    end: Option<u64>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Absences {
    windows: BTreeMap<(DeviceNo, u32), Vec<Window>>,
    /// Hostile sessions that have written bytes of their own, a LEAVE perhaps, and when they ended.
    anywhere: BTreeMap<SessionNo, (DeviceNo, Option<u64>)>,
    /// JOINs whose ACK has not left: until then the relay may not know of them.
    joining: BTreeMap<(SessionNo, u32), u32>,
}

impl Absences {
    /// Whether the device was absent from the channel at some time since then.
    pub(super) fn since(&self, device: DeviceNo, channel: u32, at: u64) -> bool {
        let windows = self.windows.get(&(device, channel)).into_iter().flatten();
        let everywhere = self.anywhere.values().filter(|(whose, _)| *whose == device);
        let mut ends = windows.map(|window| window.end).chain(everywhere.map(|(_, end)| *end));
        ends.any(|end| end.is_none_or(|end| end >= at))
    }

    pub(super) fn hear(&mut self, fact: &Fact<'_>, known: &Known) {
        match fact {
            Fact::Left {
                session,
                channel,
                sequence,
            } => {
                let windows = self.windows.entry((known.device(*session), *channel)).or_default();
                windows.push(Window {
                    session: *session,
                    sequence: *sequence,
                    end: None,
                });
            }
            Fact::Joined {
                session,
                channel,
                sequence,
            }
            | Fact::Speaks {
                session,
                channel,
                sequence,
            } => {
                self.joining.insert((*session, *sequence), *channel);
            }
            Fact::Emitted { session, frame } => {
                if let Body::Ack { number, .. } = frame.body
                    && let Some(channel) = self.joining.remove(&(*session, number))
                {
                    self.back(*session, Some((channel, number)), known.at);
                }
            }
            Fact::Wavers { session } if known.hostile(*session) => {
                self.anywhere.entry(*session).or_insert((known.device(*session), None));
            }
            Fact::Closed { session } => {
                self.back(*session, None, known.at);
                if let Some((_, end)) = self.anywhere.get_mut(session) {
                    end.get_or_insert(known.at);
                }
            }
            Fact::Crashed | Fact::Stopped => {
                let windows = self.windows.values_mut().flatten().map(|window| &mut window.end);
                for end in windows.chain(self.anywhere.values_mut().map(|(_, end)| end)) {
                    end.get_or_insert(known.at);
                }
            }
            _ => {}
        }
    }

    /// A later JOIN of the channel (or the end of the connection, which is `None`) ends what LEAVE began.
    fn back(&mut self, session: SessionNo, join: Option<(u32, u32)>, at: u64) {
        for ((_, on), windows) in &mut self.windows {
            for window in windows.iter_mut().filter(|window| window.session == session) {
                if join.is_none_or(|(channel, sequence)| channel == *on && sequence > window.sequence) {
                    window.end.get_or_insert(at);
                }
            }
        }
    }
}
