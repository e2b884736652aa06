//! Everything that can happen to a shard. The driver (ring or simulator) turns the world into these.

use std::net::SocketAddr;

use bytes::Bytes;
use commucat_proto::DeviceId;
use commucat_storage::api::Completion;

use crate::config::NoiseKeys;
use crate::mesh::message::{Batch, ShardId};

/// One accepted connection: the driver's slot and how often that slot has been used. A late event of an earlier
/// tenant carries an earlier generation and is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Index into the driver's table, below `Limits::connections`.
    pub slot: u32,
    /// Counts the tenants of the slot.
    pub generation: u32,
}

/// Which listener a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TLS 1.3 (decisions § 1).
    Tls,
    /// Plain HTTP for a TLS-terminating proxy on the same host.
    Plain,
}

/// Names a REST call in flight: the connection, and the HTTP/2 stream on it (0 under HTTP/1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The connection that owns the socket.
    pub conn: ConnId,
    /// HTTP/2 stream, or 0.
    pub stream: u32,
}

/// A part of an answer whose length nobody knows when it begins: an event stream.
#[derive(Debug)]
pub enum Part {
    /// Status and headers.
    Head(http::Response<()>),
    /// A piece of the body.
    Data(Bytes),
    /// The body is complete.
    End,
}

/// Stands in the extensions of a REST request: where it comes from, if that is known. Nothing is known of who speaks
/// through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed(pub Option<SocketAddr>);

/// What somebody outside the shards has decided. Given to all shards; what is about a device, after the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// It is refused from now on: its session, and any that is about to be, ends.
    Revoked {
        /// Which.
        device: DeviceId,
    },
    /// It has another key from now on: what was proven by an earlier one ends.
    Rekeyed {
        /// Which.
        device: DeviceId,
        /// Its key from now on.
        static_key: [u8; 32],
    },
    /// The operator has rotated the Noise static key; handshakes that have begun go on with the one they began with.
    Keys(NoiseKeys),
}

/// What the driver feeds.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection was accepted.
    Accepted {
        /// Its name until `Closed`.
        conn: ConnId,
        /// The other side.
        peer: SocketAddr,
        /// Where it came in.
        listener: Listener,
    },
    /// Bytes arrived; they are lent until the call returns and may be decrypted in place.
    Received {
        /// The connection.
        conn: ConnId,
        /// Never empty.
        bytes: &'a mut [u8],
    },
    /// The peer will send no more (TCP FIN). Sending is still possible.
    Eof {
        /// The connection.
        conn: ConnId,
    },
    /// The whole buffer of the connection's one outstanding `Send` was taken by the kernel. The buffer comes home.
    Sent {
        /// The connection.
        conn: ConnId,
        /// The buffer of that send, to be used again.
        buffer: Vec<u8>,
    },
    /// The connection is gone, for whatever reason, `Close` included. Last event of this `ConnId`, given exactly once.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// Messages from another shard, in the order of its lane.
    Mesh {
        /// The sender.
        from: ShardId,
        /// What it sent in one turn.
        batch: Batch,
    },
    /// The store answered.
    Stored(Completion),
    /// The REST router answered.
    Answered {
        /// Which call.
        call: CallId,
        /// The answer; its body is complete.
        response: http::Response<Bytes>,
    },
    /// The REST router's answer comes in parts: `Head` first, once, then any number of `Data`, then `End`.
    Streamed {
        /// Which call.
        call: CallId,
        /// The next part.
        part: Part,
    },
    /// When this returns, what it decides holds here.
    Command(Command),
    /// `deadline()` has passed.
    Expired,
    /// The operator wants the process to end: refuse the new, flush what is owed, store the rest.
    Drain,
}
