//! The functions under which instructions are counted: callgrind collects while one of these is running.
//!
//! Invariant: none is inlined, each is called for measured work only, and the name of each function is the name that
//! `Region::function` gives. `pair` calls them; warming up goes around them. Each names its region, so that no two have
//! the same body: the compiler would make one function of them.

use std::hint::black_box;

use commucat_proto::{FrameLimits, Parsed, frame};
use commucat_shard::Shard;
use commucat_shard::clock::Moment;
use commucat_shard::effect::Effects;
use commucat_shard::input::{ConnId, Input};

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Region {
    /// The codec alone: one frame out of a buffer.
    Parse,
    /// Bytes with frames in them: parsed, routed, queued for the recipient, their ACK for the sender.
    Receive,
    /// The end of the turn: what is queued is numbered and becomes sends.
    Flush,
    /// The kernel has taken a send: its frames are forgotten.
    Sent,
    /// What clients say besides frames: HTTP/2 window updates.
    Credit,
}

impl Region {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Parse, Self::Receive, Self::Flush, Self::Sent, Self::Credit];

    /// In figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Receive => "receive",
            Self::Flush => "flush",
            Self::Sent => "sent",
            Self::Credit => "credit",
        }
    }

    /// In symbol tables.
    #[must_use]
    pub const fn function(self) -> &'static str {
        match self {
            Self::Parse => "region_parse",
            Self::Receive => "region_receive",
            Self::Flush => "region_flush",
            Self::Sent => "region_sent",
            Self::Credit => "region_credit",
        }
    }
}

/// Parses the first frame of `bytes`, `times` times; gives the sum of the lengths, so that nothing can be left out.
#[inline(never)]
pub fn region_parse(bytes: &[u8], limits: &FrameLimits, times: usize) -> usize {
    let mut sum = 0;
    for _ in 0..times {
        if let Ok(Parsed::Frame { consumed, .. }) = frame::parse(black_box(bytes), limits) {
            sum += consumed;
        }
    }
    sum
}

/// See [`Region::Receive`].
#[inline(never)]
pub fn region_receive(shard: &mut Shard, at: Moment, conn: ConnId, bytes: &mut [u8], fx: &mut Effects) {
    black_box(Region::Receive);
    shard.handle(at, Input::Received { conn, bytes }, fx);
}

/// See [`Region::Credit`].
#[inline(never)]
pub fn region_credit(shard: &mut Shard, at: Moment, conn: ConnId, bytes: &mut [u8], fx: &mut Effects) {
    black_box(Region::Credit);
    shard.handle(at, Input::Received { conn, bytes }, fx);
}

/// See [`Region::Flush`].
#[inline(never)]
pub fn region_flush(shard: &mut Shard, at: Moment, fx: &mut Effects) {
    black_box(Region::Flush);
    shard.flush(at, fx);
}

/// See [`Region::Sent`].
#[inline(never)]
pub fn region_sent(shard: &mut Shard, at: Moment, conn: ConnId, buffer: Vec<u8>, fx: &mut Effects) {
    black_box(Region::Sent);
    shard.handle(at, Input::Sent { conn, buffer }, fx);
}
