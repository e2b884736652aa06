//! What one session still has to receive: three lanes, numbered only as they leave.
//!
//! - *control*: ACK, ERROR, PRESENCE; leaves first, is never stored.
//! - *bulk*: storable frames. Kept until the kernel has taken them, or with `delivery-ack` until the client has
//!   acknowledged them, so that a connection's end loses none.
//! - *media*: voice, video, typing; the oldest is dropped when the lane is full.
//!
//! Bulk and media leave in the order in which they came (each carries a stamp); control overtakes both. A fourth
//! queue, *held*, waits behind a replay (see `delivery`).
//!
//! Invariant: `bytes()` is at most `outbox_bytes`, or one frame of any size, and as much again while a page of a replay that
//! was asked for arrives, plus `media_bytes` and `control_bytes`.
//! A payload is copied here once (small) or counted (large), and copied once more by `fill`.

mod copies;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use commucat_proto::frame::{MAX_HEADER, write_header};
use commucat_proto::{ChannelId, FrameType, Sequence};
use commucat_storage::api::{RowId, Wall};

use crate::awaiting::Awaiting;
use crate::lane::{Lane, Record};
use crate::limits::Limits;
use crate::ranges::{Ranges, Run};

/// A frame as it is offered: its payload is lent, or counted already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opaque<'a> {
    pub(crate) kind: FrameType,
    pub(crate) channel: ChannelId,
    pub(crate) payload: &'a [u8],
    pub(crate) shared: Option<&'a Bytes>,
    /// If it is stored, it is worth nothing from then on.
    pub(crate) keep_until: Wall,
}

/// Stored frames live as long as inboxes keep anything (`relay_ttl`).
pub(crate) const KEEP: Wall = Wall(u64::MAX);

/// Where `fill` stopped inside a frame.
#[derive(Clone, Copy, Debug)]
struct Partial {
    lane: Which,
    sequence: Sequence,
    written: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Control,
    Bulk,
    Media,
}

/// What a push into a bounded lane came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Full,
}

/// What `fill` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Everything that may leave has left, or the budget is used up.
    Good,
    /// The next frame would have no sequence number (decisions § 3).
    Exhausted,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    control: Lane,
    bulk: Lane,
    media: Lane,
    held: Lane,
    ranges: Ranges,
    stamp: u64,
    last_sequence: u32,
    partial: Option<Partial>,
    /// Whole bulk records at the front that have left and are not known to have arrived.
    in_flight: usize,
    /// With `delivery-ack`: their sequences.
    awaiting: Option<Box<Awaiting>>,
    /// Likenesses of the frames at the front that were stored as well when the queue spilled, and whose rows have not
    /// come back.
    copied: VecDeque<u64>,
    /// How many of those frames still stand in bulk, and how far the first of them is from the front at least.
    unclaimed: usize,
    unclaimed_from: usize,
    /// The one number that is kept for the last ERROR may be used.
    exhausted: bool,
}

impl Outbox {
    /// As if so many frames had left: nobody waits for four thousand million of them.
    #[cfg(test)]
    pub(crate) fn count_from(&mut self, last: u32) {
        self.last_sequence = last;
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamp += 1;
        self.stamp
    }

    pub(crate) fn push_control(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8]) {
        if !self.ranges.is_empty() {
            self.write_ranges();
        }
        self.control.push_control(kind, channel, payload);
    }

    /// An acknowledgement of a session with `ack-range`: written with its neighbours, before anything else of control.
    pub(crate) fn push_ack(&mut self, channel: ChannelId, sequence: Sequence) {
        if let Some(run) = self.ranges.push(channel, sequence) {
            self.write_run(run);
        }
    }

    fn write_ranges(&mut self) {
        for run in self.ranges.take() {
            self.write_run(run);
        }
    }

    fn write_run(&mut self, run: Run) {
        let mut payload = Vec::new();
        run.write(&mut payload);
        self.control.push_control(FrameType::Ack, run.channel, &payload);
    }

    pub(crate) fn control_over(&self, limits: &Limits) -> bool {
        self.control.bytes() > limits.control_bytes
    }

    /// A storable frame, or a stored one with its row.
    pub(crate) fn push_bulk(&mut self, frame: Opaque<'_>, row: Option<RowId>) {
        let stamp = self.next_stamp();
        self.bulk.push(frame, row, stamp);
    }

    /// Bounded: for frames that come live.
    pub(crate) fn offer_bulk(&mut self, frame: Opaque<'_>, limits: &Limits) -> Pushed {
        if !self.room_for(frame.payload.len(), limits) {
            return Pushed::Full;
        }
        self.push_bulk(frame, None);
        Pushed::Queued
    }

    /// Bounded: says how many frames at the front were queued.
    pub(crate) fn offer_run<'a>(&mut self, frames: impl Iterator<Item = Opaque<'a>>, limits: &Limits) -> usize {
        let queued = |frame| self.offer_bulk(frame, limits) == Pushed::Queued;
        frames.map(queued).take_while(|queued| *queued).count()
    }

    /// Bounded: waits behind a replay.
    pub(crate) fn offer_held(&mut self, frame: Opaque<'_>, limits: &Limits) -> Pushed {
        if !self.room_for(frame.payload.len(), limits) {
            return Pushed::Full;
        }
        let stamp = self.next_stamp();
        self.held.push(frame, None, stamp);
        Pushed::Queued
    }

    fn room_for(&self, payload: usize, limits: &Limits) -> bool {
        let used = self.bulk_bytes();
        used == 0 || used + Lane::cost(payload) <= limits.outbox_bytes
    }

    /// Queues a droppable frame; says how many older ones had to go.
    pub(crate) fn push_media(&mut self, frame: Opaque<'_>, limits: &Limits) -> usize {
        let mut dropped = 0;
        let started = matches!(self.partial, Some(Partial { lane: Which::Media, .. }));
        while self.media.bytes() + Lane::cost(frame.payload.len()) > limits.media_bytes {
            if self.media.is_empty() {
                break;
            }
            if started {
                // Its first bytes are out: the frame that comes is dropped instead.
                return dropped + 1;
            }
            self.media.pop();
            dropped += 1;
        }
        let stamp = self.next_stamp();
        self.media.push(frame, None, stamp);
        dropped
    }

    /// The replay is over: what waited behind it is live now.
    pub(crate) fn release_held(&mut self) {
        self.bulk.append(&mut self.held);
    }

    /// Room for stored rows, in payload bytes; none while more than half of the lane is taken.
    pub(crate) fn replay_room(&self, limits: &Limits) -> Option<usize> {
        let used = self.bulk.bytes();
        (used <= limits.outbox_bytes / 2).then(|| limits.outbox_bytes.saturating_sub(used + self.held.bytes()).max(1))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.control.bytes() + self.bulk_bytes() + self.media_bytes()
    }

    /// Storable frames, those that wait behind a replay included.
    pub(crate) fn bulk_bytes(&self) -> usize {
        self.bulk.bytes() + self.held.bytes()
    }

    pub(crate) fn media_bytes(&self) -> usize {
        self.media.bytes()
    }

    /// Whether `slim` would give memory back.
    pub(crate) fn is_fat(&self) -> bool {
        [&self.control, &self.bulk, &self.media, &self.held]
            .into_iter()
            .any(Lane::is_fat)
    }

    /// How many frames have left.
    pub(crate) fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// Empty lanes give back what a burst has made them take.
    pub(crate) fn slim(&mut self) {
        for lane in [&mut self.control, &mut self.bulk, &mut self.media, &mut self.held] {
            lane.slim();
        }
        if let Some(awaiting) = &mut self.awaiting {
            awaiting.slim();
        }
    }

    /// Whether `fill` would write anything.
    pub(crate) fn has_unsent(&self) -> bool {
        self.partial.is_some()
            || !self.ranges.is_empty()
            || !self.control.is_empty()
            || !self.media.is_empty()
            || self.bulk.len() > self.in_flight
    }

    /// Nothing unsent, nothing that the kernel has not finished.
    pub(crate) fn is_quiet(&self) -> bool {
        let finished = match &self.awaiting {
            None => self.in_flight == 0,
            Some(awaiting) => !awaiting.with_kernel,
        };
        finished && !self.has_unsent()
    }

    /// Frames that have left and are not known to have arrived.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// From here on a frame is kept until the client acknowledges it (`delivery-ack`, decisions § 3).
    pub(crate) fn await_acks(&mut self) {
        self.awaiting = Some(Box::default());
    }

    fn choose(&self) -> Option<Which> {
        if let Some(partial) = self.partial {
            return Some(partial.lane);
        }
        if !self.control.is_empty() {
            return Some(Which::Control);
        }
        let bulk = self.bulk.get(self.in_flight).map(|record| record.stamp);
        let media = self.media.get(0).map(|record| record.stamp);
        match (bulk, media) {
            (Some(bulk), Some(media)) if media < bulk => Some(Which::Media),
            (Some(_), _) => Some(Which::Bulk),
            (None, Some(_)) => Some(Which::Media),
            (None, None) => None,
        }
    }

    /// Appends up to `budget` wire bytes to `out`; a frame may be cut anywhere and goes on with the next call.
    /// `left` is told the type of every frame whose last byte was written.
    pub(crate) fn fill(&mut self, out: &mut Vec<u8>, budget: usize, left: &mut [u64; 20]) -> Filled {
        if !self.ranges.is_empty() && budget > 0 {
            self.write_ranges();
        }
        let mut room = budget;
        while room > 0 {
            let Some(lane) = self.choose() else { break };
            if self.partial.is_none() && (self.skip_one(lane) || self.fill_run(lane, out, &mut room, left)) {
                continue;
            }
            let started = self.partial.take();
            let (sequence, written) = match started {
                Some(partial) => (partial.sequence, partial.written),
                None => {
                    // The last number is kept for the ERROR that says so.
                    if self.last_sequence >= u32::MAX - 1 && !self.exhausted {
                        return Filled::Exhausted;
                    }
                    self.last_sequence += 1;
                    (Sequence::new(self.last_sequence), 0)
                }
            };
            let (source, index) = match lane {
                Which::Control => (&self.control, 0),
                Which::Bulk => (&self.bulk, self.in_flight),
                Which::Media => (&self.media, 0),
            };
            let Some(record) = source.get(index) else { break };
            let (kind, length) = (record.kind, record.len());
            let mut header = [0; MAX_HEADER];
            let head = write_header(kind, record.channel, sequence, length, &mut header);
            let whole = head + length;
            let end = whole.min(written + room);
            copy_wire(&header[..head], source, index, written..end, out);
            room -= end - written;
            if end < whole {
                self.partial = Some(Partial {
                    lane,
                    sequence,
                    written: end,
                });
                break;
            }
            left[kind.code() as usize] += 1;
            match lane {
                Which::Control => self.control.pop(),
                Which::Media => self.media.pop(),
                Which::Bulk => {
                    self.in_flight += 1;
                    if let Some(awaiting) = &mut self.awaiting {
                        awaiting.left(sequence);
                    }
                }
            }
        }
        Filled::Good
    }

    /// Whole frames at the front of one lane, as many as may leave before another lane's turn: nearly all that ever leaves
    /// does so here. False when there was none; then `fill` looks at the one frame more closely.
    fn fill_run(&mut self, which: Which, out: &mut Vec<u8>, room: &mut usize, left: &mut [u64; 20]) -> bool {
        let front = |lane: &Lane, index| lane.get(index).map_or(u64::MAX, |record| record.stamp);
        let (lane, from, before) = match which {
            Which::Control => (&self.control, 0, u64::MAX),
            Which::Bulk => (&self.bulk, self.in_flight, front(&self.media, 0)),
            Which::Media => (&self.media, 0, front(&self.bulk, self.in_flight)),
        };
        // The last number is kept for the ERROR that says so.
        let last = if self.exhausted { u32::MAX } else { u32::MAX - 1 };
        let numbers = self.last_sequence..last;
        let count = lane.write_run(from, before, numbers, room, out, left);
        if count == 0 {
            return false;
        }
        let first = self.last_sequence + 1;
        self.last_sequence += count as u32;
        match which {
            Which::Control => self.control.pop_many(count),
            Which::Media => self.media.pop_many(count),
            Which::Bulk => {
                self.in_flight += count;
                if let Some(awaiting) = &mut self.awaiting {
                    for sequence in first..=self.last_sequence {
                        awaiting.left(Sequence::new(sequence));
                    }
                }
            }
        }
        true
    }

    /// The kernel has taken everything `fill` wrote, except for the last `but` frames. Returns the last stored row among
    /// what is known to have arrived by that: nothing, where the client acknowledges.
    pub(crate) fn completed(&mut self, but: usize) -> Option<RowId> {
        if let Some(awaiting) = &mut self.awaiting {
            awaiting.with_kernel = but > 0;
            return None;
        }
        let but = but.min(self.in_flight);
        let done = std::mem::replace(&mut self.in_flight, but) - but;
        let row = self.bulk.last_row(done);
        if self.unclaimed == 0 {
            self.bulk.pop_many(done);
        } else {
            for _ in 0..done {
                self.pop_bulk();
            }
        }
        row
    }

    /// The client has these frames of `channel`. What it names and is not waited for, because it has been acknowledged
    /// before, was never sent, or is of another channel or no storable type, is passed over. Returns the last stored row
    /// that it has together with everything before it.
    pub(crate) fn acknowledged(&mut self, channel: ChannelId, from: Sequence, to: Sequence) -> Option<RowId> {
        let awaiting = self.awaiting.as_mut()?;
        for index in awaiting.within(from, to) {
            if self.bulk.get(index).is_some_and(|record| record.channel == channel) {
                self.bulk.set_arrived(index);
            }
        }
        let mut row = None;
        while self.in_flight > 0
            && let Some(record) = self.bulk.get(0).filter(|record| record.arrived || record.skipped)
        {
            row = record.row.max(row);
            self.pop_bulk();
            self.in_flight -= 1;
            if let Some(awaiting) = &mut self.awaiting {
                awaiting.arrived();
            }
        }
        row
    }

    fn pop_bulk(&mut self) {
        if self.unclaimed > 0 {
            let unclaimed = self.bulk.get(0).is_some_and(Record::is_unclaimed);
            self.unclaimed -= usize::from(unclaimed);
            self.unclaimed_from = self.unclaimed_from.saturating_sub(1);
        }
        self.bulk.pop();
    }

    /// Whole or begun bulk records at the front that may have left and are not known to have arrived.
    fn begun(&self) -> usize {
        self.in_flight + usize::from(matches!(self.partial, Some(Partial { lane: Which::Bulk, .. })))
    }

    /// Keeps of the media lane only what has begun to leave.
    fn cut_media(&mut self) {
        self.media.truncate(usize::from(matches!(
            self.partial,
            Some(Partial { lane: Which::Media, .. })
        )));
    }

    /// Everything that waits behind a replay, in order; the queue is empty afterwards.
    pub(crate) fn take_held(&mut self, mut each: impl FnMut(Opaque<'_>)) {
        for index in 0..self.held.len() {
            self.held.with(index, |record, frame| {
                if !record.skipped {
                    each(frame);
                }
            });
        }
        self.held.clear();
    }

    /// The session has left a channel: of what is queued there only what has begun to leave still does.
    pub(crate) fn leave(&mut self, channel: ChannelId) -> usize {
        let media = usize::from(matches!(self.partial, Some(Partial { lane: Which::Media, .. })));
        self.bulk.skip(channel, self.begun()) + self.media.skip(channel, media) + self.held.skip(channel, 0)
    }

    /// Passes over the next record of a lane if nobody wants it.
    fn skip_one(&mut self, lane: Which) -> bool {
        let skipped = |record: Option<&Record>| record.is_some_and(|record| record.skipped);
        match lane {
            Which::Control => false,
            Which::Bulk if skipped(self.bulk.get(self.in_flight)) => {
                self.in_flight += 1;
                if let Some(awaiting) = &mut self.awaiting {
                    awaiting.passed(Sequence::new(self.last_sequence));
                }
                true
            }
            Which::Media if skipped(self.media.get(0)) => {
                self.media.pop();
                true
            }
            Which::Bulk | Which::Media => false,
        }
    }

    /// Takes away what nobody wants at the front; gives the last stored row among it.
    pub(crate) fn pass_skipped(&mut self) -> Option<RowId> {
        let mut row = None;
        while self.begun() == 0
            && let Some(record) = self.bulk.get(0).filter(|record| record.skipped)
        {
            row = record.row.max(row);
            self.pop_bulk();
        }
        row
    }

    /// All numbers are used: what is pushed next, the ERROR that says so, gets the one that was kept.
    pub(crate) fn exhaust(&mut self) {
        self.ranges.take();
        self.control.clear();
        self.exhausted = true;
    }
}

/// Writes the bytes `range` of header and payload, seen as one run.
fn copy_wire(header: &[u8], lane: &Lane, index: usize, range: std::ops::Range<usize>, out: &mut Vec<u8>) {
    if range.start < header.len() {
        out.extend_from_slice(&header[range.start..range.end.min(header.len())]);
    }
    if range.end > header.len() {
        let start = range.start.saturating_sub(header.len());
        lane.copy_payload(index, start..range.end - header.len(), out);
    }
}
