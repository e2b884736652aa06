//! What nobody asks for: what has expired goes, a bounded number of rows at a time.

use tokio_postgres::Error;

use super::session::Session;
use super::values::Moment;
use crate::api::Wall;
use crate::limits::{OFFSET_DAYS, UPKEEP_ROWS};

/// Inboxes that somebody works on are left for the next step: nobody waits for this, and it waits for nobody.
pub(super) const EXPIRE_FRAMES: &str = "
    WITH old AS (
        SELECT key, id FROM relay_queue WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
    ), ours AS (
        SELECT key FROM inbox WHERE key IN (SELECT key FROM old) ORDER BY key FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM relay_queue AS row USING old, ours
        WHERE row.key = old.key AND row.id = old.id AND ours.key = old.key
        RETURNING row.key, octet_length(row.payload) AS size
    ), counted AS (
        SELECT key, count(*) AS frames, sum(size)::int8 AS bytes FROM gone GROUP BY key
    ), updated AS (
        UPDATE inbox SET frames = inbox.frames - counted.frames, bytes = inbox.bytes - counted.bytes
        FROM counted WHERE inbox.key = counted.key
    )
    SELECT count(*) FROM gone";

pub(super) const EXPIRE_REST: &str = "
    WITH codes AS (
        DELETE FROM pairing_code WHERE selector IN
            (SELECT selector FROM pairing_code WHERE expires_at <= $1 LIMIT $2)
    ), sessions AS (
        DELETE FROM session WHERE token IN (SELECT token FROM session WHERE expires_at <= $1 LIMIT $2)
    ), done AS (
        DELETE FROM idempotency WHERE (scope, key) IN
            (SELECT scope, key FROM idempotency WHERE expires_at <= $1 LIMIT $2)
    )
    DELETE FROM inbox_offset WHERE (key, channel) IN
        (SELECT key, channel FROM inbox_offset WHERE updated_at < now() - make_interval(days => $3) LIMIT $2)";

/// One step. Tells whether there may be more to do.
pub(super) async fn step(session: &Session, now: Wall) -> Result<bool, Error> {
    let Session { client, sql } = session;
    let rows = i64::try_from(UPKEEP_ROWS).unwrap_or(i64::MAX);
    let gone: i64 = client
        .query_one(&sql.expire_frames, &[&Moment(now), &rows])
        .await?
        .get(0);
    let days = i32::try_from(OFFSET_DAYS).unwrap_or(i32::MAX);
    client.execute(&sql.expire_rest, &[&Moment(now), &rows, &days]).await?;
    Ok(gone >= rows)
}
