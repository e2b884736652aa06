//! A shard's loop turn, as its driver would make it: completions, batches and answers in, deadlines, one flush, and then
//! every effect carried out in the order that `shard/src/effect.rs` promises.

use std::net::{Ipv4Addr, SocketAddr};

use commucat_shard::effect::Effects;
use commucat_shard::input::{ConnId, Input, Listener};
use commucat_shard::mesh::message::ShardId;

use super::{Waiting, Wire, World};
use crate::agenda::Event;
use crate::check::Violation;
use crate::fact::Fact;
use crate::ids::SessionNo;
use crate::ring::Completed;
use crate::tap::Tap;

impl World {
    /// A completion of the ring, if there is one.
    pub(super) fn complete(&mut self, completed: Option<(u16, Completed)>) {
        if let Some((shard, completed)) = completed {
            self.enqueue(shard, Waiting::Ring(completed));
        }
    }

    pub(super) fn enqueue(&mut self, shard: u16, waiting: Waiting) {
        self.cores[usize::from(shard)].queue.push_back(waiting);
        self.plan_turn(shard);
    }

    fn plan_turn(&mut self, shard: u16) {
        let core = &mut self.cores[usize::from(shard)];
        if !core.turn_planned {
            core.turn_planned = true;
            let delay = self.dice.skewed(self.ground.weather.turn_us);
            self.ground.agenda.plan(delay, Event::Turn { era: self.era, shard });
        }
    }

    pub(super) fn deadline(&mut self, shard: u16) {
        let core = &mut self.cores[usize::from(shard)];
        core.deadline_planned = None;
        self.plan_turn(shard);
    }

    pub(super) fn turn(&mut self, shard: u16) -> Result<(), Violation> {
        let index = usize::from(shard);
        self.cores[index].turn_planned = false;
        let moment = self.moment();
        let mut effects = std::mem::take(&mut self.cores[index].effects);
        let mut closed = Vec::new();
        let inputs = 1 + self.dice.below(self.ground.weather.turn_inputs as u64);
        for _ in 0..inputs {
            let Some(waiting) = self.cores[index].queue.pop_front() else {
                break;
            };
            self.moved_at = moment.now.0;
            self.feed(shard, waiting, &mut effects, &mut closed)?;
        }
        let core = &mut self.cores[index];
        if core.shard.deadline().is_some_and(|at| at <= moment.now) {
            core.shard.handle(moment, Input::Expired, &mut effects);
        }
        core.shard.flush(moment, &mut effects);
        if !effects.is_empty() {
            self.moved_at = moment.now.0;
        }
        self.carry_out(shard, &mut effects)?;
        for conn in closed {
            self.ground.ring.told_closed(shard, conn);
        }
        self.cores[index].effects = effects;
        self.after_turn(shard)
    }

    fn after_turn(&mut self, shard: u16) -> Result<(), Violation> {
        let core = &mut self.cores[usize::from(shard)];
        let gauges = core.shard.gauges();
        self.ground.checkers.gauges(shard, &gauges)?;
        self.ground.checkers.overflows(core.shard.counters().overflows);
        let now = self.ground.agenda.now();
        if let Some(at) = core.shard.deadline().map(|at| at.0.max(now))
            && core.deadline_planned.is_none_or(|planned| at < planned)
        {
            core.deadline_planned = Some(at);
            self.ground
                .agenda
                .plan(at - now, Event::Deadline { era: self.era, shard });
        }
        if !self.cores[usize::from(shard)].queue.is_empty() {
            self.plan_turn(shard);
        }
        Ok(())
    }

    fn feed(
        &mut self,
        shard: u16,
        waiting: Waiting,
        effects: &mut Effects,
        closed: &mut Vec<ConnId>,
    ) -> Result<(), Violation> {
        let moment = self.moment();
        let core = &mut self.cores[usize::from(shard)].shard;
        match waiting {
            Waiting::Ring(Completed::Accepted { conn, session, http }) => {
                self.wires.insert(
                    session,
                    Wire {
                        tap: Tap::new(http, self.people.hello(session)),
                        in_send: Vec::new(),
                    },
                );
                let input = Input::Accepted {
                    conn,
                    peer: address(session),
                    listener: Listener::Plain,
                };
                core.handle(moment, input, effects);
            }
            Waiting::Ring(Completed::Received { conn, mut bytes }) => {
                core.handle(
                    moment,
                    Input::Received {
                        conn,
                        bytes: &mut bytes,
                    },
                    effects,
                );
                // The lease is over: whoever kept a view of these bytes reads rubbish.
                bytes.fill(0xDD);
            }
            Waiting::Ring(Completed::Eof { conn }) => core.handle(moment, Input::Eof { conn }, effects),
            Waiting::Ring(Completed::Sent { conn, session, buffer }) => {
                self.ground.ring.reported(session);
                core.handle(moment, Input::Sent { conn, buffer }, effects);
            }
            Waiting::Ring(Completed::Closed { conn, session }) => {
                core.handle(moment, Input::Closed { conn }, effects);
                closed.push(conn);
                self.ground.fact(&Fact::Closed { session })?;
            }
            Waiting::Mesh { from, batch } => {
                core.handle(
                    moment,
                    Input::Mesh {
                        from: ShardId(from),
                        batch,
                    },
                    effects,
                );
            }
            Waiting::Stored(completion) => core.handle(moment, Input::Stored(completion), effects),
            Waiting::Command(revocation) => self.hear_command(shard, revocation, effects)?,
            Waiting::Drain => core.handle(moment, Input::Drain, effects),
        }
        Ok(())
    }

    fn carry_out(&mut self, shard: u16, effects: &mut Effects) -> Result<(), Violation> {
        for (conn, bytes) in effects.sends.drain(..) {
            self.send(shard, conn, bytes)?;
        }
        let ground = &mut self.ground;
        for (conn, reading) in effects.reads.drain(..) {
            ground
                .ring
                .set_reading(shard, conn, reading, &ground.weather, &mut ground.agenda)
                .map_err(|breach| Violation::new("driver", breach.to_string()))?;
        }
        for (conn, ending) in effects.closes.drain(..) {
            ground
                .ring
                .close(shard, conn, ending, &ground.weather, &mut ground.agenda)
                .map_err(|breach| Violation::new("driver", breach.to_string()))?;
        }
        for (to, batch) in effects.mesh.drain(..) {
            if to.0 == shard || to.0 >= self.shards || batch.is_empty() {
                return Err(Violation::new(
                    "driver",
                    format!("shard {shard} sends a batch to {to:?}"),
                ));
            }
            self.mesh.push(shard, to.0, batch, &ground.weather, &mut ground.agenda);
        }
        for submission in effects.store.drain(..) {
            let answer = self
                .store
                .submit(shard, submission, &ground.weather, &mut ground.agenda);
            if let Some(completion) = answer {
                self.cores[usize::from(shard)]
                    .queue
                    .push_back(Waiting::Stored(completion));
            }
        }
        let calls = effects.calls.drain(..).map(|(call, _)| call);
        if let Some(call) = calls.chain(effects.hangups.drain(..)).next() {
            return Err(Violation::new(
                "driver",
                format!("nobody asked for REST, and there is {call:?}"),
            ));
        }
        Ok(())
    }

    /// Bytes for a client: the tap reads them before the kernel does.
    fn send(&mut self, shard: u16, conn: ConnId, bytes: Vec<u8>) -> Result<(), Violation> {
        let ground = &mut self.ground;
        ground
            .trace
            .event(ground.agenda.now(), "send", &[u64::from(conn.slot)], &bytes);
        let copy = bytes.clone();
        let session = ground
            .ring
            .send(shard, conn, bytes, &ground.weather, &mut ground.agenda)
            .map_err(|breach| Violation::new("driver", breach.to_string()))?;
        let Some(session) = session else { return Ok(()) };
        let Some(wire) = self.wires.get_mut(&session) else {
            return Ok(());
        };
        let frames = wire
            .tap
            .read(&copy)
            .map_err(|error| Violation::new("wire", format!("to {session}: {error}")))?;
        for frame in &frames {
            ground.fact(&Fact::Emitted { session, frame })?;
        }
        wire.in_send = frames;
        Ok(())
    }

    /// The kernel has taken the outstanding send whole.
    pub(super) fn taken(&mut self, session: SessionNo) -> Result<(), Violation> {
        let Some(wire) = self.wires.get_mut(&session) else {
            return Ok(());
        };
        for frame in std::mem::take(&mut wire.in_send) {
            self.ground.fact(&Fact::Taken { session, frame: &frame })?;
        }
        Ok(())
    }
}

/// An address per session, as if everybody sat behind their own router.
fn address(session: SessionNo) -> SocketAddr {
    let [_, a, b, c] = session.0.to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, a, b, c), 40_000))
}
