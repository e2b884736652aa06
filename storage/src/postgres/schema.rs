//! The schema and its migrations: numbered SQL files, applied in order, each once, by one server at a time.
//!
//! Invariant: `schema_version` holds the numbers of exactly the migrations whose effect is in the database: both are
//! written in one transaction, under an advisory lock that every server takes.

use tokio_postgres::Client;

use super::error::{OpenError, describe};

/// Every migration, oldest first; its number is its place, from 1.
const MIGRATIONS: [&str; 2] = [
    include_str!("sql/0001_relay.sql"),
    include_str!("sql/0002_group_owners.sql"),
];

/// Names our lock among all users of the database: "commucat" in ASCII.
const LOCK: i64 = 0x636f_6d6d_7563_6174;

/// What a migration has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The schema's version before; 0 is an empty database.
    pub from: u32,
    /// And now.
    pub to: u32,
}

/// Brings the schema to this server's version.
///
/// # Errors
/// The database refuses, or its schema is newer than this server knows.
pub(super) async fn migrate(client: &Client) -> Result<Migrated, OpenError> {
    client.batch_execute("BEGIN").await?;
    let outcome = apply(client).await;
    // An error has spoilt the transaction already: its rollback can only fail with the connection.
    client
        .batch_execute(if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .await
        .map_err(OpenError::from)
        .and(outcome)
}

async fn apply(client: &Client) -> Result<Migrated, OpenError> {
    // Whoever waits here finds everything done.
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS schema_version (
                 version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let from = version(client).await?;
    for (number, sql) in (1_u32..).zip(MIGRATIONS).filter(|(number, _)| *number > from) {
        client.batch_execute(sql).await.map_err(|error| OpenError::Migration {
            number,
            why: describe(&error),
        })?;
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        client
            .execute("INSERT INTO schema_version (version) VALUES ($1)", &[&number])
            .await?;
    }
    Ok(Migrated { from, to: newest() })
}

/// Whether the schema is this server's.
///
/// # Errors
/// It is not, or the database does not say.
pub(super) async fn check(client: &Client) -> Result<(), OpenError> {
    let exists: bool = client
        .query_one("SELECT to_regclass('schema_version') IS NOT NULL", &[])
        .await?
        .get(0);
    let found = if exists { version(client).await? } else { 0 };
    if found < newest() {
        return Err(OpenError::Outdated {
            found,
            needed: newest(),
        });
    }
    Ok(())
}

async fn version(client: &Client) -> Result<u32, OpenError> {
    let found: i32 = client
        .query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[])
        .await?
        .get(0);
    let found = u32::try_from(found).unwrap_or_default();
    if found > newest() {
        return Err(OpenError::Newer { found, known: newest() });
    }
    Ok(found)
}

fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}
