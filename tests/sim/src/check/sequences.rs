//! What the relay sends on one connection is numbered 1, 2, 3 … without gap or repeat; it acknowledges only what was sent,
//! on the channel it was sent on, and says Ready once.

use std::collections::BTreeMap;

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact, WireFrame};
use crate::ids::SessionNo;

#[derive(Default)]
struct Numbers {
    server: u32,
    ready: bool,
    /// The title of the ERROR that ended it.
    ended: Option<String>,
    /// What the client has sent, by sequence: its channel, and how often.
    client: BTreeMap<u32, (u32, u32)>,
    acked: BTreeMap<u32, u32>,
}

/// The checker.
#[derive(Default)]
pub(crate) struct Sequences {
    sessions: BTreeMap<SessionNo, Numbers>,
}

impl Sequences {
    fn sent(&mut self, session: SessionNo, channel: u32, sequence: u32) {
        let numbers = self.sessions.entry(session).or_default();
        numbers.client.entry(sequence).or_insert((channel, 0)).1 += 1;
    }
}

impl Numbers {
    fn emitted(&mut self, frame: &WireFrame, hostile: bool) -> Result<(), String> {
        if let Some(title) = &self.ended {
            return Err(format!("sequence {} after ERROR {title:?}", frame.sequence));
        }
        if self.server.checked_add(1) != Some(frame.sequence) {
            return Err(format!("sequence {} after {}", frame.sequence, self.server));
        }
        self.server = frame.sequence;
        match &frame.body {
            Body::Ready if std::mem::replace(&mut self.ready, true) => Err("ready twice".to_owned()),
            Body::Error { title } => {
                self.ended = Some(title.clone());
                Ok(())
            }
            Body::Ack { number, .. } if !hostile => self.acked(frame.channel, *number),
            Body::Marked { .. } if !self.ready => Err("a frame before the session is ready".to_owned()),
            _ => Ok(()),
        }
    }

    fn acked(&mut self, channel: u32, number: u32) -> Result<(), String> {
        let Some((sent_on, times)) = self.client.get(&number) else {
            return Err(format!("ACK of {number}, which was never sent"));
        };
        if *sent_on != channel {
            return Err(format!("ACK of {number} on channel {channel}, sent on {sent_on}"));
        }
        let acked = self.acked.entry(number).or_default();
        *acked += 1;
        if *acked > *times {
            Err(format!("ACK of {number}, {acked} times for {times}"))
        } else {
            Ok(())
        }
    }
}

impl Checker for Sequences {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Said { key, sequence, .. } => self.sent(key.session, key.channel, *sequence),
            Fact::Resent {
                session,
                channel,
                sequence,
            }
            | Fact::Joined {
                session,
                channel,
                sequence,
            }
            | Fact::Invited {
                session,
                channel,
                sequence,
            }
            | Fact::Trespassed {
                session,
                channel,
                sequence,
                ..
            }
            | Fact::Left {
                session,
                channel,
                sequence,
            } => self.sent(*session, *channel, *sequence),
            Fact::Emitted { session, frame } => {
                let numbers = self.sessions.entry(*session).or_default();
                numbers
                    .emitted(frame, known.hostile(*session))
                    .map_err(|what| Violation::new("sequences", format!("{session}: {what}")))?;
            }
            _ => {}
        }
        Ok(())
    }
}
