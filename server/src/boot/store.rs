//! The store that the configuration names, opened.

use commucat_storage::Store;
use commucat_storage::api::{Reply, Request, StoreError, Wall};
use commucat_storage::embedded::EmbeddedStore;
use commucat_storage::postgres::{self, Migrated, Options, PostgresStore};
use commucat_storage::redis;
use tokio::runtime::{Builder, Runtime};
use tracing::info;

use super::BootError;
use crate::config::{Config, StoreKind};

/// Either store. One batch is one branch: what is behind it costs far more.
pub enum AnyStore {
    /// The data folder.
    Embedded(Box<EmbeddedStore>),
    /// PostgreSQL and Redis.
    Postgres(Box<PostgresStore>),
}

impl Store for AnyStore {
    async fn execute(&self, batch: Vec<Request>) -> Vec<Result<Reply, StoreError>> {
        match self {
            Self::Embedded(store) => store.execute(batch).await,
            Self::Postgres(store) => store.execute(batch).await,
        }
    }

    async fn upkeep(&self, now: Wall) {
        match self {
            Self::Embedded(store) => store.upkeep(now).await,
            Self::Postgres(store) => store.upkeep(now).await,
        }
    }
}

/// Opens it. PostgreSQL has to be there at the start; later it may come and go.
pub(super) fn open(config: &Config) -> Result<AnyStore, BootError> {
    match config.store_kind {
        StoreKind::Embedded => Ok(AnyStore::Embedded(Box::new(EmbeddedStore::open(
            &config.data,
            config.store,
        )?))),
        StoreKind::Postgres => {
            let options = options(config);
            let store = PostgresStore::new(options.clone())?;
            prepare(config, &options)?;
            Ok(AnyStore::Postgres(Box::new(store)))
        }
    }
}

/// What can be said of the store's settings without opening it.
///
/// # Errors
/// An address or an authority cannot be used.
pub fn check(config: &Config) -> Result<(), BootError> {
    if config.store_kind == StoreKind::Postgres {
        PostgresStore::new(options(config))?;
    }
    Ok(())
}

/// The settings of PostgreSQL and Redis.
#[must_use]
pub fn options(config: &Config) -> Options {
    Options {
        inbox: config.store.inbox,
        ..config.servers.clone()
    }
}

/// Brings PostgreSQL's schema to this server's version.
///
/// # Errors
/// [`postgres::OpenError`]; then nothing was changed.
pub fn migrate(config: &Config) -> Result<Migrated, BootError> {
    let options = options(config);
    Ok(runtime()?.block_on(postgres::migrate(&options))?)
}

/// Whether PostgreSQL answers with a schema of this server's version, and whether Redis answers; the first as an error,
/// the second as words.
///
/// # Errors
/// What is wrong with PostgreSQL.
pub fn reach(config: &Config) -> Result<Result<(), String>, BootError> {
    let options = options(config);
    runtime()?.block_on(async {
        postgres::check(&options).await?;
        Ok(redis::check(&options.redis, options.redis_ca.as_ref()).await)
    })
}

/// Sees to the schema before the pool has its own runtime.
fn prepare(config: &Config, options: &Options) -> Result<(), BootError> {
    if config.migrate {
        let done = migrate(config)?;
        if done.from != done.to {
            info!(from = done.from, to = done.to, "the schema of PostgreSQL was migrated");
        }
    } else {
        runtime()?.block_on(postgres::check(options))?;
    }
    info!(postgres = %options.postgres, redis = %options.redis, "the store is PostgreSQL, with Redis for presence");
    Ok(())
}

fn runtime() -> Result<Runtime, BootError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BootError::Runtime)
}
