//! One direction of one pair: a sender's session, its books, and when it sends.
//!
//! Both ends live on one thread, so a delivery opens the sender's window by a plain call.
//!
//! Invariant: a closed-loop sender never has more than `window` in flight.

use std::rc::Rc;

use commucat_proto::{ChannelId, FrameType};

use super::ledger::Ledger;
use super::shared::Moment;
use super::tally::Tally;
use crate::limits::{FLIGHT_BYTES, UNSENT_BYTES};
use crate::net::Wire;

/// One sender and its one recipient.
#[derive(Debug)]
pub(crate) struct Flow {
    sender: Rc<Wire>,
    channel: ChannelId,
    window: u64,
    pub(crate) ledger: Ledger,
}

impl Flow {
    pub(crate) fn new(sender: Rc<Wire>, channel: ChannelId, length: usize, window: u32, tag: u64) -> Self {
        let fits = (FLIGHT_BYTES / length.max(1)).max(1);
        Self {
            sender,
            channel,
            window: u64::from(window).min(fits as u64),
            ledger: Ledger::new(length, tag),
        }
    }

    /// Whether its sender can still send.
    pub(crate) fn is_alive(&self) -> bool {
        self.sender.is_alive()
    }

    /// Closed loop: sends as many as the window has room for.
    pub(crate) fn fill(&mut self, moment: &Moment, tally: &mut Tally) {
        let room = self.window.saturating_sub(self.ledger.in_flight());
        self.push(room, moment, tally, |_| moment.now_ns);
    }

    /// Open loop: sends what is due by `moment` at `period_ns` per message, the first at `start_ns`. Each carries the time
    /// it was due.
    pub(crate) fn pace(&mut self, start_ns: u64, period_ns: u64, moment: &Moment, tally: &mut Tally) {
        let due = moment.now_ns.saturating_sub(start_ns) / period_ns.max(1);
        let room = match self.sender.unsent() {
            0..UNSENT_BYTES => due.saturating_sub(self.ledger.sent()),
            _ => 0,
        };
        self.push(room, moment, tally, |counter| start_ns + counter * period_ns);
    }

    fn push(&mut self, count: u64, moment: &Moment, tally: &mut Tally, due_ns: impl Fn(u64) -> u64) {
        if count == 0 || !self.sender.is_alive() {
            return;
        }
        let Self {
            sender,
            channel,
            ledger,
            ..
        } = self;
        sender.send(|connection| {
            for _ in 0..count {
                let sent_ns = due_ns(ledger.sent());
                let message = ledger.next(sent_ns, moment.measuring);
                // A session that can no longer send reports its end to its handler.
                let Ok(sequence) = connection.send(FrameType::Msg, *channel, message) else {
                    return;
                };
                ledger.entered(sequence, sent_ns, moment, tally);
            }
        });
    }
}
