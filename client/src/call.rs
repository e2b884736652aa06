//! Calls from the client's side (CCP-1, Call Signaling and Media Transport): the four control frames as one type. Media are
//! ordinary frames, sent with [`Connection::send`] on the channel on which the call was offered or accepted.

use commucat_proto::control::{self, CallAnswer, CallEnd, CallOffer, CallStats};
use commucat_proto::{CallId, ChannelId, FrameType, Sequence};

use crate::connection::Connection;
use crate::error::ClientError;

/// What participants of a call say to each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// CALL_OFFER
    Offer(CallOffer),
    /// CALL_ANSWER: expected on the channel of the offer.
    Answer(CallAnswer),
    /// CALL_END; the relay says it, with `metadata.system`, for a participant whose connection ended.
    End(CallEnd),
    /// CALL_STATS
    Stats(CallStats),
}

impl Signal {
    /// The signal that a frame carries; none when it is a frame of another type.
    ///
    /// # Errors
    /// When the payload is none.
    pub fn read(kind: FrameType, payload: &[u8]) -> Result<Option<Self>, ClientError> {
        let mut scratch = Vec::new();
        Ok(Some(match kind {
            FrameType::CallOffer => Self::Offer(control::parse(payload, &mut scratch)?),
            FrameType::CallAnswer => Self::Answer(control::parse(payload, &mut scratch)?),
            FrameType::CallEnd => Self::End(control::parse(payload, &mut scratch)?),
            FrameType::CallStats => Self::Stats(control::parse(payload, &mut scratch)?),
            _ => return Ok(None),
        }))
    }

    /// The type of the frame that carries it.
    #[must_use]
    pub const fn kind(&self) -> FrameType {
        match self {
            Self::Offer(_) => FrameType::CallOffer,
            Self::Answer(_) => FrameType::CallAnswer,
            Self::End(_) => FrameType::CallEnd,
            Self::Stats(_) => FrameType::CallStats,
        }
    }

    /// Which call.
    #[must_use]
    pub const fn call_id(&self) -> &CallId {
        match self {
            Self::Offer(offer) => &offer.call_id,
            Self::Answer(answer) => &answer.call_id,
            Self::End(end) => &end.call_id,
            Self::Stats(stats) => &stats.call_id,
        }
    }
}

impl Connection {
    /// Says something about a call on `channel`. Its ACK has the call's id in its body.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn signal(&mut self, channel: ChannelId, signal: &Signal) -> Result<Sequence, ClientError> {
        match signal {
            Signal::Offer(offer) => self.control(FrameType::CallOffer, channel, offer),
            Signal::Answer(answer) => self.control(FrameType::CallAnswer, channel, answer),
            Signal::End(end) => self.control(FrameType::CallEnd, channel, end),
            Signal::Stats(stats) => self.control(FrameType::CallStats, channel, stats),
        }
    }
}
