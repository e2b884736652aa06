//! One thread of a run: its share of the crowd, from connecting to its tally.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::calls::VOICE_RATE;
use super::context::Context;
use super::newcomers::{self, Door};
use super::phase::{Moment, Phase, Shared};
use super::plan::Plan;
use super::schedule::Schedule;
use super::seat::seat;
use super::{calls, fan, groups, pairs};
use crate::error::LoadError;
use crate::limits::{FINEST, IDLE_READ, TICK};
use crate::measure::tally::{Kind, Tally};
use crate::net::Timer;
use crate::target::Target;

/// Runs the thread's share.
pub(super) async fn work(index: usize, plan: Plan, target: Target, shared: Arc<Shared>) -> Result<Tally, LoadError> {
    let context = Context::new(index, plan, target, shared);
    open(&context).await?;
    while context.shared.phase() == Phase::Connecting {
        monoio::time::sleep(TICK).await;
    }
    let mut pace = Pace::begin(&context)?;
    loop {
        let phase = context.shared.phase();
        let moment = context.shared.moment();
        if phase == Phase::Done {
            break;
        }
        pace.turn(&context, &moment, phase);
        // A relay that is gone ends the run, whatever the time.
        if context.seated.get() > 0 && context.standing.get() == 0 {
            break;
        }
        pace.wait(&context, phase).await?;
    }
    let tally = close(&context, pace.door.as_deref());
    context.part().await;
    Ok(tally)
}

/// Opens everything, and waits until it stands.
async fn open(context: &Rc<Context>) -> Result<(), LoadError> {
    let crowd = &context.plan.crowd;
    context
        .open_share(crowd.idle, |context, unit| async move {
            let session = context.fresh(&context.device("idle", unit, 0)?).await?;
            seat(&context, session, IDLE_READ);
            Ok(())
        })
        .await?;
    context.open_share(crowd.pairs, pairs::open).await?;
    context.open_share(crowd.groups, groups::open).await?;
    context.open_share(crowd.calls, calls::open).await?;
    fan::open(context).await
}

/// What the thread does by the clock.
struct Pace {
    timer: Timer,
    messages: Option<Schedule>,
    voice: Schedule,
    door: Option<Rc<Door>>,
    began_measuring: bool,
    quiet: bool,
    next_tick_ns: u64,
}

impl Pace {
    fn begin(context: &Rc<Context>) -> Result<Self, LoadError> {
        let moment = context.shared.moment();
        let cast = context.cast.borrow();
        let flows = cast.messages.len() as f64;
        let messages = context.plan.rate.map(|rate| {
            let own = rate * flows / (context.plan.crowd.flows().max(1)) as f64;
            // Threads take turns, too.
            let offset = 1e9 / rate.max(1e-6) * context.index as f64;
            Schedule::new(cast.messages.clone(), own, moment.now_ns + offset as u64)
        });
        if messages.is_none() {
            let mut tally = context.tally.borrow_mut();
            for flow in &cast.messages {
                flow.borrow_mut().fill(&moment, &mut tally);
            }
        }
        let voice = VOICE_RATE * cast.voice.len() as f64;
        Ok(Self {
            timer: Timer::new()?,
            messages,
            voice: Schedule::new(cast.voice.clone(), voice, moment.now_ns),
            door: newcomers::open(context, moment.now_ns),
            began_measuring: false,
            quiet: false,
            next_tick_ns: 0,
        })
    }

    /// Does what is due.
    fn turn(&mut self, context: &Context, moment: &Moment, phase: Phase) {
        if !self.began_measuring && phase >= Phase::Measuring {
            self.began_measuring = true;
            let since = context.shared.measuring_since();
            context.tally.borrow_mut().begin(&Kind::ALL, since);
        }
        let cast = context.cast.borrow();
        if phase.sends() {
            let mut tally = context.tally.borrow_mut();
            match &mut self.messages {
                Some(schedule) => schedule.run(moment, &mut tally),
                None => {
                    for flow in &cast.remote {
                        flow.borrow_mut().fill(moment, &mut tally);
                    }
                }
            }
            self.voice.run(moment, &mut tally);
            if let Some(door) = &self.door {
                tally.of_mut(Kind::Handshakes).unsent += door.run(moment.now_ns);
            }
        } else if let Some(door) = &self.door {
            let mut tally = context.tally.borrow_mut();
            tally.of_mut(Kind::Handshakes).unsent += door.close();
        }
        if moment.now_ns < self.next_tick_ns {
            return;
        }
        self.next_tick_ns = moment.now_ns + TICK.as_nanos() as u64;
        for call in &cast.calls {
            call.poll(context, moment, phase);
        }
        if phase == Phase::Draining && !self.quiet {
            self.quiet = context.lanes.get() == 0
                && cast.calls.iter().all(|call| call.is_quiet())
                && cast.messages.iter().all(|flow| flow.borrow().is_quiet());
            if self.quiet {
                context.gauge().is_quiet();
            }
        }
    }

    /// Until something is due, or a tick has passed.
    async fn wait(&mut self, context: &Context, phase: Phase) -> Result<(), LoadError> {
        let now_ns = context.shared.now_ns();
        let mut next_ns = now_ns + TICK.as_nanos() as u64;
        if phase.sends() {
            let messages = self.messages.as_ref().map_or(u64::MAX, Schedule::next_ns);
            let door = self.door.as_ref().map_or(u64::MAX, |door| door.next_ns());
            next_ns = next_ns.min(messages).min(self.voice.next_ns()).min(door);
        }
        let time = Duration::from_nanos(next_ns.saturating_sub(now_ns)).max(FINEST);
        self.timer.sleep(time).await
    }
}

/// Says goodbye, and gives what was counted.
fn close(context: &Context, door: Option<&Door>) -> Tally {
    let mut tally = context.tally.replace(Tally::new(None));
    let cast = context.cast.borrow();
    for flow in cast.messages.iter().chain(&cast.voice) {
        flow.borrow().close(&mut tally);
    }
    if let Some(door) = door {
        tally.of_mut(Kind::Handshakes).unsent += door.close();
    }
    tally
}
