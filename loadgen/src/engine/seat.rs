//! One session in traffic: what reaches it is booked, what that opens is sent.
//!
//! ```text
//!  read ─► event, event, … ─► turn: deliveries are added up, windows filled, calls moved on
//! ```
//!
//! The clock is read once per read and once per turn. A frame costs a comparison of its bytes, two entries in the books,
//! and no allocation.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use commucat_client::Event;
use commucat_proto::{ChannelId, Frame, FrameType};

use super::calls::{Call, Side};
use super::context::Context;
use super::flow::{Audience, Flow, FlowRef, Until};
use super::phase::Phase;
use crate::measure::message::Message;
use crate::measure::received::{Arrival, Received};
use crate::measure::tally::Kind;
use crate::net::{self, Establishing, Handler, Wire};

/// A flow as its recipients know it.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) message: Message,
    pub(crate) kind: Kind,
    pub(crate) arrived: Arc<AtomicU64>,
    /// Closed loop: whose window a delivery opens, when it is on this thread.
    pub(crate) flow: OnceCell<FlowRef>,
}

impl Origin {
    /// Of a flow whose sender is on another thread.
    pub(crate) fn elsewhere(message: Message, kind: Kind, arrived: Arc<AtomicU64>) -> Self {
        Self {
            message,
            kind,
            arrived,
            flow: OnceCell::new(),
        }
    }
}

/// A flow that reaches a session.
#[derive(Debug)]
struct Incoming {
    origin: Rc<Origin>,
    book: Received,
    /// Arrived in this read.
    pending: u64,
}

/// What a session hears and says; filled in before traffic begins.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    /// Flow `n` comes on channel `n + 1`.
    incoming: RefCell<Vec<Incoming>>,
    outgoing: OnceCell<FlowRef>,
    call: OnceCell<(Rc<Call>, Side)>,
}

impl Seat {
    /// The next channel brings this.
    pub(crate) fn hears(&self, origin: &Rc<Origin>) {
        self.incoming.borrow_mut().push(Incoming {
            origin: Rc::clone(origin),
            book: Received::default(),
            pending: 0,
        });
    }

    /// It takes part in this call.
    pub(crate) fn calls(&self, call: &Rc<Call>, side: Side) {
        let _ = self.call.set((Rc::clone(call), side));
    }
}

/// Somebody in traffic.
#[derive(Clone, Debug)]
pub(crate) struct Seated {
    pub(crate) wire: Rc<Wire>,
    pub(crate) seat: Rc<Seat>,
}

impl Seated {
    /// Begins a flow; its recipients have to hear its origin.
    pub(crate) fn speaks(
        &self,
        kind: Kind,
        channel: ChannelId,
        message: Message,
        audience: &Audience,
    ) -> (FlowRef, Rc<Origin>) {
        let origin = Rc::new(Origin::elsewhere(message.clone(), kind, Arc::clone(&audience.arrived)));
        let flow = Flow::new(Rc::clone(&self.wire), kind, channel, message, audience);
        let flow = Rc::new(RefCell::new(flow));
        let _ = self.seat.outgoing.set(Rc::clone(&flow));
        if kind == Kind::Messages {
            let _ = origin.flow.set(Rc::clone(&flow));
        }
        (flow, origin)
    }
}

/// Lets traffic take a session over.
pub(crate) fn seat(context: &Rc<Context>, session: Establishing, read: usize) -> Seated {
    let seat = Rc::new(Seat::default());
    context.seated.set(context.seated.get() + 1);
    context.standing.set(context.standing.get() + 1);
    let occupant = Occupant {
        context: Rc::clone(context),
        seat: Rc::clone(&seat),
        now_ns: 0,
        touched: Vec::new(),
        reopened: false,
        lost: false,
    };
    let wire = net::start(session, read, |_| occupant);
    context.cast.borrow_mut().wires.push(Rc::clone(&wire));
    Seated { wire, seat }
}

/// Who hears for a seat.
struct Occupant {
    context: Rc<Context>,
    seat: Rc<Seat>,
    /// The clock, read once per batch; zero between batches.
    now_ns: u64,
    /// Incoming flows of this batch.
    touched: Vec<usize>,
    /// An ACK may have opened our own window.
    reopened: bool,
    lost: bool,
}

impl Occupant {
    fn frame(&mut self, frame: &Frame<'_>) {
        let kind = match frame.kind {
            FrameType::Msg => Kind::Messages,
            FrameType::VoiceFrame => Kind::Voice,
            FrameType::CallOffer | FrameType::CallAnswer | FrameType::CallEnd => {
                if let Some((call, side)) = self.seat.call.get() {
                    call.hears(*side, frame.kind, self.now_ns);
                }
                return;
            }
            _ => return,
        };
        let index = frame.channel.get().wrapping_sub(1) as usize;
        let mut incoming = self.seat.incoming.borrow_mut();
        let mut tally = self.context.tally.borrow_mut();
        let expected = incoming.get_mut(index).filter(|flow| flow.origin.kind == kind);
        let Some((flow, stamp)) = expected.and_then(|flow| {
            let stamp = flow.origin.message.read(frame.payload)?;
            Some((flow, stamp))
        }) else {
            tally.corrupt += 1;
            return;
        };
        let arrival = flow.book.arrive(stamp.counter);
        tally.frame(kind, arrival, stamp.measured, stamp.sent_ns, self.now_ns);
        if arrival == Arrival::Again {
            return;
        }
        if flow.pending == 0 {
            self.touched.push(index);
        }
        flow.pending += 1;
    }
}

impl Handler for Occupant {
    fn event(&mut self, event: Event<'_>) {
        if self.now_ns == 0 {
            self.now_ns = self.context.shared.now_ns();
        }
        match event {
            Event::Frame(frame) => self.frame(&frame),
            Event::Acknowledged { from, to, body, .. } => {
                let Some(flow) = self.seat.outgoing.get() else { return };
                let rejected = body.map_or(0, |ack| ack.rejected.len() as u64);
                let mut flow = flow.borrow_mut();
                let mut tally = self.context.tally.borrow_mut();
                flow.acknowledge(from, to, rejected, self.now_ns, &mut tally);
                self.reopened |= rejected > 0 || flow.until() == Until::Acknowledged;
            }
            _ => {}
        }
    }

    fn turn(&mut self) {
        self.now_ns = 0;
        let context = &self.context;
        let fills = context.plan.rate.is_none() && context.shared.phase().sends();
        let mut moment = None;
        let mut fill = |flow: &FlowRef| {
            let moment = moment.get_or_insert_with(|| context.shared.moment());
            flow.borrow_mut().fill(moment, &mut context.tally.borrow_mut());
        };
        let mut arrived = 0;
        if !self.touched.is_empty() {
            let mut incoming = self.seat.incoming.borrow_mut();
            for index in self.touched.drain(..) {
                let flow = &mut incoming[index];
                let pending = std::mem::take(&mut flow.pending);
                flow.origin.arrived.fetch_add(pending, Ordering::Relaxed);
                arrived += pending;
                if fills && let Some(sender) = flow.origin.flow.get() {
                    fill(sender);
                }
            }
        }
        if std::mem::take(&mut self.reopened)
            && fills
            && let Some(flow) = self.seat.outgoing.get()
        {
            fill(flow);
        }
        if arrived > 0 {
            context.gauge().delivered(arrived);
        }
        if let Some((call, _)) = self.seat.call.get() {
            call.react(context);
        }
    }

    fn lost(&mut self, why: &str) {
        if std::mem::replace(&mut self.lost, true) {
            return;
        }
        let context = &self.context;
        context.standing.set(context.standing.get() - 1);
        if context.shared.phase() < Phase::Done {
            let mut tally = context.tally.borrow_mut();
            tally.disconnected += 1;
            tally.trouble(&format!("a session was lost: {why}"));
            context.gauge().lost();
        }
    }
}
