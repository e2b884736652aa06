//! Pure shards, the lanes between them, a store that keeps everything, and people on the wire: what the tests of this folder
//! count in.

use std::collections::VecDeque;
use std::net::SocketAddr;

use commucat_bench::pair::{Repeatable, shard_config};
use commucat_bench::store;
use commucat_client::{Config, Connection, Event, StaticKey};
use commucat_proto::DeviceId;
use commucat_shard::Shard;
use commucat_shard::clock::{Moment, Now, Wall};
use commucat_shard::config::ShardConfig;
use commucat_shard::effect::Effects;
use commucat_shard::input::{ConnId, Input, Listener};
use commucat_shard::mesh::message::{Batch, Message, ShardId};
use commucat_storage::api::{Completion, GroupRequest, Reply, Request, Submission};

/// Rounds that everything asked here needs, and more.
const ROUNDS: usize = 400;

/// A client and the wire to its shard.
pub(crate) struct Person {
    shard: usize,
    pub(crate) client: Connection,
    wire: Vec<u8>,
    pub(crate) heard: usize,
    pub(crate) acknowledged: usize,
}

/// Pure shards, the lanes between them, a store that keeps everything, and people.
pub(crate) struct World {
    pub(crate) shards: Vec<Shard>,
    lanes: VecDeque<(ShardId, ShardId, Batch)>,
    pub(crate) people: Vec<Person>,
    at: Moment,
    noise: StaticKey,
    /// What each batch between two shards held, as frames and as messages.
    pub(crate) frames_by_lane: Vec<(ShardId, ShardId, usize)>,
    pub(crate) appended: usize,
}

impl World {
    pub(crate) fn new(cores: u16) -> Self {
        let noise = StaticKey::generate(&mut Repeatable(1));
        let shard = |id| {
            let config = ShardConfig {
                id: ShardId(id),
                shards: cores,
                ..shard_config(noise.clone())
            };
            Shard::new(config, Box::new(Repeatable(100 + u64::from(id))))
        };
        Self {
            shards: (0..cores).map(shard).collect(),
            lanes: VecDeque::new(),
            people: Vec::new(),
            at: Moment {
                now: Now(1_000_000),
                wall: Wall(1_800_000_000_000),
            },
            noise,
            frames_by_lane: Vec::new(),
            appended: 0,
        }
    }

    /// Somebody connects to a shard, and is ready.
    pub(crate) fn connect(&mut self, device: &str, shard: usize) -> usize {
        let no = self.people.len();
        let key = StaticKey::generate(&mut Repeatable(1_000 + no as u64));
        let mut config = Config::new(DeviceId::parse(device).unwrap(), key, self.noise.public());
        config.secure = false;
        config.authority = "relay.example".to_owned();
        self.people.push(Person {
            shard,
            client: Connection::new(config, &mut Repeatable(2_000 + no as u64)).unwrap(),
            wire: Vec::new(),
            heard: 0,
            acknowledged: 0,
        });
        let accepted = Input::Accepted {
            conn: conn(no),
            peer: SocketAddr::from(([127, 0, 0, 1], 50_000)),
            listener: Listener::Plain,
        };
        let mut effects = Effects::default();
        self.shards[shard].handle(self.at, accepted, &mut effects);
        self.carry_out(shard, effects);
        self.until(|world| world.people[no].client.is_ready());
        no
    }

    pub(crate) fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..ROUNDS {
            self.round();
            if done(self) && self.lanes.is_empty() {
                return;
            }
        }
        panic!("not after {ROUNDS} rounds");
    }

    /// One turn of everybody.
    pub(crate) fn round(&mut self) {
        for no in 0..self.people.len() {
            let person = &mut self.people[no];
            person.client.transmit(&mut person.wire);
            let mut bytes = std::mem::take(&mut person.wire);
            if !bytes.is_empty() {
                let shard = person.shard;
                let mut effects = Effects::default();
                let received = Input::Received {
                    conn: conn(no),
                    bytes: &mut bytes,
                };
                self.shards[shard].handle(self.at, received, &mut effects);
                self.carry_out(shard, effects);
            }
        }
        for _ in 0..self.lanes.len() {
            let Some((from, to, batch)) = self.lanes.pop_front() else {
                break;
            };
            let mut effects = Effects::default();
            self.shards[usize::from(to.0)].handle(self.at, Input::Mesh { from, batch }, &mut effects);
            self.carry_out(usize::from(to.0), effects);
        }
        for shard in 0..self.shards.len() {
            let mut effects = Effects::default();
            if self.shards[shard].deadline().is_some_and(|due| due <= self.at.now) {
                self.shards[shard].handle(self.at, Input::Expired, &mut effects);
            }
            self.shards[shard].flush(self.at, &mut effects);
            self.carry_out(shard, effects);
        }
        self.at.now.0 += 50;
    }

    /// Somebody's connection is gone.
    pub(crate) fn leave(&mut self, no: usize) {
        let shard = self.people[no].shard;
        let mut effects = Effects::default();
        self.shards[shard].handle(self.at, Input::Closed { conn: conn(no) }, &mut effects);
        self.carry_out(shard, effects);
    }

    fn carry_out(&mut self, shard: usize, effects: Effects) {
        let own = ShardId(u16::try_from(shard).unwrap());
        for (to, batch) in effects.mesh {
            let frames = batch.messages.iter().filter(|it| matches!(it, Message::Deliver(_)));
            self.frames_by_lane.push((own, to, frames.count()));
            self.lanes.push_back((own, to, batch));
        }
        for (conn, buffer) in effects.sends {
            let person = &mut self.people[conn.slot as usize];
            person.client.receive(&buffer);
            while let Some(event) = person.client.next_event().unwrap() {
                match event {
                    Event::Ready(_) => {}
                    Event::Frame(_) => person.heard += 1,
                    Event::Acknowledged { .. } => person.acknowledged += 1,
                    other => panic!("{other:?}"),
                }
            }
            let mut effects = Effects::default();
            self.shards[shard].handle(self.at, Input::Sent { conn, buffer }, &mut effects);
            self.carry_out(shard, effects);
        }
        for submission in effects.store {
            self.appended += usize::from(matches!(submission.request, Request::Append { .. }));
            let mut effects = Effects::default();
            let stored = Input::Stored(answer(&submission));
            self.shards[shard].handle(self.at, stored, &mut effects);
            self.carry_out(shard, effects);
        }
    }
}

fn conn(no: usize) -> ConnId {
    ConnId {
        slot: u32::try_from(no).unwrap(),
        generation: 0,
    }
}

/// As the store of the benchmarks, but for a group, which comes to be as it was asked for.
fn answer(submission: &Submission) -> Completion {
    match &submission.request {
        Request::Group(GroupRequest::Create { roster, .. }) => Completion {
            ticket: submission.ticket,
            outcome: Ok(Reply::Roster(roster.clone())),
        },
        _ => store::answer(submission),
    }
}
