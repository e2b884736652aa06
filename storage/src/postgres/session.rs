//! One connection to PostgreSQL with everything it will ever ask, prepared.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{OpenError, describe};
use super::{Options, accounts, groups, inbox, people, upkeep};
use crate::remote::{Address, Dial, Dialed, client_config};

macro_rules! statements {
    ($($name:ident: $sql:expr,)*) => {
        /// Every statement, prepared on one connection.
        pub(super) struct Statements {
            $(pub(super) $name: Statement,)*
        }

        impl Statements {
            async fn prepare(client: &Client) -> Result<Self, Error> {
                // All on their way at once: one round trip.
                let ($($name,)*) = tokio::try_join!($(client.prepare($sql),)*)?;
                Ok(Self { $($name,)* })
            }
        }
    };
}

statements! {
    lookup: people::LOOKUP,
    found: people::FOUND,
    update_profile: people::UPDATE_PROFILE,
    probe: people::PROBE,
    open_session: accounts::OPEN_SESSION,
    find_session: accounts::FIND_SESSION,
    lock_user: accounts::LOCK_USER,
    lock_device: accounts::LOCK_DEVICE,
    join_profile: accounts::JOIN_PROFILE,
    list_devices: accounts::LIST_DEVICES,
    revoke_device: accounts::REVOKE_DEVICE,
    rotate_key: accounts::ROTATE_KEY,
    offer_pairing: accounts::OFFER_PAIRING,
    find_pairing: accounts::FIND_PAIRING,
    wrong_pairing: accounts::WRONG_PAIRING,
    end_pairing: accounts::END_PAIRING,
    claim_pairing: accounts::CLAIM_PAIRING,
    friends: accounts::FRIENDS,
    clear_friends: accounts::CLEAR_FRIENDS,
    put_friends: accounts::PUT_FRIENDS,
    create_group: groups::CREATE,
    add_members: groups::ADD_MEMBERS,
    load_group: groups::LOAD,
    lock_group: groups::LOCK,
    invite: groups::INVITE,
    touch_group: groups::TOUCH,
    lock_inboxes: inbox::LOCK,
    known_inboxes: inbox::KNOWN,
    append: inbox::APPEND,
    count: inbox::COUNT,
    deliver: inbox::DELIVER,
    read: inbox::READ,
    depth: inbox::DEPTH,
    expire_frames: upkeep::EXPIRE_FRAMES,
    expire_rest: upkeep::EXPIRE_REST,
}

/// An open connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) sql: Statements,
}

/// Connects to one server.
pub(super) struct Dialer {
    address: Address,
    config: Config,
    tls: MakeRustlsConnect,
    timeout: Duration,
    connect_timeout: Duration,
}

impl Dialer {
    /// # Errors
    /// The address is none, or the authority cannot be used.
    pub(super) fn of(options: &Options) -> Result<Self, OpenError> {
        let authority = options.postgres_ca.as_deref();
        let tls = client_config(authority).map_err(OpenError::Configuration)?;
        Ok(Self {
            address: options.postgres.clone(),
            config: config(&options.postgres, options.connect_timeout, options.timeout)?,
            tls: MakeRustlsConnect::new(tls),
            timeout: options.timeout,
            connect_timeout: options.connect_timeout,
        })
    }

    /// A bare connection, and the task that drives it.
    pub(super) async fn connect(&self) -> Result<(Client, Driver), String> {
        let connecting = self.config.connect(self.tls.clone());
        let (client, connection) = tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| format!("no answer within {}ms", self.connect_timeout.as_millis()))?
            .map_err(|error| describe(&error))?;
        let driver = Driver(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(why = describe(&error), "a connection to PostgreSQL ended");
            }
        }));
        Ok((client, driver))
    }

    pub(super) async fn open(&self) -> Result<(Client, Driver), OpenError> {
        self.connect().await.map_err(|why| {
            let hint = if why.contains("certificate") {
                "; `store.postgres_ca` names the authority that vouches for it, and `sslmode=disable` does without TLS"
            } else {
                ""
            };
            OpenError::Connect {
                address: self.address.to_string(),
                why: format!("{why}{hint}"),
            }
        })
    }

    async fn ready(&self, client: &Client) -> Result<Statements, Error> {
        client.batch_execute(&self.settings()).await?;
        Statements::prepare(client).await
    }

    /// What a session needs whatever the database's defaults are. Durability is ours to promise; plans must not depend
    /// on how full a table was when it was looked at, and all of ours are walks of an index; a server that was stopped
    /// in the middle must not hold locks for ever afterwards.
    fn settings(&self) -> String {
        let timeout = self.timeout.as_millis();
        format!(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
             SET statement_timeout = {timeout};
             SET idle_in_transaction_session_timeout = {timeout};
             SET enable_seqscan = off;
             SET enable_hashjoin = off;
             SET enable_mergejoin = off;
             SET jit = off"
        )
    }
}

impl Dial for Dialer {
    type Session = Session;

    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    async fn dial(&self) -> Result<Dialed<Session>, String> {
        let (client, driver) = self.connect().await?;
        let sql = tokio::time::timeout(self.connect_timeout, self.ready(&client))
            .await
            .map_err(|_| format!("no answer within {}ms", self.connect_timeout.as_millis()))?
            .map_err(|error| describe(&error))?;
        Ok(Dialed {
            session: Session { client, sql },
            ended: Box::pin(driver.ended()),
        })
    }
}

/// The task that moves a connection's bytes. Dropping it closes the connection.
pub(super) struct Driver(JoinHandle<()>);

impl Driver {
    async fn ended(mut self) {
        // Ends when the server closes; a panic of the library is an end as well.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn config(address: &Address, connect_timeout: Duration, timeout: Duration) -> Result<Config, OpenError> {
    // Verifying is what `require` means here; the library does not know the other words for it.
    let url = address
        .expose()
        .replace("sslmode=verify-full", "sslmode=require")
        .replace("sslmode=verify-ca", "sslmode=require");
    // The library's error is about the place in the URL, not its text.
    let mut config: Config = url
        .parse()
        .map_err(|error: Error| OpenError::Configuration(format!("{address} cannot be used: {}", describe(&error))))?;
    if !address.sets("sslmode") && !config.get_hosts().iter().all(is_local) {
        config.ssl_mode(SslMode::Require);
    }
    if config.get_application_name().is_none() {
        config.application_name("commucat");
    }
    config
        .connect_timeout(connect_timeout)
        .tcp_user_timeout(timeout)
        .keepalives_idle(Duration::from_secs(15));
    Ok(config)
}

/// Whether what is said to it stays on this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        let second = Duration::from_secs(1);
        config(&Address::new(url), second, second).unwrap().get_ssl_mode()
    }

    #[test]
    fn another_host_is_spoken_to_by_tls_unless_the_url_says_otherwise() {
        assert_eq!(mode("postgres://a:b@db.example/relay"), SslMode::Require);
        assert_eq!(
            mode("postgres://a:b@db.example/relay?sslmode=disable"),
            SslMode::Disable
        );
        assert_eq!(
            mode("postgres://a:b@db.example/relay?sslmode=verify-full"),
            SslMode::Require
        );
        assert_eq!(mode("postgres://a:b@127.0.0.1/relay"), SslMode::Prefer);
        assert_eq!(mode("postgres:///relay?host=/run/postgresql"), SslMode::Prefer);
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        let second = Duration::from_secs(1);
        let address = Address::new("postgres://ada:geheim@db.example/relay?sslmode=perhaps");
        let error = config(&address, second, second).unwrap_err().to_string();
        assert!(error.contains("sslmode") && !error.contains("geheim"), "{error}");
    }
}
