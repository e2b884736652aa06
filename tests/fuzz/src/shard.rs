//! The whole shard: two honest people talk, and a third sends what the input says, on the wire, in the tunnel, and in frames.
//!
//! What must hold: no panic, no end of turns without rest, no more kept than allowed, nothing left when all are gone; and
//! what the honest two say to each other arrives, once, in order, and is acknowledged.

mod people;

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_proto::FrameType;
use commucat_shard::input::Command;
use commucat_shard::limits::Limits;

use self::people::{Honest, Stranger};
use crate::bed::{Bed, Mood, key};
use crate::input::Input;

/// How the stranger comes in.
const WAYS: [HttpVersion; 4] = [
    HttpVersion::Http1,
    HttpVersion::Http2,
    HttpVersion::WebSocket1,
    HttpVersion::WebSocket2,
];

/// Control payloads that mean something here.
const PAYLOADS: [&str; 24] = [
    r#"{"members":["dev-2"],"relay":true}"#,
    r#"{"members":["dev-2","dev-3","dev-1"],"relay":true}"#,
    r#"{"members":[],"relay":true}"#,
    r#"{"relay":true}"#,
    r#"{"members":["nobody","dev-2@relay.example","x@elsewhere.example"]}"#,
    r#"{"members":["a","b","c","d","e","f"]}"#,
    r#"{"group_id":"g","relay":true}"#,
    r#"{"group_id":"g","members":["dev-2","dev-3"],"roles":{"dev-2":"admin"},"relay":true}"#,
    r#"{"members":["dev-3"],"relay":true}"#,
    r#"{"group_id":"g","device":"dev-3","role":"member"}"#,
    r#"{"group_id":"g","device":"dev-2","role":"owner"}"#,
    "{}",
    r#"{"ack":1}"#,
    r#"{"ack":4,"from":2,"to":4}"#,
    r#"{"ack":4294967295,"from":0}"#,
    r#"{"state":"away"}"#,
    r#"{"call_id":"c","to":["dev-2"]}"#,
    r#"{"call_id":"c","from":"dev-1","to":["dev-2","dev-3"],"media":{"mode":"full_duplex"},"expires_at":1750000001}"#,
    r#"{"call_id":"c","accept":true}"#,
    r#"{"call_id":"c","accept":false,"reason":"busy"}"#,
    r#"{"call_id":"c","reason":"hangup"}"#,
    r#"{"call_id":"c","direction":"send"}"#,
    "[[[[",
    "null",
];

/// The first byte says how the stranger comes in, the rest what happens; see `World::step`.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let Some(setup) = input.byte() else { return };
    let mut world = World::new(setup);
    while let Some(going) = world.step(&mut input) {
        world.listen();
        if !going {
            break;
        }
    }
    world.end();
}

struct World {
    bed: Bed,
    honest: [Honest; 2],
    strangers: Vec<Stranger>,
    setup: u8,
    draining: bool,
}

impl World {
    fn new(setup: u8) -> Self {
        let mut bed = Bed::new();
        let honest = [
            Honest::new(&mut bed, 2, 3, HttpVersion::Http1),
            Honest::new(&mut bed, 3, 2, HttpVersion::Http2),
        ];
        let mut world = Self {
            bed,
            honest,
            strangers: Vec::new(),
            setup,
            draining: false,
        };
        for person in &mut world.honest {
            person.join(&mut world.bed);
        }
        world.dial();
        world
    }

    fn dial(&mut self) {
        if self.strangers.len() < 8 {
            let way = WAYS[usize::from(self.setup) % WAYS.len()];
            let stranger = Stranger::new(&mut self.bed, way, self.setup);
            self.strangers.push(stranger);
        }
    }

    /// One thing that happens; `None` when the input is over, and `false` when nothing honest can be expected any more.
    fn step(&mut self, input: &mut Input<'_>) -> Option<bool> {
        let kind = input.byte()?;
        let which = usize::from(kind >> 5) % self.strangers.len();
        let (bed, stranger) = (&mut self.bed, &mut self.strangers[which]);
        match kind % 22 {
            0 => stranger.wire(bed, input.piece()?),
            1 => stranger.tunnel(bed, input.piece()?),
            2 => stranger.unsealed(bed, input.piece()?),
            3 | 4 => {
                let (kind, channel) = choose(input)?;
                stranger.frame(bed, kind, channel, input.piece()?);
            }
            5..=7 => {
                let (kind, channel) = choose(input)?;
                let payload = PAYLOADS[usize::from(input.byte()?) % PAYLOADS.len()];
                stranger.frame(bed, kind, channel, payload.as_bytes());
            }
            8 => {
                let (kind, channel) = choose(input)?;
                stranger.numbered(bed, kind, channel, u32::from(input.short()?), input.piece()?);
            }
            // Many of them: queues fill.
            9 => {
                let (kind, channel) = choose(input)?;
                let payload = vec![b'x'; usize::from(input.short()?)];
                for _ in 0..8 {
                    stranger.frame(bed, kind, channel, &payload);
                }
            }
            10 => self.honest[which % 2].say_to_stranger(bed, input.piece()?),
            11 => self.honest[which % 2].speak(bed),
            12 => bed.stall(stranger.on(), input.byte()? % 2 == 0),
            13 => bed.pass(Duration::from_millis(u64::from(input.byte()?))),
            14 => bed.pass(Duration::from_millis(u64::from(input.short()?))),
            15 => bed.set_store([Mood::Well, Mood::Silent, Mood::Failing, Mood::Full][usize::from(input.byte()? % 4)]),
            16 => bed.finish_writing(stranger.on()),
            17 => bed.cut(stranger.on()),
            18 => {
                self.setup = input.byte()?;
                self.dial();
            }
            19 => bed.command(command(input.byte()?)),
            20 => bed.answer(input.byte()? % 4 != 0, input.piece()?),
            _ => {
                self.draining = input.byte()? == 0;
                if self.draining {
                    bed.drain();
                }
            }
        }
        Some(!self.draining)
    }

    /// Everybody reads.
    fn listen(&mut self) {
        for stranger in &mut self.strangers {
            stranger.listen(&mut self.bed);
        }
        if !self.draining {
            for person in &mut self.honest {
                person.listen(&mut self.bed);
            }
        }
        let (limits, gauges) = (Limits::default(), self.bed.gauges());
        assert!(
            gauges.inflight_bytes <= limits.inflight_bytes + (16 << 20),
            "{gauges:?}"
        );
        assert!(
            gauges.unparsed_bytes <= limits.unparsed_bytes * gauges.tunnels,
            "{gauges:?}"
        );
        let most = limits.outbox_bytes + limits.control_bytes + limits.media_bytes + (16 << 20);
        assert!(gauges.outbox_max <= most, "{gauges:?}");
    }

    fn end(mut self) {
        if !self.draining {
            self.bed.set_store(Mood::Well);
            for person in &mut self.honest {
                person.speak(&mut self.bed);
            }
            // What the store had refused is tried again.
            self.bed.pass(Duration::from_secs(2));
            for _ in 0..2 {
                self.listen();
            }
            let [ada, bob] = &self.honest;
            ada.has_heard_all(bob);
            bob.has_heard_all(ada);
        }
        self.bed.leave_nothing(self.draining);
    }
}

/// A type of frame and a channel; a few channels more than there may be.
fn choose(input: &mut Input<'_>) -> Option<(FrameType, u32)> {
    let kind = FrameType::ALL[usize::from(input.byte()?) % FrameType::ALL.len()];
    Some((kind, u32::from(input.byte()? % 9)))
}

/// About the stranger's device.
fn command(how: u8) -> Command {
    let device = people::device(1);
    if how.is_multiple_of(2) {
        Command::Revoked { device }
    } else {
        let static_key = *key(usize::from(how % 4)).public().as_bytes();
        Command::Rekeyed { device, static_key }
    }
}

/// Every way in with every kind of step, and some stories.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let frame = |kind: FrameType, channel: u8, payload: u8| vec![5, kind.code() - 1, channel, payload];
    let stories: [Vec<Vec<u8>>; 8] = [
        vec![
            frame(FrameType::Join, 1, 1),
            vec![3, 4, 1, 2, b'h', b'i'],
            vec![11],
            vec![10, 1, b'x'],
        ],
        vec![
            frame(FrameType::GroupCreate, 2, 7),
            frame(FrameType::Join, 3, 6),
            frame(FrameType::GroupInvite, 2, 9),
            vec![9, 4, 2, 1, 0],
        ],
        vec![
            frame(FrameType::Join, 1, 0),
            frame(FrameType::CallOffer, 1, 17),
            frame(FrameType::CallAnswer, 1, 18),
            vec![3, 16, 1, 1, 0],
            frame(FrameType::CallEnd, 1, 20),
        ],
        vec![
            frame(FrameType::Join, 1, 3),
            vec![12, 0],
            vec![9, 4, 1, 255, 255],
            vec![10, 9],
            vec![14, 255, 255],
            vec![12, 1],
        ],
        vec![
            vec![15, 1],
            frame(FrameType::Join, 1, 4),
            vec![3, 4, 1, 1, 7],
            vec![15, 2],
            vec![13, 200],
            vec![15, 0],
        ],
        vec![
            frame(FrameType::Presence, 0, 15),
            vec![18, 2],
            vec![11],
            vec![19, 1],
            vec![18, 5],
            vec![19, 0],
        ],
        vec![
            vec![0, 30],
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nabcd".to_vec(),
            vec![20, 1, 1, b'a'],
            vec![20, 0, 0],
            vec![16],
            vec![17],
        ],
        vec![
            vec![2, 2, 40, 1],
            vec![1, 3, 5, 5, 5],
            vec![8, 4, 1, 0, 1, 1, 1],
            frame(FrameType::Leave, 1, 11),
            vec![21, 0],
        ],
    ];
    let mut all = Vec::new();
    for (index, story) in stories.iter().enumerate() {
        for way in 0..4 {
            all.push([&[way | (index as u8 * 4)][..], &story.concat()].concat());
        }
    }
    all
}
