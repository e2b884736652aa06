//! Connections: bytes from the driver become body bytes of tunnels and REST calls, and back.
//!
//! `tls`, `h1`, `h2` and `ws` are values that know nothing of each other; this module is where they are stacked. A connection
//! is taken out of the table while it is being worked on.
//!
//! - `receive`: bytes up through TLS and HTTP.
//! - `exchange`: what an HTTP request becomes: a tunnel, a REST call, or a refusal; `exchanges`: those of an HTTP/2 connection.
//! - `socket`: a WebSocket between a tunnel and what carries it.
//! - `parts`: answers of the router that come in parts.
//! - `flush`: what is owed goes down again, at most one send per connection and turn.
//! - `lifetime`: deadlines, half-close, drain, the end.

mod exchange;
mod exchanges;
mod fields;
mod flush;
pub mod h1;
pub mod h2;
pub mod hpack;
mod lifetime;
pub mod limits;
mod parts;
mod receive;
mod socket;
pub mod tls;
pub mod ws;

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::clock::Now;
use crate::conn::exchange::Exchange;
use crate::conn::exchanges::Exchanges;
use crate::conn::h1::H1;
use crate::conn::h2::H2;
use crate::conn::tls::Tls;
use crate::input::ConnId;
use crate::mesh::message::TunnelId;

/// What the plain bytes are.
#[derive(Debug)]
enum Http {
    /// Not known yet: TLS has not agreed on it, or the first bytes have not come.
    Unknown,
    One(H1, Exchange),
    Two(Box<Two>),
}

/// An HTTP/2 connection and its requests.
#[derive(Debug)]
struct Two {
    h2: H2,
    streams: Exchanges,
    /// An answer among them is on its way out.
    answers: bool,
}

/// How far a connection is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// Nothing more is read; what is owed is sent, then it closes.
    Finishing,
    /// The driver has been told to close it.
    Closing,
}

#[derive(Debug)]
struct Conn {
    id: ConnId,
    /// Where it comes from; nothing is known of who speaks through a proxy.
    peer: Option<SocketAddr>,
    life: Life,
    tls: Option<Box<Tls>>,
    http: Http,
    /// Plain bytes that cannot be understood yet: the first ones, or what came during a REST call over HTTP/1.1.
    rest: Vec<u8>,
    /// HTTP bytes to be sent before anything of a tunnel.
    heads: Vec<u8>,
    /// Records that TLS itself has to say.
    records: Vec<u8>,
    sending: bool,
    paused: bool,
    tunnels: SmallVec<[TunnelId; 1]>,
    /// No further request will come: it closes after the last tunnel.
    last: bool,
    /// A request must be complete by then, while none is open.
    idle_until: Option<Now>,
    end_by: Option<Now>,
    armed: Option<Now>,
    /// On the shard's list of connections to flush.
    dirty: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Conns {
    slots: Vec<Slot>,
    count: usize,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    used: bool,
    conn: Option<Box<Conn>>,
}

impl Conns {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    fn insert(&mut self, conn: Conn) {
        let ConnId { slot, generation } = conn.id;
        let slot = slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, Slot::default);
        }
        assert!(
            !self.slots[slot].used,
            "the driver gives a slot to one connection at a time"
        );
        self.slots[slot] = Slot {
            generation,
            used: true,
            conn: Some(Box::new(conn)),
        };
        self.count += 1;
    }

    fn slot(&mut self, id: ConnId) -> Option<&mut Slot> {
        self.slots
            .get_mut(id.slot as usize)
            .filter(|slot| slot.used && slot.generation == id.generation)
    }

    fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slot(id)?.conn.as_deref_mut()
    }

    fn take(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.slot(id)?.conn.take()
    }

    fn put(&mut self, conn: Box<Conn>) {
        if let Some(slot) = self.slot(conn.id) {
            slot.conn = Some(conn);
        }
    }

    fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        let slot = self.slot(id)?;
        slot.used = false;
        let conn = slot.conn.take();
        self.count -= 1;
        conn
    }

    fn ids(&self) -> Vec<ConnId> {
        self.slots
            .iter()
            .filter_map(|slot| slot.conn.as_ref().map(|conn| conn.id))
            .collect()
    }
}
