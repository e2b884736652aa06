//! What set the pace: a figure is the relay's only when the relay was the limit, and a reader has to be told.

use serde::Serialize;

use crate::machine::usage::{Share, Usage};

/// A thread that is on a core for this part of the time has no more to give.
const BUSY: f64 = 0.9;

/// A thread that waits for a core for this part of the time is disturbed by something else.
const WAITING: f64 = 0.1;

/// What was the bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Limit {
    /// The relay's busiest thread.
    Relay,
    /// A load thread: the relay could have done more.
    Loadgen,
    /// Both: the relay could perhaps have done more.
    Both,
    /// Other programs on the same cores.
    Machine,
    /// The schedule: this is what was asked for.
    Schedule,
    /// Latency and the window: nobody was busy.
    Window,
    /// The relay's process could not be looked at.
    Unknown,
}

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) bottleneck: Limit,
    /// In words, with what to do about it.
    pub(crate) sentence: String,
    /// The largest share of time in which a load thread was on a core.
    pub(crate) loadgen_busy: f64,
    /// The same of the relay's threads.
    pub(crate) server_busy: Option<f64>,
    /// The largest share of time in which any of these waited for a core.
    pub(crate) waiting_for_a_core: f64,
}

impl Verdict {
    /// Judges by the shares; `open` when the pace was given.
    pub(crate) fn judge(load: &Usage, relay: Option<&Usage>, open: bool) -> Self {
        let own = load.busiest().map_or(0.0, |share| share.busy);
        let theirs = relay.and_then(Usage::busiest);
        let waiting = load.waiting().max(relay.map_or(0.0, Usage::waiting));
        let bottleneck = match theirs.map(|share| share.busy >= BUSY) {
            Some(true) if own >= BUSY => Limit::Both,
            Some(true) => Limit::Relay,
            _ if own >= BUSY => Limit::Loadgen,
            None => Limit::Unknown,
            Some(false) if waiting >= WAITING => Limit::Machine,
            Some(false) if open => Limit::Schedule,
            Some(false) => Limit::Window,
        };
        Self {
            bottleneck,
            sentence: sentence(bottleneck, own, theirs, waiting),
            loadgen_busy: super::round(own),
            server_busy: theirs.map(|share| super::round(share.busy)),
            waiting_for_a_core: super::round(waiting),
        }
    }

    /// Whether the figures say what the relay can do, or at least not less than they seem to.
    pub(crate) fn is_a_warning(&self) -> bool {
        matches!(self.bottleneck, Limit::Loadgen | Limit::Both | Limit::Machine)
    }
}

fn sentence(bottleneck: Limit, own: f64, theirs: Option<&Share>, waiting: f64) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let (own, waiting) = (percent(own), percent(waiting));
    let (thread, busy) = theirs.map_or(("none", String::new()), |share| {
        (share.thread.as_str(), percent(share.busy))
    });
    match bottleneck {
        Limit::Relay => format!(
            "The relay was the limit: its thread {thread} was busy for {busy} of the time, the load generator's for {own}."
        ),
        Limit::Loadgen => format!(
            "The load generator was the limit: a thread of it was busy for {own} of the time{}. The relay could have done more: \
             give the load more --threads, or cores of its own.",
            match theirs {
                Some(_) => format!(", the relay's busiest ({thread}) for {busy}"),
                None => String::new(),
            }
        ),
        Limit::Both => format!(
            "Both were the limit: the relay's thread {thread} was busy for {busy} of the time, and a thread of the load \
             generator for {own}. The relay could perhaps have done a little more: give the load more --threads."
        ),
        Limit::Machine => format!(
            "The machine was the limit: a thread was ready to run and waited for a core for {waiting} of the time, while neither \
             the relay ({thread}: {busy}) nor the load generator ({own}) had a core of its own to fill. Latencies include \
             that. Give both cores of their own (--server-cores, --cores), and nothing else to the machine."
        ),
        Limit::Schedule => format!(
            "Nobody was the limit: the load was given, the relay's thread {thread} was busy for {busy} of the time and the load \
             generator for {own}."
        ),
        Limit::Window => format!(
            "Nobody was busy (the relay's thread {thread} for {busy} of the time, the load generator for {own}): how long a \
             message takes and how many may be in flight set the pace. More senders or a larger --window would move more."
        ),
        Limit::Unknown => format!(
            "The relay's processor time is not known (--pid tells whose it is); the load generator was busy for {own} of the time."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, Share, Usage, Verdict};

    fn usage(busy: f64, waiting: f64) -> Usage {
        let share = Share {
            thread: "shard-0".to_owned(),
            busy,
            waiting,
            cpu_seconds: 1.0,
            id: 1,
        };
        Usage {
            threads: vec![share],
            cpu_seconds: 1.0,
            resident_bytes: None,
        }
    }

    #[test]
    fn the_busier_is_the_limit_and_a_warning_follows_when_it_was_us() {
        for (own, theirs, waiting, open, limit, warns) in [
            (0.5, 0.97, 0.0, false, Limit::Relay, false),
            (0.99, 0.6, 0.0, true, Limit::Loadgen, true),
            (0.95, 0.95, 0.0, false, Limit::Both, true),
            (0.4, 0.5, 0.3, true, Limit::Machine, true),
            (0.4, 0.5, 0.01, true, Limit::Schedule, false),
            (0.4, 0.5, 0.01, false, Limit::Window, false),
        ] {
            let verdict = Verdict::judge(&usage(own, waiting), Some(&usage(theirs, 0.0)), open);
            assert_eq!(
                (verdict.bottleneck, verdict.is_a_warning()),
                (limit, warns),
                "{own} {theirs}"
            );
            assert!(verdict.sentence.contains("%"), "{}", verdict.sentence);
        }
    }

    #[test]
    fn a_relay_elsewhere_leaves_only_ourselves_to_judge() {
        assert_eq!(Verdict::judge(&usage(0.5, 0.0), None, false).bottleneck, Limit::Unknown);
        assert_eq!(
            Verdict::judge(&usage(0.95, 0.0), None, false).bottleneck,
            Limit::Loadgen
        );
    }
}
