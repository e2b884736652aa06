//! One thread of a run: its share of the pairs, from connecting to the last tally.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use commucat_client::{Entropy, Event, OsEntropy, StaticKey};
use commucat_proto::control::Join;
use commucat_proto::{ChannelId, DeviceId, FrameType};

use super::flow::Flow;
use super::shared::{Phase, Shared};
use super::tally::Tally;
use crate::cli::Offer;
use crate::error::LoadError;
use crate::limits::{BUSY_READ, TICK};
use crate::net::{self, Establishing, Handler, establish};
use crate::target::Target;

/// What a thread has to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Distinguishes this run's devices from every other run's.
    pub(crate) run: u64,
    /// Which pairs are this thread's.
    pub(crate) pairs: std::ops::Range<u32>,
    pub(crate) payload: usize,
    pub(crate) window: u32,
    pub(crate) both: bool,
    /// Extensions that are offered.
    pub(crate) offer: Offer,
    /// Open loop: nanoseconds between two messages of one flow.
    pub(crate) period_ns: Option<u64>,
    /// Pairs that connect at once.
    pub(crate) concurrency: u32,
}

/// A place for a flow, which can only be made once its sender's wire runs.
type Slot = Rc<RefCell<Option<Flow>>>;

/// Runs the thread's share.
pub(crate) async fn work(plan: Plan, target: Target, shared: Arc<Shared>) -> Result<Tally, LoadError> {
    let tally = Rc::new(RefCell::new(Tally::new()));
    let flows = connect_all(&plan, target, &shared, &tally).await?;
    let start_ns = loop {
        if shared.phase() != Phase::Connecting {
            break shared.now_ns();
        }
        monoio::time::sleep(TICK).await;
    };
    if plan.period_ns.is_none() {
        each(&flows, |_, flow| flow.fill(&shared.moment(), &mut tally.borrow_mut()));
    }
    loop {
        let phase = shared.phase();
        if phase.sends()
            && let Some(period) = plan.period_ns
        {
            let spread = period / flows.len().max(1) as u64;
            let mut tally = tally.borrow_mut();
            each(&flows, |index, flow| {
                flow.pace(start_ns + spread * index as u64, period, &shared.moment(), &mut tally);
            });
        }
        let (mut in_flight, mut alive) = (0, false);
        each(&flows, |_, flow| {
            in_flight += flow.ledger.in_flight();
            alive |= flow.is_alive();
        });
        // A relay that is gone ends the run, whatever the time.
        if phase == Phase::Done || (phase == Phase::Draining && in_flight == 0) || !alive {
            break;
        }
        monoio::time::sleep(TICK).await;
    }
    let mut lost = 0;
    each(&flows, |_, flow| lost += flow.ledger.lost_unmeasured());
    let mut total = tally.replace(Tally::new());
    total.lost_unmeasured = lost;
    Ok(total)
}

fn each(flows: &[Slot], mut visit: impl FnMut(usize, &mut Flow)) {
    for (index, slot) in flows.iter().enumerate() {
        if let Some(flow) = slot.borrow_mut().as_mut() {
            visit(index, flow);
        }
    }
}

/// Opens all pairs, several at a time.
async fn connect_all(
    plan: &Plan,
    target: Target,
    shared: &Arc<Shared>,
    tally: &Rc<RefCell<Tally>>,
) -> Result<Vec<Slot>, LoadError> {
    let next = Rc::new(Cell::new(plan.pairs.start));
    let flows = Rc::new(RefCell::new(Vec::new()));
    let target = Rc::new(target);
    let openers: Vec<_> = (0..plan.concurrency.max(1))
        .map(|_| {
            let (plan, target, next, flows) = (plan.clone(), Rc::clone(&target), Rc::clone(&next), Rc::clone(&flows));
            let (shared, tally) = (Arc::clone(shared), Rc::clone(tally));
            monoio::spawn(async move {
                while next.get() < plan.pairs.end && shared.phase() == Phase::Connecting {
                    let pair = next.replace(next.get() + 1);
                    let made = open_pair(pair, &plan, &target, &shared, &tally).await?;
                    flows.borrow_mut().extend(made);
                    shared.pair_ready();
                }
                Ok::<_, LoadError>(())
            })
        })
        .collect();
    for opener in openers {
        opener.await?;
    }
    let flows = flows.borrow().clone();
    Ok(flows)
}

async fn open_pair(
    pair: u32,
    plan: &Plan,
    target: &Target,
    shared: &Arc<Shared>,
    tally: &Rc<RefCell<Tally>>,
) -> Result<Vec<Slot>, LoadError> {
    let channel = ChannelId::new(pair + 1);
    let (a, b) = (device(plan.run, pair, 'a')?, device(plan.run, pair, 'b')?);
    let first = open_side(plan, target, &a, &b, channel).await?;
    let second = open_side(plan, target, &b, &a, channel).await?;
    let (forth, back) = (Slot::default(), Slot::default());
    let side = |outgoing: &Slot, incoming: &Slot| Side {
        outgoing: Rc::clone(outgoing),
        incoming: Rc::clone(incoming),
        tally: Rc::clone(tally),
        shared: Arc::clone(shared),
        closed_loop: plan.period_ns.is_none(),
        now_ns: 0,
        arrived: 0,
    };
    let wire_a = net::start(first, BUSY_READ, |_| side(&forth, &back));
    let wire_b = net::start(second, BUSY_READ, |_| side(&back, &forth));
    let flow = |sender| Flow::new(sender, channel, plan.payload, plan.window, random());
    *forth.borrow_mut() = Some(flow(wire_a));
    if plan.both {
        *back.borrow_mut() = Some(flow(wire_b));
        return Ok(vec![forth, back]);
    }
    Ok(vec![forth])
}

async fn open_side(
    plan: &Plan,
    target: &Target,
    own: &DeviceId,
    peer: &DeviceId,
    channel: ChannelId,
) -> Result<Establishing, LoadError> {
    let key = StaticKey::generate(&mut OsEntropy);
    let mut config = target.config(own.clone(), key);
    config.capabilities = plan.offer.capabilities();
    let mut session = establish(target, config, None).await?;
    // The relay is what is measured, so the two must not look for a way around it.
    let join = Join {
        members: vec![peer.clone()],
        relay: true,
        group_id: None,
    };
    session.join(channel, &join).await?;
    Ok(session)
}

fn device(run: u64, pair: u32, side: char) -> Result<DeviceId, LoadError> {
    DeviceId::parse(&format!("load-{run:016x}-{pair}-{side}")).map_err(|error| LoadError::Argument(error.to_string()))
}

/// A number nobody else has.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// One end of a pair.
struct Side {
    /// What this end sends: its ACKs arrive here.
    outgoing: Slot,
    /// What the other end sends: it arrives here.
    incoming: Slot,
    tally: Rc<RefCell<Tally>>,
    shared: Arc<Shared>,
    closed_loop: bool,
    /// The clock, read once per batch; zero between batches.
    now_ns: u64,
    arrived: u64,
}

impl Handler for Side {
    fn event(&mut self, event: Event<'_>) {
        if self.now_ns == 0 {
            self.now_ns = self.shared.now_ns();
        }
        let mut tally = self.tally.borrow_mut();
        match event {
            Event::Frame(frame) if frame.kind == FrameType::Msg => {
                self.arrived += 1;
                match self.incoming.borrow_mut().as_mut() {
                    Some(flow) => flow.ledger.arrive(frame.payload, self.now_ns, &mut tally),
                    None => tally.corrupt += 1,
                }
            }
            Event::Acknowledged { from, to, body, .. } => {
                let rejected = body.is_some_and(|ack| !ack.rejected.is_empty());
                if let Some(flow) = self.outgoing.borrow_mut().as_mut() {
                    flow.ledger.acknowledge(from, to, rejected, self.now_ns, &mut tally);
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self) {
        self.now_ns = 0;
        if self.arrived > 0 {
            self.shared.count_delivered(std::mem::take(&mut self.arrived));
        }
        let phase = self.shared.phase();
        if !self.closed_loop || !phase.sends() {
            return;
        }
        let moment = self.shared.moment();
        // A delivery opens the other end's window, a rejection our own.
        for slot in [&self.incoming, &self.outgoing] {
            if let Some(flow) = slot.borrow_mut().as_mut() {
                flow.fill(&moment, &mut self.tally.borrow_mut());
            }
        }
    }

    fn lost(&mut self, why: &str) {
        if self.shared.phase() < Phase::Done {
            let mut tally = self.tally.borrow_mut();
            tally.disconnected += 1;
            tally.first_loss.get_or_insert_with(|| why.to_owned());
        }
    }
}
