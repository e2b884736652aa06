//! The coordinator of a run: starts the threads, moves them from phase to phase, shows what happens, and adds up.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::phase::{Phase, Shared, Totals};
use super::plan::Plan;
use super::worker::work;
use crate::error::LoadError;
use crate::limits::DRAIN;
use crate::machine::cores::Cores;
use crate::machine::usage::{Reading, Usage};
use crate::measure::tally::Tally;
use crate::net;
use crate::progress::{Progress, thousands};
use crate::stop::Stop;
use crate::target::Target;

/// How often the progress line changes.
const REFRESH: Duration = Duration::from_millis(200);

/// How long each phase takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) warmup: Duration,
    /// Until somebody ends it, when none.
    pub(crate) measure: Option<Duration>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Conducted {
    pub(crate) tally: Tally,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// How long it took until everything stood.
    pub(crate) opening_seconds: f64,
    /// The load threads while measuring.
    pub(crate) load: Usage,
    /// The relay while measuring, when its process was found.
    pub(crate) relay: Option<Usage>,
    /// Somebody ended it early.
    pub(crate) interrupted: bool,
}

/// Runs `plan`. `observe` is shown the sums every now and then while measuring.
pub(crate) fn conduct(
    plan: &Plan,
    target: &Target,
    course: Course,
    relay: Option<u32>,
    stop: &Stop,
    observe: &mut dyn FnMut(&Totals, Duration, &Progress),
) -> Result<Conducted, LoadError> {
    let progress = Progress::new();
    let mut threads = Threads::start(plan, target)?;
    let opening = Instant::now();
    threads.until_all_stand(plan.crowd.units(), stop, &progress)?;
    let opening_seconds = opening.elapsed().as_secs_f64();
    let shared = Arc::clone(&threads.shared);
    shared.enter(Phase::Warming);
    threads.watch("warming up", Some(course.warmup), stop, &progress, &mut |_, _, _| {});

    let own = std::process::id();
    let (load_before, relay_before) = (Reading::take(own), relay.and_then(Reading::take));
    let began = Instant::now();
    shared.enter(Phase::Measuring);
    threads.watch("measuring", course.measure, stop, &progress, observe);
    shared.enter(Phase::Draining);
    let seconds = began.elapsed().as_secs_f64();
    let load = load_before.and_then(|before| Usage::since(&before, own));
    let relay = relay_before
        .zip(relay)
        .and_then(|(before, pid)| Usage::since(&before, pid));

    progress.say("what is under way arrives");
    let deadline = Instant::now() + DRAIN;
    while !shared.totals().quiet && threads.any_runs() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
    shared.enter(Phase::Done);
    let ids = shared.threads();
    let mut tally = Tally::new(plan.length_ns());
    for handle in threads.handles.drain(..) {
        tally.merge(&join(handle)?);
    }
    progress.end();
    Ok(Conducted {
        tally,
        seconds,
        opening_seconds,
        load: load.unwrap_or_default().of_threads(&ids),
        relay,
        interrupted: stop.requested(),
    })
}

/// The threads of a run. Whoever drops them tells them to end.
pub(crate) struct Threads {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handles: Vec<JoinHandle<Result<Tally, LoadError>>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.enter(Phase::Done);
    }
}

impl Threads {
    fn start(plan: &Plan, target: &Target) -> Result<Self, LoadError> {
        let shared = Arc::new(Shared::new(plan.threads));
        Self::each(plan, &shared, |index| {
            let (plan, target, shared) = (plan.clone(), target.clone(), Arc::clone(&shared));
            move || net::run(work(index, plan, target, shared))?
        })
    }

    /// One thread for each index, on its core when there is one.
    pub(crate) fn each<Work>(plan: &Plan, shared: &Arc<Shared>, work: impl Fn(usize) -> Work) -> Result<Self, LoadError>
    where
        Work: FnOnce() -> Result<Tally, LoadError> + Send + 'static,
    {
        let mut threads = Self {
            shared: Arc::clone(shared),
            handles: Vec::new(),
        };
        for index in 0..plan.threads {
            let (work, shared) = (work(index), Arc::clone(shared));
            let core = plan.cores.as_ref().and_then(|cores| cores.of_thread(index));
            let handle = std::thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || {
                    core.map_or(Ok(()), Cores::keep_to_one)?;
                    shared
                        .gauge(index)
                        .runs_as(rustix::thread::gettid().as_raw_nonzero().get());
                    work()
                })
                .map_err(|source| LoadError::Io {
                    doing: "start a thread",
                    source,
                })?;
            threads.handles.push(handle);
        }
        Ok(threads)
    }

    /// Waits for `units` of whatever the run consists of.
    pub(crate) fn until_all_stand(&mut self, units: u64, stop: &Stop, progress: &Progress) -> Result<(), LoadError> {
        while self.shared.totals().units < units {
            let totals = self.shared.totals();
            progress.part(totals.units, units);
            progress.say(&format!("connecting: {} sessions", thousands(totals.established)));
            if stop.requested() || !self.all_run() {
                self.shared.enter(Phase::Done);
                progress.end();
                return Err(self.failure());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Lets time pass, showing the rate.
    fn watch(
        &self,
        what: &str,
        length: Option<Duration>,
        stop: &Stop,
        progress: &Progress,
        observe: &mut dyn FnMut(&Totals, Duration, &Progress),
    ) {
        let began = Instant::now();
        let (mut last, mut before) = (began, self.shared.totals());
        while !stop.requested() && self.all_run() {
            let left = length.map(|length| length.saturating_sub(began.elapsed()));
            if left == Some(Duration::ZERO) {
                return;
            }
            std::thread::sleep(left.unwrap_or(REFRESH).min(REFRESH));
            let (now, totals) = (Instant::now(), self.shared.totals());
            let rate = |now_: u64, then: u64| ((now_ - then) as f64 / (now - last).as_secs_f64()) as u64;
            let mut line = format!("{what}: {} sessions", thousands(totals.established - totals.handshakes));
            for (rate, unit) in [
                (rate(totals.delivered, before.delivered), "frames/s"),
                (rate(totals.handshakes, before.handshakes), "handshakes/s"),
            ] {
                if rate > 0 {
                    line += &format!(", {} {unit}", thousands(rate));
                }
            }
            if totals.lost > 0 {
                line += &format!(", {} sessions lost", thousands(totals.lost));
            }
            (last, before) = (now, totals);
            progress.time(began.elapsed(), length);
            progress.say(&line);
            observe(&totals, began.elapsed(), progress);
        }
    }

    fn all_run(&self) -> bool {
        !self.handles.iter().any(JoinHandle::is_finished)
    }

    pub(crate) fn any_runs(&self) -> bool {
        !self.handles.iter().all(JoinHandle::is_finished)
    }

    /// Why a thread ended before its time.
    pub(crate) fn failure(&mut self) -> LoadError {
        let ended = self.handles.drain(..).filter_map(|handle| join(handle).err()).next();
        ended.unwrap_or_else(|| LoadError::GaveUp("interrupted before everybody was connected".to_owned()))
    }
}

pub(crate) fn join(handle: JoinHandle<Result<Tally, LoadError>>) -> Result<Tally, LoadError> {
    match handle.join() {
        Ok(result) => result,
        Err(_) => Err(LoadError::GaveUp("a thread of the load generator panicked".to_owned())),
    }
}
