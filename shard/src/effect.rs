//! Everything a shard can ask of the world. The driver carries the effects out at the end of each turn, in this
//! order: sends, reads, closes, mesh, store, calls, hangups; then clears the lists and keeps their capacity.

use bytes::Bytes;
use commucat_storage::api::Submission;

use crate::input::{CallId, ConnId};
use crate::mesh::message::{Batch, ShardId};

/// Whether the driver should go on receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Stop. Completions that were already queued still arrive and are accepted.
    Pause,
    /// Go on.
    Resume,
}

/// How to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After the outstanding send: FIN, discard what still arrives for a bounded time, close. So the last ERROR reaches the peer.
    Graceful,
    /// At once; an outstanding send is cancelled.
    Abort,
}

/// What one turn asks for.
#[derive(Debug, Default)]
pub struct Effects {
    /// Bytes to send; at most one outstanding per connection, until its `Sent` or `Closed`.
    pub sends: Vec<(ConnId, Vec<u8>)>,
    /// Backpressure.
    pub reads: Vec<(ConnId, Reading)>,
    /// Connections to end. `Closed` follows exactly once.
    pub closes: Vec<(ConnId, Ending)>,
    /// At most one batch per shard and turn, never to itself.
    pub mesh: Vec<(ShardId, Batch)>,
    /// For the store. A full port answers with `Stored(Err(PortFull))`.
    pub store: Vec<Submission>,
    /// For the REST router.
    pub calls: Vec<(CallId, http::Request<Bytes>)>,
    /// Calls whose answer comes in parts and that nobody listens to any longer; given once, after their `Head`.
    pub hangups: Vec<CallId>,
}

impl Effects {
    /// Nothing asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sends.is_empty()
            && self.reads.is_empty()
            && self.closes.is_empty()
            && self.mesh.is_empty()
            && self.store.is_empty()
            && self.calls.is_empty()
            && self.hangups.is_empty()
    }
}
