//! What a HELLO and this server have agreed on (CCP-1, Feature Flags and Capability Negotiation; decisions § 5): echoed in
//! AUTH, and used from then on.

/// Capabilities that this server serves; `noise` and `zstd` mean nothing to it.
pub const CAPABILITIES: &[&str] = &["noise", "zstd", ACK_RANGE];

/// Acknowledgements of consecutive sequences travel together (decisions § 3).
const ACK_RANGE: &str = "ack-range";

/// The capabilities of one session that change what the server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The client takes acknowledgements in ranges.
    pub(crate) ack_range: bool,
}

impl Agreed {
    /// What is meant by the names that were echoed.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self {
            ack_range: names.contains(&ACK_RANGE),
        }
    }
}
