//! Inboxes: what a batch asks of them becomes one transaction per lane.
//!
//! A lane is all inbox requests of some devices. Its transaction locks the counters of those devices in `inbox` (in the
//! order of their keys: two relays on one database cannot lock each other out), carries the requests out in stages, and
//! writes the counters back. Invariant: a row of `inbox` counts exactly the rows its key has in `relay_queue`, whatever
//! their age; so a limit costs no look at the queue.
//!
//! A stage is: appends, then deliveries, then reads, each as one statement (reads as one each, all on their way at
//! once). A request goes into the earliest stage that keeps it behind its device's earlier ones. A lane of appends, the
//! common case, is two round trips: BEGIN and lock; insert, count and COMMIT.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use commucat_proto::{ChannelId, DeviceId, FrameType};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::pipeline::{Started, started};
use super::session::Session;
use super::values::{Moment, damaged, signed, unsigned};
use super::{Answer, Answers};
use crate::api::{Envelope, InboxLimits, Reply, Request, RowId, StoreError, Wall};

pub(super) const LOCK: &str =
    "SELECT key, last_id, frames, bytes FROM inbox WHERE key = ANY($1::text[]) ORDER BY key FOR UPDATE";

pub(super) const KNOWN: &str = "SELECT key FROM inbox WHERE key = ANY($1::text[])";

pub(super) const APPEND: &str = "
    INSERT INTO relay_queue (key, id, kind, channel, expires_at, payload)
    SELECT * FROM unnest($1::text[], $2::int8[], $3::int2[], $4::int8[], $5::timestamptz[], $6::bytea[])";

pub(super) const COUNT: &str = "
    UPDATE inbox SET last_id = now.last_id, frames = now.frames, bytes = now.bytes
    FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[]) AS now (key, last_id, frames, bytes)
    WHERE inbox.key = now.key";

pub(super) const DELIVER: &str = "
    WITH gone AS (
        DELETE FROM relay_queue AS row
        USING unnest($1::text[], $2::int8[]) AS delivered (key, upto)
        WHERE row.key = delivered.key AND row.id <= delivered.upto
        RETURNING row.key, row.channel, row.id, octet_length(row.payload) AS size
    ), audited AS (
        INSERT INTO inbox_offset (key, channel, last_id, updated_at)
        SELECT key, channel, max(id), now() FROM gone GROUP BY key, channel
        ON CONFLICT (key, channel) DO UPDATE SET last_id = EXCLUDED.last_id, updated_at = EXCLUDED.updated_at
    )
    SELECT key, count(*), sum(size)::int8 FROM gone GROUP BY key";

/// The rows of a page, then the first that has no room, without its payload.
pub(super) const READ: &str = "
    SELECT id, kind, channel, expires_at, total, CASE WHEN number = 1 OR total <= $5 THEN payload END
    FROM (
        SELECT id, kind, channel, expires_at, payload, octet_length(payload) AS size,
               row_number() OVER w AS number, (sum(octet_length(payload)) OVER w)::int8 AS total
        FROM (
            SELECT id, kind, channel, expires_at, payload FROM relay_queue
            WHERE key = $1 AND id > $2 AND expires_at > $3 ORDER BY id LIMIT $4
        ) AS candidate
        WINDOW w AS (ORDER BY id)
    ) AS page
    WHERE number <= 2 OR total - size <= $5
    ORDER BY id";

pub(super) const DEPTH: &str = "SELECT coalesce(sum(frames), 0)::int8, coalesce(sum(bytes), 0)::int8 FROM inbox";

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The key of a device's inbox (CCP-1, Offline Delivery).
pub(super) fn key(device: &DeviceId) -> String {
    format!("inbox:{device}")
}

/// Whose inbox a request is about, when it is about one.
pub(super) fn owner(request: &Request) -> Option<&DeviceId> {
    match request {
        Request::Append { device, .. }
        | Request::AppendOwed { device, .. }
        | Request::ReadInbox { device, .. }
        | Request::Delivered { device, .. } => Some(device),
        _ => None,
    }
}

/// What one device's counters say; they are ours until the transaction ends.
#[derive(Default)]
struct Counters {
    last: u64,
    frames: u64,
    bytes: u64,
    changed: bool,
}

impl Counters {
    fn append(&mut self, envelope: &Envelope) -> RowId {
        self.last += 1;
        self.frames += 1;
        self.bytes += envelope.payload.len() as u64;
        self.changed = true;
        RowId(self.last)
    }

    fn has_room(&self, envelope: &Envelope, limits: &InboxLimits) -> bool {
        let bytes = self.bytes.saturating_add(envelope.payload.len() as u64);
        self.frames < limits.rows && bytes <= limits.bytes
    }
}

/// Carries out the inbox requests at `places` of `batch`, in one transaction.
pub(super) async fn carry_out(
    session: &Session,
    batch: &[Request],
    places: &[usize],
    limits: &InboxLimits,
) -> Result<Answers, Error> {
    let (keys, stages) = stages(batch, places);
    let mut lane = Lane {
        session,
        batch,
        limits,
        keys: &keys,
        counters: HashMap::new(),
        inserts: Vec::new(),
        answers: Vec::new(),
    };
    lane.begin().await?;
    for stage in &stages {
        lane.stage(stage).await?;
    }
    lane.end().await
}

/// Places in the batch, by what is done with them; in this order.
#[derive(Default)]
struct Stage {
    appends: Vec<usize>,
    deliveries: Vec<usize>,
    reads: Vec<usize>,
}

/// The keys of the devices of a lane.
#[derive(Default)]
struct Keys<'a> {
    /// Those whose counters move.
    moving: BTreeMap<&'a DeviceId, String>,
    /// Those that are only read.
    still: BTreeMap<&'a DeviceId, String>,
}

impl Keys<'_> {
    /// The key of a device; there is one for each of the lane.
    fn of(&self, device: &DeviceId) -> &str {
        let key = self.moving.get(device).or_else(|| self.still.get(device));
        key.map_or("", String::as_str)
    }
}

/// Puts each request into the earliest stage that keeps it behind its device's earlier ones.
fn stages<'a>(batch: &'a [Request], places: &[usize]) -> (Keys<'a>, Vec<Stage>) {
    let (mut keys, mut stages) = (Keys::default(), Vec::<Stage>::new());
    let mut reached: HashMap<&DeviceId, (usize, u8)> = HashMap::new();
    for &place in places {
        let request = &batch[place];
        let Some(device) = owner(request) else { continue };
        let rank = match request {
            Request::Append { .. } | Request::AppendOwed { .. } => 0,
            Request::Delivered { .. } => 1,
            _ => 2,
        };
        let whose = if rank < 2 { &mut keys.moving } else { &mut keys.still };
        whose.entry(device).or_insert_with(|| key(device));
        let (stage, last) = reached.entry(device).or_insert((0, 0));
        if rank < *last {
            *stage += 1;
        }
        *last = rank;
        if stages.len() <= *stage {
            stages.resize_with(*stage + 1, Stage::default);
        }
        let stage = &mut stages[*stage];
        match rank {
            0 => stage.appends.push(place),
            1 => stage.deliveries.push(place),
            _ => stage.reads.push(place),
        }
    }
    let Keys { moving, still } = &mut keys;
    still.retain(|device, _| !moving.contains_key(device));
    (keys, stages)
}

type Insert<'a> = Pin<Box<dyn Future<Output = Result<u64, Error>> + Send + 'a>>;

struct Lane<'a> {
    session: &'a Session,
    batch: &'a [Request],
    limits: &'a InboxLimits,
    keys: &'a Keys<'a>,
    /// By key; a device without any has no inbox.
    counters: HashMap<String, Counters>,
    /// On their way.
    inserts: Vec<Started<Insert<'a>>>,
    answers: Answers,
}

impl Lane<'_> {
    async fn begin(&mut self) -> Result<(), Error> {
        let Session { client, sql } = self.session;
        let moving: Vec<&str> = self.keys.moving.values().map(String::as_str).collect();
        let still: Vec<&str> = self.keys.still.values().map(String::as_str).collect();
        let (lock, know): ([Parameter<'_>; 1], [Parameter<'_>; 1]) = ([&moving], [&still]);
        // What only reads needs no transaction.
        let locked = if moving.is_empty() {
            None
        } else {
            let begin = started(client.batch_execute("BEGIN")).await;
            Some((begin, started(client.query(&sql.lock_inboxes, &lock)).await))
        };
        let known = if still.is_empty() {
            None
        } else {
            Some(started(client.query(&sql.known_inboxes, &know)).await)
        };
        if let Some((begin, locked)) = locked {
            begin.finish().await?;
            for row in locked.finish().await? {
                let counters = Counters {
                    last: unsigned(row.get(1)),
                    frames: unsigned(row.get(2)),
                    bytes: unsigned(row.get(3)),
                    changed: false,
                };
                self.counters.insert(row.get(0), counters);
            }
        }
        if let Some(known) = known {
            for row in known.finish().await? {
                self.counters.insert(row.get(0), Counters::default());
            }
        }
        Ok(())
    }

    async fn stage(&mut self, stage: &Stage) -> Result<(), Error> {
        self.append(&stage.appends).await;
        self.deliver(&stage.deliveries).await?;
        self.read(&stage.reads).await
    }

    /// Puts the rows on their way; whether they arrived shows at the end.
    async fn append(&mut self, places: &[usize]) {
        let mut rows = Columns::default();
        for &place in places {
            let (device, envelopes, owed) = match &self.batch[place] {
                Request::Append { device, envelope } => (device, std::slice::from_ref(envelope), false),
                Request::AppendOwed { device, envelopes } => (device, envelopes.as_slice(), true),
                _ => continue,
            };
            let key = self.keys.of(device);
            let answer = match self.counters.get_mut(key) {
                None => Err(StoreError::UnknownDevice),
                Some(counters) if !owed && !envelopes.iter().all(|row| counters.has_room(row, self.limits)) => {
                    Err(StoreError::InboxFull)
                }
                Some(counters) => {
                    envelopes
                        .iter()
                        .for_each(|row| rows.push(key, counters.append(row), row));
                    Ok(Reply::Done)
                }
            };
            self.answers.push((place, answer));
        }
        if !rows.keys.is_empty() {
            let insert: Insert<'_> = Box::pin(rows.insert(self.session));
            self.inserts.push(started(insert).await);
        }
    }

    async fn deliver(&mut self, places: &[usize]) -> Result<(), Error> {
        let mut upto: BTreeMap<&str, i64> = BTreeMap::new();
        for &place in places {
            let Request::Delivered { device, upto: row } = &self.batch[place] else {
                continue;
            };
            let key = self.keys.of(device);
            let answer = if self.counters.contains_key(key) {
                let upto = upto.entry(key).or_insert(0);
                *upto = signed(row.0).max(*upto);
                Ok(Reply::Done)
            } else {
                Err(StoreError::UnknownDevice)
            };
            self.answers.push((place, answer));
        }
        let (keys, upto): (Vec<&str>, Vec<i64>) = upto.into_iter().unzip();
        if keys.is_empty() {
            return Ok(());
        }
        let Session { client, sql } = self.session;
        for row in client.query(&sql.deliver, &[&keys, &upto]).await? {
            let (key, frames, bytes): (&str, i64, i64) = (row.get(0), row.get(1), row.get(2));
            if let Some(counters) = self.counters.get_mut(key) {
                counters.frames = counters.frames.saturating_sub(unsigned(frames));
                counters.bytes = counters.bytes.saturating_sub(unsigned(bytes));
                counters.changed = true;
            }
        }
        Ok(())
    }

    async fn read(&mut self, places: &[usize]) -> Result<(), Error> {
        let mut pages = Vec::new();
        for &place in places {
            let Request::ReadInbox {
                device,
                after,
                max_rows,
                max_bytes,
                now,
            } = &self.batch[place]
            else {
                continue;
            };
            let key = self.keys.of(device);
            if self.counters.contains_key(key) {
                let page = read_page(self.session, key.to_owned(), *after, *max_rows, *max_bytes, *now);
                pages.push((place, started(page).await));
            } else {
                self.answers.push((place, Err(StoreError::UnknownDevice)));
            }
        }
        for (place, page) in pages {
            let answer = page.finish().await?;
            self.answers.push((place, answer));
        }
        Ok(())
    }

    async fn end(self) -> Result<Answers, Error> {
        let Session { client, sql } = self.session;
        let changed: Vec<(&String, &Counters)> = self.counters.iter().filter(|(_, inbox)| inbox.changed).collect();
        let keys: Vec<&str> = changed.iter().map(|(key, _)| key.as_str()).collect();
        let last: Vec<i64> = changed.iter().map(|(_, inbox)| signed(inbox.last)).collect();
        let frames: Vec<i64> = changed.iter().map(|(_, inbox)| signed(inbox.frames)).collect();
        let bytes: Vec<i64> = changed.iter().map(|(_, inbox)| signed(inbox.bytes)).collect();
        let count: [Parameter<'_>; 4] = [&keys, &last, &frames, &bytes];
        let counted = if keys.is_empty() {
            None
        } else {
            Some(started(client.execute(&sql.count, &count)).await)
        };
        let committed = if self.keys.moving.is_empty() {
            None
        } else {
            Some(started(client.batch_execute("COMMIT")).await)
        };
        // A COMMIT after a failure commits nothing and says nothing: the failure says it.
        for insert in self.inserts {
            insert.finish().await?;
        }
        if let Some(counted) = counted {
            counted.finish().await?;
        }
        if let Some(committed) = committed {
            committed.finish().await?;
        }
        Ok(self.answers)
    }
}

/// New rows, by column.
#[derive(Default)]
struct Columns<'a> {
    keys: Vec<&'a str>,
    ids: Vec<i64>,
    kinds: Vec<i16>,
    channels: Vec<i64>,
    expiries: Vec<Moment>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, key: &'a str, id: RowId, row: &'a Envelope) {
        self.keys.push(key);
        self.ids.push(signed(id.0));
        self.kinds.push(i16::from(row.kind.code()));
        self.channels.push(i64::from(row.channel.get()));
        self.expiries.push(Moment(row.expires_at));
        self.payloads.push(&row.payload);
    }

    async fn insert(self, session: &Session) -> Result<u64, Error> {
        let Session { client, sql } = session;
        let columns: [Parameter<'_>; 6] = [
            &self.keys,
            &self.ids,
            &self.kinds,
            &self.channels,
            &self.expiries,
            &self.payloads,
        ];
        client.execute(&sql.append, &columns).await
    }
}

async fn read_page(
    session: &Session,
    key: String,
    after: RowId,
    max_rows: usize,
    max_bytes: usize,
    now: Wall,
) -> Result<Answer, Error> {
    let max_rows = max_rows.max(1);
    let max_bytes = signed(max_bytes as u64);
    let one_more = signed((max_rows as u64).saturating_add(1));
    let found = session
        .client
        .query(
            &session.sql.read,
            &[&key, &signed(after.0), &Moment(now), &one_more, &max_bytes],
        )
        .await?;
    let (mut rows, mut more) = (Vec::new(), false);
    for row in &found {
        let total: i64 = row.get(4);
        if !rows.is_empty() && (rows.len() == max_rows || total > max_bytes) {
            more = true;
            break;
        }
        match envelope(row) {
            Ok(row) => rows.push(row),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(Reply::Rows { rows, more }))
}

fn envelope(row: &Row) -> Result<(RowId, Envelope), StoreError> {
    let (kind, channel): (i16, i64) = (row.get(1), row.get(2));
    let kind = u8::try_from(kind).ok().and_then(FrameType::from_code);
    let kind = kind.ok_or_else(|| damaged("relay_queue", "a frame of no known type"))?;
    let channel = u32::try_from(channel).map_err(|_| damaged("relay_queue", "a channel that is none"))?;
    let Moment(expires_at) = row.get(3);
    let payload: Option<Vec<u8>> = row.get(5);
    let envelope = Envelope {
        kind,
        channel: ChannelId::new(channel),
        payload: payload.unwrap_or_default().into(),
        expires_at,
    };
    Ok((RowId(unsigned(row.get(0))), envelope))
}
