//! Every `title` an ERROR frame can carry, with the `status` that goes with it.

/// Titles are what clients match on: exact to the letter, never reworded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Title {
    // CCP-1, Codec Diagnostics; decisions § 2.
    /// Unknown frame type.
    InvalidFrameType,
    /// No common protocol version.
    ProtocolVersionMismatch,
    /// Control JSON that cannot be understood.
    InvalidControlPayload,
    /// `frame_len` above its limit.
    FrameTooLarge,
    /// `payload_len` above the frame limit.
    PayloadTooLarge,
    /// Control payload above its limit.
    ControlPayloadTooLarge,
    /// A channel or sequence that is no 32-bit number.
    IdentifierOutOfRange,
    /// The device needs a pairing code.
    PairingRequired,
    /// A varint that is no 64-bit number.
    VarintOverflow,
    /// Fields that overrun their frame.
    TruncatedFrame,
    /// Bytes left over inside a frame.
    FrameLengthMismatch,
    // CCP-1, Error Frames and Adaptive Protocol Polymorphism.
    /// No session came of it.
    HandshakeFailed,
    /// An obfuscated packet whose MAC fails.
    IntegrityCheckFailed,
    // decisions § 3 to § 7.
    /// Sequence numbers have run out.
    SequenceExhausted,
    /// `user.id` names nobody.
    UnknownUser,
    /// The handle belongs to somebody else.
    HandleTaken,
    /// A later connection of the same device took over.
    SessionReplaced,
    /// The device was revoked while connected.
    DeviceRevoked,
    /// A frame on a channel without a route.
    NotJoined,
    /// The group does not list the sender.
    NotAMember,
    /// The sender's role in the group is too low.
    NotAllowed,
    /// The call does not list the sender.
    NotAParticipant,
    /// A direct channel with too many members.
    RosterTooLarge,
    /// A group with too many members.
    GroupTooLarge,
    /// A device that owns too many groups.
    TooManyGroups,
    /// A connection with too many channels.
    TooManyChannels,
    /// A connection, or a server, with too many calls.
    TooManyCalls,
    /// A frame type that has no place at this moment.
    UnexpectedFrame,
    /// A frame that did not arrive whole in time.
    FrameTimeout,
    /// The server cannot serve this now.
    ServiceUnavailable,
}

impl Title {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::InvalidFrameType,
        Self::ProtocolVersionMismatch,
        Self::InvalidControlPayload,
        Self::FrameTooLarge,
        Self::PayloadTooLarge,
        Self::ControlPayloadTooLarge,
        Self::IdentifierOutOfRange,
        Self::PairingRequired,
        Self::VarintOverflow,
        Self::TruncatedFrame,
        Self::FrameLengthMismatch,
        Self::HandshakeFailed,
        Self::IntegrityCheckFailed,
        Self::SequenceExhausted,
        Self::UnknownUser,
        Self::HandleTaken,
        Self::SessionReplaced,
        Self::DeviceRevoked,
        Self::NotJoined,
        Self::NotAMember,
        Self::NotAllowed,
        Self::NotAParticipant,
        Self::RosterTooLarge,
        Self::GroupTooLarge,
        Self::TooManyGroups,
        Self::TooManyChannels,
        Self::TooManyCalls,
        Self::UnexpectedFrame,
        Self::FrameTimeout,
        Self::ServiceUnavailable,
    ];

    /// The wire's words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The `status` member that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().1
    }

    const fn row(self) -> (&'static str, u16) {
        match self {
            Self::InvalidFrameType => ("Invalid Frame Type", 400),
            Self::ProtocolVersionMismatch => ("Protocol Version Mismatch", 409),
            Self::InvalidControlPayload => ("Invalid Control Payload", 400),
            Self::FrameTooLarge => ("Frame Too Large", 413),
            Self::PayloadTooLarge => ("Payload Too Large", 413),
            Self::ControlPayloadTooLarge => ("Control Payload Too Large", 413),
            Self::IdentifierOutOfRange => ("Identifier Out Of Range", 400),
            Self::PairingRequired => ("PairingRequired", 403),
            Self::VarintOverflow => ("Varint Overflow", 400),
            Self::TruncatedFrame => ("Truncated Frame", 400),
            Self::FrameLengthMismatch => ("Frame Length Mismatch", 400),
            Self::HandshakeFailed => ("Handshake Failed", 403),
            Self::IntegrityCheckFailed => ("IntegrityCheckFailed", 400),
            Self::SequenceExhausted => ("Sequence Exhausted", 409),
            Self::UnknownUser => ("Unknown User", 404),
            Self::HandleTaken => ("Handle Taken", 409),
            Self::SessionReplaced => ("Session Replaced", 409),
            Self::DeviceRevoked => ("Device Revoked", 403),
            Self::NotJoined => ("Not Joined", 403),
            Self::NotAMember => ("Not A Member", 403),
            Self::NotAllowed => ("Not Allowed", 403),
            Self::NotAParticipant => ("Not A Participant", 403),
            Self::RosterTooLarge => ("Roster Too Large", 413),
            Self::GroupTooLarge => ("Group Too Large", 413),
            Self::TooManyGroups => ("Too Many Groups", 429),
            Self::TooManyChannels => ("Too Many Channels", 429),
            Self::TooManyCalls => ("Too Many Calls", 429),
            Self::UnexpectedFrame => ("Unexpected Frame", 400),
            Self::FrameTimeout => ("Frame Timeout", 408),
            Self::ServiceUnavailable => ("Service Unavailable", 503),
        }
    }
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
