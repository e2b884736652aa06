//! One sender on one channel: its books, and when it sends.
//!
//! Invariants: a closed-loop sender never has more deliveries outstanding than `window` times its recipients; an open-loop
//! sender stamps each message with the time at which it was due, whenever it leaves.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use commucat_proto::{ChannelId, FrameType, Sequence};

use super::phase::Moment;
use crate::limits::{UNACKNOWLEDGED, UNSENT_BYTES};
use crate::measure::message::Message;
use crate::measure::sent::Sent;
use crate::measure::tally::{Kind, Tally};
use crate::net::Wire;

/// A flow, where all that have to do with it can reach it.
pub(crate) type FlowRef = Rc<RefCell<Flow>>;

/// What ends a message's time in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Every recipient has it.
    Delivered,
    /// The relay has acknowledged it: its recipients are away.
    Acknowledged,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Flow {
    sender: Rc<Wire>,
    kind: Kind,
    channel: ChannelId,
    window: u64,
    until: Until,
    /// Never more than so many.
    limit: u64,
    arrived: Arc<AtomicU64>,
    book: Sent,
    active: bool,
    /// Due and not yet sent, the last of them at `last_due_ns`.
    behind: u64,
    last_due_ns: u64,
}

impl Flow {
    /// Of `message` on `channel` to so many, who count in `arrived`.
    pub(crate) fn new(sender: Rc<Wire>, kind: Kind, channel: ChannelId, message: Message, audience: &Audience) -> Self {
        Self {
            sender,
            kind,
            channel,
            window: audience.window,
            until: Until::Delivered,
            limit: u64::MAX,
            arrived: Arc::clone(&audience.arrived),
            book: Sent::new(message, audience.recipients),
            active: kind == Kind::Messages,
            behind: 0,
            last_due_ns: 0,
        }
    }

    /// Its recipients are away, and it has an end.
    pub(crate) fn goes_to_the_absent(&mut self, limit: u64) {
        self.until = Until::Acknowledged;
        self.limit = limit;
    }

    /// What ends a message's time in the window.
    pub(crate) fn until(&self) -> Until {
        self.until
    }

    /// Starts or stops it; voice starts when its call does.
    pub(crate) fn set_active(&mut self, active: bool) {
        self.active = active;
        self.behind = 0;
    }

    /// Whether its sender can still send.
    pub(crate) fn is_alive(&self) -> bool {
        self.sender.is_alive()
    }

    /// Deliveries that the relay has promised, or may still promise.
    pub(crate) fn owed(&self) -> u64 {
        self.book.owed()
    }

    /// Whether everything was sent and acknowledged.
    pub(crate) fn is_complete(&self) -> bool {
        self.book.count() >= self.limit && self.book.unacknowledged() == 0
    }

    /// Whether nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        match self.until {
            Until::Delivered => {
                self.book.unacknowledged() == 0 && self.arrived.load(Ordering::Relaxed) >= self.book.owed()
            }
            Until::Acknowledged => self.book.unacknowledged() == 0,
        }
    }

    /// The relay acknowledged `from..=to` of this channel, and rejects so many recipients of each.
    pub(crate) fn acknowledge(&mut self, from: Sequence, to: Sequence, rejected: u64, now_ns: u64, tally: &mut Tally) {
        let class = tally.of_mut(self.kind);
        self.book.acknowledge(from, to, rejected, now_ns, class);
    }

    /// Closed loop: sends as many as the window has room for.
    #[inline]
    pub(crate) fn fill(&mut self, moment: &Moment, tally: &mut Tally) {
        let outstanding = match self.until {
            Until::Delivered => {
                let owed = self.book.owed() - self.arrived.load(Ordering::Relaxed).min(self.book.owed());
                owed.div_ceil(self.book.recipients().max(1))
            }
            Until::Acknowledged => self.book.unacknowledged(),
        };
        let room = self.window.saturating_sub(outstanding);
        let room = room
            .min(self.limit - self.book.count())
            .min(UNACKNOWLEDGED.saturating_sub(self.book.unacknowledged()));
        if room > 0 {
            self.push(room, moment, tally, |_| moment.now_ns);
        }
    }

    /// Open loop: one more is due, `period_ns` after the one before.
    pub(crate) fn due(&mut self, due_ns: u64, period_ns: u64, moment: &Moment, tally: &mut Tally) {
        if !self.active || self.book.count() + self.behind >= self.limit {
            return;
        }
        self.behind += 1;
        self.last_due_ns = due_ns;
        let stuck = self.sender.unsent() >= UNSENT_BYTES || self.book.unacknowledged() >= UNACKNOWLEDGED;
        if stuck || !self.sender.is_alive() {
            return;
        }
        let behind = std::mem::take(&mut self.behind);
        let first_ns = due_ns.saturating_sub(period_ns.saturating_mul(behind - 1));
        for index in 0..behind {
            tally.sent_late(first_ns + index * period_ns, moment.now_ns);
        }
        self.push(behind, moment, tally, |index| first_ns + index * period_ns);
    }

    /// The run is over: what never left, and what was never acknowledged, goes into the books.
    pub(crate) fn close(&self, tally: &mut Tally) {
        tally.of_mut(self.kind).unsent += self.behind;
        if self.kind == Kind::Messages {
            tally.unacknowledged += self.book.unacknowledged();
        }
    }

    fn push(&mut self, count: u64, moment: &Moment, tally: &mut Tally, due_ns: impl Fn(u64) -> u64) {
        if !self.sender.is_alive() {
            return;
        }
        let frame = match self.kind {
            Kind::Voice => FrameType::VoiceFrame,
            _ => FrameType::Msg,
        };
        let Self {
            sender, channel, book, ..
        } = self;
        let class = tally.of_mut(self.kind);
        sender.send(|connection| {
            for index in 0..count {
                let due_ns = due_ns(index);
                // A session that can no longer send reports its end to its handler.
                let Ok(sequence) = connection.send(frame, *channel, book.next(due_ns, moment.measuring)) else {
                    return;
                };
                book.entered(sequence, due_ns, moment, class);
            }
        });
    }
}

/// To whom a flow goes.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    /// How many there are.
    pub(crate) recipients: u64,
    /// Messages that may be outstanding for each.
    pub(crate) window: u64,
    /// What they have received, whatever thread they are on.
    pub(crate) arrived: Arc<AtomicU64>,
}

impl Audience {
    /// Of so many, who allow so much.
    pub(crate) fn new(recipients: u64, window: u64) -> Self {
        Self {
            recipients,
            window,
            arrived: Arc::default(),
        }
    }
}
