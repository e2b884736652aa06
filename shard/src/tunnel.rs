//! One `/connect` stream: its WebSocket when it has one, its unparsed bytes, its session, its outbox; and the table of all of them.
//!
//! Invariant: a `TunnelId` names one stream for ever; a late message or completion with an earlier generation finds
//! nothing. While a tunnel is being worked on it is taken out of the table, so nothing else can touch it.

use std::net::SocketAddr;

use crate::clock::Now;
use crate::conn::ws::Ws;
use crate::input::ConnId;
use crate::mesh::message::TunnelId;
use crate::outbox::Outbox;
use crate::sealed::Sealed;
use crate::session::State;
use crate::trace::TraceId;
use commucat_proto::{Sequence, Title};

/// Why a tunnel's bytes are not being parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// The handshake waits for the store or the home.
    Handshake,
    /// The home of a group has been asked.
    Group,
    /// A route changes its plan and its last frames are on their way.
    Route,
    /// Names of a JOIN are taken up by and by.
    Names,
    /// The home of a call is asked.
    Call,
    /// Too much is unacknowledged, here or in the whole shard.
    Unacked,
    /// The client does not read its ACKs.
    Control,
}

/// How far a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Frames flow.
    Open,
    /// The client sends no more; what is owed to it is being flushed.
    Draining,
    /// Nothing is owed but the rest of the outbox; then the stream ends.
    Ending,
}

#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) id: TunnelId,
    pub(crate) conn: ConnId,
    /// The observed address of the client.
    pub(crate) peer: Option<SocketAddr>,
    /// The HTTP/2 stream, or 0.
    pub(crate) stream: u32,
    pub(crate) trace: Option<TraceId>,
    /// What the bytes of the stream are wrapped in, unless they are plain.
    pub(crate) ws: Option<Box<Ws>>,
    pub(crate) state: State,
    pub(crate) phase: Phase,
    /// The ERROR that ended it.
    pub(crate) problem: Option<Title>,
    pub(crate) outbox: Outbox,
    /// Body bytes that are not parsed yet: the beginning of a frame, or what came during a stall.
    pub(crate) unparsed: Vec<u8>,
    /// From step 3 on, with `noise-transport`: what lies between the body's bytes and frames.
    pub(crate) sealed: Option<Box<Sealed>>,
    pub(crate) stalled: Option<Stall>,
    /// Received octets whose window is not given back yet.
    pub(crate) owed_credit: u32,
    /// How much of `unparsed` the shard's budget knows of.
    pub(crate) unparsed_counted: usize,
    pub(crate) last_sequence: Option<Sequence>,
    /// The session must be ready by then.
    pub(crate) hello_by: Option<Now>,
    /// When the first byte of the unfinished frame came.
    pub(crate) frame_since: Option<Now>,
    /// Nothing more will be waited for after that.
    pub(crate) end_by: Option<Now>,
    /// When the timer looks at this tunnel next.
    pub(crate) armed: Option<Now>,
    /// On the shard's list of tunnels to flush.
    pub(crate) dirty: bool,
    /// On the shard's list of tunnels that keep memory: how many frames had left when it was put there.
    pub(crate) fat: Option<u32>,
}

impl Tunnel {
    /// What follows the frames that were taken. Behind step 3 that is sealed, unless it has been opened.
    pub(crate) fn keep(&mut self, rest: Vec<u8>, opened: bool) {
        match &mut self.sealed {
            Some(sealed) if !opened => sealed.unopened = rest,
            _ => self.unparsed = rest,
        }
    }

    /// Received bytes that are not taken yet.
    pub(crate) fn held_input(&self) -> usize {
        self.unparsed.len() + self.sealed.as_ref().map_or(0, |sealed| sealed.unopened.len())
    }

    pub(crate) fn forget_input(&mut self) {
        self.unparsed = Vec::new();
        if let Some(sealed) = &mut self.sealed {
            sealed.unopened = Vec::new();
        }
    }

    /// Whether a flush would write anything.
    pub(crate) fn has_unsent(&self) -> bool {
        self.outbox.has_unsent() || self.sealed.as_ref().is_some_and(|sealed| sealed.has_aside())
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    tunnel: Option<Box<Tunnel>>,
    /// In use, also while the tunnel is taken out.
    used: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Tunnels {
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
}

impl Tunnels {
    pub(crate) fn insert(&mut self, make: impl FnOnce(TunnelId) -> Tunnel) -> TunnelId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.slots[slot as usize];
        let id = TunnelId {
            slot,
            generation: entry.generation,
        };
        entry.used = true;
        entry.tunnel = Some(Box::new(make(id)));
        self.count += 1;
        id
    }

    fn slot(&mut self, id: TunnelId) -> Option<&mut Slot> {
        self.slots
            .get_mut(id.slot as usize)
            .filter(|slot| slot.used && slot.generation == id.generation)
    }

    pub(crate) fn get_mut(&mut self, id: TunnelId) -> Option<&mut Tunnel> {
        self.slot(id)?.tunnel.as_deref_mut()
    }

    /// Out of the table, to be worked on; `put` brings it back.
    pub(crate) fn take(&mut self, id: TunnelId) -> Option<Box<Tunnel>> {
        self.slot(id)?.tunnel.take()
    }

    pub(crate) fn put(&mut self, tunnel: Box<Tunnel>) {
        let id = tunnel.id;
        let slot = self.slot(id);
        assert!(slot.is_some(), "a tunnel in work keeps its slot");
        if let Some(slot) = slot {
            slot.tunnel = Some(tunnel);
        }
    }

    pub(crate) fn remove(&mut self, id: TunnelId) -> Option<Box<Tunnel>> {
        let slot = self.slot(id)?;
        let tunnel = slot.tunnel.take()?;
        slot.used = false;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.count -= 1;
        Some(tunnel)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The tunnels in these slots, as far as they exist.
    pub(crate) fn between(&self, from: usize, to: usize) -> impl Iterator<Item = &Tunnel> {
        let slots = self.slots.get(from..to.min(self.slots.len())).unwrap_or(&[]);
        slots.iter().filter_map(|slot| slot.tunnel.as_deref())
    }

    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }
}
