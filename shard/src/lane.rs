//! A queue of frames without headers: small payloads in one byte ring, large ones counted. Used by `outbox` only.
//!
//! Invariants: the byte ring holds exactly the inline payloads of the records, and `large` exactly the counted ones, in
//! their order; `rows` is how many records stand for a stored row; `bytes()` is what the frames cost, overhead included.
//!
//! What is queued for a thousand recipients lies in a thousand places, so each is touched as seldom as can be: a record
//! fits a cache line, needs no clean-up, and a queue that has left whole is forgotten without looking at it.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use commucat_proto::frame::{MAX_HEADER, write_header};
use commucat_proto::{ChannelId, FrameType, Sequence};
use commucat_storage::api::{RowId, Wall};

use crate::outbox::{KEEP, Opaque};

/// Payloads from this size on are counted instead of copied, where more than one recipient shares them.
pub(crate) const SHARE_FROM: usize = 4096;

/// An idle lane gives its memory back above this: room for a few small frames, and not for what the handshake said.
const KEEP_BYTES: usize = 512;

/// What a queued frame costs besides its payload.
const OVERHEAD: usize = 64;
const _: () = assert!(
    size_of::<Record>() <= OVERHEAD,
    "the budget must cover what a queued frame really takes"
);

/// Records from which on taking them together is cheaper than one by one.
const WORTH_DRAINING: usize = 4;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) row: Option<RowId>,
    pub(crate) stamp: u64,
    pub(crate) keep_until: Wall,
    /// Where its payload begins, counted in inline bytes, or in large payloads, ever queued.
    at: u64,
    pub(crate) channel: ChannelId,
    /// Of its payload.
    length: u32,
    pub(crate) kind: FrameType,
    /// Its payload is counted and not copied.
    is_large: bool,
    /// Nobody wants it any more: it only keeps its place, for the row it may stand for.
    pub(crate) skipped: bool,
    /// The client has acknowledged it; it waits for what stands before it (`delivery-ack`).
    pub(crate) arrived: bool,
    /// It has begun to leave and was stored as well when the queue spilled; `row` is set when the row comes back.
    pub(crate) copied: bool,
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.length as usize
    }

    /// Stored as well, and its row has not come back.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.copied && self.row.is_none()
    }
}

/// Payloads that are shared with other recipients.
#[derive(Debug, Default)]
struct Large {
    payloads: VecDeque<Bytes>,
    /// Large payloads ever taken away.
    head: u64,
}

impl Large {
    /// Queues a payload; says where it begins, as a record's `at`.
    fn push(&mut self, payload: Bytes) -> u64 {
        let at = self.head + self.payloads.len() as u64;
        self.payloads.push_back(payload);
        at
    }

    fn pop(&mut self) -> Option<Bytes> {
        let payload = self.payloads.pop_front()?;
        self.head += 1;
        Some(payload)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    records: VecDeque<Record>,
    inline: VecDeque<u8>,
    bytes: usize,
    /// Inline bytes ever queued.
    tail: u64,
    rows: usize,
    /// Of most lanes, none.
    large: Option<Box<Large>>,
}

impl Lane {
    pub(crate) const fn cost(payload: usize) -> usize {
        payload + OVERHEAD
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Record> {
        self.records.get(index)
    }

    /// Marks what stands on `channel`, from the record `from` on; says how many those are.
    pub(crate) fn skip(&mut self, channel: ChannelId, from: usize) -> usize {
        let mut skipped = 0;
        for record in self.records.iter_mut().skip(from) {
            if record.channel == channel && !record.skipped {
                record.skipped = true;
                skipped += 1;
            }
        }
        skipped
    }

    pub(crate) fn set_arrived(&mut self, index: usize) {
        if let Some(record) = self.records.get_mut(index) {
            record.arrived = true;
        }
    }

    pub(crate) fn set_copied(&mut self, index: usize, copied: bool) {
        if let Some(record) = self.records.get_mut(index) {
            record.copied = copied;
        }
    }

    pub(crate) fn set_row(&mut self, index: usize, row: RowId) {
        if let Some(record) = self.records.get_mut(index) {
            self.rows += usize::from(record.row.is_none());
            record.row = Some(row);
        }
    }

    /// A frame of our own.
    pub(crate) fn push_control(&mut self, kind: FrameType, channel: ChannelId, payload: &[u8]) {
        let frame = Opaque {
            kind,
            channel,
            payload,
            shared: None,
            keep_until: KEEP,
        };
        self.push(frame, None, 0);
    }

    pub(crate) fn push(&mut self, frame: Opaque<'_>, row: Option<RowId>, stamp: u64) {
        let at = match frame.shared {
            None => {
                let at = self.tail;
                self.inline.extend(frame.payload);
                self.tail += frame.payload.len() as u64;
                at
            }
            Some(payload) => self.large.get_or_insert_default().push(payload.clone()),
        };
        self.bytes += Self::cost(frame.payload.len());
        self.rows += usize::from(row.is_some());
        self.records.push_back(Record {
            row,
            stamp,
            keep_until: frame.keep_until,
            at,
            channel: frame.channel,
            // A frame is at most 16 MiB.
            length: frame.payload.len() as u32,
            kind: frame.kind,
            is_large: frame.shared.is_some(),
            skipped: false,
            arrived: false,
            copied: false,
        });
    }

    pub(crate) fn pop(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        self.bytes -= Self::cost(record.len());
        self.rows -= usize::from(record.row.is_some());
        if !record.is_large {
            self.inline.drain(..record.len());
        } else if let Some(large) = &mut self.large {
            large.pop();
        }
    }

    fn has_large(&self) -> bool {
        self.large.as_ref().is_some_and(|large| !large.payloads.is_empty())
    }

    /// The same as `count` times [`Lane::pop`].
    pub(crate) fn pop_many(&mut self, count: usize) {
        if self.has_large() || self.rows > 0 {
            return (0..count).for_each(|_| self.pop());
        }
        if count >= self.records.len() {
            self.records.clear();
            self.inline.clear();
            self.bytes = 0;
            return;
        }
        if count < WORTH_DRAINING {
            return (0..count).for_each(|_| self.pop());
        }
        let inline: usize = self.records.drain(..count).map(|record| record.len()).sum();
        self.bytes -= inline + count * Self::cost(0);
        self.inline.drain(..inline);
    }

    /// The greatest row among the first `count` records.
    pub(crate) fn last_row(&self, count: usize) -> Option<RowId> {
        if self.rows == 0 {
            return None;
        }
        self.records.iter().take(count).filter_map(|record| record.row).max()
    }

    /// Appends whole frames to `out` as long as they fit into `room` and the numbers last: from the record `from` on, up to
    /// the first that nobody wants or that is not older than `before`. Gives how many those are.
    pub(crate) fn write_run(
        &self,
        from: usize,
        before: u64,
        mut numbers: Range<u32>,
        room: &mut usize,
        out: &mut Vec<u8>,
        left: &mut [u64; 20],
    ) -> usize {
        let (front, back) = self.inline.as_slices();
        let first = self.tail - self.inline.len() as u64;
        let mut count = 0;
        for record in self.records.range(from..) {
            if record.skipped || record.stamp > before {
                break;
            }
            let Some(number) = numbers.next() else { break };
            let length = record.len();
            let mut header = [0; MAX_HEADER];
            let head = write_header(
                record.kind,
                record.channel,
                Sequence::new(number + 1),
                length,
                &mut header,
            );
            if head + length > *room {
                break;
            }
            *room -= head + length;
            out.extend_from_slice(&header[..head]);
            if let Some(payload) = self.large(record) {
                out.extend_from_slice(payload);
            } else {
                let start = (record.at - first) as usize;
                match front.get(start..start + length) {
                    Some(payload) => out.extend_from_slice(payload),
                    None => extend_over(front, back, start..start + length, out),
                }
            }
            left[record.kind.code() as usize] += 1;
            count += 1;
        }
        count
    }

    /// Empty, with more memory than an idle connection should keep.
    pub(crate) fn is_fat(&self) -> bool {
        let records = self.records.capacity() * size_of::<Record>();
        self.is_empty() && (self.inline.capacity() > KEEP_BYTES || records > KEEP_BYTES || self.large.is_some())
    }

    /// Gives that memory back.
    pub(crate) fn slim(&mut self) {
        if self.is_fat() {
            self.inline = VecDeque::new();
            self.records = VecDeque::new();
            self.large = None;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the first `length` records.
    pub(crate) fn truncate(&mut self, length: usize) {
        while self.records.len() > length {
            let Some(record) = self.records.pop_back() else { break };
            self.bytes -= Self::cost(record.len());
            self.rows -= usize::from(record.row.is_some());
            if !record.is_large {
                self.inline.truncate(self.inline.len() - record.len());
                self.tail -= record.len() as u64;
            } else if let Some(large) = &mut self.large {
                large.payloads.pop_back();
            }
        }
    }

    /// Moves everything of `other` behind what is here.
    pub(crate) fn append(&mut self, other: &mut Self) {
        let first = other.tail - other.inline.len() as u64;
        for mut record in other.records.drain(..) {
            if !record.is_large {
                record.at = record.at - first + self.tail;
            } else if let Some(payload) = other.large.as_mut().and_then(|large| large.pop()) {
                record.at = self.large.get_or_insert_default().push(payload);
            }
            self.records.push_back(record);
        }
        other.large = None;
        self.tail += other.inline.len() as u64;
        self.inline.append(&mut other.inline);
        self.bytes += std::mem::take(&mut other.bytes);
        self.rows += std::mem::take(&mut other.rows);
    }

    fn large(&self, record: &Record) -> Option<&Bytes> {
        let large = self.large.as_ref().filter(|_| record.is_large)?;
        large.payloads.get((record.at - large.head) as usize)
    }

    fn offset(&self, record: &Record) -> usize {
        let first = self.tail - self.inline.len() as u64;
        (record.at - first) as usize
    }

    /// Appends a part of a payload to `out`.
    pub(crate) fn copy_payload(&self, index: usize, range: Range<usize>, out: &mut Vec<u8>) {
        let record = &self.records[index];
        if let Some(payload) = self.large(record) {
            out.extend_from_slice(&payload[range]);
        } else {
            let offset = self.offset(record);
            let (front, back) = self.inline.as_slices();
            extend_over(front, back, offset + range.start..offset + range.end, out);
        }
    }

    /// One record, and its frame as it was offered.
    pub(crate) fn with(&self, index: usize, mut each: impl FnMut(&Record, Opaque<'_>)) {
        let record = &self.records[index];
        let frame = |payload, shared| Opaque {
            kind: record.kind,
            channel: record.channel,
            payload,
            shared,
            keep_until: record.keep_until,
        };
        if let Some(payload) = self.large(record) {
            return each(record, frame(payload, Some(payload)));
        }
        let mut payload = Vec::with_capacity(record.len());
        self.copy_payload(index, 0..record.len(), &mut payload);
        each(record, frame(&payload, None));
    }
}

/// A range of the ring's bytes, which may begin in one half and end in the other.
fn extend_over(front: &[u8], back: &[u8], range: Range<usize>, out: &mut Vec<u8>) {
    if range.start < front.len() {
        out.extend_from_slice(&front[range.start..range.end.min(front.len())]);
    }
    if range.end > front.len() {
        out.extend_from_slice(&back[range.start.saturating_sub(front.len())..range.end - front.len()]);
    }
}
