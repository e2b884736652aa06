//! What shards say to each other about who names a device that speaks in an open channel (see `session::naming`). All of
//! it is rare: a JOIN that names nobody, and rosters that name its sender on the same number.

use std::sync::Arc;

use commucat_proto::{ChannelId, DeviceId};

use super::message::{DeviceKey, ShardId, TunnelId};

/// A number on which a session speaks openly, and how often one of its shard had begun to speak so: what was said of an
/// earlier time means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Openly {
    /// The number.
    pub channel: ChannelId,
    /// Counts the times.
    pub serial: u32,
}

/// A session whose roster names a speaker.
#[derive(Clone, Debug)]
pub struct Naming {
    /// What it will hear.
    pub openly: Openly,
    /// The session on the sending shard.
    pub by: TunnelId,
    /// Its device.
    pub device: DeviceId,
}

/// A question to a shard that names a speaker.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Echoed.
    pub number: u64,
    /// About this channel alone.
    pub only: Option<ChannelId>,
}

/// One message.
#[derive(Clone, Debug)]
pub enum NamingMessage {
    /// To a device's home: its session wants to speak openly on this number, too. `Asked` answers.
    Speaks {
        /// The device.
        device: DeviceKey,
        /// The session on the sending shard.
        tunnel: TunnelId,
        /// Where.
        openly: Openly,
    },
    /// To a device's home: it speaks openly on this number no more, or on none at all.
    Silent {
        /// The device.
        device: DeviceKey,
        /// Which number.
        channel: Option<ChannelId>,
    },
    /// From the home: the shards whose routes name the device are being asked.
    Asked {
        /// The session.
        tunnel: TunnelId,
        /// Because of this `Speaks`; else because a shard is new.
        openly: Option<Openly>,
        /// The numbers of the questions.
        questions: Vec<u64>,
    },
    /// From the home to a shard whose routes name the device: where it speaks openly from now on.
    Who {
        /// The device.
        device: DeviceKey,
        /// Its session.
        tunnel: TunnelId,
        /// Everything, by channel.
        openly: Arc<[Openly]>,
        /// Who names it there? The answer, and each change after it, goes to the session's shard.
        question: Option<Question>,
        /// The session's shard.
        to: ShardId,
    },
    /// To the speaker's shard: these name it.
    Names {
        /// The speaker.
        tunnel: TunnelId,
        /// Which question this answers.
        question: Option<u64>,
        /// Who.
        names: Vec<Naming>,
    },
    /// To the speaker's shard: this session names it no more.
    Unnames {
        /// The speaker.
        tunnel: TunnelId,
        /// Where.
        openly: Openly,
        /// The session on the sending shard.
        by: TunnelId,
    },
}
