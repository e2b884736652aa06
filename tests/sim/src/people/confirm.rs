//! `delivery-ack` from a person's side: by itself the real client acknowledges what it has taken; a person that does so by
//! hand is late, forgets, repeats itself, goes backwards, and acknowledges what it was never given.

use super::client::News;
use super::{Mood, People};
use crate::check::Violation;
use crate::fact::Fact;
use crate::ground::Ground;
use crate::ids::SessionNo;

impl People {
    /// The client has been given frames.
    pub(super) fn confirm_heard(&mut self, no: SessionNo, news: &[News], ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        if !session.client.has("delivery-ack") {
            return Ok(());
        }
        let given = news.iter().filter_map(|item| match item {
            News::Frame {
                kind, channel, number, ..
            } if kind.is_storable() => Some((*channel, *number)),
            _ => None,
        });
        if session.by_hand {
            session.unconfirmed.extend(given);
            return match self.mood {
                // Whoever wants everything delivered says what has been.
                Mood::Listening | Mood::HalfListening => self.confirm_all(no, ground),
                Mood::Lively if self.dice.below(3) == 0 => self.confirm_some(no, ground),
                Mood::Lively | Mood::Leaving => Ok(()),
            };
        }
        if !session.client.is_ready() {
            return Ok(());
        }
        let own = session.client.last_sent();
        given.collect::<Vec<_>>().into_iter().try_for_each(|(_, number)| {
            ground.fact(&Fact::Confirmed {
                session: no,
                number,
                own,
            })
        })
    }

    /// Acknowledges everything, frame by frame.
    pub(super) fn confirm_all(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        for (channel, number) in std::mem::take(&mut session.unconfirmed) {
            if let Some(own) = session.client.confirm(channel, number, number) {
                ground.fact(&Fact::Confirmed {
                    session: no,
                    number,
                    own,
                })?;
            }
        }
        Ok(())
    }

    /// Acknowledges something, or what makes no sense.
    pub(super) fn confirm_some(&mut self, no: SessionNo, ground: &mut Ground) -> Result<(), Violation> {
        let Some(session) = self.sessions.get_mut(&no) else {
            return Ok(());
        };
        if session.unconfirmed.is_empty() || !session.open() {
            return Ok(());
        }
        let at = self.dice.index(session.unconfirmed.len());
        let (channel, number) = session.unconfirmed[at];
        match self.dice.below(6) {
            // The oldest ones.
            0 | 1 => {
                let rest = session.unconfirmed.split_off(at);
                self.confirm_all(no, ground)?;
                if let Some(session) = self.sessions.get_mut(&no) {
                    session.unconfirmed = rest;
                }
            }
            // Any one, perhaps twice.
            2 | 3 => {
                session.unconfirmed.remove(at);
                let own = session.client.confirm(channel, number, number);
                if self.dice.below(2) == 0 {
                    session.client.confirm(channel, number, number);
                }
                if let Some(own) = own {
                    ground.fact(&Fact::Confirmed {
                        session: no,
                        number,
                        own,
                    })?;
                }
            }
            // A channel's frames up to one.
            4 if session.client.has("ack-range") => {
                let of_it = |unconfirmed: &(u32, u32)| unconfirmed.0 == channel && unconfirmed.1 <= number;
                let from = session
                    .unconfirmed
                    .iter()
                    .find(|one| of_it(one))
                    .map_or(number, |one| one.1);
                let own = session.client.confirm(channel, from, number);
                let (told, rest) = session.unconfirmed.iter().partition(|one| of_it(one));
                session.unconfirmed = rest;
                let told: Vec<(u32, u32)> = told;
                if let Some(own) = own {
                    told.into_iter().try_for_each(|(_, number)| {
                        ground.fact(&Fact::Confirmed {
                            session: no,
                            number,
                            own,
                        })
                    })?;
                }
            }
            // The right number on another channel, and numbers that the relay has not come to.
            _ => {
                session.client.confirm(channel + 1, number, number);
                session.client.confirm(channel, u32::MAX, u32::MAX);
            }
        }
        Ok(())
    }
}
