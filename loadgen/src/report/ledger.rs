//! Whether everything that was sent arrived, once, in order, unchanged.

use serde::Serialize;

use crate::measure::tally::{Kind, Tally};

/// The books, closed. Warm-up included.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ledger {
    /// Deliveries of messages that were owed, and made.
    pub(crate) owed: u64,
    pub(crate) delivered: u64,
    /// The difference at the end of the drain period.
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    /// Overtaken by later ones of the same sender.
    pub(crate) disordered: u64,
    /// Not what was sent, or not for whom it came to.
    pub(crate) corrupt: u64,
    /// Refused by the relay in its ACK.
    pub(crate) rejected: u64,
    /// Sent, and no ACK ever came.
    pub(crate) unacknowledged: u64,
    /// Due by the clock and never sent: the connection took no more.
    pub(crate) unsent: u64,
    /// Voice frames owed, and not delivered: a relay may drop them when a listener is slow, and reports them here.
    pub(crate) voice_owed: u64,
    pub(crate) voice_dropped: u64,
    /// Sessions that ended before the run did.
    pub(crate) disconnected: u64,
    /// Connections and calls that did not come about.
    pub(crate) failed: u64,
    /// Calls from offer to end.
    pub(crate) calls_ended: u64,
    /// The first thing that went wrong, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_trouble: Option<String>,
    /// Nothing went wrong.
    pub(crate) clean: bool,
}

impl Ledger {
    pub(crate) fn of(tally: &Tally) -> Self {
        let (messages, voice) = (tally.of(Kind::Messages), tally.of(Kind::Voice));
        Self {
            owed: messages.owed_in_all,
            delivered: messages.delivered_in_all,
            lost: messages.lost(),
            duplicated: tally.duplicated,
            disordered: tally.disordered,
            corrupt: tally.corrupt,
            rejected: messages.rejected,
            unacknowledged: tally.unacknowledged,
            unsent: Kind::ALL.iter().map(|kind| tally.of(*kind).unsent).sum(),
            voice_owed: voice.owed_in_all,
            voice_dropped: voice.lost(),
            disconnected: tally.disconnected,
            failed: tally.failed,
            calls_ended: tally.calls_ended,
            first_trouble: tally.first_trouble.clone(),
            clean: tally.is_clean(),
        }
    }

    /// Each count with its name, and whether it is a fault when it is not zero.
    pub(crate) fn lines(&self) -> Vec<(u64, &'static str, bool)> {
        let all = [
            (self.lost, "messages lost", true),
            (self.duplicated, "messages twice", true),
            (self.disordered, "messages overtaken by later ones", true),
            (self.corrupt, "messages not as sent", true),
            (self.rejected, "deliveries refused by the relay", true),
            (self.unacknowledged, "messages never acknowledged", true),
            (self.disconnected, "sessions lost", true),
            (self.failed, "connections or calls that failed", true),
            (self.unsent, "due and not sent: their connection took no more", false),
            (self.voice_dropped, "voice frames dropped", false),
        ];
        let voice = self.voice_owed > 0;
        all.into_iter()
            .filter(|(count, name, fault)| *fault || *count > 0 || (voice && name.starts_with("voice")))
            .collect()
    }
}
