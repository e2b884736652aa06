//! What one seed draws: how many people, which faults at which rates, how tight the relay's limits are. A rate is zero in
//! many seeds, so that faults also meet alone.

use std::time::Duration;

use commucat_shard::limits::Limits;
use commucat_storage::api::InboxLimits;

use crate::dice::{Dice, Rate};

/// The conditions of a run. Times are microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// People, each with one device.
    pub(crate) devices: u16,
    /// How many of them are hostile.
    pub(crate) hostile: u16,
    /// Channel numbers in use; few, so that different senders pick the same.
    pub(crate) channels: u32,

    /// Longest delay of one movement of bytes.
    pub(crate) hop_us: u64,
    /// Largest receive.
    pub(crate) read_max: usize,
    /// What the kernel buffers for a client that does not read.
    pub(crate) pipe: usize,
    /// What still arrives after Pause.
    pub(crate) after_pause: usize,
    /// A connection breaks, per movement of bytes.
    pub(crate) reset: Rate,
    /// A client stops reading, per read.
    pub(crate) stall: Rate,
    /// For how long at most.
    pub(crate) stall_us: u64,
    /// Longest delay of a send's completion.
    pub(crate) sent_late_us: u64,

    /// Longest delay between an event and the loop turn that sees it.
    pub(crate) turn_us: u64,
    /// Most inputs of one turn.
    pub(crate) turn_inputs: usize,

    /// Longest delay of a batch.
    pub(crate) lane_us: u64,
    /// A lane stands still, per batch.
    pub(crate) lane_full: Rate,
    /// For how long at most.
    pub(crate) lane_full_us: u64,

    /// Longest time to a commit.
    pub(crate) commit_us: u64,
    /// Longest time from commit to answer.
    pub(crate) answer_us: u64,
    /// A request fails.
    pub(crate) store_fails: Rate,
    /// A queue stands still, per request.
    pub(crate) store_stall: Rate,
    /// For how long at most.
    pub(crate) store_stall_us: u64,
    /// Requests that one shard may have in its port.
    pub(crate) port: usize,
    /// What an inbox holds.
    pub(crate) inbox: InboxLimits,

    /// Crashes of the whole relay within the run.
    pub(crate) crashes: u64,
    /// Orderly restarts of the relay within the run.
    pub(crate) drains: u64,
    /// Steps of the wall clock within the run.
    pub(crate) wall_steps: u64,
    /// Devices that are revoked within the run.
    pub(crate) revocations: u64,

    /// Longest pause of a person between two acts.
    pub(crate) think_us: u64,
    /// Most frames of one act.
    pub(crate) burst: u64,
    /// How much of what people do is about groups; talking is 80.
    pub(crate) gather: u32,
    /// A JOIN names nobody, per JOIN.
    pub(crate) openly: Rate,
    /// Longest pause before a person connects again.
    pub(crate) away_us: u64,
    /// Largest ordinary payload.
    pub(crate) payload: usize,
    /// A payload that is far larger, per frame.
    pub(crate) huge: Rate,
    /// Its size at most.
    pub(crate) huge_len: usize,
    /// A person connects again while connected, per act.
    pub(crate) duplicate: Rate,
    /// A person leaves, per act.
    pub(crate) goodbye: Rate,

    /// The relay's limits.
    pub(crate) limits: Limits,
}

/// Often nothing, else little, much, or `most`.
fn sometimes(dice: &mut Dice, most: u32) -> Rate {
    Rate(*dice.pick(&[0, 0, most / 30, most / 6, most]))
}

impl Weather {
    /// Draws the conditions of a seed.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let any = Self::draw_any(dice);
        match dice.below(7) {
            0 => any.restless(dice),
            1 => any.crowded(dice),
            2 => any.sociable(dice),
            _ => any,
        }
    }

    /// Few people, who change their connection all the time, faster than the shards can tell each other.
    fn restless(self, dice: &mut Dice) -> Self {
        Self {
            devices: dice.between(3, 5) as u16,
            hostile: 0,
            channels: 1,
            hop_us: *dice.pick(&[20, 200]),
            read_max: 16_384,
            turn_us: 10,
            lane_us: *dice.pick(&[2_000, 20_000, 100_000]),
            commit_us: *dice.pick(&[10, 2_000]),
            think_us: *dice.pick(&[500, 5_000]),
            burst: *dice.pick(&[1, 10]),
            away_us: 1_000,
            duplicate: Rate(*dice.pick(&[10_000, 60_000])),
            goodbye: Rate(*dice.pick(&[10_000, 60_000])),
            ..self
        }
    }

    /// People meet in groups, and stay.
    fn sociable(self, dice: &mut Dice) -> Self {
        Self {
            devices: dice.between(5, 9) as u16,
            hostile: 0,
            channels: dice.between(2, 4) as u32,
            hop_us: *dice.pick(&[20, 200]),
            read_max: 16_384,
            reset: Rate::NEVER,
            store_fails: Rate(self.store_fails.0 / 10),
            think_us: *dice.pick(&[500, 5_000]),
            burst: *dice.pick(&[1, 4]),
            gather: 80,
            away_us: 1_000,
            goodbye: Rate(self.goodbye.0 / 10),
            ..self
        }
    }

    /// Everybody talks to people who read slowly, and their queues are short.
    fn crowded(self, dice: &mut Dice) -> Self {
        let mut limits = self.limits.clone();
        limits.outbox_bytes = *dice.pick(&[400, 2_000, 10_000]);
        limits.replay_rows = *dice.pick(&[1, 3, 512]);
        Self {
            hop_us: *dice.pick(&[50, 500]),
            read_max: 16_384,
            pipe: *dice.pick(&[200, 2_000]),
            stall: Rate(*dice.pick(&[10_000, 60_000])),
            stall_us: *dice.pick(&[10_000, 1_000_000]),
            think_us: *dice.pick(&[100, 5_000]),
            burst: 30,
            limits,
            ..self
        }
    }

    fn draw_any(dice: &mut Dice) -> Self {
        let devices = dice.between(3, 12) as u16;
        Self {
            devices,
            hostile: if dice.below(3) == 0 {
                dice.between(1, 2) as u16
            } else {
                0
            },
            channels: dice.between(1, 5) as u32,
            hop_us: *dice.pick(&[50, 500, 5_000, 50_000]),
            read_max: *dice.pick(&[1, 64, 700, 1_500, 16_384, 16_384, 65_536]),
            pipe: *dice.pick(&[200, 4_096, 65_536, 1 << 20]),
            after_pause: *dice.pick(&[0, 100, 5_000, 65_536]),
            reset: sometimes(dice, 2_000),
            stall: sometimes(dice, 60_000),
            stall_us: *dice.pick(&[10_000, 1_000_000, 30_000_000]),
            sent_late_us: *dice.pick(&[0, 100, 20_000]),
            turn_us: *dice.pick(&[0, 20, 1_000]),
            turn_inputs: *dice.pick(&[1, 3, 64]),
            lane_us: *dice.pick(&[1, 100, 5_000, 200_000]),
            lane_full: sometimes(dice, 100_000),
            lane_full_us: *dice.pick(&[1_000, 1_000_000]),
            commit_us: *dice.pick(&[10, 2_000, 100_000]),
            answer_us: *dice.pick(&[0, 500, 20_000]),
            store_fails: sometimes(dice, 300_000),
            store_stall: sometimes(dice, 50_000),
            store_stall_us: *dice.pick(&[10_000, 5_000_000]),
            port: *dice.pick(&[1, 4, 64, 4_096, 4_096]),
            inbox: draw_inbox(dice),
            crashes: *dice.pick(&[0, 0, 1, 1, 2, 4]),
            drains: *dice.pick(&[0, 0, 0, 1, 2]),
            wall_steps: *dice.pick(&[0, 0, 1, 4]),
            think_us: *dice.pick(&[100, 5_000, 100_000]),
            burst: *dice.pick(&[1, 4, 30]),
            gather: *dice.pick(&[2, 8, 40]),
            openly: Rate(*dice.pick(&[0, 200_000, 700_000])),
            away_us: *dice.pick(&[1_000, 200_000, 10_000_000]),
            payload: *dice.pick(&[40, 300, 3_000]),
            huge: sometimes(dice, 20_000),
            huge_len: *dice.pick(&[20_000, 200_000]),
            duplicate: sometimes(dice, 50_000),
            goodbye: sometimes(dice, 50_000),
            limits: draw_limits(dice),
            revocations: *dice.pick(&[0, 0, 0, 1, 2, 4]),
        }
    }

    /// Whether every frame for somebody who is away is kept until it comes for it.
    pub(crate) fn keeps_everything(&self) -> bool {
        let usual = Limits::default();
        self.store_fails == Rate::NEVER
            && self.wall_steps == 0
            && self.port >= 4_096
            && self.inbox == InboxLimits::default()
            && self.limits.relay_ttl == usual.relay_ttl
            && self.limits.call_offer_ttl >= Duration::from_secs(60)
    }

    /// The same world when everything has healed: no new faults, short delays, room in the port.
    pub(crate) fn healed(&self) -> Self {
        Self {
            hop_us: self.hop_us.min(500),
            read_max: self.read_max.max(1_500),
            reset: Rate::NEVER,
            stall: Rate::NEVER,
            lane_us: self.lane_us.min(100),
            lane_full: Rate::NEVER,
            commit_us: self.commit_us.min(2_000),
            store_fails: Rate::NEVER,
            store_stall: Rate::NEVER,
            port: 4_096,
            duplicate: Rate::NEVER,
            goodbye: Rate::NEVER,
            ..self.clone()
        }
    }
}

fn draw_inbox(dice: &mut Dice) -> InboxLimits {
    if dice.below(4) == 0 {
        InboxLimits {
            rows: dice.between(1, 30),
            bytes: dice.between(200, 20_000),
        }
    } else {
        InboxLimits::default()
    }
}

/// Half of the seeds run close to the limits, where the interesting paths are.
fn draw_limits(dice: &mut Dice) -> Limits {
    let mut limits = Limits {
        connections: 256,
        ..Limits::default()
    };
    if dice.below(2) == 0 {
        limits.outbox_bytes = *dice.pick(&[200, 2_000, 20_000]);
        limits.media_bytes = *dice.pick(&[100, 2_000]);
        limits.send_bytes = *dice.pick(&[1_000, 20_000]);
    }
    if dice.below(2) == 0 {
        limits.unacked_frames = *dice.pick(&[1, 2, 16]);
        limits.names_per_turn = limits.unacked_frames;
        limits.unacked_bytes = *dice.pick(&[100, 5_000]);
        limits.inflight_bytes = *dice.pick(&[1_000, 50_000]);
    }
    if dice.below(2) == 0 {
        limits.replay_rows = *dice.pick(&[1, 2, 10]);
        limits.control_bytes = *dice.pick(&[1_000, 4_000]);
    }
    if dice.below(3) == 0 {
        limits.appends = *dice.pick(&[1, 2, 8]);
        limits.append_bytes = *dice.pick(&[1, 300, 1 << 20]);
    }
    limits.group_linger = Duration::from_millis(*dice.pick(&[1, 50, 30_000]));
    if dice.below(4) == 0 {
        limits.relay_ttl = Duration::from_secs(dice.between(1, 60));
    }
    if dice.below(4) == 0 {
        limits.hello_timeout = Duration::from_millis(300);
        limits.head_timeout = Duration::from_millis(200);
        limits.frame_timeout = Duration::from_millis(400);
    }
    limits.session_calls = *dice.pick(&[2, 4, 16]);
    limits.call_offer_ttl = Duration::from_millis(*dice.pick(&[200, 5_000, 60_000]));
    limits.call_linger = Duration::from_millis(*dice.pick(&[1, 200, 10_000]));
    limits.store_retry = Duration::from_millis(dice.between(1, 250));
    limits
}
