//! What a HELLO and this server have agreed on (CCP-1, Feature Flags and Capability Negotiation; decisions § 5): echoed in
//! AUTH, and used from then on.

/// Capabilities that this server serves; `noise` and `zstd` mean nothing to it.
pub const CAPABILITIES: &[&str] = &["noise", "zstd", ACK_RANGE, DELIVERY_ACK, NOISE_TRANSPORT];

/// Acknowledgements of consecutive sequences travel together (decisions § 3).
const ACK_RANGE: &str = "ack-range";

/// The client says what has arrived; what it has not said so of is kept for it (decisions § 3).
const DELIVERY_ACK: &str = "delivery-ack";

/// Everything after the handshake travels in Noise messages (decisions § 5).
const NOISE_TRANSPORT: &str = "noise-transport";

/// The capabilities of one session that change what the server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Acknowledgements go in ranges, both ways.
    pub(crate) ack_range: bool,
    /// The client acknowledges what it receives.
    pub(crate) delivery_ack: bool,
    /// Frames travel in Noise messages from step 3 on.
    pub(crate) noise_transport: bool,
}

impl Agreed {
    /// What is meant by the names that were echoed.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self {
            ack_range: names.contains(&ACK_RANGE),
            delivery_ack: names.contains(&DELIVERY_ACK),
            noise_transport: names.contains(&NOISE_TRANSPORT),
        }
    }
}
