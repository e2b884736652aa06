//! One direction of one pair: who sends, what is under way, what has arrived.
//!
//! Both ends live on one thread, so a delivery opens the sender's window by a plain call.
//!
//! Invariant: `arrived + rejected <= sent`, and closed-loop senders keep `sent - arrived - rejected <= window`.

use std::collections::VecDeque;
use std::rc::Rc;

use commucat_proto::{ChannelId, FrameType, Sequence};

use super::payload::{Message, Stamp};
use super::shared::Moment;
use super::tally::Tally;
use crate::limits::{FLIGHT_BYTES, UNSENT_BYTES};
use crate::net::Wire;

/// What is remembered of a frame until its ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Measured { at_ns: u64 },
    Unmeasured,
    Acknowledged,
}

/// One sender and its one recipient.
#[derive(Debug)]
pub(crate) struct Flow {
    sender: Rc<Wire>,
    channel: ChannelId,
    message: Message,
    window: u64,
    sent: u64,
    arrived: u64,
    rejected: u64,
    expected: u64,
    measured_in_flight: u64,
    /// When each frame was sent that is not yet acknowledged; the front belongs to `oldest`.
    unacknowledged: VecDeque<Sent>,
    oldest: Option<Sequence>,
}

impl Flow {
    pub(crate) fn new(sender: Rc<Wire>, channel: ChannelId, length: usize, window: u32, tag: u64) -> Self {
        let fits = FLIGHT_BYTES / length.max(1);
        Self {
            sender,
            channel,
            message: Message::new(length, tag),
            window: u64::from(window).min(fits.max(1) as u64),
            sent: 0,
            arrived: 0,
            rejected: 0,
            expected: 0,
            measured_in_flight: 0,
            unacknowledged: VecDeque::new(),
            oldest: None,
        }
    }

    /// Messages that neither arrived nor were rejected.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sent - self.arrived - self.rejected
    }

    /// Closed loop: sends as many as the window has room for.
    pub(crate) fn fill(&mut self, moment: &Moment, tally: &mut Tally) {
        let room = self.window.saturating_sub(self.in_flight());
        self.push(room, moment, tally, |_| moment.now_ns);
    }

    /// Open loop: sends what is due by `moment` at `period_ns` per message, the first at `start_ns`. Each carries the time
    /// it was due.
    pub(crate) fn pace(&mut self, start_ns: u64, period_ns: u64, moment: &Moment, tally: &mut Tally) {
        let due = moment.now_ns.saturating_sub(start_ns) / period_ns.max(1);
        let room = if self.sender.unsent() < UNSENT_BYTES {
            due.saturating_sub(self.sent)
        } else {
            0
        };
        self.push(room, moment, tally, |counter| start_ns + counter * period_ns);
    }

    fn push(&mut self, count: u64, moment: &Moment, tally: &mut Tally, due_ns: impl Fn(u64) -> u64) {
        if count == 0 || !self.sender.is_alive() {
            return;
        }
        let sender = Rc::clone(&self.sender);
        sender.send(|connection| {
            for _ in 0..count {
                let sent_ns = due_ns(self.sent);
                let stamp = Stamp {
                    counter: self.sent,
                    sent_ns,
                    measured: moment.measuring,
                };
                let Ok(sequence) = connection.send(FrameType::Msg, self.channel, self.message.stamped(stamp)) else {
                    return;
                };
                self.oldest.get_or_insert(sequence);
                self.sent += 1;
                self.unacknowledged.push_back(if moment.measuring {
                    self.measured_in_flight += 1;
                    tally.sent += 1;
                    Sent::Measured { at_ns: sent_ns }
                } else {
                    Sent::Unmeasured
                });
            }
        });
    }

    /// A frame reached the recipient.
    pub(crate) fn arrive(&mut self, payload: &[u8], now_ns: u64, tally: &mut Tally) {
        let Some(stamp) = self.message.read(payload) else {
            tally.corrupt += 1;
            return;
        };
        if stamp.counter < self.expected {
            tally.disordered += 1;
            return;
        }
        // What was skipped is still owed: if it comes later it is out of order, if never, lost.
        self.expected = stamp.counter + 1;
        self.arrived += 1;
        if stamp.measured {
            self.measured_in_flight = self.measured_in_flight.saturating_sub(1);
            tally.arrived(now_ns.saturating_sub(stamp.sent_ns));
        }
    }

    /// The relay acknowledged `from..=to`, or rejected the recipient.
    pub(crate) fn acknowledge(&mut self, from: Sequence, to: Sequence, rejected: bool, now_ns: u64, tally: &mut Tally) {
        let Some(oldest) = self.oldest else { return };
        for sequence in from.get().max(oldest.get())..=to.get() {
            let Some(slot) = self.unacknowledged.get_mut((sequence - oldest.get()) as usize) else {
                break;
            };
            match std::mem::replace(slot, Sent::Acknowledged) {
                Sent::Measured { at_ns } => tally.acknowledged(now_ns.saturating_sub(at_ns)),
                Sent::Unmeasured => {}
                Sent::Acknowledged => continue,
            }
            self.rejected += u64::from(rejected);
            tally.rejected += u64::from(rejected);
        }
        let mut oldest = oldest;
        while self.unacknowledged.front() == Some(&Sent::Acknowledged) {
            self.unacknowledged.pop_front();
            let Some(next) = oldest.next() else { break };
            oldest = next;
        }
        self.oldest = Some(oldest);
    }

    /// What was sent outside the measurement and never arrived.
    pub(crate) fn lost_unmeasured(&self) -> u64 {
        self.sent
            .saturating_sub(self.arrived)
            .saturating_sub(self.measured_in_flight)
    }
}
