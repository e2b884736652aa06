//! Who is there (CCP-1, Presence Metadata; decisions § 7). Nothing of it outlives the store's process or Redis, and
//! nothing waits for a disk.

use commucat_proto::DeviceId;

use super::{Profile, Wall};

/// What is known of one device until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceEntry {
    /// Whose presence it is: `entity`.
    pub device: DeviceId,
    /// `online`, `offline`, or the client's own word, at most 256 bytes.
    pub state: String,
    /// It is as if never said from then on.
    pub expires_at: Wall,
    /// Whose device it is.
    pub user: Profile,
}

/// What may be asked about presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceRequest {
    /// Replaces what was known of these devices. `Done`; `Displaced` where there was no room for so many.
    Set(Vec<PresenceEntry>),
    /// `Presence`, without those that nothing is known of.
    Get {
        /// Whose.
        devices: Vec<DeviceId>,
        /// Entries that have expired by now are not given.
        now: Wall,
    },
}
