//! The per-core relay engine: a value. Bytes, clock readings, messages and completions go in; sends, messages and
//! requests come out. It owns no socket, clock, thread or randomness, so the same code runs under io_uring, under the
//! simulator and under a fuzzer.
//!
//! # How to drive it
//! - [`Shard::handle`] for everything that happens, in the order in which it happens.
//! - [`Shard::flush`] once per turn: it seals what is owed to each connection into one send, and hands out one batch
//!   per shard. Then carry out the [`Effects`].
//! - [`Shard::deadline`] says when to come back with [`Input::Expired`].
//!
//! # The way of a frame
//! `conn` (TLS, HTTP) → `session::feed` → `session::ready` → `route` → recipients: here → `delivery` → `outbox`;
//! another core → `mesh`; away → `home` → the store. At the turn's end `conn::flush` numbers and seals. A payload of up to
//! 4 KiB is copied from the kernel's buffer into the recipient's outbox and from there into the turn's plain text, which
//! is sealed into the send buffer; between cores once more, into the batch. Larger ones with several recipients are counted.
//! What follows each other to several recipients is handed out together (`run`).

// What a peer sends may end its connection and never the process; where something cannot fail, its place says why.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod awaiting;
mod calls;
pub mod clock;
pub mod config;
pub mod conn;
pub mod counters;
mod delivery;
mod directory;
pub mod effect;
mod group;
pub mod histogram;
mod home;
pub mod input;
mod key_table;
mod keys;
mod lane;
pub mod limits;
pub mod mesh;
mod outbox;
mod pool;
mod presence;
mod ranges;
mod route;
mod run;
mod sealed;
mod session;
mod slices;
mod store_desk;
pub mod survey;
mod timer;
mod trace;
mod tunnel;

pub use crate::session::agreed::CAPABILITIES;
pub use crate::session::bearer::token_hash;
pub use crate::session::hello::VERSIONS;

use std::collections::VecDeque;
use std::sync::Arc;

use commucat_crypto::Entropy;

use crate::calls::Calls;
use crate::clock::{Moment, Now, Wall};
use crate::config::{NoiseKeys, ShardConfig};
use crate::conn::Conns;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::effect::Effects;
use crate::group::Groups;
use crate::group::home::GroupHomes;
use crate::group::open::OpenHomes;
use crate::home::{Homes, Kept};
use crate::input::{ConnId, Input};
use crate::keys::KeyMap;
use crate::mesh::message::{Batch, Deliver, Epoch, Message, Payload, ShardId, TunnelId};
use crate::mesh::outgoing::Outgoing;
use crate::outbox::Opaque;
use crate::pool::Buffers;
use crate::session::calls::LeftCalls;
use crate::session::command::Coming;
use crate::slices::Slices;
use crate::store_desk::StoreDesk;
use crate::timer::{Owner, Timers};
use crate::tunnel::{Phase, Tunnel, Tunnels};

/// One core's relay.
pub struct Shard {
    config: Arc<ShardConfig>,
    noise: NoiseKeys,
    entropy: Box<dyn Entropy>,
    /// When the current call happens.
    at: Moment,
    relay_ttl_ms: u64,

    conns: Conns,
    tunnels: Tunnels,
    /// Devices whose session is here.
    attached: KeyMap<(TunnelId, Epoch)>,
    /// Sessions between HELLO and ready; some of them are over.
    coming: Coming,
    directory: Directory,
    homes: Homes,
    groups: Groups,
    group_homes: GroupHomes,
    open_homes: OpenHomes,
    /// Counts the times that sessions here have begun to speak openly.
    open_serial: u32,
    calls: Calls,
    /// Calls whose sessions have ended, until their homes say what that meant.
    left_calls: LeftCalls,
    slices: Slices,
    mesh: Outgoing,
    store: StoreDesk,
    timers: Timers,
    draining: bool,

    /// Payload bytes times recipients that are routed and not settled.
    inflight: usize,
    /// Unparsed body bytes of all tunnels.
    unparsed: usize,

    /// Tunnels with something to send, or to end.
    dirty: Vec<TunnelId>,
    /// Connections with something to send, or to end.
    dirty_conns: Vec<ConnId>,
    /// Tunnels to try again at the end of this call.
    wakes: Vec<TunnelId>,
    /// Tunnels that wait until the shard has less in flight.
    short_of_credit: Vec<TunnelId>,

    /// Tunnels whose outboxes keep memory for the next burst, and when they will give it back if none comes.
    fat: VecDeque<(Now, TunnelId)>,

    fx: Effects,
    buffers: Buffers,
    scratch: Vec<u8>,
    /// What was in one Noise message.
    opened: Vec<u8>,
    plain: Vec<u8>,
    counters: Counters,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("id", &self.config.id)
            .field("gauges", &self.gauges())
            .finish_non_exhaustive()
    }
}

impl Shard {
    /// An empty shard.
    ///
    /// # Panics
    /// If there are no shards, more than 128, or this is not one of them.
    #[must_use]
    pub fn new(config: ShardConfig, entropy: Box<dyn Entropy>) -> Self {
        assert!(
            (1..=home::MAX_SHARDS).contains(&config.shards),
            "1 to {} shards",
            home::MAX_SHARDS
        );
        assert!(config.id.0 < config.shards, "shard ids count from 0");
        Self {
            relay_ttl_ms: u64::try_from(config.limits.relay_ttl.as_millis()).unwrap_or(u64::MAX),
            mesh: Outgoing::new(config.shards),
            calls: Calls::new(config.limits.calls),
            left_calls: LeftCalls::default(),
            slices: Slices::default(),
            noise: config.noise.clone(),
            config: Arc::new(config),
            entropy,
            at: Moment::default(),
            conns: Conns::default(),
            tunnels: Tunnels::default(),
            attached: KeyMap::default(),
            coming: Coming::default(),
            directory: Directory::new(),
            homes: Homes::default(),
            groups: Groups::default(),
            group_homes: GroupHomes::default(),
            open_homes: OpenHomes::default(),
            open_serial: 0,
            store: StoreDesk::default(),
            timers: Timers::default(),
            draining: false,
            inflight: 0,
            unparsed: 0,
            dirty: Vec::new(),
            dirty_conns: Vec::new(),
            wakes: Vec::new(),
            short_of_credit: Vec::new(),
            fat: VecDeque::new(),
            fx: Effects::default(),
            plain: Buffers::default().lease(),
            buffers: Buffers::default(),
            scratch: Vec::new(),
            opened: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Something has happened.
    pub fn handle(&mut self, at: Moment, input: Input<'_>, fx: &mut Effects) {
        self.at = at;
        match input {
            Input::Accepted { conn, peer, listener } => self.accepted(conn, peer, listener),
            Input::Received { conn, bytes } => self.received(conn, bytes),
            Input::Eof { conn } => self.eof(conn),
            Input::Sent { conn, buffer } => self.sent(conn, buffer),
            Input::Closed { conn } => self.closed(conn),
            Input::Mesh { from, batch } => self.batch(from, batch),
            Input::Stored(completion) => self.stored(completion),
            Input::Answered { call, response } => self.answered(call, response),
            Input::Streamed { call, part } => self.streamed(call, part),
            Input::Command(command) => self.command(command),
            Input::Expired => self.expired(),
            Input::Drain => self.drain(),
        }
        self.follow_up();
        self.hand_out(fx);
    }

    /// The turn is over: what is owed to each connection becomes one send, what was said to each shard one batch.
    pub fn flush(&mut self, at: Moment, fx: &mut Effects) {
        self.at = at;
        self.slices.next_turn();
        while !self.dirty.is_empty() || !self.dirty_conns.is_empty() {
            self.flush_conns();
            self.follow_up();
        }
        for shard in 0..self.config.shards {
            if let Some(batch) = self.mesh.take(ShardId(shard)) {
                self.counters.mesh_messages += batch.messages.len() as u64;
                self.fx.mesh.push((ShardId(shard), batch));
            }
        }
        self.hand_out(fx);
    }

    /// When `Input::Expired` is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        self.timers.next()
    }

    /// What has been done so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// After `Input::Drain`: no connection is left, and nothing this shard owes is on its way to the store. Other shards
    /// may still send it something to store; the process may end when all are drained and no lane holds a batch.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.draining
            && self.conns.len() == 0
            && self.store.len() == 0
            && self.left_calls.is_empty()
            && !self.homes.owe()
    }

    /// What this call has caused inside the shard, until nothing is left to do: messages to itself, and tunnels that
    /// can go on.
    fn follow_up(&mut self) {
        loop {
            if let Some(batch) = self.mesh.take(self.config.id) {
                self.batch(self.config.id, batch);
            } else if let Some(id) = self.wakes.pop() {
                self.go_on(id);
            } else {
                return;
            }
        }
    }

    fn hand_out(&mut self, fx: &mut Effects) {
        fx.sends.append(&mut self.fx.sends);
        fx.reads.append(&mut self.fx.reads);
        fx.closes.append(&mut self.fx.closes);
        fx.mesh.append(&mut self.fx.mesh);
        fx.store.append(&mut self.fx.store);
        fx.calls.append(&mut self.fx.calls);
        fx.hangups.append(&mut self.fx.hangups);
    }

    fn batch(&mut self, from: ShardId, mut batch: Batch) {
        let messages = std::mem::take(&mut batch.messages);
        let mut rest = &messages[..];
        while let Some(message) = rest.first() {
            let run = run::run_of(rest);
            match run {
                1 => self.message(from, message, &batch),
                _ => self.deliver_run(&rest[..run], &batch),
            }
            rest = &rest[run..];
        }
        batch.messages = messages;
        self.mesh.recycle(batch);
    }

    fn message(&mut self, from: ShardId, message: &Message, batch: &Batch) {
        match message {
            Message::Deliver(deliver) => {
                let settled = self.deliver(deliver, deliver.frame(batch));
                self.settle(deliver.receipt, settled, None);
            }
            Message::Return {
                device,
                receipt,
                kind,
                channel,
                payload,
                keep_until,
            } => {
                let frame = lent(batch, *kind, *channel, payload, *keep_until);
                self.home_keep(*device, *receipt, frame, Kept::Owed);
            }
            Message::Settled {
                receipt,
                count,
                refused,
            } => self.settled(*receipt, *count, *refused),
            Message::Subscribe { device } => self.home_subscribe(from, device),
            Message::Unsubscribe { device } => self.home_unsubscribe(from, *device),
            Message::Located { device, at } => self.located(*device, *at),
            Message::Attach { device, tunnel, user } => self.home_attach(from, device, *tunnel, user),
            Message::Said { device, tunnel, state } => self.home_said(*device, *tunnel, state),
            Message::Attached { device, tunnel, epoch } => self.attached(*device, *tunnel, *epoch),
            Message::Evict { tunnel } => self.evicted(*tunnel),
            Message::Detached { device, tunnel } => self.home_detached(from, *device, *tunnel),
            Message::Sweep { device } => self.mesh.push(from, Message::Swept { device: *device }),
            Message::Swept { device } => self.home_swept(*device),
            Message::Fetch { device, epoch, room } => self.home_fetch(*device, *epoch, *room),
            Message::Replay {
                device,
                epoch,
                rows,
                drained,
            } => self.replay(*device, *epoch, rows, *drained),
            Message::Delivered { device, upto } => self.home_delivered(*device, *upto),
            Message::Announce { about, members } => self.home_announce(about, members),
            Message::Announced { about, members } => self.announced(about, members),
            Message::Met { tunnel, peers } => self.met(*tunnel, peers),
            Message::Group(message) => self.group_message(from, message),
            Message::Call(message) => self.call_message(from, message),
            Message::Naming(message) => self.naming_message(from, message),
        }
    }

    /// Something of this tunnel must be sent, or its end looked at, before the turn is over.
    pub(crate) fn touch(&mut self, tunnel: &mut Tunnel) {
        if !std::mem::replace(&mut tunnel.dirty, true) {
            self.dirty.push(tunnel.id);
        }
    }

    pub(crate) fn mark_dirty(&mut self, id: TunnelId) {
        if let Some(tunnel) = self.tunnels.get_mut(id)
            && !std::mem::replace(&mut tunnel.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    pub(crate) fn touch_if_draining(&mut self, tunnel: &mut Tunnel) {
        if tunnel.phase == Phase::Draining {
            self.touch(tunnel);
        }
    }

    /// Makes sure the timer looks at this tunnel by then.
    pub(crate) fn arm(&mut self, tunnel: &mut Tunnel, due: Now) {
        if tunnel.armed.is_none_or(|armed| armed > due) {
            tunnel.armed = Some(due);
            self.timers.arm(due, Owner::Tunnel(tunnel.id));
        }
    }

    fn expired(&mut self) {
        while let Some(owner) = self.timers.due(self.at.now) {
            match owner {
                Owner::Conn(id) => self.conn_expired(id),
                Owner::Tunnel(id) => self.tunnel_expired(id),
                Owner::Home(key) => self.home_expired(key),
                Owner::Group(key) => self.group_expired(key),
                Owner::Calls => self.calls_expired(),
                Owner::Presence => self.presence_round(),
                Owner::Names => self.names_round(),
                Owner::Slim => self.slim(),
                Owner::Drain => self.drain_expired(),
            }
        }
    }
}

impl Deliver {
    /// The frame, lent by the batch it came in.
    fn frame<'a>(&'a self, batch: &'a Batch) -> Opaque<'a> {
        lent(batch, self.kind, self.channel, &self.payload, self.keep_until)
    }
}

fn lent<'a>(
    batch: &'a Batch,
    kind: commucat_proto::FrameType,
    channel: commucat_proto::ChannelId,
    payload: &'a Payload,
    keep_until: Wall,
) -> Opaque<'a> {
    let shared = match payload {
        Payload::Shared(bytes) => Some(bytes),
        Payload::Inline(_) => None,
    };
    Opaque {
        kind,
        channel,
        payload: batch.payload(payload),
        shared,
        keep_until,
    }
}
