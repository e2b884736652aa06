//! A relay for one test: two shards, the settings that the test is about, and everything else as it comes.

use std::fs;
use std::ops::Deref;
use std::time::Duration;

use crate::relay::{Home, Relay};
use crate::servers::{Databases, Servers};

/// Where a relay keeps its things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Its own folder.
    Embedded,
    /// The PostgreSQL and Redis that `tests/run` has started, in databases of its own.
    Postgres,
}

/// Both.
pub const STORES: [Store; 2] = [Store::Embedded, Store::Postgres];

/// A relay and its folder.
#[derive(Debug)]
pub struct Stage {
    // Before `home`: the relay ends while its folder is still there.
    relay: Option<Relay>,
    home: Home,
    settings: &'static str,
    // Last: they go when the relay has ended.
    databases: Option<Databases>,
}

impl Stage {
    /// A relay with these settings, as they would stand in its configuration file.
    #[must_use]
    pub fn new(settings: &'static str) -> Self {
        Self::on(Store::Embedded, settings)
    }

    /// The same, on either store.
    #[must_use]
    pub fn on(store: Store, settings: &'static str) -> Self {
        match store {
            Store::Embedded => Self::set(Home::new(), None, settings),
            Store::Postgres => Self::among(&Servers::shared(), settings),
        }
    }

    /// The same, on PostgreSQL and Redis, in databases of its own.
    #[must_use]
    pub fn among(servers: &Servers, settings: &'static str) -> Self {
        let databases = Databases::new(servers);
        Self::set(Home::with(databases.environment()), Some(databases), settings)
    }

    /// The same, on its own folder, in a home made by the test.
    #[must_use]
    pub fn in_home(home: Home, settings: &'static str) -> Self {
        Self::set(home, None, settings)
    }

    fn set(home: Home, databases: Option<Databases>, settings: &'static str) -> Self {
        let mut stage = Self {
            relay: None,
            home,
            settings,
            databases,
        };
        stage.start();
        stage
    }

    /// Its databases.
    ///
    /// # Panics
    /// When it has a folder instead.
    #[must_use]
    pub fn databases(&self) -> &Databases {
        self.databases.as_ref().unwrap()
    }

    /// The same, its memory to be measured: the relay that makes the store, and needs some 50 MiB for that, has ended.
    #[must_use]
    pub fn measured(settings: &'static str) -> Self {
        let mut stage = Self::new(settings);
        stage.restart_with(settings);
        stage
    }

    /// Starts the relay, which has ended, in the same folder.
    ///
    /// # Panics
    /// When it still runs.
    pub fn start(&mut self) {
        assert!(self.relay.is_none(), "it runs");
        self.relay = Some(self.home.start(&self.flags()));
    }

    /// Starts the relay, which has ended, and kills it so long after, whatever it has come to by then.
    ///
    /// # Panics
    /// When it still runs.
    pub fn start_in_vain(&self, after: Duration) {
        assert!(self.relay.is_none(), "it runs");
        let relay = self.home.begin(&self.flags());
        std::thread::sleep(after);
        relay.kill();
    }

    /// Ends the relay in good order, and starts it again with other settings.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn restart_with(&mut self, settings: &'static str) {
        let (status, log) = self.take().terminate();
        assert!(status.success(), "{status}: {log}");
        self.settings = settings;
        self.start();
    }

    fn flags(&self) -> Vec<&'static str> {
        let path = self.home.path().join("commucat.toml");
        fs::write(path, self.settings).unwrap();
        vec!["--shards", "2", "--config", "commucat.toml"]
    }

    /// The relay, to be ended.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn take(&mut self) -> Relay {
        self.relay.take().unwrap()
    }

    /// Its folder.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Ends the relay in good order, and gives its log.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn end(mut self) -> String {
        let (status, log) = self.take().terminate();
        assert!(status.success(), "{status}: {log}");
        log
    }
}

impl Deref for Stage {
    type Target = Relay;

    fn deref(&self) -> &Relay {
        self.relay.as_ref().unwrap()
    }
}
