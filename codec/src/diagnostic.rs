//! What the codec says about bytes it refuses. Each is terminal: one ERROR frame, then the stream closes.

use std::borrow::Cow;

use crate::titles::Title;

/// A codec failure (CCP-1, Codec Diagnostics). `Display` is the ERROR frame's `detail`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Diagnostic {
    /// The first byte of the frame is no frame type.
    #[error("frame type 0x{code:02x} is not assigned")]
    InvalidFrameType {
        /// That byte.
        code: u8,
    },
    /// The peers speak no common protocol version.
    #[error("no common protocol version; this side speaks {ours:?}")]
    VersionMismatch {
        /// What this side speaks.
        ours: Vec<u16>,
    },
    /// The payload of a control frame is not what its type asks for.
    #[error("{reason}")]
    InvalidControlPayload {
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// `frame_len` exceeds its limit.
    #[error("frame_len {declared} exceeds {limit}")]
    FrameTooLarge {
        /// As declared.
        declared: u64,
        /// As allowed.
        limit: usize,
    },
    /// `payload_len` exceeds what any frame may hold.
    #[error("payload_len {declared} exceeds {limit}")]
    PayloadTooLarge {
        /// As declared.
        declared: u64,
        /// As allowed.
        limit: usize,
    },
    /// `payload_len` of a control frame exceeds its limit.
    #[error("control payload of {declared} bytes exceeds {limit}")]
    ControlPayloadTooLarge {
        /// As declared.
        declared: u64,
        /// As allowed.
        limit: usize,
    },
    /// `channel_id` or `sequence` does not fit 32 bits.
    #[error("{field} {value} exceeds 32 bits")]
    IdentifierOutOfRange {
        /// Which of the two.
        field: &'static str,
        /// As declared.
        value: u64,
    },
    /// The device may not found or join a profile without a pairing code.
    #[error("a pairing code is required")]
    PairingRequired,
    /// A varint takes more than ten bytes or 64 bits.
    #[error("a varint takes more than 10 bytes or 64 bits")]
    VarintOverflow,
    /// The fields of a frame need more bytes than its `frame_len` gives them.
    #[error("the fields of the frame overrun its frame_len")]
    TruncatedFrame,
    /// The fields of a frame leave bytes over.
    #[error("{excess} bytes follow the payload inside the frame")]
    FrameLengthMismatch {
        /// How many.
        excess: usize,
    },
}

impl Diagnostic {
    /// An unusable control payload.
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidControlPayload { reason: reason.into() }
    }

    /// The ERROR frame's `title`.
    #[must_use]
    pub const fn title(&self) -> Title {
        match self {
            Self::InvalidFrameType { .. } => Title::InvalidFrameType,
            Self::VersionMismatch { .. } => Title::ProtocolVersionMismatch,
            Self::InvalidControlPayload { .. } => Title::InvalidControlPayload,
            Self::FrameTooLarge { .. } => Title::FrameTooLarge,
            Self::PayloadTooLarge { .. } => Title::PayloadTooLarge,
            Self::ControlPayloadTooLarge { .. } => Title::ControlPayloadTooLarge,
            Self::IdentifierOutOfRange { .. } => Title::IdentifierOutOfRange,
            Self::PairingRequired => Title::PairingRequired,
            Self::VarintOverflow => Title::VarintOverflow,
            Self::TruncatedFrame => Title::TruncatedFrame,
            Self::FrameLengthMismatch { .. } => Title::FrameLengthMismatch,
        }
    }

    /// The ERROR frame's `status`.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.title().status()
    }
}
