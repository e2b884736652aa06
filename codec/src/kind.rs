//! The nineteen frame types and what each class of them may do.

/// The first byte of a frame (CCP-1, Frame Types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// Starts the handshake.
    Hello = 0x01,
    /// Carries it on.
    Auth = 0x02,
    /// Declares to whom the sender's frames on a channel go.
    Join = 0x03,
    /// Drops the sender's route.
    Leave = 0x04,
    /// Ciphertext, delivered end to end.
    Msg = 0x05,
    /// Acknowledges sequences.
    Ack = 0x06,
    /// A hint, routed like `Msg`, never stored.
    Typing = 0x07,
    /// Availability and addresses.
    Presence = 0x08,
    /// Ciphertext with new keys.
    KeyUpdate = 0x09,
    /// Describes a new group.
    GroupCreate = 0x0a,
    /// Adds a member to a group.
    GroupInvite = 0x0b,
    /// Fans out to a group.
    GroupEvent = 0x0c,
    /// Ends the stream with a reason.
    Error = 0x0d,
    /// Proposes a call.
    CallOffer = 0x0e,
    /// Accepts or declines it.
    CallAnswer = 0x0f,
    /// Ends it.
    CallEnd = 0x10,
    /// One Opus packet, encrypted.
    VoiceFrame = 0x11,
    /// One VP8 frame or fragment, encrypted.
    VideoFrame = 0x12,
    /// Media quality telemetry.
    CallStats = 0x13,
}

// One bit per code, so that a class is a shift and a mask. The shapes are CCP-1, Frame Types and decisions § 2.
const OPAQUE: u32 = bit(FrameType::Msg) | bit(FrameType::KeyUpdate) | bit(FrameType::GroupEvent) | MEDIA;
const MEDIA: u32 = bit(FrameType::Typing) | bit(FrameType::VoiceFrame) | bit(FrameType::VideoFrame);
const STORABLE: u32 =
    OPAQUE & !MEDIA | bit(FrameType::CallOffer) | bit(FrameType::CallAnswer) | bit(FrameType::CallEnd);

const fn bit(kind: FrameType) -> u32 {
    1 << kind as u8
}

impl FrameType {
    /// All of them, in the order of their codes: code `n` stands at `n - 1`.
    pub const ALL: [Self; 19] = [
        Self::Hello,
        Self::Auth,
        Self::Join,
        Self::Leave,
        Self::Msg,
        Self::Ack,
        Self::Typing,
        Self::Presence,
        Self::KeyUpdate,
        Self::GroupCreate,
        Self::GroupInvite,
        Self::GroupEvent,
        Self::Error,
        Self::CallOffer,
        Self::CallAnswer,
        Self::CallEnd,
        Self::VoiceFrame,
        Self::VideoFrame,
        Self::CallStats,
    ];

    /// The type with this code.
    #[inline]
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "compared with the length, and get is not const")]
    pub const fn from_code(code: u8) -> Option<Self> {
        let index = code.wrapping_sub(1) as usize;
        if index < Self::ALL.len() {
            Some(Self::ALL[index])
        } else {
            None
        }
    }

    /// Its code on the wire.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether the payload is a JSON document that the relay may read.
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        !self.is_opaque()
    }

    /// Whether the payload is the clients' own and never parsed.
    #[inline]
    #[must_use]
    pub const fn is_opaque(self) -> bool {
        OPAQUE & bit(self) != 0
    }

    /// Whether the frame is worth something only now: dropped for a slow recipient, never stored.
    #[inline]
    #[must_use]
    pub const fn is_media(self) -> bool {
        MEDIA & bit(self) != 0
    }

    /// Whether the frame waits in the inbox of an absent recipient: CALL_OFFER, CALL_ANSWER and CALL_END until the offer
    /// expires, the others for `relay_ttl` (decisions § 7, § 8).
    #[inline]
    #[must_use]
    pub const fn is_storable(self) -> bool {
        STORABLE & bit(self) != 0
    }

    /// The specification's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Auth => "AUTH",
            Self::Join => "JOIN",
            Self::Leave => "LEAVE",
            Self::Msg => "MSG",
            Self::Ack => "ACK",
            Self::Typing => "TYPING",
            Self::Presence => "PRESENCE",
            Self::KeyUpdate => "KEY_UPDATE",
            Self::GroupCreate => "GROUP_CREATE",
            Self::GroupInvite => "GROUP_INVITE",
            Self::GroupEvent => "GROUP_EVENT",
            Self::Error => "ERROR",
            Self::CallOffer => "CALL_OFFER",
            Self::CallAnswer => "CALL_ANSWER",
            Self::CallEnd => "CALL_END",
            Self::VoiceFrame => "VOICE_FRAME",
            Self::VideoFrame => "VIDEO_FRAME",
            Self::CallStats => "CALL_STATS",
        }
    }
}

impl std::fmt::Display for FrameType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
