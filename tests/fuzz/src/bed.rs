//! One shard, and around it a driver, a store and a router that do what they are told and nothing by themselves.
//!
//! Invariant: the driver keeps the promises of `shard::effect` and `shard::input`; what it is fed is a peer's, or the
//! store's failing.

mod store;

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use commucat_crypto::StaticKey;
use commucat_shard::Shard;
use commucat_shard::clock::{Moment, Now, Wall};
use commucat_shard::config::{NoiseKeys, Policy, ShardConfig};
use commucat_shard::counters::{Counters, Gauges};
use commucat_shard::effect::{Effects, Ending, Reading};
use commucat_shard::input::{CallId, Command, ConnId, Input, Listener, Part};
use commucat_shard::limits::Limits;
use commucat_shard::mesh::message::ShardId;

pub use self::store::{Mood, Store};
use crate::dice::Dice;

/// The relay's domain.
pub const DOMAIN: &str = "relay.example";

/// The wall clock when a bed is made.
const EPOCH_MS: u64 = 1_750_000_000_000;

/// More rounds than can follow from what a peer has sent: past it, two parts keep each other busy.
const ROUNDS: usize = 20_000;

/// Key pairs: the relay's, then one per device. Making them is slow.
static KEYS: LazyLock<[StaticKey; 4]> =
    LazyLock::new(|| [0, 1, 2, 3].map(|seed| StaticKey::generate(&mut Dice::new(seed))));

/// The relay's key, or that of the device with this number, from 1 to 3.
#[must_use]
pub fn key(number: usize) -> &'static StaticKey {
    &KEYS[number]
}

/// The driver's half of a connection.
#[derive(Debug)]
struct Wire {
    id: ConnId,
    /// Received and not yet given to the shard.
    waiting: VecDeque<Vec<u8>>,
    paused: bool,
    /// With the kernel; completed at once unless the peer has stopped reading.
    sending: Option<Vec<u8>>,
    stalled: bool,
    closed: bool,
    /// What the peer has read.
    read: Vec<u8>,
}

/// See the module.
pub struct Bed {
    shard: Shard,
    store: Store,
    wires: Vec<Wire>,
    /// REST calls without an answer, and whether one has begun.
    calls: Vec<(CallId, bool)>,
    /// Microseconds.
    now: u64,
}

impl std::fmt::Debug for Bed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bed")
            .field("shard", &self.shard)
            .field("wires", &self.wires)
            .finish_non_exhaustive()
    }
}

impl Default for Bed {
    fn default() -> Self {
        Self::new()
    }
}

impl Bed {
    /// A shard that nobody has talked to.
    #[must_use]
    pub fn new() -> Self {
        let config = ShardConfig {
            id: ShardId(0),
            shards: 1,
            tls: None,
            noise: NoiseKeys::only(key(0).clone()),
            prologue: commucat_crypto::DEFAULT_PROLOGUE.into(),
            domain: DOMAIN.into(),
            device_ca: None,
            hash_key: [7; 32],
            policy: Policy::default(),
            // Small where a short input should reach the bound.
            limits: Limits {
                channels: 6,
                roster: 4,
                session_calls: 2,
                calls: 4,
                group_roster: 4,
                owner_groups: 2,
                // Rounds that came sooner than rest would never let it be.
                presence_ttl: Duration::from_secs(7 * 24 * 3600),
                ..Limits::default()
            },
        };
        Self {
            shard: Shard::new(config, Box::new(Dice::new(9))),
            store: Store::default(),
            wires: Vec::new(),
            calls: Vec::new(),
            now: 1_000_000,
        }
    }

    fn moment(&self) -> Moment {
        Moment {
            now: Now(self.now),
            wall: Wall(EPOCH_MS + self.now / 1_000),
        }
    }

    /// A connection comes in; its number.
    pub fn accept(&mut self) -> usize {
        let slot = self.wires.len();
        let id = ConnId {
            slot: slot as u32,
            generation: 1,
        };
        self.wires.push(Wire {
            id,
            waiting: VecDeque::new(),
            paused: false,
            sending: None,
            stalled: false,
            closed: false,
            read: Vec::new(),
        });
        self.happen(Input::Accepted {
            conn: id,
            peer: ([10, 0, 0, slot as u8], 40_000).into(),
            listener: Listener::Plain,
        });
        slot
    }

    /// The peer sends these bytes, which arrive in these pieces.
    pub fn write<'a>(&mut self, wire: usize, pieces: impl IntoIterator<Item = &'a [u8]>) {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        self.wires[wire].waiting.extend(pieces.map(<[u8]>::to_vec));
        self.settle(Effects::default());
    }

    /// What the peer has read since it last asked.
    pub fn read(&mut self, wire: usize) -> Vec<u8> {
        std::mem::take(&mut self.wires[wire].read)
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self, wire: usize) -> bool {
        self.wires[wire].closed
    }

    /// The peer stops reading, or goes on.
    pub fn stall(&mut self, wire: usize, stalled: bool) {
        self.wires[wire].stalled = stalled;
        self.settle(Effects::default());
    }

    /// The peer says no more.
    pub fn finish_writing(&mut self, wire: usize) {
        // What came before the FIN comes before it.
        if !self.wires[wire].closed && self.wires[wire].waiting.is_empty() {
            let conn = self.wires[wire].id;
            self.happen(Input::Eof { conn });
        }
    }

    /// The connection breaks.
    pub fn cut(&mut self, wire: usize) {
        let mut effects = Effects::default();
        self.close(wire, &mut effects);
        self.settle(effects);
    }

    /// How the store behaves from now on; what it owes it answers accordingly.
    pub fn set_store(&mut self, mood: Mood) {
        self.store.mood = mood;
        self.settle(Effects::default());
    }

    /// Somebody outside has decided something.
    pub fn command(&mut self, command: Command) {
        self.happen(Input::Command(command));
    }

    /// The router answers the oldest call: whole, or with the next part, or with its end.
    pub fn answer(&mut self, parts: bool, body: &[u8]) {
        let Some((call, started)) = self.calls.first().copied() else {
            return;
        };
        let body = Bytes::copy_from_slice(body);
        if parts {
            self.calls[0].1 = true;
        } else {
            self.calls.remove(0);
        }
        self.happen(match (parts, started) {
            (false, false) => Input::Answered {
                call,
                response: http::Response::new(body),
            },
            (false, true) => Input::Streamed { call, part: Part::End },
            (true, false) => Input::Streamed {
                call,
                part: Part::Head(http::Response::new(())),
            },
            (true, true) => Input::Streamed {
                call,
                part: Part::Data(body),
            },
        });
    }

    /// The process is asked to end.
    pub fn drain(&mut self) {
        self.happen(Input::Drain);
    }

    /// Time passes, and what is due happens in its moment.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time.as_micros() as u64;
        for round in 0.. {
            assert!(round < ROUNDS, "timers that fire without end: {self:?}");
            let Some(due) = self.shard.deadline().filter(|due| due.0 <= end) else {
                break;
            };
            self.now = self.now.max(due.0);
            self.happen(Input::Expired);
        }
        self.now = end;
        self.happen(Input::Expired);
    }

    /// What the shard holds.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        self.shard.gauges()
    }

    /// What the shard has done.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.shard.counters()
    }

    /// Everybody leaves and the store works: then nothing is held that belonged to a connection.
    pub fn leave_nothing(&mut self, draining: bool) {
        self.set_store(Mood::Well);
        for wire in 0..self.wires.len() {
            self.stall(wire, false);
            self.cut(wire);
        }
        // Offers end, calls linger, owed appends are tried again.
        self.pass(Duration::from_secs(600));
        let gauges = self.gauges();
        let held = [
            gauges.connections,
            gauges.tunnels,
            gauges.attached,
            gauges.outbox_bytes,
            gauges.inflight_bytes,
            gauges.unacked,
            gauges.unparsed_bytes,
            gauges.store_waiting,
            gauges.calls,
        ];
        assert_eq!(held, [0; 9], "{gauges:?}");
        assert!(!draining || self.shard.is_drained(), "{gauges:?}");
    }

    fn happen(&mut self, input: Input<'_>) {
        let mut effects = Effects::default();
        self.shard.handle(self.moment(), input, &mut effects);
        self.settle(effects);
    }

    fn close(&mut self, wire: usize, effects: &mut Effects) {
        let moment = self.moment();
        let wire = &mut self.wires[wire];
        if !std::mem::replace(&mut wire.closed, true) {
            wire.sending = None;
            wire.waiting.clear();
            self.shard.handle(moment, Input::Closed { conn: wire.id }, effects);
        }
    }

    /// Turns until nothing more follows.
    fn settle(&mut self, mut effects: Effects) {
        let mut rounds = 0;
        loop {
            assert!(rounds < ROUNDS, "no rest: {self:?}");
            let mut next = Effects::default();
            self.shard.flush(self.moment(), &mut effects);
            let worked = !effects.is_empty();
            self.carry_out(effects, &mut next);
            let waiting = self.waiting();
            let moved = self.complete(&mut next);
            effects = next;
            if !worked && !moved && effects.is_empty() {
                return;
            }
            // Half a megabyte may arrive in pieces of a few bytes.
            rounds = if self.waiting() < waiting { 0 } else { rounds + 1 };
        }
    }

    /// Pieces that have not arrived.
    fn waiting(&self) -> usize {
        self.wires.iter().map(|wire| wire.waiting.len()).sum()
    }

    fn carry_out(&mut self, effects: Effects, next: &mut Effects) {
        for (conn, bytes) in effects.sends {
            let wire = &mut self.wires[conn.slot as usize];
            assert!(!bytes.is_empty(), "an empty send");
            assert!(
                wire.closed || wire.sending.replace(bytes).is_none(),
                "two sends at once"
            );
        }
        for (conn, reading) in effects.reads {
            self.wires[conn.slot as usize].paused = reading == Reading::Pause;
        }
        for (conn, ending) in effects.closes {
            let slot = conn.slot as usize;
            // The last words of one that does not read are lost when its time is over.
            if ending == Ending::Graceful
                && let Some(last) = self.wires[slot].sending.take()
            {
                self.wires[slot].read.extend_from_slice(&last);
            }
            self.close(slot, next);
        }
        assert!(effects.mesh.is_empty(), "there is no other shard");
        for submission in effects.store {
            self.store.submit(submission);
        }
        for (call, request) in effects.calls {
            drop(request);
            self.calls.push((call, false));
        }
        self.calls.retain(|(call, _)| !effects.hangups.contains(call));
    }

    /// What is complete comes back; whether anything was.
    fn complete(&mut self, next: &mut Effects) -> bool {
        let moment = self.moment();
        let mut moved = false;
        for wire in &mut self.wires {
            if !wire.stalled
                && let Some(buffer) = wire.sending.take()
            {
                wire.read.extend_from_slice(&buffer);
                let conn = wire.id;
                self.shard.handle(moment, Input::Sent { conn, buffer }, next);
                moved = true;
            }
            if !wire.paused
                && let Some(mut bytes) = wire.waiting.pop_front()
            {
                let (conn, bytes) = (wire.id, &mut bytes[..]);
                self.shard.handle(moment, Input::Received { conn, bytes }, next);
                // The lease is over: whoever kept a view of these bytes reads rubbish.
                bytes.fill(0xdd);
                moved = true;
            }
        }
        while let Some(completion) = self.store.answer() {
            self.shard.handle(moment, Input::Stored(completion), next);
            moved = true;
        }
        moved
    }
}
