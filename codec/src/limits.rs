//! Every limit of the wire, in one place. Configuration may lower the frame limits, never raise them.

/// The longest varint: 64 bits in groups of seven need ten bytes (CCP-1, Varint Encoding).
pub const MAX_VARINT_LEN: usize = 10;

/// The largest `frame_len` (CCP-1, Limits): 16 MiB.
pub const MAX_FRAME_LEN: usize = 16 << 20;

/// The largest JSON control payload (CCP-1, Limits): 256 KiB.
pub const MAX_CONTROL_PAYLOAD: usize = 256 << 10;

/// The largest payload that fits a legal frame whatever its channel and sequence. A relay renumbers frames, so a
/// payload above this may be legal as it came and illegal as it would leave.
pub const MAX_RELAYED_PAYLOAD: usize = MAX_FRAME_LEN - 1 - MAX_U32_VARINT_LEN - MAX_U32_VARINT_LEN - 4;

/// The longest minimal varint of a 32-bit number.
pub const MAX_U32_VARINT_LEN: usize = 5;

/// How deep a control payload may nest. The specification's own shapes need four levels, and skipping an unknown
/// member takes stack for each.
pub const MAX_JSON_DEPTH: usize = 32;

/// A device id is 1 to this many visible ASCII characters, an `@domain` part included (decisions § 4).
pub const MAX_DEVICE_ID: usize = 128;

/// A handle is 1 to this many characters (decisions § 4).
pub const MAX_HANDLE: usize = 64;

/// Every other text member of a control payload holds at most this many bytes (decisions § 4).
pub const MAX_TEXT: usize = 256;

/// Hex of a Noise message: the largest one is 65,535 bytes (Noise specification, § 3).
pub const MAX_HANDSHAKE_HEX: usize = 2 * 65_535;

// A frame length that is legal must fit the four bytes that `MAX_RELAYED_PAYLOAD` reserves for the payload's length.
const _: () = assert!(MAX_FRAME_LEN < 1 << 28);
// A whole handshake message must fit the control payload that carries it.
const _: () = assert!(MAX_HANDSHAKE_HEX < MAX_CONTROL_PAYLOAD);
const _: () = assert!(MAX_CONTROL_PAYLOAD < MAX_RELAYED_PAYLOAD);

/// What a parser enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Largest `frame_len`.
    pub frame_len: usize,
    /// Largest payload of a JSON control frame.
    pub control_payload: usize,
}

impl FrameLimits {
    /// The specification's own limits.
    pub const SPECIFIED: Self = Self {
        frame_len: MAX_FRAME_LEN,
        control_payload: MAX_CONTROL_PAYLOAD,
    };
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self::SPECIFIED
    }
}
