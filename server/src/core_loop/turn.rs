//! One turn: feed the shard what has happened, carry out what it asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use commucat_ring::{Ending as SocketEnding, Event, Ring, RingHandle, SocketId};
use commucat_shard::Shard;
use commucat_shard::clock::Moment;
use commucat_shard::effect::{Effects, Ending, Reading};
use commucat_shard::histogram::Histogram;
use commucat_shard::input::{CallId, ConnId, Input, Listener};
use commucat_shard::mesh::lanes::Endpoint;
use commucat_storage::api::{Completion, StoreError};
use commucat_storage::port::Port;

use super::control::{Control, Phase};
use super::{Clock, CoreError, Go, Report};
use crate::rest::commands::Orders;
use crate::rest::desk::{Answer, Desk};
use crate::telemetry::snapshot::{Publisher, Queues, Snapshot, thread_cpu};

/// A full lane is tried again this often: its receiver makes room without telling.
const LANE_RETRY: Duration = Duration::from_millis(1);

const TLS: u8 = 0;
const PLAIN: u8 = 1;

/// How the ring names a listener's connections.
pub(super) const fn tag(listener: Listener) -> u8 {
    match listener {
        Listener::Tls => TLS,
        Listener::Plain => PLAIN,
    }
}

const fn listener(tag: u8) -> Listener {
    if tag == PLAIN { Listener::Plain } else { Listener::Tls }
}

const fn conn(id: SocketId) -> ConnId {
    ConnId {
        slot: id.slot,
        generation: id.generation,
    }
}

const fn socket(id: ConnId) -> SocketId {
    SocketId {
        slot: id.slot,
        generation: id.generation,
    }
}

fn input(call: CallId, answer: Answer) -> Input<'static> {
    match answer {
        Answer::Whole(response) => Input::Answered { call, response },
        Answer::Part(part) => Input::Streamed { call, part },
    }
}

/// A shard with everything that it touches only through effects.
pub(super) struct Turns {
    ring: Ring,
    shard: Shard,
    effects: Effects,
    endpoint: Endpoint,
    rings: Vec<RingHandle>,
    port: Port,
    desk: Desk,
    orders: Orders,
    control: Arc<Control>,
    clock: Clock,
    phase: Phase,
    /// Answers that are there already, for the next turn: refusals, and what the last look before a sleep found.
    completions: Vec<Completion>,
    answers: Vec<(CallId, Answer)>,
    publisher: Publisher,
    /// How long each turn took.
    turns: Histogram,
}

impl Turns {
    pub(super) fn new(
        ring: Ring,
        shard: Shard,
        endpoint: Endpoint,
        go: Go,
        control: Arc<Control>,
        clock: Clock,
    ) -> Self {
        let Go {
            rings,
            port,
            desk,
            publisher,
            orders,
        } = go;
        Self {
            ring,
            shard,
            effects: Effects::default(),
            endpoint,
            rings,
            port,
            desk,
            orders,
            control,
            clock,
            phase: Phase::Serving,
            completions: Vec::new(),
            answers: Vec::new(),
            publisher,
            turns: Histogram::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Report, CoreError> {
        loop {
            let at = self.clock.moment();
            self.feed(at);
            self.shard.flush(at, &mut self.effects);
            self.carry_out();
            self.turns.record(self.clock.now().0.saturating_sub(at.now.0));
            if self.publisher.is_asked() {
                self.publish();
            }
            match self.phase {
                Phase::Serving => {}
                Phase::Draining => self.control.set_quiet(self.endpoint.id(), self.is_quiet()),
                Phase::Stopping => return Ok(self.end()),
            }
            self.wait(at)?;
        }
    }

    fn feed(&mut self, at: Moment) {
        let Self {
            ring, shard, effects, ..
        } = self;
        ring.reap(&mut |event| {
            let input = match event {
                Event::Accepted { id, peer, tag } => Input::Accepted {
                    conn: conn(id),
                    peer,
                    listener: listener(tag),
                },
                Event::Received { id, bytes } => Input::Received { conn: conn(id), bytes },
                Event::Eof { id } => Input::Eof { conn: conn(id) },
                Event::Sent { id, buffer } => Input::Sent { conn: conn(id), buffer },
                Event::Closed { id } => Input::Closed { conn: conn(id) },
                // Whoever rang has queued something, and every queue is looked at in every turn.
                Event::Rung => return,
            };
            shard.handle(at, input, effects);
        });
        self.endpoint
            .receive(|from, batch| shard.handle(at, Input::Mesh { from, batch }, effects));
        for completion in self.completions.drain(..) {
            shard.handle(at, Input::Stored(completion), effects);
        }
        while let Some(completion) = self.port.try_next() {
            shard.handle(at, Input::Stored(completion), effects);
        }
        for (call, answer) in self.answers.drain(..) {
            shard.handle(at, input(call, answer), effects);
        }
        while let Some((call, answer)) = self.desk.try_next() {
            shard.handle(at, input(call, answer), effects);
        }
        while let Some(order) = self.orders.try_next() {
            shard.handle(at, Input::Command(order.command.clone()), effects);
            order.done();
        }
        if shard.deadline().is_some_and(|deadline| deadline <= at.now) {
            shard.handle(at, Input::Expired, effects);
        }
        let phase = self.control.phase();
        if self.phase == Phase::Serving && phase > Phase::Serving {
            ring.stop_accepting();
            shard.handle(at, Input::Drain, effects);
        }
        self.phase = phase;
    }

    fn carry_out(&mut self) {
        let Self {
            ring,
            effects,
            endpoint,
            rings,
            ..
        } = self;
        for (id, bytes) in effects.sends.drain(..) {
            ring.send(socket(id), bytes);
        }
        for (id, reading) in effects.reads.drain(..) {
            match reading {
                Reading::Pause => ring.pause(socket(id)),
                Reading::Resume => ring.resume(socket(id)),
            }
        }
        for (id, ending) in effects.closes.drain(..) {
            let ending = match ending {
                Ending::Graceful => SocketEnding::Graceful,
                Ending::Abort => SocketEnding::Abort,
            };
            ring.close(socket(id), ending);
        }
        for (to, batch) in effects.mesh.drain(..) {
            endpoint.send(to, batch);
        }
        endpoint.ring(|to| ring.ring_bell(&rings[usize::from(to.0)]));
        for submission in effects.store.drain(..) {
            if let Err(back) = self.port.submit(submission) {
                self.completions.push(Completion {
                    ticket: back.ticket,
                    outcome: Err(StoreError::PortFull),
                });
            }
        }
        for (call, request) in effects.calls.drain(..) {
            if let Err(busy) = self.desk.submit(call, request) {
                self.answers.push(busy);
            }
        }
        for call in effects.hangups.drain(..) {
            self.desk.hang_up(call);
        }
        debug_assert!(effects.is_empty(), "every effect is carried out");
    }

    /// Goes on with the numbers that somebody has asked for.
    fn publish(&mut self) {
        let Self {
            ring,
            shard,
            endpoint,
            port,
            desk,
            publisher,
            turns,
            ..
        } = self;
        publisher.go_on(shard, |held| Snapshot {
            taken: Instant::now(),
            shard: shard.counters().clone(),
            ring: *ring.counters(),
            held,
            queues: Queues {
                lane_overflow: endpoint.overflow(),
                store_requests: port.held(),
                store_bytes: port.held_bytes(),
                rest_calls: desk.calls(),
                rest_streams: desk.streams(),
                sockets: ring.connections() as usize,
            },
            turns: *turns,
            cpu: thread_cpu(),
        });
    }

    /// The turn's only system call.
    fn wait(&mut self, at: Moment) -> Result<(), CoreError> {
        self.endpoint.bell().announce();
        let timeout = if self.has_work() {
            Some(Duration::ZERO)
        } else {
            self.patience(at)
        };
        let waited = self.ring.wait(timeout);
        self.endpoint.bell().awake();
        Ok(waited?)
    }

    /// The look after the announcement. Asking the port for its next answer is what arms its wake-up, so what it gives
    /// is kept for the next turn.
    fn has_work(&mut self) -> bool {
        self.completions.extend(self.port.try_next());
        !self.completions.is_empty()
            || !self.answers.is_empty()
            || self.endpoint.has_mail()
            || self.desk.has_answers()
            || self.publisher.is_asked()
            || !self.orders.is_empty()
            || self.control.phase() != self.phase
    }

    /// How long there is nothing to do unless something comes.
    fn patience(&self, at: Moment) -> Option<Duration> {
        let deadline = self
            .shard
            .deadline()
            .map(|deadline| Duration::from_micros(deadline.0.saturating_sub(at.now.0)));
        let retry = self.endpoint.is_congested().then_some(LANE_RETRY);
        deadline.into_iter().chain(retry).min()
    }

    /// Whether nothing here is unfinished. Only a batch from another shard can change that while draining.
    fn is_quiet(&self) -> bool {
        self.shard.is_drained()
            && self.ring.connections() == 0
            && self.port.held() == 0
            && self.completions.is_empty()
            && self.answers.is_empty()
            && self.desk.is_idle()
            && self.orders.is_empty()
            && !self.endpoint.is_congested()
    }

    fn end(self) -> Report {
        let report = Report {
            turns: self.turns.count(),
            shard: self.shard.counters().clone(),
            ring: *self.ring.counters(),
        };
        if let Err(undrained) = self.ring.shut_down() {
            tracing::error!(%undrained, "the kernel kept memory of this shard");
        }
        report
    }
}
