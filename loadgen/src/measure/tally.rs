//! What one thread counted; merged at the end.

use hdrhistogram::Histogram;

use super::received::Arrival;
use super::timeline::Timeline;

/// Latencies beyond this are recorded as this.
const LONGEST_NS: u64 = 60_000_000_000;

/// What is measured side by side and never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// MSG frames, sender to recipient.
    Messages,
    /// VOICE_FRAME frames, speaker to listener.
    Voice,
    /// New connections, from before TCP to a ready session.
    Handshakes,
    /// Calls, from CALL_OFFER to the answer.
    Calls,
    /// Stored messages, from before the recipient connects to their arrival.
    Replays,
}

impl Kind {
    /// All of them, in the order of reports.
    pub(crate) const ALL: [Self; 5] = [
        Self::Messages,
        Self::Voice,
        Self::Handshakes,
        Self::Calls,
        Self::Replays,
    ];
}

/// One kind's counters and latencies.
#[derive(Debug)]
pub(crate) struct Class {
    /// Sent, or begun, while measuring.
    pub(crate) sent: u64,
    /// Deliveries these should make.
    pub(crate) owed: u64,
    /// Of those, made.
    pub(crate) delivered: u64,
    /// The same two, what was not measured included.
    pub(crate) owed_in_all: u64,
    pub(crate) delivered_in_all: u64,
    /// Deliveries that the relay said in its ACK it would not make.
    pub(crate) rejected: u64,
    /// Due and not sent: their sender's connection took no more.
    pub(crate) unsent: u64,
    /// From due to arrived, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// From due to the relay's ACK.
    pub(crate) acknowledged: Histogram<u64>,
    pub(crate) timeline: Timeline,
    /// An ACK is what is waited for: the timeline is that of ACKs.
    pub(crate) acks_are_all: bool,
}

impl Class {
    /// For a measurement of `length_ns`, or of as long as it takes.
    pub(crate) fn new(length_ns: Option<u64>) -> Self {
        Self {
            acks_are_all: false,
            sent: 0,
            owed: 0,
            delivered: 0,
            owed_in_all: 0,
            delivered_in_all: 0,
            rejected: 0,
            unsent: 0,
            latency: histogram(),
            acknowledged: histogram(),
            timeline: Timeline::new(length_ns),
        }
    }

    /// Something measured that was due at `due_ns` has arrived.
    #[inline]
    pub(crate) fn arrived(&mut self, due_ns: u64, now_ns: u64) {
        self.delivered += 1;
        let latency = now_ns.saturating_sub(due_ns);
        self.latency.saturating_record(latency.clamp(1, LONGEST_NS));
        self.timeline.record(due_ns, now_ns);
    }

    /// Something measured that was due at `due_ns` has been acknowledged.
    #[inline]
    pub(crate) fn acknowledged(&mut self, due_ns: u64, now_ns: u64) {
        let latency = now_ns.saturating_sub(due_ns);
        self.acknowledged.saturating_record(latency.clamp(1, LONGEST_NS));
        if self.acks_are_all {
            self.timeline.record(due_ns, now_ns);
        }
    }

    /// Deliveries that were never made.
    pub(crate) fn lost(&self) -> u64 {
        self.owed_in_all.saturating_sub(self.delivered_in_all)
    }

    fn merge(&mut self, other: &Self) {
        for (into, from) in [
            (&mut self.sent, other.sent),
            (&mut self.owed, other.owed),
            (&mut self.delivered, other.delivered),
            (&mut self.owed_in_all, other.owed_in_all),
            (&mut self.delivered_in_all, other.delivered_in_all),
            (&mut self.rejected, other.rejected),
            (&mut self.unsent, other.unsent),
        ] {
            *into += from;
        }
        // Both have the same bounds, so there is nothing to refuse.
        let _ = self.latency.add(&other.latency);
        let _ = self.acknowledged.add(&other.acknowledged);
        self.timeline.merge(&other.timeline);
        self.acks_are_all |= other.acks_are_all;
    }
}

/// Everything a thread counted.
#[derive(Debug)]
pub(crate) struct Tally {
    classes: [Class; Kind::ALL.len()],
    /// Arrived after later ones of the same sender.
    pub(crate) disordered: u64,
    /// Arrived twice.
    pub(crate) duplicated: u64,
    /// Arrived and are not what was sent, or not for whom it came to.
    pub(crate) corrupt: u64,
    /// Sent, and never acknowledged by the relay.
    pub(crate) unacknowledged: u64,
    /// Sessions that ended before the run did.
    pub(crate) disconnected: u64,
    /// Connections and calls that did not come about.
    pub(crate) failed: u64,
    /// Calls that went from offer to end.
    pub(crate) calls_ended: u64,
    /// The first thing that went wrong.
    pub(crate) first_trouble: Option<String>,
    /// How late we ourselves sent what was due (open loop), nanoseconds.
    pub(crate) late: Histogram<u64>,
}

impl Tally {
    /// For a measurement of so many nanoseconds, or of as long as it takes.
    pub(crate) fn new(length_ns: Option<u64>) -> Self {
        Self {
            classes: Kind::ALL.map(|_| Class::new(length_ns)),
            disordered: 0,
            duplicated: 0,
            corrupt: 0,
            unacknowledged: 0,
            disconnected: 0,
            failed: 0,
            calls_ended: 0,
            first_trouble: None,
            late: histogram(),
        }
    }

    /// The measurement of these kinds begins.
    pub(crate) fn begin(&mut self, kinds: &[Kind], now_ns: u64) {
        for kind in kinds {
            self.of_mut(*kind).timeline.begin(now_ns);
        }
    }

    pub(crate) fn of(&self, kind: Kind) -> &Class {
        &self.classes[kind as usize]
    }

    pub(crate) fn of_mut(&mut self, kind: Kind) -> &mut Class {
        &mut self.classes[kind as usize]
    }

    /// A frame of a flow has arrived.
    #[inline]
    pub(crate) fn frame(&mut self, kind: Kind, arrival: Arrival, measured: bool, due_ns: u64, now_ns: u64) {
        match arrival {
            Arrival::New => {}
            Arrival::Late => self.disordered += 1,
            Arrival::Again => {
                self.duplicated += 1;
                return;
            }
        }
        let class = &mut self.classes[kind as usize];
        class.delivered_in_all += 1;
        if measured {
            class.arrived(due_ns, now_ns);
        }
    }

    /// Remembers the first thing that went wrong.
    pub(crate) fn trouble(&mut self, what: &str) {
        self.first_trouble.get_or_insert_with(|| what.to_owned());
    }

    /// What was due at `due_ns` was sent at `now_ns`.
    pub(crate) fn sent_late(&mut self, due_ns: u64, now_ns: u64) {
        let late = now_ns.saturating_sub(due_ns);
        self.late.saturating_record(late.clamp(1, LONGEST_NS));
    }

    /// Adds another thread's.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (into, from) in self.classes.iter_mut().zip(&other.classes) {
            into.merge(from);
        }
        for (into, from) in [
            (&mut self.disordered, other.disordered),
            (&mut self.duplicated, other.duplicated),
            (&mut self.corrupt, other.corrupt),
            (&mut self.unacknowledged, other.unacknowledged),
            (&mut self.disconnected, other.disconnected),
            (&mut self.failed, other.failed),
            (&mut self.calls_ended, other.calls_ended),
        ] {
            *into += from;
        }
        if self.first_trouble.is_none() {
            self.first_trouble.clone_from(&other.first_trouble);
        }
        let _ = self.late.add(&other.late);
    }

    /// Every message arrived, once, in order, as it was sent. A relay may drop voice when a listener is slow, and must not
    /// store it: what was dropped is reported and is no fault.
    pub(crate) fn is_clean(&self) -> bool {
        let faults = [
            self.of(Kind::Messages).lost(),
            self.of(Kind::Messages).rejected,
            self.disordered,
            self.duplicated,
            self.corrupt,
            self.unacknowledged,
            self.disconnected,
            self.failed,
        ];
        faults.iter().all(|count| *count == 0)
    }
}

fn histogram() -> Histogram<u64> {
    // Three digits: the bounds are constants that the crate accepts.
    Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("1..=60 s at 3 digits is a valid range")
}

#[cfg(test)]
mod tests {
    use super::{Arrival, Kind, Tally};

    #[test]
    fn a_message_that_never_arrives_is_a_fault_and_voice_that_does_not_is_told() {
        let mut tally = Tally::new(Some(1_000_000_000));
        tally.begin(&Kind::ALL, 0);
        for kind in [Kind::Messages, Kind::Voice] {
            let class = tally.of_mut(kind);
            (class.sent, class.owed, class.owed_in_all) = (2, 2, 2);
            tally.frame(kind, Arrival::New, true, 10, 20);
        }
        assert_eq!((tally.of(Kind::Messages).lost(), tally.of(Kind::Voice).lost()), (1, 1));
        assert!(!tally.is_clean());
        tally.frame(Kind::Messages, Arrival::New, true, 10, 20);
        assert!(tally.is_clean());
    }

    #[test]
    fn what_comes_twice_is_no_second_delivery() {
        let mut tally = Tally::new(Some(1_000_000_000));
        let class = tally.of_mut(Kind::Messages);
        class.owed_in_all = 1;
        tally.frame(Kind::Messages, Arrival::New, false, 10, 20);
        tally.frame(Kind::Messages, Arrival::Again, false, 10, 30);
        assert_eq!((tally.of(Kind::Messages).delivered_in_all, tally.duplicated), (1, 1));
        assert!(!tally.is_clean());
    }

    #[test]
    fn threads_add_up() {
        let (mut one, mut other) = (Tally::new(Some(1_000_000_000)), Tally::new(Some(1_000_000_000)));
        for tally in [&mut one, &mut other] {
            tally.begin(&Kind::ALL, 0);
            tally.frame(Kind::Voice, Arrival::Late, true, 10, 1_000_010);
        }
        other.trouble("it broke");
        one.merge(&other);
        let voice = one.of(Kind::Voice);
        assert_eq!(
            (voice.delivered, voice.latency.len(), voice.timeline.arrivals[0]),
            (2, 2, 2)
        );
        assert_eq!((one.disordered, one.first_trouble.as_deref()), (2, Some("it broke")));
    }
}
