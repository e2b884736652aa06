//! One device's inbox: its counters, and the three requests that move them.
//!
//! Invariant: an inbox is the rows `gone + 1 ..= last`, without a hole, and row ids are never given twice. What leaves,
//! leaves from the front: a row that expired behind one that has not is skipped by readers and goes when it reaches the
//! front. So the counters follow from two places that are written anyway, the newest row and `inbox_offset`, and an
//! append writes nothing but its row.

use commucat_proto::DeviceId;
use fjall::{Guard, OwnedWriteBatch};
use smallvec::SmallVec;

use super::depth::Held;
use super::error::Fault;
use super::keys;
use super::tables::Tables;
use super::values::{self, OffsetValue};
use crate::api::{Envelope, InboxLimits, Reply, RowId, StoreError, Wall};
use crate::limits::UPKEEP_ROWS;

/// The counters of one inbox.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inbox {
    offset: OffsetValue,
    /// The newest row ever, and the payload bytes of all rows up to it.
    last: u64,
    last_bytes: u64,
    /// The write batch that holds rows of this inbox; readers wait until it is in the tables.
    pub(super) staged_in: u64,
}

/// What a read asks for.
pub(super) struct Page {
    pub(super) after: RowId,
    pub(super) max_rows: usize,
    pub(super) max_bytes: usize,
    pub(super) now: Wall,
}

impl Inbox {
    /// The counters from the tables: three reads, however full the inbox. `None` for a device that has no record or has
    /// been revoked.
    pub(super) fn load(tables: &Tables, device: &DeviceId) -> Result<Option<Self>, Fault> {
        match tables.devices.get(device.as_str())? {
            Some(value) if !values::is_revoked(&value)? => Self::counters(tables, device).map(Some),
            _ => Ok(None),
        }
    }

    /// The counters from the tables, whoever's they are.
    pub(super) fn counters(tables: &Tables, device: &DeviceId) -> Result<Self, Fault> {
        let offset = Self::stored_offset(tables, device)?;
        let (first, end) = (offset.gone.saturating_add(1), u64::MAX);
        let range = keys::row(device, RowId(first))..=keys::row(device, RowId(end));
        let (last, last_bytes) = match tables.relay_queue.range(range).next_back() {
            Some(guard) => {
                let (key, value) = guard.into_inner()?;
                (row_id(&key)?.0, values::decode_row_head(&value)?.1)
            }
            None => (offset.gone, offset.gone_bytes),
        };
        let inbox = Self {
            offset,
            last,
            last_bytes,
            staged_in: 0,
        };
        if last_bytes < offset.gone_bytes {
            return Err(values::corrupt("inbox_offset", format!("{inbox:?} is impossible")));
        }
        Ok(inbox)
    }

    fn stored_offset(tables: &Tables, device: &DeviceId) -> Result<OffsetValue, Fault> {
        match tables.inbox_offset.get(keys::inbox(device))? {
            Some(value) => values::decode("inbox_offset", &value),
            None => Ok(OffsetValue::default()),
        }
    }

    /// What it holds.
    pub(super) fn held(&self) -> Held {
        Held {
            rows: self.rows(),
            bytes: self.bytes(),
        }
    }

    fn rows(&self) -> u64 {
        self.last - self.offset.gone
    }

    fn bytes(&self) -> u64 {
        self.last_bytes - self.offset.gone_bytes
    }

    /// Puts a row at the end, when the limits allow it.
    pub(super) fn append(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
        envelope: &Envelope,
        limits: &InboxLimits,
    ) -> Result<Reply, Fault> {
        let bytes = self.bytes().saturating_add(envelope.payload.len() as u64);
        if self.rows() >= limits.rows || bytes > limits.bytes {
            return Err(StoreError::InboxFull.into());
        }
        self.append_owed(tables, batch, device, std::slice::from_ref(envelope))
    }

    /// Puts rows at the end, all or none.
    pub(super) fn append_owed(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
        envelopes: &[Envelope],
    ) -> Result<Reply, Fault> {
        let (mut last, mut last_bytes) = (self.last, self.last_bytes);
        let mut rows: SmallVec<[_; 1]> = SmallVec::new();
        for envelope in envelopes {
            last += 1;
            last_bytes += envelope.payload.len() as u64;
            let value = values::encode_row(envelope, last_bytes)?;
            rows.push((keys::row(device, RowId(last)), value));
        }
        for (key, value) in rows {
            batch.insert(&tables.relay_queue, key, value);
        }
        (self.last, self.last_bytes) = (last, last_bytes);
        Ok(Reply::Done)
    }

    /// Takes the rows up to `upto` out: at once for readers, from the table a bounded number now and the rest by upkeep.
    pub(super) fn deliver(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
        upto: RowId,
    ) -> Result<Reply, Fault> {
        let upto = upto.0.min(self.last);
        if upto > self.offset.gone {
            let bytes = self.bytes_upto(tables, device, upto)?;
            self.offset.delivered = upto;
            self.drop_front(tables, batch, device, upto, bytes)?;
        }
        Ok(Reply::Done)
    }

    /// Takes all rows out, delivered or not: its device has been revoked.
    pub(super) fn drop_all(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
    ) -> Result<(), Fault> {
        if self.rows() > 0 {
            self.drop_front(tables, batch, device, self.last, self.last_bytes)?;
        }
        Ok(())
    }

    /// Whether taking out up to `upto` has to look at a row, other than at the newest whose bytes are known.
    pub(super) fn has_to_look(&self, upto: RowId) -> bool {
        (self.offset.gone + 1..self.last).contains(&upto.0)
    }

    fn bytes_upto(&self, tables: &Tables, device: &DeviceId, upto: u64) -> Result<u64, Fault> {
        if upto == self.last {
            return Ok(self.last_bytes);
        }
        let row = tables
            .relay_queue
            .get(keys::row(device, RowId(upto)))?
            .ok_or_else(|| values::corrupt("relay_queue", format!("row {upto} of {device} is missing")))?;
        Ok(values::decode_row_head(&row)?.1)
    }

    fn drop_front(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
        gone: u64,
        gone_bytes: u64,
    ) -> Result<u64, Fault> {
        let held = self.offset.gone_bytes..=self.last_bytes;
        if !held.contains(&gone_bytes) {
            let detail = format!("row {gone} of {device} counts {gone_bytes} bytes, not {held:?}");
            return Err(values::corrupt("relay_queue", detail));
        }
        self.offset.gone = gone;
        self.offset.gone_bytes = gone_bytes;
        self.sweep(tables, batch, device)
    }

    /// Takes rows that are gone out of the table, a bounded number, and writes down how far. Tells how many.
    fn sweep(&mut self, tables: &Tables, batch: &mut OwnedWriteBatch, device: &DeviceId) -> Result<u64, Fault> {
        let swept = self.offset.gone.min(self.offset.swept.saturating_add(UPKEEP_ROWS));
        let offset = OffsetValue { swept, ..self.offset };
        let value = values::encode("inbox_offset", &offset, 0)?;
        for row in self.offset.swept + 1..=swept {
            batch.remove(&tables.relay_queue, keys::row(device, RowId(row)));
        }
        batch.insert(&tables.inbox_offset, keys::inbox(device), value);
        let taken = swept - self.offset.swept;
        self.offset = offset;
        Ok(taken)
    }

    /// Rows in order. Those at the front that expired by `now` are taken out on the way.
    pub(super) fn read(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
        page: &Page,
    ) -> Result<Reply, Fault> {
        let first = page.after.0.max(self.offset.gone).saturating_add(1);
        let mut front = Front::new(first == self.offset.gone + 1);
        let mut found = Found {
            rows: Vec::new(),
            bytes: 0,
            more: false,
        };
        for guard in scan(tables, device, first, self.last) {
            let (key, value) = guard.into_inner()?;
            let id = row_id(&key)?;
            let row = values::decode_row(&value)?;
            if row.envelope.expires_at <= page.now {
                front.expired(id, row.total_bytes);
            } else if found.push(id, row.envelope, page) {
                front.stop();
            } else {
                break;
            }
        }
        if let Some((gone, bytes)) = front.reached {
            self.drop_front(tables, batch, device, gone, bytes)?;
        }
        Ok(Reply::Rows {
            rows: found.rows,
            more: found.more,
        })
    }

    /// Whether upkeep has something to do, from two point reads.
    pub(super) fn is_untidy(tables: &Tables, device: &DeviceId, now: Wall) -> Result<bool, Fault> {
        let offset = Self::stored_offset(tables, device)?;
        if offset.swept < offset.gone {
            return Ok(true);
        }
        match tables
            .relay_queue
            .get(keys::row(device, RowId(offset.gone.saturating_add(1))))?
        {
            Some(row) => Ok(values::decode_row_head(&row)?.0 <= now),
            None => Ok(false),
        }
    }

    /// A bounded step of upkeep. Tells how many rows left the table.
    pub(super) fn upkeep(
        &mut self,
        tables: &Tables,
        batch: &mut OwnedWriteBatch,
        device: &DeviceId,
        now: Wall,
    ) -> Result<u64, Fault> {
        let first = self.offset.gone + 1;
        let last = self.last.min(self.offset.gone.saturating_add(UPKEEP_ROWS));
        let mut front = Front::new(true);
        for guard in scan(tables, device, first, last) {
            let (key, value) = guard.into_inner()?;
            let (expires_at, bytes) = values::decode_row_head(&value)?;
            if expires_at > now {
                break;
            }
            front.expired(row_id(&key)?, bytes);
        }
        if let Some((gone, bytes)) = front.reached {
            self.drop_front(tables, batch, device, gone, bytes)
        } else if self.offset.swept < self.offset.gone {
            self.sweep(tables, batch, device)
        } else {
            Ok(0)
        }
    }
}

/// What a read has gathered.
struct Found {
    rows: Vec<(RowId, Envelope)>,
    bytes: usize,
    more: bool,
}

impl Found {
    /// Adds a row if the page has room for it.
    fn push(&mut self, id: RowId, envelope: Envelope, page: &Page) -> bool {
        let bytes = self.bytes.saturating_add(envelope.payload.len());
        let room = self.rows.is_empty() || (self.rows.len() < page.max_rows && bytes <= page.max_bytes);
        if room {
            self.bytes = bytes;
            self.rows.push((id, envelope));
        } else {
            self.more = true;
        }
        room
    }
}

/// How far an unbroken run of expired rows reaches from the front of the inbox.
struct Front {
    unbroken: bool,
    reached: Option<(u64, u64)>,
}

impl Front {
    fn new(starts_at_front: bool) -> Self {
        Self {
            unbroken: starts_at_front,
            reached: None,
        }
    }

    fn expired(&mut self, row: RowId, total_bytes: u64) {
        if self.unbroken {
            self.reached = Some((row.0, total_bytes));
        }
    }

    fn stop(&mut self) {
        self.unbroken = false;
    }
}

/// The rows `first ..= last`.
fn scan(tables: &Tables, device: &DeviceId, first: u64, last: u64) -> impl Iterator<Item = Guard> {
    let range = keys::row(device, RowId(first))..=keys::row(device, RowId(last));
    (first <= last)
        .then(|| tables.relay_queue.range(range))
        .into_iter()
        .flatten()
}

fn row_id(key: &[u8]) -> Result<RowId, Fault> {
    keys::row_id(key).ok_or_else(|| values::corrupt("relay_queue", "its key has no row id".to_owned()))
}
