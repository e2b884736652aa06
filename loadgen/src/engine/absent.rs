//! Recipients who are away: each registers, leaves, is written to, comes back, and takes what waited.
//!
//! ```text
//!  Connecting   recipients come and leave; their senders join           one unit each
//!  Measuring    senders send until all is acknowledged, that is stored  one unit each
//!  Draining     recipients come back and take it                        one unit each
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use commucat_client::{Event, OsEntropy, StaticKey};
use commucat_proto::{ChannelId, FrameType};

use super::context::Context;
use super::flow::{Audience, FlowRef};
use super::phase::{Moment, Phase, Shared};
use super::plan::{Plan, random};
use super::schedule::Schedule;
use super::seat::{Origin, seat};
use crate::error::LoadError;
use crate::limits::{FINEST, REPLAY, TICK};
use crate::measure::message::Message;
use crate::measure::received::{Arrival, Received};
use crate::measure::tally::{Kind, Tally};
use crate::net::{Timer, ramp};
use crate::target::Target;

const CHANNEL: ChannelId = ChannelId::new(1);

/// How many, and how they come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Absence {
    pub(crate) recipients: u32,
    /// Stored for each.
    pub(crate) messages: u64,
    /// Recipients of one thread that come back at once.
    pub(crate) lanes: usize,
}

/// Somebody who is away, and whoever writes to them.
#[derive(Debug)]
struct Away {
    number: u32,
    key: StaticKey,
    flow: FlowRef,
    origin: Rc<Origin>,
}

/// Runs one thread's share.
pub(super) async fn work(
    index: usize,
    plan: Plan,
    absence: Absence,
    target: Target,
    shared: Arc<Shared>,
) -> Result<Tally, LoadError> {
    let context = Context::new(index, plan, target, shared);
    context.tally.borrow_mut().of_mut(Kind::Messages).acks_are_all = true;
    let away = Rc::new(RefCell::new(Vec::new()));
    let leaving = Rc::clone(&away);
    context
        .open_share(absence.recipients, move |context, number| {
            let away = Rc::clone(&leaving);
            async move {
                let someone = leave(&context, number, absence.messages).await?;
                away.borrow_mut().push(Rc::new(someone));
                Ok(())
            }
        })
        .await?;
    until(&context, Phase::Measuring).await;
    let since = context.shared.measuring_since();
    context.tally.borrow_mut().begin(&[Kind::Messages], since);
    let away: Rc<Vec<Rc<Away>>> = Rc::new(away.take());
    store(&context, &away).await?;
    until(&context, Phase::Draining).await;
    let now_ns = context.shared.now_ns();
    context.tally.borrow_mut().begin(&[Kind::Replays], now_ns);
    let share = u32::try_from(away.len()).unwrap_or(u32::MAX);
    let (shared, returning, absent) = (Arc::clone(&context.shared), Rc::clone(&context), Rc::clone(&away));
    ramp(
        0..share,
        absence.lanes,
        move || shared.phase() < Phase::Done,
        move |index| {
            let (context, someone) = (Rc::clone(&returning), Rc::clone(&absent[index as usize]));
            async move {
                if let Err(error) = come_back(&context, &someone).await {
                    context.failed(&error);
                }
                context.gauge().unit();
                Ok(())
            }
        },
    )
    .await?;
    until(&context, Phase::Done).await;
    let mut tally = context.tally.replace(Tally::new(None));
    away.iter().for_each(|someone| someone.flow.borrow().close(&mut tally));
    context.part().await;
    Ok(tally)
}

async fn until(context: &Context, phase: Phase) {
    while context.shared.phase() < phase {
        monoio::time::sleep(TICK).await;
    }
}

/// A recipient makes itself known and leaves; its sender comes.
async fn leave(context: &Rc<Context>, number: u32, messages: u64) -> Result<Away, LoadError> {
    let (recipient, sender) = (context.device("away", number, 0)?, context.device("from", number, 0)?);
    let key = StaticKey::generate(&mut OsEntropy);
    context.session(&recipient, key.clone()).await?.close(|_| {}).await?;
    let mut session = context.fresh(&sender).await?;
    session.join(CHANNEL, vec![recipient]).await?;
    let sender = seat(context, session, context.plan.read());
    let message = Message::new(context.plan.payload, random());
    let audience = Audience::new(1, context.plan.window(1));
    let (flow, origin) = sender.speaks(Kind::Messages, CHANNEL, message, &audience);
    flow.borrow_mut().goes_to_the_absent(messages);
    Ok(Away {
        number,
        key,
        flow,
        origin,
    })
}

/// Sends until everything is stored.
async fn store(context: &Context, away: &[Rc<Away>]) -> Result<(), LoadError> {
    let flows: Vec<FlowRef> = away.iter().map(|someone| Rc::clone(&someone.flow)).collect();
    let mut timer = Timer::new()?;
    let start_ns = context.shared.now_ns();
    let mut schedule = context.plan.rate.map(|rate| {
        let own = rate * flows.len() as f64 / context.plan.crowd.pairs.max(1) as f64;
        Schedule::new(flows.clone(), own, start_ns)
    });
    while context.shared.phase() == Phase::Measuring {
        let moment = context.shared.moment();
        send_due(context, &flows, schedule.as_mut(), &moment);
        if flows.iter().all(|flow| flow.borrow().is_complete()) {
            break;
        }
        if flows.iter().all(|flow| !flow.borrow().is_alive()) {
            return Err(LoadError::GaveUp("the relay ended every session".to_owned()));
        }
        let next_ns = schedule.as_ref().map_or(u64::MAX, Schedule::next_ns);
        let wait = std::time::Duration::from_nanos(next_ns.saturating_sub(context.shared.now_ns()));
        timer.sleep(wait.clamp(FINEST, TICK)).await?;
    }
    context.gauge().units(flows.len() as u64);
    Ok(())
}

fn send_due(context: &Context, flows: &[FlowRef], schedule: Option<&mut Schedule>, moment: &Moment) {
    let mut tally = context.tally.borrow_mut();
    match schedule {
        Some(schedule) => schedule.run(moment, &mut tally),
        None => flows.iter().for_each(|flow| flow.borrow_mut().fill(moment, &mut tally)),
    }
}

/// A recipient returns, takes everything, and leaves again.
async fn come_back(context: &Context, someone: &Away) -> Result<(), LoadError> {
    let owed = someone.flow.borrow().owed();
    let began_ns = context.shared.now_ns();
    let mut book = Received::default();
    let mut count = 0;
    let mut take = |event: &Event<'_>| {
        if let Event::Frame(frame) = event
            && frame.kind == FrameType::Msg
        {
            count += u64::from(taken(context, &someone.origin, &mut book, frame.payload, began_ns));
        }
        count
    };
    let device = context.device("away", someone.number, 0)?;
    let mut session = context.session(&device, someone.key.clone()).await?;
    session.expect_much();
    if owed > 0 {
        session.read_until(REPLAY, |event| take(event) >= owed).await?;
    }
    session
        .close(|event| {
            take(event);
        })
        .await
}

/// Books a message; says whether it is a new one.
fn taken(context: &Context, origin: &Origin, book: &mut Received, payload: &[u8], began_ns: u64) -> bool {
    let mut tally = context.tally.borrow_mut();
    let Some(stamp) = origin.message.read(payload) else {
        tally.corrupt += 1;
        return false;
    };
    match book.arrive(stamp.counter) {
        Arrival::Again => {
            tally.duplicated += 1;
            return false;
        }
        Arrival::Late => tally.disordered += 1,
        Arrival::New => {}
    }
    tally.of_mut(Kind::Messages).delivered_in_all += 1;
    let replays = tally.of_mut(Kind::Replays);
    replays.sent += 1;
    replays.owed += 1;
    replays.owed_in_all += 1;
    replays.delivered_in_all += 1;
    replays.arrived(began_ns, context.shared.now_ns());
    context.gauge().delivered(1);
    true
}
