//! What sessions and the home of a call say to each other (see `calls`). All of it is rare: media ask nobody.

use std::sync::Arc;

use commucat_proto::DeviceId;
use commucat_storage::api::Wall;

use super::message::{DeviceKey, TunnelId};

/// A call id's keyed 128-bit hash. It never equals a device's but by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub u128);

/// What a frame wants of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// CALL_OFFER
    Offer {
        /// The called, each once, under their names here, without the caller.
        to: Arc<[DeviceId]>,
        /// When nobody need answer any more.
        until: Wall,
    },
    /// CALL_ANSWER with `accept`.
    Accept,
    /// CALL_ANSWER without.
    Decline,
    /// CALL_STATS by a session that does not know the call yet.
    Stats,
    /// CALL_END
    End,
}

/// What becomes of the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to these; for whom is away it is kept until then.
    Go {
        /// The other participants.
        others: Arc<[DeviceId]>,
        /// When the offer expires.
        until: Wall,
        /// With this frame the call is over.
        last: bool,
    },
    /// The call is over already: the frame crossed its end. It is acknowledged, and nobody hears it.
    Quiet,
    /// The offer has expired before it could be said; made by the session itself. The ACK names them.
    Late {
        /// The called.
        others: Arc<[DeviceId]>,
    },
    /// There is no such call, or the sender has no part in it: it is not told which.
    Stranger,
    /// The home has as many calls as it may have.
    Full,
}

/// One message.
#[derive(Clone, Debug)]
pub enum CallMessage {
    /// To the home of a call: a session asks, and waits for `Say`.
    Ask {
        /// Which call.
        call: CallKey,
        /// The session on the sending shard.
        tunnel: TunnelId,
        /// Its device.
        by: DeviceId,
        /// What it wants.
        ask: Ask,
    },
    /// From the home: the answer.
    Say {
        /// Echoed.
        call: CallKey,
        /// Echoed.
        tunnel: TunnelId,
        /// What becomes of the frame.
        verdict: Verdict,
    },
    /// To the sessions of participants: these take no part any more.
    Without {
        /// Which call.
        call: CallKey,
        /// Whose session.
        tunnel: TunnelId,
        /// Who.
        gone: Arc<[DeviceKey]>,
    },
    /// To the sessions of participants: it is over.
    Over {
        /// Which call.
        call: CallKey,
        /// Whose session.
        tunnel: TunnelId,
    },
    /// To the home: a session that knew the call has ended. Answered by `Left`.
    Leave {
        /// Which call.
        call: CallKey,
        /// The session on the sending shard.
        tunnel: TunnelId,
        /// Its device.
        by: DeviceKey,
    },
    /// From the home: the end of that session ended the call for these; for nobody when it had ended before.
    Left {
        /// Echoed.
        call: CallKey,
        /// Echoed.
        tunnel: TunnelId,
        /// The rest.
        others: Arc<[DeviceId]>,
        /// When the offer expires.
        until: Wall,
    },
}
