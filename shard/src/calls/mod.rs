//! The home of a call: the one shard that knows who takes part, who has answered, and whether it is over (CCP-1, Call
//! Signaling and Media Transport; decisions § 7). Chosen by a keyed hash of `call_id`.
//!
//! ```text
//! CALL_OFFER, CALL_ANSWER, CALL_END ─Ask─► home ─Say─► the session relays the frame along a route of its own
//!          the end of a session ────Leave─► home ─Left─► its shard says CALL_END for it
//!                                            └─Over, Without─► the sessions of the other participants
//! ```
//!
//! Invariants:
//! - Participants are `from` and `to` of the first offer, and only become fewer: who declines, or lets the offer expire
//!   while others talk, is out. A later offer of the same caller is relayed and changes nobody; one of anybody else is
//!   refused in the words in which an unknown call is.
//! - A call ends once. CALL_END, the end of the connection of somebody who is in it, the last decline and the expiry of
//!   an unanswered offer all pass here, one after the other; only the first two are heard by the rest, and only the
//!   first of them: so each participant that stays hears one end.
//! - What crosses the end on the wire is no offence: for `call_linger` the home remembers whose call it was, and
//!   answers their frames with `Quiet`. An answer to an offer that has expired is refused all the same, and a CALL_END
//!   then is still relayed: callers cancel at that very moment.
//! - A session that is replaced by a later one of its device ends its calls like any other that ends.
//! - Of every call `ringing` or `lingering` has one entry at most, and `lingering` has one of exactly those that are
//!   over: nothing here outlives its time. At most `calls` are open, and as many linger.

mod home;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use commucat_proto::{CallId, DeviceId};
use commucat_storage::api::Wall;

use crate::clock::Now;
use crate::keys::KeyHasher;
use crate::mesh::call::{Ask, CallKey, CallMessage, Verdict};
use crate::mesh::message::{DeviceKey, ShardId, TunnelId};

type CallMap<T> = HashMap<CallKey, T, BuildHasherDefault<KeyHasher>>;

/// A session, as other shards name it.
type Seat = (ShardId, TunnelId);

/// What the home has to tell others.
type Notices = Vec<(ShardId, CallMessage)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Caller,
    /// Called, and has not answered.
    Ringing,
    /// Has accepted.
    In,
    /// Has declined, or did not answer in time.
    Out,
}

#[derive(Debug)]
struct Participant {
    device: DeviceId,
    key: DeviceKey,
    part: Part,
    /// Its session, once that has said something of the call.
    seat: Option<Seat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nobody answered in time; the end may still be said.
    Expired(Now),
    /// Ended. Remembered until then.
    Over(Now),
}

#[derive(Debug)]
struct Call {
    people: Vec<Participant>,
    /// When the offer expires, for stored frames.
    until: Wall,
    /// The same, for the timer.
    due: Now,
    phase: Phase,
}

/// Who asks, and when.
struct Asker<'a> {
    device: &'a DeviceId,
    key: DeviceKey,
    seat: Seat,
    /// When an offer made now would expire.
    due: Now,
    linger_until: Now,
}

/// The calls at home on this shard.
#[derive(Debug)]
pub(crate) struct Calls {
    map: CallMap<Call>,
    /// Calls that somebody has not answered, by their expiry.
    ringing: BTreeSet<(Now, CallKey)>,
    /// Calls that are over, by when they are forgotten.
    lingering: BTreeSet<(Now, CallKey)>,
    /// When the timer looks here next.
    armed: Option<Now>,
    /// Most that may be open.
    most: usize,
}

impl Calls {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            map: HashMap::default(),
            ringing: BTreeSet::new(),
            lingering: BTreeSet::new(),
            armed: None,
            most,
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.map.len() - self.lingering.len()
    }

    pub(crate) fn lingering(&self) -> usize {
        self.lingering.len()
    }

    fn next(&self) -> Option<Now> {
        let first = |set: &BTreeSet<(Now, CallKey)>| set.first().map(|(at, _)| *at);
        [first(&self.ringing), first(&self.lingering)]
            .into_iter()
            .flatten()
            .min()
    }

    fn ask(
        &mut self,
        key: CallKey,
        asker: &Asker<'_>,
        ask: &Ask,
        people: impl FnOnce() -> Vec<Participant>,
        notices: &mut Notices,
    ) -> Verdict {
        if let Ask::Offer { until, .. } = ask {
            return self.offer(key, asker, *until, people);
        }
        let Some(call) = self.map.get_mut(&key) else {
            return Verdict::Stranger;
        };
        let Some(at) = call.people.iter().position(|one| one.key == asker.key) else {
            return Verdict::Stranger;
        };
        match (call.phase, call.people[at].part, ask) {
            (Phase::Expired(_), Part::Ringing | Part::Out, Ask::Accept) | (Phase::Open, Part::Out, Ask::Accept) => {
                Verdict::Stranger
            }
            (Phase::Expired(_), part, Ask::End) if part != Part::Out => {
                let verdict = call.go(asker.key, true);
                self.close(key, Phase::Over(asker.linger_until), Some(asker.seat), notices);
                verdict
            }
            (Phase::Over(_) | Phase::Expired(_), ..) | (Phase::Open, Part::Out, _) => Verdict::Quiet,
            (Phase::Open, part, _) => {
                let last = match ask {
                    Ask::End => true,
                    Ask::Decline => part != Part::Caller && !call.is_called_without(at),
                    _ => false,
                };
                let verdict = call.go(asker.key, last);
                call.people[at].seat = Some(asker.seat);
                match ask {
                    Ask::End => self.close(key, Phase::Over(asker.linger_until), Some(asker.seat), notices),
                    Ask::Decline if part != Part::Caller => self.out(key, at, asker.linger_until, notices),
                    Ask::Accept if part == Part::Ringing => {
                        call.people[at].part = Part::In;
                        self.settle_ringing(key);
                    }
                    _ => {}
                }
                verdict
            }
        }
    }

    fn offer(
        &mut self,
        key: CallKey,
        asker: &Asker<'_>,
        until: Wall,
        people: impl FnOnce() -> Vec<Participant>,
    ) -> Verdict {
        if let Some(call) = self.map.get_mut(&key) {
            let caller = call.people.iter_mut().find(|one| one.part == Part::Caller);
            let Some(caller) = caller.filter(|caller| caller.key == asker.key) else {
                return Verdict::Stranger;
            };
            if call.phase == Phase::Open {
                caller.seat = Some(asker.seat);
                return call.go(asker.key, false);
            }
            self.forget(key);
        }
        if self.open() >= self.most {
            return Verdict::Full;
        }
        if self.lingering.len() >= self.most
            && let Some((_, oldest)) = self.lingering.first().copied()
        {
            self.forget(oldest);
        }
        let call = Call {
            people: people(),
            until,
            due: asker.due,
            phase: Phase::Open,
        };
        let verdict = call.go(asker.key, false);
        self.ringing.insert((call.due, key));
        self.map.insert(key, call);
        verdict
    }

    /// One of the called takes no part any more; without any of them the call is over.
    fn out(&mut self, key: CallKey, at: usize, linger_until: Now, notices: &mut Notices) {
        let Some(call) = self.map.get_mut(&key) else { return };
        call.people[at].part = Part::Out;
        call.people[at].seat = None;
        if !call.is_called_without(at) {
            self.close(key, Phase::Over(linger_until), None, notices);
            return;
        }
        let gone: Arc<[DeviceKey]> = Arc::from([call.people[at].key]);
        call.tell(None, notices, |tunnel| CallMessage::Without {
            call: key,
            tunnel,
            gone: Arc::clone(&gone),
        });
        self.settle_ringing(key);
    }

    /// A call that nobody has still to answer has no deadline.
    fn settle_ringing(&mut self, key: CallKey) {
        if let Some(call) = self.map.get(&key)
            && !call.has(Part::Ringing)
        {
            self.ringing.remove(&(call.due, key));
        }
    }

    /// It is over: the sessions of the participants are told, but for the one that knows.
    fn close(&mut self, key: CallKey, phase: Phase, but: Option<Seat>, notices: &mut Notices) {
        let Some(call) = self.map.get_mut(&key) else { return };
        self.ringing.remove(&(call.due, key));
        if let Phase::Expired(until) | Phase::Over(until) = std::mem::replace(&mut call.phase, phase) {
            self.lingering.remove(&(until, key));
        }
        if let Phase::Expired(until) | Phase::Over(until) = phase {
            self.lingering.insert((until, key));
        }
        call.tell(but, notices, |tunnel| CallMessage::Over { call: key, tunnel });
        call.people.iter_mut().for_each(|one| one.seat = None);
    }

    /// The session of a participant has ended. Gives who must hear of it, and until when it is kept for them.
    fn leave(
        &mut self,
        key: CallKey,
        by: DeviceKey,
        seat: Seat,
        linger_until: Now,
        notices: &mut Notices,
    ) -> (Arc<[DeviceId]>, Wall) {
        let nobody = (Arc::from([]), Wall::default());
        let Some(call) = self.map.get_mut(&key) else {
            return nobody;
        };
        let Some(one) = call
            .people
            .iter_mut()
            .find(|one| one.key == by && one.seat == Some(seat))
        else {
            return nobody;
        };
        one.seat = None;
        let part = one.part;
        if call.phase != Phase::Open || !matches!(part, Part::Caller | Part::In) {
            return nobody;
        }
        let rest = (call.others(by), call.until);
        self.close(key, Phase::Over(linger_until), Some(seat), notices);
        rest
    }

    /// What is due by now: offers expire, ended calls are forgotten.
    fn expire(&mut self, now: Now, linger_until: Now, notices: &mut Notices) -> u64 {
        let mut expired = 0;
        while let Some((_, key)) = self.ringing.first().copied().filter(|(due, _)| *due <= now) {
            self.ringing.pop_first();
            let Some(call) = self.map.get_mut(&key) else { continue };
            expired += 1;
            if !call.has(Part::In) {
                self.close(key, Phase::Expired(linger_until), None, notices);
                continue;
            }
            let mut gone = Vec::new();
            for one in call.people.iter_mut().filter(|one| one.part == Part::Ringing) {
                one.part = Part::Out;
                gone.push(one.key);
                if let Some((shard, tunnel)) = one.seat.take() {
                    notices.push((shard, CallMessage::Over { call: key, tunnel }));
                }
            }
            let gone: Arc<[DeviceKey]> = gone.into();
            call.tell(None, notices, |tunnel| CallMessage::Without {
                call: key,
                tunnel,
                gone: Arc::clone(&gone),
            });
        }
        while let Some((_, key)) = self.lingering.first().copied().filter(|(until, _)| *until <= now) {
            self.forget(key);
        }
        expired
    }

    fn forget(&mut self, key: CallKey) {
        if let Some(call) = self.map.remove(&key) {
            self.ringing.remove(&(call.due, key));
            if let Phase::Expired(until) | Phase::Over(until) = call.phase {
                self.lingering.remove(&(until, key));
            }
        }
    }
}

impl Call {
    fn has(&self, part: Part) -> bool {
        self.people.iter().any(|one| one.part == part)
    }

    /// Whether somebody called is left without this one.
    fn is_called_without(&self, at: usize) -> bool {
        let rest = self.people.iter().enumerate().filter(|(other, _)| *other != at);
        rest.map(|(_, one)| one.part)
            .any(|part| matches!(part, Part::Ringing | Part::In))
    }

    fn others(&self, but: DeviceKey) -> Arc<[DeviceId]> {
        let rest = self.people.iter().filter(|one| one.key != but && one.part != Part::Out);
        rest.map(|one| one.device.clone()).collect()
    }

    fn go(&self, asker: DeviceKey, last: bool) -> Verdict {
        Verdict::Go {
            others: self.others(asker),
            until: self.until,
            last,
        }
    }

    /// Tells each session that is known to take part, but for the one that knows.
    fn tell(&self, but: Option<Seat>, notices: &mut Notices, message: impl Fn(TunnelId) -> CallMessage) {
        let seats = self.people.iter().filter_map(|one| one.seat);
        let others = seats.filter(|seat| Some(*seat) != but);
        notices.extend(others.map(|(shard, tunnel)| (shard, message(tunnel))));
    }
}

/// The keyed hash under which all shards of a process know a call. The zero bytes keep it apart from those of devices,
/// whose names are visible characters.
pub(crate) fn call_key(hash_key: &[u8; 32], call: &CallId) -> CallKey {
    let mut hasher = blake3::Hasher::new_keyed(hash_key);
    hasher.update(b"\0call\0").update(call.as_str().as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    CallKey(u128::from_le_bytes(half))
}

impl CallKey {
    /// The shard that knows who takes part.
    pub(crate) fn home(self, shards: u16) -> ShardId {
        DeviceKey(self.0).home(shards)
    }
}
