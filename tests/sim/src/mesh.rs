//! The fake mesh: one lane per ordered pair of shards, first in, first out, each at its own pace. A full lane is a lane
//! that stands still: its driver holds the batches.

use std::collections::VecDeque;

use commucat_shard::mesh::group::GroupMessage;
use commucat_shard::mesh::message::{Batch, Deliver, Message, Target, Targets};
use commucat_shard::mesh::naming::NamingMessage;

use crate::agenda::{Agenda, Event};
use crate::dice::Dice;
use crate::sabotage::Sabotage;
use crate::weather::Weather;

#[derive(Default)]
struct Lane {
    batches: VecDeque<Batch>,
    still_until: u64,
}

/// All lanes of one process.
pub(crate) struct Mesh {
    shards: u16,
    lanes: Vec<Lane>,
    dice: Dice,
    sabotage: Option<Sabotage>,
    era: u32,
}

impl Mesh {
    pub(crate) fn new(shards: u16, dice: Dice, sabotage: Option<Sabotage>) -> Self {
        let lanes = (0..usize::from(shards) * usize::from(shards))
            .map(|_| Lane::default())
            .collect();
        Self {
            shards,
            lanes,
            dice,
            sabotage,
            era: 0,
        }
    }

    fn lane(&mut self, from: u16, to: u16) -> &mut Lane {
        &mut self.lanes[usize::from(from) * usize::from(self.shards) + usize::from(to)]
    }

    /// A shard's messages of one turn to another.
    pub(crate) fn push(&mut self, from: u16, to: u16, mut batch: Batch, weather: &Weather, agenda: &mut Agenda) {
        let stall = if self.dice.happens(weather.lane_full) {
            self.dice.between(1, weather.lane_full_us)
        } else {
            0
        };
        let delay = self.dice.skewed(weather.lane_us);
        self.sabotage_frames(&mut batch);
        let swap = self.sabotage == Some(Sabotage::MeshReorders) && self.dice.below(4) == 0;
        let era = self.era;
        let lane = self.lane(from, to);
        if stall > 0 {
            lane.still_until = agenda.now() + stall;
        }
        lane.batches.push_back(batch);
        let len = lane.batches.len();
        if swap && len > 1 {
            lane.batches.swap(len - 1, len - 2);
        }
        agenda.plan(delay, Event::Lane { era, from, to });
    }

    /// The head of a lane arrives, unless the lane stands still.
    pub(crate) fn arrive(&mut self, from: u16, to: u16, agenda: &mut Agenda) -> Option<Batch> {
        let era = self.era;
        let lane = self.lane(from, to);
        if lane.still_until > agenda.now() {
            let wait = lane.still_until - agenda.now();
            agenda.plan(wait, Event::Lane { era, from, to });
            return None;
        }
        lane.batches.pop_front()
    }

    /// The process died.
    pub(crate) fn crash(&mut self) {
        for lane in &mut self.lanes {
            *lane = Lane::default();
        }
        self.era += 1;
    }

    /// Batches on their way.
    pub(crate) fn on_the_way(&self) -> usize {
        self.lanes.iter().map(|lane| lane.batches.len()).sum()
    }

    fn sabotage_frames(&mut self, batch: &mut Batch) {
        let Some(sabotage) = self.sabotage else { return };
        match sabotage {
            Sabotage::MeshEmptiesInvite => batch.messages.iter_mut().for_each(empty_invite),
            Sabotage::MeshForgetsNames => batch.messages.iter_mut().for_each(forget_names),
            _ => {}
        }
        let frames: Vec<usize> = (0..batch.messages.len())
            .filter(|at| matches!(batch.messages[*at], Message::Deliver(_)))
            .collect();
        if frames.is_empty() || self.dice.below(4) != 0 {
            return;
        }
        let at = *self.dice.pick(&frames);
        match sabotage {
            Sabotage::MeshDropsFrame => lose_frame(batch, at),
            Sabotage::MeshRepeatsFrame => batch.messages.insert(at, batch.messages[at].clone()),
            Sabotage::MeshMisdelivers => misdeliver(batch, at),
            _ => {}
        }
    }
}

/// The payload becomes that of nobody; the receipt still comes, which is what makes it a lie.
fn lose_frame(batch: &mut Batch, at: usize) {
    if let Message::Deliver(deliver) = &mut batch.messages[at] {
        deliver.payload = commucat_shard::mesh::message::Payload::Shared(bytes::Bytes::from_static(b"lost"));
    }
}

/// The members stay behind; the confirmation still comes.
fn empty_invite(message: &mut Message) {
    if let Message::Group(message) = message
        && let GroupMessage::Grown { members, .. } = message.as_mut()
    {
        *members = std::sync::Arc::new([]);
    }
}

/// The answer still comes, and has no names.
fn forget_names(message: &mut Message) {
    if let Message::Naming(message) = message
        && let NamingMessage::Names { names, .. } = message.as_mut()
    {
        names.clear();
    }
}

/// The recipients of one frame get the next one's too.
fn misdeliver(batch: &mut Batch, at: usize) {
    let others: Vec<Target> = batch
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Deliver(deliver) => Some(deliver.targets.as_slice().to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    if let Message::Deliver(Deliver { targets, .. }) = &mut batch.messages[at] {
        let wrong = others.iter().find(|target| !targets.as_slice().contains(target));
        if let Some(wrong) = wrong {
            *targets = Targets::One(*wrong);
        }
    }
}
