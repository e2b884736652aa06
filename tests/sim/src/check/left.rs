//! After a LEAVE is acknowledged, nothing more of that channel reaches that connection until it joins again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Checker, Known, Violation};
use crate::fact::{Body, Fact};
use crate::ids::SessionNo;

/// The checker.
#[derive(Default)]
pub(crate) struct Left {
    leaving: BTreeMap<(SessionNo, u32), u32>,
    gone: BTreeSet<(SessionNo, u32)>,
}

impl Checker for Left {
    fn hear(&mut self, fact: &Fact<'_>, known: &Known) -> Result<(), Violation> {
        match fact {
            Fact::Left {
                session,
                channel,
                sequence,
            } => {
                self.leaving.insert((*session, *sequence), *channel);
            }
            Fact::Joined { session, channel, .. } | Fact::Speaks { session, channel, .. } => {
                self.gone.remove(&(*session, *channel));
                self.leaving.retain(|(of, _), on| of != session || on != channel);
            }
            Fact::Emitted { session, frame } if !known.hostile(*session) => match frame.body {
                Body::Ack { number, .. } => {
                    if let Some(channel) = self.leaving.remove(&(*session, number)) {
                        self.gone.insert((*session, channel));
                    }
                }
                Body::Marked { key, .. } if self.gone.contains(&(*session, frame.channel)) => {
                    return Err(Violation::new(
                        "left",
                        format!("{session} was given {key} after it left the channel"),
                    ));
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
