//! Who is there: in memory, so it ends with the process and no disk is asked (CCP-1, Presence Metadata).
//!
//! Invariant: each entry stands once in `entries` and once in `by_expiry`. Bounded: when it is full, what would expire
//! next is forgotten, as if nobody had said it.

use std::collections::{BTreeSet, HashMap};

use commucat_proto::DeviceId;

use crate::api::{PresenceEntry, PresenceRequest, Reply, Wall};
use crate::limits::UPKEEP_ROWS;

/// What is known.
pub(super) struct Presence {
    entries: HashMap<DeviceId, PresenceEntry>,
    by_expiry: BTreeSet<(Wall, DeviceId)>,
    capacity: usize,
}

impl Presence {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_expiry: BTreeSet::new(),
            capacity,
        }
    }

    pub(super) fn serve(&mut self, request: &PresenceRequest) -> Reply {
        match request {
            PresenceRequest::Set(entries) => match entries.iter().map(|entry| u64::from(self.set(entry))).sum() {
                0 => Reply::Done,
                displaced => Reply::Displaced(displaced),
            },
            PresenceRequest::Get { devices, now } => {
                let known = devices.iter().filter_map(|device| self.entries.get(device));
                Reply::Presence(known.filter(|entry| entry.expires_at > *now).cloned().collect())
            }
        }
    }

    /// Whether another one was forgotten for it.
    fn set(&mut self, entry: &PresenceEntry) -> bool {
        self.forget(&entry.device);
        let full = self.entries.len() >= self.capacity;
        if full && let Some((_, device)) = self.by_expiry.pop_first() {
            self.entries.remove(&device);
        }
        self.by_expiry.insert((entry.expires_at, entry.device.clone()));
        self.entries.insert(entry.device.clone(), entry.clone());
        full
    }

    /// Nothing is known of `device`.
    fn forget(&mut self, device: &DeviceId) {
        if let Some(entry) = self.entries.remove(device) {
            self.by_expiry.remove(&(entry.expires_at, entry.device));
        }
    }

    /// A bounded step of upkeep: takes out what has expired.
    pub(super) fn expire(&mut self, now: Wall) {
        for _ in 0..UPKEEP_ROWS {
            match self.by_expiry.first() {
                Some((expires_at, _)) if *expires_at <= now => {}
                _ => return,
            }
            if let Some((_, device)) = self.by_expiry.pop_first() {
                self.entries.remove(&device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::{Handle, UserId};

    use super::*;
    use crate::api::Profile;

    fn device(name: &str) -> DeviceId {
        DeviceId::parse(name).unwrap()
    }

    fn entry(name: &str, expires_at: u64) -> PresenceEntry {
        PresenceEntry {
            device: device(name),
            state: "online".to_owned(),
            expires_at: Wall(expires_at),
            user: Profile {
                id: UserId::parse(name).unwrap(),
                handle: Handle::parse(name).unwrap(),
                display_name: None,
                avatar_url: None,
            },
        }
    }

    fn known(presence: &mut Presence) -> Vec<String> {
        let devices = ["a", "b", "c", "d"].map(device).to_vec();
        let now = Wall(0);
        match presence.serve(&PresenceRequest::Get { devices, now }) {
            Reply::Presence(entries) => entries.iter().map(|entry| entry.device.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_table_forgets_what_expires_next() {
        let mut presence = Presence::with_capacity(2);
        let three = vec![entry("a", 30), entry("b", 20), entry("c", 25)];
        assert_eq!(presence.serve(&PresenceRequest::Set(three)), Reply::Displaced(1));
        assert_eq!(known(&mut presence), ["a", "c"]);
        let again = presence.serve(&PresenceRequest::Set(vec![entry("c", 40)]));
        assert_eq!(again, Reply::Done);
        assert_eq!(
            known(&mut presence),
            ["a", "c"],
            "a new word for a known device needs no room"
        );
        presence.serve(&PresenceRequest::Set(vec![entry("d", 35)]));
        assert_eq!(known(&mut presence), ["c", "d"]);
    }

    #[test]
    fn upkeep_leaves_no_trace_of_what_expired_or_was_replaced() {
        let mut presence = Presence::with_capacity(9);
        presence.serve(&PresenceRequest::Set(vec![entry("a", 10), entry("b", 20)]));
        presence.serve(&PresenceRequest::Set(vec![entry("a", 30)]));
        presence.expire(Wall(20));
        assert_eq!(known(&mut presence), ["a"]);
        assert_eq!((presence.entries.len(), presence.by_expiry.len()), (1, 1));
        presence.forget(&device("a"));
        assert_eq!((presence.entries.len(), presence.by_expiry.len()), (0, 0));
    }
}
