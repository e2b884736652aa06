//! The coordinator of a run with recipients who are away: it ends when everything was stored and taken, not by the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::absent::{Absence, work};
use super::conduct::{Threads, join};
use super::phase::{Phase, Shared};
use super::plan::Plan;
use crate::error::LoadError;
use crate::limits::STALLED;
use crate::machine::usage::{Reading, Usage};
use crate::measure::tally::Tally;
use crate::net;
use crate::progress::{Progress, thousands};
use crate::stop::Stop;
use crate::target::Target;

/// One of the two halves.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub(crate) seconds: f64,
    pub(crate) load: Usage,
    pub(crate) relay: Option<Usage>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) tally: Tally,
    pub(crate) opening_seconds: f64,
    pub(crate) storing: Half,
    pub(crate) replaying: Half,
    pub(crate) interrupted: bool,
}

/// Runs it.
pub(crate) fn conduct_storing(
    plan: &Plan,
    absence: Absence,
    target: &Target,
    relay: Option<u32>,
    stop: &Stop,
) -> Result<Stored, LoadError> {
    let progress = Progress::new();
    let shared = Arc::new(Shared::new(plan.threads));
    let mut threads = Threads::each(plan, &shared, |index| {
        let (plan, target, shared) = (plan.clone(), target.clone(), Arc::clone(&shared));
        move || net::run(work(index, plan, absence, target, shared))?
    })?;
    let units = u64::from(absence.recipients);
    let opening = Instant::now();
    threads.until_all_stand(units, stop, &progress)?;
    let opening_seconds = opening.elapsed().as_secs_f64();
    let watched = Watched {
        threads: &threads,
        relay,
        stop,
        progress: &progress,
    };
    let storing = watched.half(Phase::Measuring, "storing", units, 2 * units);
    let replaying = watched.half(Phase::Draining, "replaying", 2 * units, 3 * units);
    shared.enter(Phase::Done);
    let mut tally = Tally::new(None);
    for handle in threads.handles.drain(..) {
        tally.merge(&join(handle)?);
    }
    progress.end();
    Ok(Stored {
        tally,
        opening_seconds,
        storing,
        replaying,
        interrupted: stop.requested(),
    })
}

struct Watched<'a> {
    threads: &'a Threads,
    relay: Option<u32>,
    stop: &'a Stop,
    progress: &'a Progress,
}

impl Watched<'_> {
    /// Lets the threads do one half, until `units` are done or nothing moves any more.
    fn half(&self, phase: Phase, what: &str, done: u64, units: u64) -> Half {
        let shared = &self.threads.shared;
        let own = std::process::id();
        let (load_before, relay_before) = (Reading::take(own), self.relay.and_then(Reading::take));
        let began = Instant::now();
        shared.enter(phase);
        let (mut moved, mut last) = (began, (0, 0));
        while shared.totals().units < units && self.threads.any_runs() && !self.stop.requested() {
            std::thread::sleep(Duration::from_millis(2));
            let totals = shared.totals();
            if last != (totals.units, totals.delivered) {
                (moved, last) = (Instant::now(), (totals.units, totals.delivered));
            }
            // Storing tells nothing before it is over; its own limit is that of replaying.
            if phase == Phase::Draining && moved.elapsed() > STALLED {
                break;
            }
            self.progress.part(totals.units.saturating_sub(done), units - done);
            let replayed = match totals.delivered {
                0 => String::new(),
                count => format!(" {} messages", thousands(count)),
            };
            self.progress.say(&format!("{what}{replayed}"));
        }
        let seconds = began.elapsed().as_secs_f64();
        let load = load_before.and_then(|before| Usage::since(&before, own));
        Half {
            seconds,
            load: load.unwrap_or_default().of_threads(&shared.threads()),
            relay: relay_before
                .zip(self.relay)
                .and_then(|(before, pid)| Usage::since(&before, pid)),
        }
    }
}
