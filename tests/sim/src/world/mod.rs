//! One run of one seed: the shards, what surrounds them, and the order in which everything happens.
//!
//! A run has two phases. First everything may fail, for as many steps as asked. Then everything heals: faults stop,
//! everybody connects and listens, and the relay must come to rest with nothing owed; at last everybody leaves, and it must
//! hold nothing.

mod heal;
mod revoke;
mod turn;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use commucat_crypto::StaticKey;
use commucat_shard::Shard;
use commucat_shard::clock::{Moment, Now, Wall};
use commucat_shard::config::{NoiseKeys, Policy, ShardConfig};
use commucat_shard::effect::Effects;
use commucat_shard::limits::Limits;
use commucat_shard::mesh::message::{Batch, ShardId};
use commucat_storage::api::Completion;

use self::revoke::Revocations;
use crate::agenda::{Agenda, Event};
use crate::check::{Checkers, Violation};
use crate::dice::Dice;
use crate::fact::{Fact, WireFrame};
use crate::ground::Ground;
use crate::ids::{DOMAIN, DeviceNo, SessionNo, unmark};
use crate::mesh::Mesh;
use crate::people::People;
use crate::ring::{Completed, Ring};
use crate::store::{Change, Store};
use crate::tap::Tap;
use crate::trace::Trace;
use crate::weather::Weather;
use crate::{Failure, Options, Report, Tally};

/// The wall clock when a simulation begins: some day of 2025.
const EPOCH_MS: u64 = 1_750_000_000_000;

/// How often the process looks whether it may end.
const DRAIN_LOOK_US: u64 = 10_000;

/// What waits for a shard's next turn.
#[derive(Debug)]
enum Waiting {
    Ring(Completed),
    Mesh {
        from: u16,
        batch: Batch,
    },
    Stored(Completion),
    /// A command of this revocation.
    Command(u64),
    Drain,
}

/// A shard and its driver.
struct Core {
    shard: Shard,
    queue: VecDeque<Waiting>,
    turn_planned: bool,
    deadline_planned: Option<u64>,
    effects: Effects,
}

/// What the tap knows of one connection, server to client.
struct Wire {
    tap: Tap,
    /// Frames that end in the outstanding send.
    in_send: Vec<WireFrame>,
}

/// See the module.
pub(crate) struct World {
    options: Options,
    shards: u16,
    config: ShardConfig,
    ground: Ground,
    mesh: Mesh,
    store: Store,
    cores: Vec<Core>,
    wires: std::collections::BTreeMap<SessionNo, Wire>,
    people: People,
    revocations: Revocations,
    dice: Dice,
    wall_offset_ms: i64,
    era: u32,
    /// The process has been asked to end.
    draining: bool,
    steps: u64,
    tally: Tally,
    /// When something other than a deadline without consequence last happened.
    moved_at: u64,
}

fn asserted(words: &(dyn Any + Send)) -> Violation {
    let text = words.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| words.downcast_ref::<&str>().copied());
    Violation::new("assertion", text.unwrap_or("it says nothing"))
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        let seed = options.seed;
        let weather = Weather::draw(&mut Dice::new(seed, "weather", 0));
        let mut dice = Dice::new(seed, "world", 0);
        let shards = options.shards.unwrap_or_else(|| dice.between(2, 4) as u16);
        let noise_key = StaticKey::generate(&mut Dice::new(seed, "noise key", 0));
        let server = noise_key.public();
        let mut ground = Ground {
            agenda: Agenda::default(),
            ring: Ring::new(shards, Dice::new(seed, "ring", 0), options.sabotage),
            trace: Trace::new(options.verbose),
            checkers: Checkers::new(&weather),
            weather,
        };
        let conditions = format!("{shards} shards, {:?}", ground.weather);
        ground.note(|| conditions);
        let people = People::new(seed, shards, server, &mut ground);
        let mut world = Self {
            options: options.clone(),
            shards,
            config: config(shards, noise_key, &ground.weather),
            mesh: Mesh::new(shards, Dice::new(seed, "mesh", 0), options.sabotage),
            store: Store::new(&ground.weather, Dice::new(seed, "store", 0), options.sabotage),
            cores: Vec::new(),
            wires: std::collections::BTreeMap::new(),
            people,
            revocations: Revocations::default(),
            dice,
            wall_offset_ms: 0,
            era: 0,
            draining: false,
            steps: 0,
            tally: Tally::default(),
            moved_at: 0,
            ground,
        };
        world.boot();
        world
    }

    /// A process starts: all shards anew, with a new secret.
    fn boot(&mut self) {
        let seed = self.options.seed;
        let mut secret = Dice::new(seed, "hash key", u64::from(self.era));
        commucat_crypto::Entropy::fill(&mut secret, &mut self.config.hash_key);
        self.cores = (0..self.shards)
            .map(|id| {
                let index = u64::from(self.era) << 16 | u64::from(id);
                let config = ShardConfig {
                    id: ShardId(id),
                    ..self.config.clone()
                };
                Core {
                    shard: Shard::new(config, Box::new(Dice::new(seed, "shard", index))),
                    queue: VecDeque::new(),
                    turn_planned: false,
                    deadline_planned: None,
                    effects: Effects::default(),
                }
            })
            .collect();
    }

    /// Runs to the end, or to the first broken promise; a failed assertion of the relay is one.
    pub(crate) fn run(mut self) -> Report {
        let lived = panic::catch_unwind(AssertUnwindSafe(|| self.live().and_then(|()| self.heal())));
        let broken = lived.unwrap_or_else(|words| Err(asserted(&*words))).err();
        let failure = broken.map(|violation| Failure {
            violation,
            last: self.ground.trace.tail().map(str::to_owned).collect(),
        });
        self.tally_shards();
        Report {
            tally: self.tally,
            seed: self.options.seed,
            shards: self.shards,
            steps: self.steps,
            trace: self.ground.trace.hash(),
            failure,
        }
    }

    /// The first phase: anything may happen.
    fn live(&mut self) -> Result<(), Violation> {
        let steps = self.options.steps;
        let weather = &self.ground.weather;
        let counts = [
            (weather.crashes, Event::Crash),
            (weather.drains, Event::Drain),
            (weather.wall_steps, Event::WallStep),
        ];
        let mut upheavals: Vec<(u64, Event)> = Vec::new();
        for (count, event) in counts {
            upheavals.extend((0..count).map(|_| (self.dice.below(steps), event)));
        }
        for _ in 0..weather.revocations {
            let device = DeviceNo(self.dice.below(u64::from(weather.devices)) as u16);
            upheavals.push((self.dice.below(steps), Event::Revoke(device)));
        }
        upheavals.sort_unstable_by(|a, b| b.cmp(a));
        while self.steps < steps {
            while let Some((_, event)) = upheavals.pop_if(|(at, _)| *at <= self.steps) {
                self.ground.agenda.plan(0, event);
            }
            if !self.step()? {
                break;
            }
        }
        Ok(())
    }

    fn moment(&self) -> Moment {
        let now = self.ground.agenda.now();
        let wall = (EPOCH_MS + now / 1_000).saturating_add_signed(self.wall_offset_ms);
        Moment {
            now: Now(now),
            wall: Wall(wall),
        }
    }

    /// One event. False when nothing is planned any more.
    fn step(&mut self) -> Result<bool, Violation> {
        let Some(event) = self.ground.agenda.next() else {
            return Ok(false);
        };
        self.steps += 1;
        let now = self.ground.agenda.now();
        self.ground.trace.event(now, event.name(), &[], &[]);
        if !matches!(
            event,
            Event::Deadline { .. } | Event::Turn { .. } | Event::MaybeDrained { .. }
        ) {
            self.moved_at = now;
        }
        self.happen(event)?;
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        let Self {
            ground,
            store,
            mesh,
            people,
            era,
            ..
        } = self;
        let Ground {
            agenda, weather, ring, ..
        } = ground;
        let era = *era;
        match event {
            Event::Turn { era: of, shard } if of == era => self.turn(shard)?,
            Event::Deadline { era: of, shard } if of == era => self.deadline(shard),
            // Nobody listens while the process ends.
            Event::Accept(session) if self.draining => {
                ring.refuse(session);
                people.turned_away(session, ground);
            }
            Event::Accept(session) => {
                let accepted = ring.accept(session, weather, agenda);
                let late = accepted.as_ref().and_then(|(shard, _)| ring.late(*shard));
                self.complete(accepted);
                self.complete(late);
            }
            Event::Up(session) => {
                let bytes = ring.up(session, weather, agenda);
                self.complete(bytes);
                self.maybe_cut(session);
            }
            Event::Take(session) => {
                if ring.take(session, weather, agenda) {
                    self.taken(session)?;
                }
                self.maybe_cut(session);
            }
            Event::Sent(session) => {
                let sent = ring.sent(session, weather, agenda);
                self.complete(sent);
            }
            Event::Read(session) => people.read(session, ground)?,
            Event::Gone(session) => {
                let gone = ring.gone(session);
                if let Some((shard, last)) = gone {
                    for completed in last {
                        self.enqueue(shard, Waiting::Ring(completed));
                    }
                }
            }
            Event::Lane { era: of, from, to } if of == era => {
                if let Some(batch) = mesh.arrive(from, to, agenda) {
                    self.enqueue(to, Waiting::Mesh { from, batch });
                }
            }
            Event::Commit { era: of, queue } if of == era => {
                let mut changes = Vec::new();
                store.commit(queue, weather, agenda, &mut changes);
                self.store_changed(&changes)?;
            }
            Event::Answer { era: of, queue } if of == era => match store.answer(queue) {
                Some((shard, completion)) if shard == self.shards => self.revocation_stored(&completion),
                Some((shard, completion)) => self.enqueue(shard, Waiting::Stored(completion)),
                None => {}
            },
            Event::Person(device) => people.act(device, ground)?,
            Event::Crash => self.crash()?,
            Event::Drain => self.drain()?,
            Event::MaybeDrained { era: of } if of == era => self.maybe_drained()?,
            Event::WallStep => self.step_wall(),
            Event::Revoke(device) => self.revoke(device)?,
            Event::Command {
                era: of,
                shard,
                revocation,
            } if of == era => self.enqueue(shard, Waiting::Command(revocation)),
            // Of a process that died.
            Event::Turn { .. }
            | Event::Deadline { .. }
            | Event::Lane { .. }
            | Event::Commit { .. }
            | Event::Answer { .. }
            | Event::Command { .. }
            | Event::MaybeDrained { .. } => {}
        }
        Ok(())
    }

    fn maybe_cut(&mut self, session: SessionNo) {
        if self.dice.happens(self.ground.weather.reset) {
            self.people.cut(session, &mut self.ground);
        }
    }

    /// The process dies. The store keeps what was durable and perhaps a little more; connections break.
    fn crash(&mut self) -> Result<(), Violation> {
        self.ground.note(|| "the relay dies and starts again".to_owned());
        let mut changes = Vec::new();
        self.store.crash(&mut changes);
        self.store_changed(&changes)?;
        self.ground.fact(&Fact::Crashed)?;
        self.audit()?;
        self.tally.add("crashes", 1);
        self.tally_shards();
        self.restart();
        Ok(())
    }

    /// A new process in place of one that is gone.
    fn restart(&mut self) {
        self.mesh.crash();
        self.revocations = Revocations::default();
        let sessions = self.ground.ring.crash();
        self.people.relay_died(&sessions, &mut self.ground);
        self.wires.clear();
        self.era += 1;
        self.draining = false;
        self.boot();
    }

    /// The process is asked to end: it stops listening, and so on.
    fn drain(&mut self) -> Result<(), Violation> {
        if std::mem::replace(&mut self.draining, true) {
            return Ok(());
        }
        self.ground.note(|| "the relay is asked to end".to_owned());
        for shard in 0..self.shards {
            self.enqueue(shard, Waiting::Drain);
        }
        self.ground
            .agenda
            .plan(DRAIN_LOOK_US, Event::MaybeDrained { era: self.era });
        self.ground.fact(&Fact::Stopping)
    }

    /// Ends the process once nothing is left in it.
    fn maybe_drained(&mut self) -> Result<(), Violation> {
        let done = |core: &Core| core.queue.is_empty() && core.shard.is_drained();
        if !self.cores.iter().all(done) || self.mesh.on_the_way() > 0 || self.store.outstanding() > 0 {
            self.ground
                .agenda
                .plan(DRAIN_LOOK_US, Event::MaybeDrained { era: self.era });
            return Ok(());
        }
        self.ground.note(|| "the relay has ended and starts again".to_owned());
        self.ground.fact(&Fact::Stopped)?;
        self.tally.add("drains", 1);
        self.tally_shards();
        self.store.crash(&mut Vec::new());
        self.restart();
        Ok(())
    }

    fn tally_shards(&mut self) {
        for core in &self.cores {
            self.tally.shard(core.shard.counters());
        }
    }

    /// What the store holds against what it has told.
    fn audit(&mut self) -> Result<(), Violation> {
        let rows = self
            .store
            .rows()
            .filter_map(|(device, payload)| Some((DeviceNo::from_name(device.as_str())?, unmark(payload)?.0)));
        self.ground.checkers.audit(&rows.collect())
    }

    fn step_wall(&mut self) {
        let size = self.dice.skewed(48 * 3_600_000) as i64;
        self.wall_offset_ms += if self.dice.below(2) == 0 { size } else { -size };
        let offset = self.wall_offset_ms;
        self.ground.note(|| format!("the wall clock steps to {offset} ms off"));
    }

    fn store_changed(&mut self, changes: &[Change]) -> Result<(), Violation> {
        for change in changes {
            let (device, payload) = match change {
                Change::Appended { device, payload, .. }
                | Change::Forgotten { device, payload, .. }
                | Change::Expired { device, payload, .. } => (device, payload),
            };
            let (Some(device), Some((key, _))) = (DeviceNo::from_name(device.as_str()), unmark(payload)) else {
                continue;
            };
            self.ground.fact(&match change {
                Change::Appended { .. } => Fact::Stored { device, key },
                Change::Forgotten { .. } => Fact::Forgotten { device, key },
                Change::Expired { .. } => Fact::Expired { device, key },
            })?;
        }
        Ok(())
    }
}

/// A part of a round is due after a 32nd of it.
const PRESENCE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

fn config(shards: u16, noise_key: StaticKey, weather: &Weather) -> ShardConfig {
    ShardConfig {
        id: ShardId(0),
        shards,
        tls: None,
        noise: NoiseKeys::only(noise_key),
        prologue: Arc::from(commucat_crypto::DEFAULT_PROLOGUE),
        domain: Arc::from(DOMAIN),
        device_ca: None,
        hash_key: [0; 32],
        policy: Policy::default(),
        limits: Limits {
            // Rounds that came sooner than rest would never let it be.
            presence_ttl: PRESENCE_TTL,
            ..weather.limits.clone()
        },
    }
}
