//! Why a WebSocket ends (RFC 6455 § 7.4).

use thiserror::Error;

/// A status code that may stand in a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke a protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// Data of a kind that is not taken.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const INVALID: Self = Self(1007);
    /// Not allowed.
    pub const POLICY: Self = Self(1008);
    /// Larger than what is taken.
    pub const TOO_BIG: Self = Self(1009);
    /// The server failed.
    pub const INTERNAL: Self = Self(1011);
    /// Not now, perhaps later.
    pub const TRY_AGAIN: Self = Self(1013);

    /// A code as a peer may send it: registered ones that are not reserved for use inside an endpoint, and those of
    /// libraries and applications (§ 7.4.2).
    #[must_use]
    pub fn from_wire(code: u16) -> Option<Self> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(Self(code))
    }

    /// The number on the wire.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// What a Close says of a session that ended by an ERROR with this status.
    #[must_use]
    pub fn from_status(status: u16) -> Self {
        match status {
            400 | 408 => Self::PROTOCOL,
            413 => Self::TOO_BIG,
            429 | 503 => Self::TRY_AGAIN,
            500.. => Self::INTERNAL,
            _ => Self::POLICY,
        }
    }
}

/// How a client broke the protocol. After it nothing more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WsError {
    /// RFC 6455 is broken.
    #[error("WebSocket protocol error: {0}")]
    Protocol(&'static str),
    /// Frames travel in binary messages.
    #[error("a text message")]
    Text,
    /// The reason in a Close is not UTF-8 (§ 8.1).
    #[error("a reason that is not UTF-8")]
    NotUtf8,
}

impl WsError {
    /// The code for our Close.
    #[must_use]
    pub fn code(self) -> CloseCode {
        match self {
            Self::Protocol(_) => CloseCode::PROTOCOL,
            Self::Text => CloseCode::UNSUPPORTED,
            Self::NotUtf8 => CloseCode::INVALID,
        }
    }
}
