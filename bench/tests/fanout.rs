//! A frame to a group of ten thousand is one message per core, wherever its members are.

use std::collections::VecDeque;
use std::net::SocketAddr;

use commucat_bench::pair::{Repeatable, shard_config};
use commucat_bench::store;
use commucat_client::{Config, Connection, Event, StaticKey};
use commucat_proto::control::GroupCreate;
use commucat_proto::{ChannelId, DeviceId, FrameType, GroupId};
use commucat_shard::Shard;
use commucat_shard::clock::{Moment, Now, Wall};
use commucat_shard::config::ShardConfig;
use commucat_shard::effect::Effects;
use commucat_shard::input::{ConnId, Input, Listener};
use commucat_shard::mesh::message::{Batch, Message, ShardId};
use commucat_storage::api::{Completion, GroupRequest, Reply, Request, Submission};

const CORES: u16 = 4;
const MEMBERS: usize = 10_000;
/// Rounds that everything asked here needs, and more.
const ROUNDS: usize = 200;
const CHANNEL: ChannelId = ChannelId::new(3);

/// A client and the wire to its shard.
struct Person {
    shard: usize,
    client: Connection,
    wire: Vec<u8>,
    heard: usize,
    acknowledged: usize,
}

/// Pure shards, the lanes between them, a store that keeps everything, and people.
struct World {
    shards: Vec<Shard>,
    lanes: VecDeque<(ShardId, ShardId, Batch)>,
    people: Vec<Person>,
    at: Moment,
    noise: StaticKey,
    /// What each batch between two shards held, as frames and as messages.
    frames_by_lane: Vec<(ShardId, ShardId, usize)>,
    appended: usize,
}

impl World {
    fn new() -> Self {
        let noise = StaticKey::generate(&mut Repeatable(1));
        let shard = |id| {
            let config = ShardConfig {
                id: ShardId(id),
                shards: CORES,
                ..shard_config(noise.clone())
            };
            Shard::new(config, Box::new(Repeatable(100 + u64::from(id))))
        };
        Self {
            shards: (0..CORES).map(shard).collect(),
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
    fn connect(&mut self, device: &str, shard: usize) -> usize {
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

    fn until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..ROUNDS {
            self.round();
            if done(self) && self.lanes.is_empty() {
                return;
            }
        }
        panic!("not after {ROUNDS} rounds");
    }

    fn round(&mut self) {
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
            self.shards[shard].flush(self.at, &mut effects);
            self.carry_out(shard, effects);
        }
        self.at.now.0 += 50;
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

/// Somebody creates the group of all, whose member it is.
fn create_crowd(world: &mut World, owner: usize) {
    let create = GroupCreate {
        group_id: Some(GroupId::parse("crowd").unwrap()),
        members: (0..MEMBERS)
            .map(|number| DeviceId::parse(&member(number)).unwrap())
            .collect(),
        ..GroupCreate::default()
    };
    world.people[owner].client.create_group(CHANNEL, &create).unwrap();
    world.until(|world| world.people[owner].acknowledged == 1);
}

fn member(number: usize) -> String {
    format!("member-{number:05}")
}

#[test]
fn a_frame_to_ten_thousand_is_one_message_per_core() {
    let mut world = World::new();
    let speaker = world.connect(&member(0), 0);
    // Two on each shard, the speaker's included; the others are away.
    let listeners: Vec<usize> = (1..=2 * usize::from(CORES))
        .map(|number| world.connect(&member(number), number % usize::from(CORES)))
        .collect();
    create_crowd(&mut world, speaker);

    for said in 1..=3 {
        (world.frames_by_lane, world.appended) = (Vec::new(), 0);
        let client = &mut world.people[speaker].client;
        client.send(FrameType::GroupEvent, CHANNEL, b"to everybody").unwrap();
        world.until(|world| world.people[speaker].acknowledged == 1 + said);
        assert!(listeners.iter().all(|no| world.people[*no].heard == said));
        assert_eq!(world.people[speaker].heard, 0, "the speaker hears nothing of its own");
        assert_eq!(
            world.appended,
            MEMBERS - 1 - listeners.len(),
            "the others have it in the inbox"
        );
        let mut frames: Vec<_> = world.frames_by_lane.iter().filter(|lane| lane.2 > 0).collect();
        frames.sort_unstable();
        let once = |to| (ShardId(0), ShardId(to), 1);
        assert_eq!(
            frames,
            (1..CORES).map(once).collect::<Vec<_>>().iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_a_session_costs_that_joins_a_group_does_not_depend_on_its_size() {
    // The roster is held once per shard: by the gauges, and by nothing that a session has.
    let mut world = World::new();
    let speakers: Vec<usize> = (0..4).map(|number| world.connect(&member(number), 1)).collect();
    create_crowd(&mut world, speakers[0]);
    let one = world.shards[1].gauges();
    assert_eq!((one.groups, one.group_members), (1, MEMBERS));
    for speaker in &speakers[1..] {
        let client = &mut world.people[*speaker].client;
        let group = GroupId::parse("crowd").unwrap();
        client.join_group(CHANNEL, group, true).unwrap();
        world.until(|world| world.people[*speaker].acknowledged == 1);
    }
    let all = world.shards[1].gauges();
    assert_eq!((all.groups, all.group_members, all.peers), (1, MEMBERS, one.peers));
}
