//! Where a statement is tried: a relay, a way to it, and names that no other statement uses.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use commucat_client::{HttpVersion, Pattern};
use commucat_tests::people::{Device, Peer};
use commucat_tests::relay::Relay;
use commucat_tests::servers::Databases;
use commucat_tests::stage::{Stage, Store};
use commucat_tests::tunnel::Tunnel;
use serde_json::Value;

/// One sentence of the specification that can be tested from outside.
#[derive(Clone, Copy)]
pub(crate) struct Statement {
    /// The heading it stands under.
    pub(crate) section: &'static str,
    /// Its words, shortened where they go on about something else.
    pub(crate) words: &'static str,
    /// Panics when it does not hold.
    pub(crate) check: fn(&Ground<'_>),
}

/// A relay and one way to it.
pub(crate) struct Ground<'a> {
    /// The relay, which other statements use as well.
    pub(crate) relay: &'a Relay,
    /// Its databases, when it keeps its things in some.
    pub(crate) databases: Option<&'a Databases>,
    /// The way.
    pub(crate) http: HttpVersion,
    tag: u32,
    channel: Cell<u32>,
}

static TAG: AtomicU32 = AtomicU32::new(0);

impl<'a> Ground<'a> {
    /// For one statement.
    pub(crate) fn new(stage: &'a Stage, store: Store, http: HttpVersion) -> Self {
        Self {
            relay: stage,
            databases: (store == Store::Postgres).then(|| stage.databases()),
            http,
            tag: TAG.fetch_add(1, Ordering::Relaxed),
            channel: Cell::new(0),
        }
    }

    /// A device that only this statement knows.
    pub(crate) fn device(&self, name: &str) -> Device {
        Device::new(&format!("{name}-{}", self.tag))
    }

    /// A channel number that this statement has not used.
    pub(crate) fn channel(&self) -> u32 {
        self.channel.set(self.channel.get() + 1);
        self.tag * 64 + self.channel.get()
    }

    /// An honest session.
    pub(crate) fn connect(&self, device: &Device) -> Peer {
        device.connect(self.relay, self.http)
    }

    /// A tunnel made by hand that has said nothing.
    pub(crate) fn open(&self) -> Tunnel {
        Tunnel::open(self.relay, self.http)
    }

    /// A tunnel made by hand whose session is ready.
    pub(crate) fn ready(&self, device: &Device) -> Tunnel {
        let mut tunnel = self.open();
        tunnel.greet(self.relay, device, Pattern::Xk);
        tunnel
    }

    /// What the relay answers to a HELLO spoiled by `tweak`.
    pub(crate) fn refusal(&self, device: &Device, tweak: impl FnOnce(&mut Value)) -> (String, u64) {
        let mut tunnel = self.open();
        let _ = tunnel.hello(self.relay, device, Pattern::Xk, tweak);
        tunnel.refusal()
    }

    /// Two honest sessions, each with the other on a new channel.
    pub(crate) fn pair(&self) -> (Peer, Peer, u32) {
        let (ada, bob, channel) = (self.device("ada"), self.device("bob"), self.channel());
        let (mut from, mut to) = (self.connect(&ada), self.connect(&bob));
        from.join(channel, [&bob]);
        to.join(channel, [&ada]);
        (from, to, channel)
    }
}

/// Tries a statement; the error is what its check said.
pub(crate) fn holds(statement: &Statement, ground: &Ground<'_>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (statement.check)(ground))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without words".to_owned())
    })
}
