//! What a ring tells its owner, and how the owner ends a connection.

use std::net::SocketAddr;

use crate::slots::SocketId;

/// One thing that happened since the last [`crate::Ring::reap`].
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection came; it is being received from already.
    Accepted {
        /// Its name until `Closed`.
        id: SocketId,
        /// The other side, IPv4 written as IPv4 even on a dual-stack listener.
        peer: SocketAddr,
        /// What [`crate::Ring::listen`] was told.
        tag: u8,
    },
    /// Bytes came. They are lent for the time of the call and may be changed in place.
    Received {
        /// The connection.
        id: SocketId,
        /// Never empty.
        bytes: &'a mut [u8],
    },
    /// The peer sends no more; it can still be sent to.
    Eof {
        /// The connection.
        id: SocketId,
    },
    /// The kernel has taken all of the outstanding send.
    Sent {
        /// The connection.
        id: SocketId,
        /// Its buffer, unchanged, for further use.
        buffer: Vec<u8>,
    },
    /// The connection is gone, whoever ended it. Always last, exactly once.
    Closed {
        /// The connection.
        id: SocketId,
    },
    /// Another ring, or a [`crate::Waker`], asks for attention. Several may have become one.
    Rung,
}

/// How [`crate::Ring::close`] ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Let the outstanding send finish, send FIN, discard what arrives until the peer's FIN or a deadline, close. So the
    /// last bytes reach a peer that is still talking: closing with unread input would destroy them by a reset.
    Graceful,
    /// At once; an outstanding send is cancelled.
    Abort,
}
