//! A call of two, again and again: offered, answered, spoken in at fifty frames a second by each, ended.
//!
//! ```text
//!  Idle ─► Offered ─► Talking ─► Falling silent ─► Hanging up ─► Idle
//! ```
//!
//! Both fall silent before one hangs up: a relay need not carry what crosses the end of its call, so what is lost before
//! that was lost.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use commucat_client::Signal;
use commucat_proto::control::{CallAnswer, CallEnd, CallOffer};
use commucat_proto::{CallId, ChannelId, DeviceId, FrameType};

use super::context::Context;
use super::flow::{Audience, FlowRef};
use super::phase::{Moment, Phase};
use super::plan::random;
use super::seat::seat;
use crate::error::LoadError;
use crate::limits::{SIGNAL, SILENCE};
use crate::measure::message::Message;
use crate::measure::tally::Kind;
use crate::net::Wire;

/// Frames a second of each party: one every 20 ms.
pub(crate) const VOICE_RATE: f64 = 50.0;

const CHANNEL: ChannelId = ChannelId::new(1);

/// Who of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Offers and ends.
    Caller,
    /// Answers.
    Called,
}

#[derive(Debug)]
enum State {
    Idle,
    Offered {
        at: Moment,
        id: CallId,
    },
    Talking {
        until_ns: u64,
        id: CallId,
    },
    FallingSilent {
        until_ns: u64,
        id: CallId,
    },
    HangingUp {
        until_ns: u64,
    },
    /// It did not come about; nothing more is tried.
    Failed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Call {
    name: String,
    devices: [DeviceId; 2],
    wires: [Rc<Wire>; 2],
    voices: [FlowRef; 2],
    state: RefCell<State>,
    /// What came since the last reaction.
    heard: RefCell<Vec<(Side, FrameType, u64)>>,
    made: Cell<u64>,
}

/// Opens the two sessions.
pub(super) async fn open(context: Rc<Context>, number: u32) -> Result<(), LoadError> {
    let devices = [context.device("call", number, 0)?, context.device("call", number, 1)?];
    let mut seats = Vec::with_capacity(2);
    for device in &devices {
        let session = context.fresh(device).await?;
        seats.push(seat(&context, session, context.plan.read()));
    }
    let voice = |from: usize, to: usize| {
        let message = Message::new(context.plan.crowd.voice, random());
        let (flow, origin) = seats[from].speaks(Kind::Voice, CHANNEL, message, &Audience::new(1, u64::MAX));
        seats[to].seat.hears(&origin);
        flow
    };
    let call = Rc::new(Call {
        name: format!("load-{:016x}-{number}", context.plan.run),
        devices,
        wires: [Rc::clone(&seats[0].wire), Rc::clone(&seats[1].wire)],
        voices: [voice(0, 1), voice(1, 0)],
        state: RefCell::new(State::Idle),
        heard: RefCell::default(),
        made: Cell::new(0),
    });
    for (seated, side) in seats.iter().zip([Side::Caller, Side::Called]) {
        seated.seat.calls(&call, side);
    }
    let mut cast = context.cast.borrow_mut();
    cast.voice.extend(call.voices.iter().cloned());
    cast.calls.push(call);
    Ok(())
}

impl Call {
    /// A signal reached one of the two. What it leads to waits for [`Call::react`]: a session that is being read cannot send.
    pub(super) fn hears(&self, side: Side, kind: FrameType, now_ns: u64) {
        self.heard.borrow_mut().push((side, kind, now_ns));
    }

    /// Does what the signals since the last time ask for.
    pub(super) fn react(&self, context: &Context) {
        if self.heard.borrow().is_empty() {
            return;
        }
        let heard = std::mem::take(&mut *self.heard.borrow_mut());
        for (side, kind, now_ns) in heard {
            let state = self.state.replace(State::Failed);
            let next = match (state, side, kind) {
                (State::Offered { at, id }, Side::Called, FrameType::CallOffer) => {
                    self.say(Side::Called, &Signal::Answer(CallAnswer::accept(id.clone())));
                    State::Offered { at, id }
                }
                (State::Offered { at, id }, Side::Caller, FrameType::CallAnswer) => {
                    let mut tally = context.tally.borrow_mut();
                    let class = tally.of_mut(Kind::Calls);
                    class.delivered_in_all += 1;
                    if at.measuring {
                        class.arrived(at.now_ns, now_ns);
                    }
                    self.voices.iter().for_each(|voice| voice.borrow_mut().set_active(true));
                    let lasts = u64::try_from(context.plan.crowd.call.as_nanos()).unwrap_or(u64::MAX);
                    State::Talking {
                        until_ns: now_ns.saturating_add(lasts),
                        id,
                    }
                }
                (State::HangingUp { .. }, Side::Called, FrameType::CallEnd) => {
                    context.tally.borrow_mut().calls_ended += 1;
                    State::Idle
                }
                (_, _, kind) => self.fails(context, &format!("a call met {kind} out of turn")),
            };
            self.state.replace(next);
        }
    }

    /// Moves on with time.
    pub(super) fn poll(&self, context: &Context, moment: &Moment, phase: Phase) {
        let now_ns = moment.now_ns;
        let state = self.state.replace(State::Failed);
        let next = match state {
            State::Idle if phase.sends() => self.offer(context, moment),
            State::Offered { at, .. } if now_ns > at.now_ns + SIGNAL => {
                self.fails(context, "a call was never answered")
            }
            State::Talking { until_ns, id } if now_ns >= until_ns || !phase.sends() => {
                self.voices
                    .iter()
                    .for_each(|voice| voice.borrow_mut().set_active(false));
                State::FallingSilent {
                    until_ns: now_ns + SILENCE,
                    id,
                }
            }
            State::FallingSilent { until_ns, id } if now_ns >= until_ns || self.is_silent() => {
                self.say(Side::Caller, &Signal::End(CallEnd::new(id, "hangup")));
                State::HangingUp {
                    until_ns: now_ns + SIGNAL,
                }
            }
            State::HangingUp { until_ns } if now_ns > until_ns => self.fails(context, "a call's end never arrived"),
            state => state,
        };
        self.state.replace(next);
    }

    /// Whether nothing of it is under way.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(*self.state.borrow(), State::Idle | State::Failed)
    }

    fn offer(&self, context: &Context, moment: &Moment) -> State {
        let number = self.made.replace(self.made.get() + 1);
        let Ok(id) = CallId::parse(&format!("{}-{number}", self.name)) else {
            return self.fails(context, "a call has no name");
        };
        let [caller, called] = &self.devices;
        let offer = CallOffer::new(id.clone(), caller.clone(), vec![called.clone()]);
        let mut tally = context.tally.borrow_mut();
        let class = tally.of_mut(Kind::Calls);
        class.owed_in_all += 1;
        if moment.measuring {
            class.sent += 1;
            class.owed += 1;
        }
        self.say(Side::Caller, &Signal::Offer(offer));
        State::Offered { at: *moment, id }
    }

    fn is_silent(&self) -> bool {
        self.voices.iter().all(|voice| voice.borrow().is_quiet())
    }

    fn say(&self, side: Side, signal: &Signal) {
        // A session that can no longer send reports its end to its handler.
        let _ = self.wires[side as usize].send(|connection| connection.signal(CHANNEL, signal));
    }

    fn fails(&self, context: &Context, why: &str) -> State {
        self.voices
            .iter()
            .for_each(|voice| voice.borrow_mut().set_active(false));
        let mut tally = context.tally.borrow_mut();
        tally.failed += 1;
        tally.trouble(why);
        State::Failed
    }
}
