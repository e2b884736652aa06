//! What the store is told of who is there (CCP-1, Presence Metadata; decisions § 7). The home of a device tells it, since
//! it alone knows in which order sessions come and go.
//!
//! Invariant: while a device is attached its entry is said again before `presence_ttl` is over; when it is away, the last
//! word was `offline`. An entry that the store did not take is said again with the next round or, of a device that has
//! gone, expires.

use std::sync::Arc;
use std::time::Duration;

use commucat_proto::control::{Text, UserProfile};
use commucat_storage::api::{PresenceEntry, PresenceRequest, Profile, Request, Wall};

use super::{Home, Seat};
use crate::Shard;
use crate::mesh::message::{DeviceKey, TunnelId};
use crate::presence::{OFFLINE, ONLINE};
use crate::store_desk::Waiting;
use crate::timer::Owner;

/// Each round is made in so many parts, so that no turn walks more than its share of a full shard's entries.
const SLICES: u32 = 16;
/// Rounds in one `presence_ttl`.
const ROUNDS: u32 = 2;
/// Entries of one request.
const ENTRIES: usize = 128;

/// A device's entry, apart from what the home knows anyway.
#[derive(Debug)]
pub(super) struct Published {
    user: Arc<UserProfile>,
    /// The client's own word; `online` until it has one.
    state: Option<Text>,
}

impl Published {
    pub(super) const fn of(user: Arc<UserProfile>) -> Self {
        Self { user, state: None }
    }
}

/// The rounds of a shard.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    armed: bool,
    slice: u32,
}

impl Shard {
    /// A session has become the one, or the device is away.
    pub(super) fn publish(&mut self, key: DeviceKey) {
        let entry = self.homes.map.get(&key).and_then(|home| self.entry(home));
        if let Some(entry) = entry {
            self.tell_store(vec![entry]);
        }
        if self.homes.map.get(&key).is_some_and(|home| home.at().is_some()) {
            self.arm_rounds();
        }
    }

    /// The client's own word, if its session is the one.
    pub(crate) fn home_said(&mut self, key: DeviceKey, tunnel: TunnelId, state: &Text) {
        let Some(home) = self.homes.map.get_mut(&key) else {
            return;
        };
        if !matches!(home.seat, Seat::Taken { by, .. } if by.tunnel == tunnel) {
            return;
        }
        if let Some(published) = &mut home.published {
            published.state = Some(state.clone());
        }
        self.publish(key);
    }

    /// The next part of a round is due.
    pub(crate) fn presence_round(&mut self) {
        self.homes.rounds.armed = false;
        let slice = self.homes.rounds.slice;
        self.homes.rounds.slice = (slice + 1) % SLICES;
        let attached = self.homes.map.iter().filter(|(_, home)| home.at().is_some());
        let (mut due, mut any) = (Vec::new(), false);
        for (key, _) in attached {
            any = true;
            if key.0 % u128::from(SLICES) == u128::from(slice) {
                due.push(*key);
            }
        }
        due.sort_unstable();
        for keys in due.chunks(ENTRIES) {
            let entries = keys
                .iter()
                .filter_map(|key| self.entry(self.homes.map.get(key)?))
                .collect();
            self.tell_store(entries);
        }
        if any {
            self.arm_rounds();
        }
    }

    fn arm_rounds(&mut self) {
        if !self.homes.rounds.armed && !self.draining {
            self.homes.rounds.armed = true;
            let pause = self.config.limits.presence_ttl / (ROUNDS * SLICES);
            self.timers
                .arm(self.at.now + pause.max(Duration::from_millis(1)), Owner::Presence);
        }
    }

    fn entry(&self, home: &Home) -> Option<PresenceEntry> {
        let published = home.published.as_ref()?;
        let state = match (home.at(), &published.state) {
            (None, _) => OFFLINE,
            (Some(_), Some(state)) => state.as_str(),
            (Some(_), None) => ONLINE,
        };
        let ttl = u64::try_from(self.config.limits.presence_ttl.as_millis()).unwrap_or(u64::MAX);
        Some(PresenceEntry {
            device: home.device.clone(),
            state: state.to_owned(),
            expires_at: Wall(self.at.wall.0.saturating_add(ttl)),
            user: profile(&published.user),
        })
    }

    fn tell_store(&mut self, entries: Vec<PresenceEntry>) {
        self.ask_store(Request::Presence(PresenceRequest::Set(entries)), Waiting::Presence);
    }
}

fn profile(user: &UserProfile) -> Profile {
    let text = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
    Profile {
        id: user.id.clone(),
        handle: user.handle.clone(),
        display_name: text(&user.display_name),
        avatar_url: text(&user.avatar_url),
    }
}
