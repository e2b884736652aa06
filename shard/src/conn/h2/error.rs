//! Error codes, and what ends a connection.

use thiserror::Error;

use crate::conn::hpack::HpackError;

/// RFC 9113 § 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Code {
    /// Done, without complaint.
    NoError = 0x0,
    /// The peer broke the protocol.
    Protocol = 0x1,
    /// We failed.
    Internal = 0x2,
    /// More was sent than the windows allow.
    FlowControl = 0x3,
    /// A frame for a stream that its sender had ended.
    StreamClosed = 0x5,
    /// A frame of an impossible length.
    FrameSize = 0x6,
    /// Not processed at all: safe to try again.
    RefusedStream = 0x7,
    /// No longer wanted.
    Cancel = 0x8,
    /// The header tables are out of step.
    Compression = 0x9,
    /// The peer asks for more work than it may.
    EnhanceYourCalm = 0xb,
}

/// Why an HTTP/2 connection ends. The GOAWAY that tells the peer is already pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum H2Error {
    /// RFC 9113 is broken.
    #[error("HTTP/2 protocol error: {0}")]
    Protocol(&'static str),
    /// A window is overrun or overflows.
    #[error("HTTP/2 flow control error: {0}")]
    FlowControl(&'static str),
    /// A frame with a length that its type does not allow.
    #[error("HTTP/2 frame size error: {0}")]
    FrameSize(&'static str),
    /// A header block that cannot be decoded.
    #[error("HTTP/2 compression error: {0}")]
    Compression(HpackError),
    /// A budget is spent; which one is said by name.
    #[error("HTTP/2 peer should calm down: too much {0}")]
    Calm(&'static str),
}

impl H2Error {
    /// The code for GOAWAY.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Protocol(_) => Code::Protocol,
            Self::FlowControl(_) => Code::FlowControl,
            Self::FrameSize(_) => Code::FrameSize,
            Self::Compression(_) => Code::Compression,
            Self::Calm(_) => Code::EnhanceYourCalm,
        }
    }
}

impl From<HpackError> for H2Error {
    fn from(error: HpackError) -> Self {
        match error {
            HpackError::TooLarge => Self::Calm("header list"),
            error => Self::Compression(error),
        }
    }
}
