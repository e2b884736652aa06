//! The home of a group: the one shard that reads and changes its roster, and decides who may do what.
//!
//! Invariants: it does one thing for a group at a time, in the order in which it was asked. What a subscriber knows is the
//! roster kept here, but for the members of a `Grown` that it has not answered; the next thing waits for the answers. So
//! whoever is told that an invite holds may rely on every shard.

use std::collections::VecDeque;
use std::sync::Arc;

use commucat_proto::control::Role;
use commucat_proto::{DeviceId, GroupId};
use commucat_storage::api::{GroupRequest, GroupRoster, Invitation, Invited, Reply, Request, StoreError};

use crate::Shard;
use crate::keys::{GroupMap, group_key};
use crate::mesh::group::{Ask, Denial, GroupMessage};
use crate::mesh::message::{GroupKey, ShardId, TunnelId};
use crate::store_desk::Waiting;

/// A session somewhere that waits for an answer. There is one at a time per session, which bounds the queue.
#[derive(Debug)]
struct Asked {
    from: ShardId,
    tunnel: TunnelId,
    by: DeviceId,
    ask: Ask,
}

/// What a home is waiting for.
#[derive(Debug, Default)]
enum Work {
    #[default]
    Nothing,
    /// The store's roster; the front of the queue wants it.
    Load,
    /// The store, to create the group.
    Create(Asked),
    /// The store, to take one more member.
    Invite(Asked),
    /// The subscribers' answers to `Grown`, one bit per shard; then whoever has invited is told.
    Spread { waiting: u128, then: Option<Asked> },
}

#[derive(Debug)]
struct GroupHome {
    group: GroupId,
    /// None before the store has answered.
    roster: Option<Arc<GroupRoster>>,
    /// The store may know more: it has failed in the middle of a change, or said something that does not fit.
    stale: bool,
    /// Shards on which the group is open, one bit each.
    subscribers: u128,
    work: Work,
    queue: VecDeque<Asked>,
}

/// The groups at home on a shard that somebody is interested in.
#[derive(Debug, Default)]
pub(crate) struct GroupHomes(GroupMap<GroupHome>);

impl GroupHomes {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a roster says to something asked of it.
enum Verdict {
    /// It is so.
    Good,
    /// It may not be.
    Denied(Denial),
    /// The store decides.
    Store(GroupRequest),
}

impl Shard {
    pub(super) fn group_asked(&mut self, from: ShardId, group: &GroupId, tunnel: TunnelId, by: &DeviceId, ask: &Ask) {
        let key = group_key(&self.config.hash_key, group);
        let home = self.group_homes.0.entry(key).or_insert_with(|| GroupHome {
            group: group.clone(),
            roster: None,
            stale: false,
            subscribers: 0,
            work: Work::Nothing,
            queue: VecDeque::new(),
        });
        home.queue.push_back(Asked {
            from,
            tunnel,
            by: by.clone(),
            ask: ask.clone(),
        });
        self.group_goes_on(key);
    }

    /// Does what was asked, up to the first thing that has to wait; forgets the group when nobody needs it.
    fn group_goes_on(&mut self, key: GroupKey) {
        let (limit, at) = (self.config.limits.group_roster, self.at.wall);
        loop {
            let Some(home) = self.group_homes.0.get_mut(&key) else {
                return;
            };
            if !matches!(home.work, Work::Nothing) {
                return;
            }
            let Some(asked) = home.queue.pop_front() else {
                if home.subscribers == 0 {
                    self.group_homes.0.remove(&key);
                }
                return;
            };
            let verdict = match &home.roster {
                Some(roster) if !home.stale => Some(judge(roster, &home.group, &asked, limit, at)),
                // A roster never loses anybody.
                Some(roster) if asked.is_join_of(roster) => Some(Verdict::Good),
                _ => asked
                    .creates(&home.group, self.config.limits.owner_groups, at)
                    .map(Verdict::Store),
            };
            match verdict {
                Some(Verdict::Good) => self.group_answer(key, &asked, Ok(())),
                Some(Verdict::Denied(denial)) => self.group_answer(key, &asked, Err(denial)),
                Some(Verdict::Store(request)) => {
                    home.work = match asked.ask {
                        Ask::Invite { .. } => Work::Invite(asked),
                        Ask::Create(_) | Ask::Join => Work::Create(asked),
                    };
                    self.ask_store(Request::Group(request), Waiting::Group(key));
                }
                None => {
                    home.queue.push_front(asked);
                    home.work = Work::Load;
                    let group = home.group.clone();
                    self.ask_store(Request::Group(GroupRequest::Load { group }), Waiting::Group(key));
                }
            }
        }
    }

    /// The store has answered what the home waits for.
    pub(crate) fn group_stored(&mut self, key: GroupKey, outcome: Result<Reply, StoreError>) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        match std::mem::take(&mut home.work) {
            Work::Load => self.group_loaded(key, outcome),
            Work::Create(asked) => self.group_created(key, asked, outcome),
            Work::Invite(asked) => self.group_invited(key, asked, outcome),
            work @ (Work::Nothing | Work::Spread { .. }) => {
                home.work = work;
                return;
            }
        }
        self.group_goes_on(key);
    }

    fn group_loaded(&mut self, key: GroupKey, outcome: Result<Reply, StoreError>) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        let denial = match outcome {
            Ok(Reply::Roster(roster)) => {
                self.group_known(key, roster, None);
                return;
            }
            Err(StoreError::UnknownGroup) => Denial::NotAMember,
            outcome => failed(&outcome),
        };
        if let Some(asked) = home.queue.pop_front() {
            let denial = match (&asked.ask, denial) {
                (Ask::Invite { .. }, Denial::NotAMember) => Denial::NotAllowed,
                _ => denial,
            };
            self.group_answer(key, &asked, Err(denial));
        }
    }

    fn group_created(&mut self, key: GroupKey, asked: Asked, outcome: Result<Reply, StoreError>) {
        match outcome {
            Ok(Reply::Roster(roster)) => self.group_known(key, roster, Some(asked)),
            Err(StoreError::NotAllowed) => self.group_answer(key, &asked, Err(Denial::NotAllowed)),
            Err(StoreError::TooManyGroups) => {
                self.counters.groups_over += 1;
                self.group_answer(key, &asked, Err(Denial::TooMany));
            }
            outcome => self.group_answer(key, &asked, Err(failed(&outcome))),
        }
    }

    fn group_invited(&mut self, key: GroupKey, asked: Asked, outcome: Result<Reply, StoreError>) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        let (Ask::Invite { device, .. }, Some(roster)) = (&asked.ask, &mut home.roster) else {
            return;
        };
        let denial = match outcome {
            Ok(Reply::Invited(Invited { role, version })) => {
                let roster = Arc::make_mut(roster);
                home.stale = version > roster.version + 1;
                roster.members.insert(device.clone(), role);
                roster.version = version;
                let fresh = Arc::new([device.clone()]);
                self.group_spread(key, fresh, Some(asked));
                return;
            }
            Err(StoreError::GroupFull) => Denial::Full,
            Err(StoreError::NotAllowed | StoreError::UnknownGroup) => Denial::NotAllowed,
            outcome => failed(&outcome),
        };
        home.stale = true;
        self.group_answer(key, &asked, Err(denial));
    }

    /// The roster as the store has it. Members that are news here are so elsewhere.
    fn group_known(&mut self, key: GroupKey, roster: GroupRoster, then: Option<Asked>) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        let known = home.roster.take();
        let is_new = |device: &&DeviceId| known.as_ref().is_some_and(|it| !it.members.contains_key(*device));
        let fresh: Arc<[DeviceId]> = roster.members.keys().filter(is_new).cloned().collect();
        home.roster = Some(Arc::new(roster));
        home.stale = false;
        self.group_spread(key, fresh, then);
    }

    /// Every shard on which the group is open learns of new members; then whoever has asked is answered.
    fn group_spread(&mut self, key: GroupKey, fresh: Arc<[DeviceId]>, then: Option<Asked>) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        let waiting = if fresh.is_empty() { 0 } else { home.subscribers };
        home.work = Work::Spread { waiting, then };
        let version = home.version();
        for shard in shards_of(waiting) {
            let grown = GroupMessage::Grown {
                group: key,
                version,
                members: Arc::clone(&fresh),
            };
            self.tell_group(shard, grown);
        }
        self.group_spread_on(key, 0);
    }

    /// These shards know.
    fn group_spread_on(&mut self, key: GroupKey, knows: u128) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        let Work::Spread { waiting, then } = &mut home.work else {
            return;
        };
        *waiting &= !knows;
        if *waiting > 0 {
            return;
        }
        let then = then.take();
        home.work = Work::Nothing;
        if let Some(asked) = then {
            self.group_answer(key, &asked, Ok(()));
        }
    }

    pub(super) fn group_has(&mut self, from: ShardId, key: GroupKey, version: u64) {
        if self
            .group_homes
            .0
            .get(&key)
            .is_some_and(|home| home.version() == version)
        {
            self.group_spread_on(key, bit(from));
            self.group_goes_on(key);
        }
    }

    /// The group is open there no more.
    pub(super) fn group_closed(&mut self, from: ShardId, key: GroupKey) {
        if let Some(home) = self.group_homes.0.get_mut(&key) {
            home.subscribers &= !bit(from);
            self.group_spread_on(key, bit(from));
            self.group_goes_on(key);
        }
    }

    /// Answers a session; one that may speak now gets the roster to its shard first.
    fn group_answer(&mut self, key: GroupKey, asked: &Asked, outcome: Result<(), Denial>) {
        let Some(home) = self.group_homes.0.get_mut(&key) else {
            return;
        };
        let opens = outcome.is_ok() && !matches!(asked.ask, Ask::Invite { .. });
        if opens
            && home.subscribers & bit(asked.from) == 0
            && let Some(roster) = home.roster.clone()
        {
            home.subscribers |= bit(asked.from);
            self.tell_group(asked.from, GroupMessage::Open { group: key, roster });
        }
        let answer = GroupMessage::Answer {
            group: key,
            tunnel: asked.tunnel,
            outcome,
        };
        self.tell_group(asked.from, answer);
    }
}

impl GroupHome {
    fn version(&self) -> u64 {
        self.roster.as_ref().map_or(0, |roster| roster.version)
    }
}

impl Asked {
    fn is_join_of(&self, roster: &GroupRoster) -> bool {
        matches!(self.ask, Ask::Join) && roster.members.contains_key(&self.by)
    }

    /// What needs no roster: the store tells whether there is one.
    fn creates(&self, group: &GroupId, limit: u32, at: commucat_storage::api::Wall) -> Option<GroupRequest> {
        match &self.ask {
            Ask::Create(roster) => Some(GroupRequest::Create {
                group: group.clone(),
                roster: GroupRoster::clone(roster),
                limit,
                at,
            }),
            Ask::Join | Ask::Invite { .. } => None,
        }
    }
}

fn judge(
    roster: &GroupRoster,
    group: &GroupId,
    asked: &Asked,
    limit: usize,
    at: commucat_storage::api::Wall,
) -> Verdict {
    let own = roster.members.get(&asked.by);
    match &asked.ask {
        Ask::Join if own.is_some() => Verdict::Good,
        Ask::Join => Verdict::Denied(Denial::NotAMember),
        Ask::Create(_) if roster.owner == asked.by => Verdict::Good,
        Ask::Create(_) => Verdict::Denied(Denial::NotAllowed),
        Ask::Invite { .. } if !own.is_some_and(|role| role.may_invite()) => Verdict::Denied(Denial::NotAllowed),
        Ask::Invite { device, role } => {
            // Only the owner changes the role of a member, and nobody the owner's.
            let changes = |now: &Role| now != role && *now != Role::Owner && own == Some(&Role::Owner);
            match roster.members.get(device) {
                Some(now) if !changes(now) => Verdict::Good,
                None if roster.members.len() >= limit => Verdict::Denied(Denial::Full),
                _ => Verdict::Store(GroupRequest::Invite(Invitation {
                    group: group.clone(),
                    by: asked.by.clone(),
                    device: device.clone(),
                    role: *role,
                    limit,
                    at,
                })),
            }
        }
    }
}

/// The store could not say; and what it has done, nobody knows.
fn failed(outcome: &Result<Reply, StoreError>) -> Denial {
    match outcome {
        Ok(_) => tracing::error!("the store answered something else than a group"),
        Err(error) => tracing::warn!(%error, "a group could not be read or changed"),
    }
    Denial::Unavailable
}

pub(crate) const fn bit(shard: ShardId) -> u128 {
    1 << shard.0
}

pub(crate) fn shards_of(mut bits: u128) -> impl Iterator<Item = ShardId> {
    std::iter::from_fn(move || {
        #[expect(clippy::cast_possible_truncation, reason = "below MAX_SHARDS")]
        let shard = (bits != 0).then(|| ShardId(bits.trailing_zeros() as u16))?;
        bits &= bits - 1;
        Some(shard)
    })
}
