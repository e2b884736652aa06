//! Connections that come, are accepted, and leave: TCP, TLS, Noise and the relay's ready ACK, then an orderly end.
//!
//! Each lane has one newcomer at a time. In a closed loop it comes again as soon as it has left; in an open loop newcomers
//! are due by the clock, and one that finds every lane taken has waited since then.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use commucat_client::{OsEntropy, StaticKey};

use super::context::Context;
use super::phase::{Moment, Phase};
use crate::error::LoadError;
use crate::limits::{TICK, WAITING};
use crate::measure::tally::Kind;

/// After a failure, so that a relay that refuses everybody is not asked a hundred thousand times a second.
const AFTER_FAILURE: Duration = Duration::from_millis(20);

/// Who is due and has no lane yet.
#[derive(Debug)]
pub(crate) struct Door {
    step_ns: f64,
    next_ns: Cell<f64>,
    due: RefCell<VecDeque<u64>>,
    waiting: RefCell<Vec<Waker>>,
    closed: Cell<bool>,
}

impl Door {
    /// For so many newcomers a second, from `start_ns` on.
    fn new(rate: f64, start_ns: u64) -> Self {
        Self {
            step_ns: 1e9 / rate.max(1e-6),
            next_ns: Cell::new(start_ns as f64),
            due: RefCell::default(),
            waiting: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    /// When somebody is due.
    pub(crate) fn next_ns(&self) -> u64 {
        self.next_ns.get() as u64
    }

    /// Lets in who is due by now; gives how many found the queue full.
    pub(crate) fn run(&self, now_ns: u64) -> u64 {
        let (mut due, mut turned_away) = (self.due.borrow_mut(), 0);
        while self.next_ns.get() <= now_ns as f64 {
            if due.len() < WAITING {
                due.push_back(self.next_ns.get() as u64);
            } else {
                turned_away += 1;
            }
            self.next_ns.set(self.next_ns.get() + self.step_ns);
        }
        if !due.is_empty() {
            self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        }
        turned_away
    }

    /// Nobody comes any more; gives how many were due and never came.
    pub(crate) fn close(&self) -> u64 {
        self.closed.set(true);
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
        self.due.take().len() as u64
    }

    /// Waits for somebody; gives when they were due.
    async fn next(&self) -> Option<u64> {
        poll_fn(|context| {
            if self.closed.get() {
                return Poll::Ready(None);
            }
            match self.due.borrow_mut().pop_front() {
                Some(due_ns) => Poll::Ready(Some(due_ns)),
                None => {
                    self.waiting.borrow_mut().push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Opens this thread's lanes; they run by themselves until the run drains.
pub(super) fn open(context: &Rc<Context>, start_ns: u64) -> Option<Rc<Door>> {
    let crowd = &context.plan.crowd;
    let lanes = context.plan.share(crowd.lanes, context.index);
    if lanes.is_empty() {
        return None;
    }
    let share = lanes.len() as f64 / f64::from(crowd.lanes);
    let door = crowd.newcomers.map(|rate| Rc::new(Door::new(rate * share, start_ns)));
    context.lanes.set(u32::try_from(lanes.len()).unwrap_or(u32::MAX));
    for lane in lanes {
        let (context, door) = (Rc::clone(context), door.clone());
        monoio::spawn(async move {
            if let Err(error) = run(&context, lane, door.as_deref()).await {
                context.failed(&error);
            }
            context.lanes.set(context.lanes.get() - 1);
        });
    }
    door
}

/// One lane, until the end.
async fn run(context: &Context, lane: u32, door: Option<&Door>) -> Result<(), LoadError> {
    let mut key = StaticKey::generate(&mut OsEntropy);
    let mut visit = 0;
    loop {
        while context.shared.phase() < Phase::Warming {
            monoio::time::sleep(TICK).await;
        }
        let due_ns = match door {
            Some(door) => match door.next().await {
                Some(due_ns) => due_ns,
                None => return Ok(()),
            },
            None if !context.shared.phase().sends() => return Ok(()),
            None => context.shared.now_ns(),
        };
        let moment = context.shared.moment();
        if context.plan.crowd.unknown {
            key = StaticKey::generate(&mut OsEntropy);
            visit += 1;
        }
        let device = context.device("new", lane, visit)?;
        begun(context, due_ns, &moment, door.is_some());
        let came = context.session(&device, key.clone()).await;
        let left = match came {
            Ok(session) => {
                accepted(context, due_ns, &moment);
                session.close(|_| {}).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            context.failed(&error);
            monoio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

fn begun(context: &Context, due_ns: u64, moment: &Moment, on_schedule: bool) {
    let mut tally = context.tally.borrow_mut();
    if on_schedule {
        tally.sent_late(due_ns, moment.now_ns);
    }
    let class = tally.of_mut(Kind::Handshakes);
    class.owed_in_all += 1;
    if moment.measuring {
        class.sent += 1;
        class.owed += 1;
    }
}

fn accepted(context: &Context, due_ns: u64, moment: &Moment) {
    let mut tally = context.tally.borrow_mut();
    let class = tally.of_mut(Kind::Handshakes);
    class.delivered_in_all += 1;
    if moment.measuring {
        class.arrived(due_ns, context.shared.now_ns());
    }
    context.gauge().handshake();
}

#[cfg(test)]
mod tests {
    use super::{Door, WAITING};

    #[test]
    fn newcomers_are_due_by_the_clock_and_those_too_many_are_counted() {
        let door = Door::new(1_000.0, 500);
        assert_eq!((door.run(499), door.due.borrow().len()), (0, 0));
        assert_eq!((door.run(2_000_500), door.next_ns()), (0, 3_000_500));
        assert_eq!(
            door.due.borrow().iter().copied().collect::<Vec<_>>(),
            [500, 1_000_500, 2_000_500]
        );
        let turned_away = door.run(500 + (WAITING as u64 + 9) * 1_000_000);
        assert_eq!((turned_away, door.close()), (10, WAITING as u64));
    }
}
