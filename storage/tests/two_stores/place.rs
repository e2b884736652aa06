//! A database and a number in Redis for one test, gone when it ends.

use std::path::PathBuf;
use std::time::Duration;

use commucat_storage::api::InboxLimits;
use commucat_storage::postgres::{Address, Options, PostgresStore, migrate};
use commucat_storage::suite::Fixture;
use redis::aio::MultiplexedConnection;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A variable that `tests/services` sets.
pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!(
            "{name} is not set: this test needs PostgreSQL and Redis. Run `tests/run`, or \
             `tests/services run cargo nextest run -p commucat-storage`"
        )
    })
}

pub(crate) fn authority() -> PathBuf {
    variable("RELAY_TEST_CA").into()
}

pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test)
}

/// Two empty databases.
pub(crate) struct Place {
    database: String,
    number: u32,
}

impl Place {
    pub(crate) fn options(&self) -> Options {
        Options {
            postgres: Address::new(&self.postgres_url()),
            postgres_ca: Some(authority()),
            redis: Address::new(&self.redis_url()),
            redis_ca: Some(authority()),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(20),
            ..Options::default()
        }
    }

    pub(crate) fn postgres_url(&self) -> String {
        variable("RELAY_TEST_POSTGRES").replace("/postgres?", &format!("/{}?", self.database))
    }

    pub(crate) fn redis_url(&self) -> String {
        let url = variable("RELAY_TEST_REDIS");
        format!("{}/{}", url.trim_end_matches("/0"), self.number)
    }

    /// A client of the test's own, in this place.
    pub(crate) async fn sql(&self) -> Client {
        connect(&self.postgres_url()).await
    }

    pub(crate) async fn redis(&self) -> MultiplexedConnection {
        redis_at(&self.redis_url()).await
    }

    pub(crate) async fn migrated(self) -> Self {
        migrate(&self.options()).await.unwrap();
        self
    }
}

impl Fixture for Place {
    type Store = PostgresStore;

    fn new() -> Self {
        aside(async {
            let mut redis = redis_at(&variable("RELAY_TEST_REDIS")).await;
            // Database 0 only counts; it has thousands.
            let number: u32 = redis::cmd("INCR").arg("tests").query_async(&mut redis).await.unwrap();
            let number = 1 + number % 4_000;
            let place = Self {
                database: format!("test_{}_{number}", std::process::id()),
                number,
            };
            let create = format!("CREATE DATABASE {} TEMPLATE template0", place.database);
            connect(&variable("RELAY_TEST_POSTGRES"))
                .await
                .batch_execute(&create)
                .await
                .unwrap();
            let _: () = redis::cmd("FLUSHDB")
                .query_async(&mut place.redis().await)
                .await
                .unwrap();
            place
        })
    }

    async fn open(&self, inbox: InboxLimits) -> PostgresStore {
        migrate(&self.options()).await.unwrap();
        PostgresStore::new(Options {
            inbox,
            ..self.options()
        })
        .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
        let admin = variable("RELAY_TEST_POSTGRES");
        aside(async move { connect(&admin).await.batch_execute(&drop).await.unwrap() });
    }
}

/// Runs on a thread of its own: a fixture is made and dropped inside and outside of runtimes.
fn aside<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| run(work)).join().unwrap())
}

async fn connect(url: &str) -> Client {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority()).unwrap()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, connection) = tokio_postgres::connect(url, MakeRustlsConnect::new(tls)).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn redis_at(url: &str) -> MultiplexedConnection {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificates = redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(authority()).unwrap()),
    };
    redis::Client::build_with_tls(url, certificates)
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap()
}
