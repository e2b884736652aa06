//! A queue of frames without headers: small payloads in one byte ring, large ones counted. Used by `outbox` only.
//!
//! Invariant: the byte ring holds exactly the inline payloads of the records, in their order; `bytes()` is what the
//! frames cost, overhead included.

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
const OVERHEAD: usize = 80;
const _: () = assert!(
    size_of::<Record>() <= OVERHEAD,
    "the budget must cover what a queued frame really takes"
);

/// Records from which on taking them together is cheaper than one by one.
const WORTH_DRAINING: usize = 4;

#[derive(Debug)]
pub(crate) enum Body {
    Inline(u32),
    Shared(Bytes),
}

impl Body {
    pub(crate) fn inline(payload: &[u8]) -> Self {
        Self::Inline(u32::try_from(payload.len()).unwrap_or(u32::MAX))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Inline(length) => *length as usize,
            Self::Shared(bytes) => bytes.len(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: FrameType,
    pub(crate) channel: ChannelId,
    pub(crate) row: Option<RowId>,
    pub(crate) stamp: u64,
    pub(crate) keep_until: Wall,
    pub(crate) body: Body,
    /// Nobody wants it any more: it only keeps its place, for the row it may stand for.
    pub(crate) skipped: bool,
    /// The client has acknowledged it; it waits for what stands before it (`delivery-ack`).
    pub(crate) arrived: bool,
    /// It has begun to leave and was stored as well when the queue spilled; `row` is set when the row comes back.
    pub(crate) copied: bool,
    /// Where its inline payload begins, counted in inline bytes ever queued.
    at: u64,
}

impl Record {
    /// Stored as well, and its row has not come back.
    pub(crate) fn is_unclaimed(&self) -> bool {
        self.copied && self.row.is_none()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Lane {
    records: VecDeque<Record>,
    inline: VecDeque<u8>,
    bytes: usize,
    /// Inline bytes ever queued.
    tail: u64,
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
            record.row = Some(row);
        }
    }

    pub(crate) fn push_opaque(&mut self, frame: Opaque<'_>, row: Option<RowId>, stamp: u64) {
        let body = match frame.shared {
            Some(bytes) => Body::Shared(bytes.clone()),
            None => Body::inline(frame.payload),
        };
        self.push(frame, row, stamp, body);
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
        self.push(frame, None, 0, Body::inline(payload));
    }

    fn push(&mut self, frame: Opaque<'_>, row: Option<RowId>, stamp: u64, body: Body) {
        let at = self.tail;
        if matches!(body, Body::Inline(_)) {
            self.inline.extend(frame.payload);
            self.tail += frame.payload.len() as u64;
        }
        self.bytes += Self::cost(frame.payload.len());
        self.records.push_back(Record {
            kind: frame.kind,
            channel: frame.channel,
            row,
            stamp,
            keep_until: frame.keep_until,
            body,
            skipped: false,
            arrived: false,
            copied: false,
            at,
        });
    }

    pub(crate) fn pop(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        self.bytes -= Self::cost(record.body.len());
        if let Body::Inline(length) = record.body {
            self.inline.drain(..length as usize);
        }
    }

    /// The same as `count` times [`Lane::pop`].
    pub(crate) fn pop_many(&mut self, count: usize) {
        if count < WORTH_DRAINING {
            return (0..count).for_each(|_| self.pop());
        }
        let count = count.min(self.records.len());
        let mut inline = 0;
        for record in self.records.drain(..count) {
            self.bytes -= Self::cost(record.body.len());
            if let Body::Inline(length) = record.body {
                inline += length as usize;
            }
        }
        self.inline.drain(..inline);
    }

    /// The greatest row among the first `count` records.
    pub(crate) fn last_row(&self, count: usize) -> Option<RowId> {
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
            let length = record.body.len();
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
            let start = (record.at - first) as usize;
            match &record.body {
                Body::Shared(bytes) => out.extend_from_slice(bytes),
                Body::Inline(_) => match front.get(start..start + length) {
                    Some(payload) => out.extend_from_slice(payload),
                    None => extend_over(front, back, start..start + length, out),
                },
            }
            left[record.kind.code() as usize] += 1;
            count += 1;
        }
        count
    }

    /// Empty, with more memory than an idle connection should keep.
    pub(crate) fn is_fat(&self) -> bool {
        let records = self.records.capacity() * size_of::<Record>();
        self.is_empty() && (self.inline.capacity() > KEEP_BYTES || records > KEEP_BYTES)
    }

    /// Gives that memory back.
    pub(crate) fn slim(&mut self) {
        if self.is_fat() {
            self.inline = VecDeque::new();
            self.records = VecDeque::new();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.truncate(0);
    }

    /// Keeps the first `length` records.
    pub(crate) fn truncate(&mut self, length: usize) {
        while self.records.len() > length {
            let Some(record) = self.records.pop_back() else { break };
            self.bytes -= Self::cost(record.body.len());
            if let Body::Inline(bytes) = record.body {
                self.inline.truncate(self.inline.len() - bytes as usize);
                self.tail -= u64::from(bytes);
            }
        }
    }

    /// Moves everything of `other` behind what is here.
    pub(crate) fn append(&mut self, other: &mut Self) {
        let first = other.tail - other.inline.len() as u64;
        for mut record in other.records.drain(..) {
            record.at = record.at - first + self.tail;
            self.records.push_back(record);
        }
        self.tail += other.inline.len() as u64;
        self.inline.append(&mut other.inline);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    fn offset(&self, record: &Record) -> usize {
        let first = self.tail - self.inline.len() as u64;
        (record.at - first) as usize
    }

    /// Appends a part of a payload to `out`.
    pub(crate) fn copy_payload(&self, index: usize, range: Range<usize>, out: &mut Vec<u8>) {
        let record = &self.records[index];
        match &record.body {
            Body::Shared(bytes) => out.extend_from_slice(&bytes[range]),
            Body::Inline(_) => {
                let offset = self.offset(record);
                let (front, back) = self.inline.as_slices();
                extend_over(front, back, offset + range.start..offset + range.end, out);
            }
        }
    }

    /// One record with its payload in one piece.
    pub(crate) fn with(&self, index: usize, mut each: impl FnMut(&Record, &[u8])) {
        let record = &self.records[index];
        match &record.body {
            Body::Shared(bytes) => each(record, bytes),
            Body::Inline(length) => {
                let mut payload = Vec::with_capacity(*length as usize);
                self.copy_payload(index, 0..*length as usize, &mut payload);
                each(record, &payload);
            }
        }
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
