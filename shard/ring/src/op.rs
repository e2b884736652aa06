//! Tokens: what a completion is about, in the 64 bits the kernel carries for us.
//!
//! Layout: 8 bits kind, 24 bits slot, 32 bits generation. For accepts the slot holds listener (high byte) and post.
//! Every operation with memory behind it has a token of its own while it is in flight, which is what cancelling by
//! token relies on.

use crate::slots::SocketId;

/// An outstanding accept: which listener, and which of its address posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PostId {
    pub(crate) listener: u8,
    pub(crate) post: u16,
}

/// What was asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Accept(PostId),
    CancelAccept(PostId),
    Recv(SocketId),
    CancelRecv(SocketId),
    Send(SocketId),
    /// The wait for room in a socket.
    Watch(SocketId),
    CancelWatch(SocketId),
    Shutdown(SocketId),
    Close(SocketId),
    /// Our bell on another ring; completes here only when it failed.
    Bell,
    /// Another ring's bell on ours.
    Rung,
    /// The read of our eventfd.
    Wake,
    /// Everything in flight is being cancelled.
    CancelAll,
}

const fn pack(kind: u8, slot: u32, generation: u32) -> u64 {
    (kind as u64) << 56 | (slot as u64) << 32 | generation as u64
}

impl Op {
    pub(crate) fn token(self) -> u64 {
        let post = |kind, id: PostId| pack(kind, u32::from(id.listener) << 16 | u32::from(id.post), 0);
        let socket = |kind, id: SocketId| pack(kind, id.slot, id.generation);
        match self {
            Op::Accept(id) => post(1, id),
            Op::CancelAccept(id) => post(2, id),
            Op::Recv(id) => socket(3, id),
            Op::CancelRecv(id) => socket(4, id),
            Op::Send(id) => socket(5, id),
            Op::Watch(id) => socket(6, id),
            Op::CancelWatch(id) => socket(7, id),
            Op::Shutdown(id) => socket(8, id),
            Op::Close(id) => socket(9, id),
            Op::Bell => pack(10, 0, 0),
            Op::Rung => pack(11, 0, 0),
            Op::Wake => pack(12, 0, 0),
            Op::CancelAll => pack(13, 0, 0),
        }
    }

    /// `None` for a token that none of our operations carries.
    pub(crate) fn from_token(token: u64) -> Option<Op> {
        let slot = (token >> 32) as u32 & 0x00ff_ffff;
        let post = PostId {
            listener: (slot >> 16) as u8,
            post: slot as u16,
        };
        let socket = SocketId {
            slot,
            generation: token as u32,
        };
        Some(match token >> 56 {
            1 => Op::Accept(post),
            2 => Op::CancelAccept(post),
            3 => Op::Recv(socket),
            4 => Op::CancelRecv(socket),
            5 => Op::Send(socket),
            6 => Op::Watch(socket),
            7 => Op::CancelWatch(socket),
            8 => Op::Shutdown(socket),
            9 => Op::Close(socket),
            10 => Op::Bell,
            11 => Op::Rung,
            12 => Op::Wake,
            13 => Op::CancelAll,
            _ => return None,
        })
    }

    /// Whether the kernel may touch memory of ours until the final completion of this operation.
    pub(crate) fn borrows_memory(self) -> bool {
        matches!(self, Op::Accept(_) | Op::Recv(_) | Op::Send(_) | Op::Wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn every_operation_survives_its_token() {
        let socket = SocketId {
            slot: limits::CONNECTIONS - 1,
            generation: u32::MAX,
        };
        let post = PostId {
            listener: limits::LISTENERS as u8 - 1,
            post: limits::ACCEPTS - 1,
        };
        let all = [
            Op::Accept(post),
            Op::CancelAccept(post),
            Op::Recv(socket),
            Op::CancelRecv(socket),
            Op::Send(socket),
            Op::Watch(socket),
            Op::CancelWatch(socket),
            Op::Shutdown(socket),
            Op::Close(socket),
            Op::Bell,
            Op::Rung,
            Op::Wake,
            Op::CancelAll,
        ];
        for op in all {
            assert_eq!(Op::from_token(op.token()), Some(op));
        }
    }

    #[test]
    fn an_unknown_token_is_no_operation() {
        assert_eq!(Op::from_token(0), None);
        assert_eq!(Op::from_token(u64::MAX), None);
    }
}
