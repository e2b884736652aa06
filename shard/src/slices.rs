//! Names of rosters are taken up and let go a slice at a time: a roster of thousands takes many turns, and nobody else
//! waits longer than for one slice.
//!
//! Invariants: a turn takes up and lets go at most `names_per_turn` names together, and while some wait for their turn
//! nobody goes before them: a JOIN stands at the front of its session's bytes until all its names are taken up. Letting go
//! has at least half of each turn, so what is to be let go stays smaller than what has been held at one time. Meanwhile the
//! directory knows namers that are gone: whoever finds one there asks the route itself.

use std::collections::VecDeque;
use std::time::Duration;

use commucat_proto::{ChannelId, DeviceId};

use crate::Shard;
use crate::directory::Namer;
use crate::mesh::message::{DeviceKey, TunnelId};
use crate::session::State;
use crate::session::ready::Ready;
use crate::session::roster::{Names, Roster};
use crate::timer::Owner;
use crate::tunnel::Tunnel;

/// The next turn, and not this one.
const NEXT_TURN: Duration = Duration::from_micros(1);

/// A JOIN whose names are being taken up.
#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) channel: ChannelId,
    pub(crate) relay: bool,
    /// Those that are not, and have not been looked at.
    pub(crate) left: Vec<DeviceId>,
    /// Those that are; until none is left some may stand in it twice.
    pub(crate) roster: Roster,
}

/// Names that somebody holds no longer.
#[derive(Debug)]
struct Returned {
    names: Box<[DeviceKey]>,
    by: Namer,
    /// So many of them are let go.
    done: usize,
}

/// What a shard has to take up and to let go.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    /// Names that this turn has dealt with.
    done: usize,
    returned: VecDeque<Returned>,
    /// Sessions whose JOIN waits.
    takers: VecDeque<TunnelId>,
    /// It is the turn of those who wait.
    round: bool,
    armed: bool,
}

impl Slices {
    pub(crate) fn next_turn(&mut self) {
        self.done = 0;
    }

    /// How many names may be dealt with now.
    fn room(&self, limit: usize) -> usize {
        if self.round || (self.returned.is_empty() && self.takers.is_empty()) {
            limit.saturating_sub(self.done)
        } else {
            0
        }
    }
}

impl Shard {
    fn names_room(&self) -> usize {
        self.slices.room(self.config.limits.names_per_turn)
    }

    /// Whether a JOIN may be looked at now; else its session is in line.
    pub(crate) fn may_take(&mut self, tunnel: TunnelId, ready: &mut Ready) -> bool {
        if self.names_room() > 0 {
            return true;
        }
        self.wait_in_line(tunnel, ready);
        false
    }

    fn wait_in_line(&mut self, tunnel: TunnelId, ready: &mut Ready) {
        if !std::mem::replace(&mut ready.in_line, true) {
            self.slices.takers.push_back(tunnel);
        }
        self.come_back();
    }

    pub(crate) fn take_later(&mut self, tunnel: TunnelId, ready: &mut Ready, taking: Box<Taking>) {
        ready.taking = Some(taking);
        self.wait_in_line(tunnel, ready);
    }

    /// Takes up what this turn allows. Gives the JOIN back when all its names are; else it waits in its session.
    pub(crate) fn take_up(&mut self, tunnel: &mut Tunnel, mut taking: Box<Taking>) -> Option<Box<Taking>> {
        let State::Ready(ready) = &mut tunnel.state else {
            return None;
        };
        let (left, roster) = (&mut taking.left, &mut taking.roster);
        let slice = left.split_off(left.len() - self.names_room().min(left.len()));
        self.slices.done += slice.len();
        let names = Names::of(&ready.device, &self.config);
        let known = roster.local.len();
        slice.into_iter().for_each(|member| roster.add(member, names));
        let by = Namer::Route(tunnel.id, taking.channel);
        self.name(&roster.local[known..], by);
        if left.is_empty() {
            let twice = roster.sort();
            self.forget_names(&twice, by);
            return Some(taking);
        }
        self.take_later(tunnel.id, ready, taking);
        None
    }

    /// `by` names these no longer: at once as far as this turn allows, the rest in those that follow.
    pub(crate) fn unname(&mut self, names: &[DeviceKey], by: Namer) {
        let (now, later) = names.split_at(self.names_room().min(names.len()));
        self.slices.done += now.len();
        self.forget_names(now, by);
        if !later.is_empty() {
            self.slices.returned.push_back(Returned {
                names: later.into(),
                by,
                done: 0,
            });
            self.come_back();
        }
    }

    fn come_back(&mut self) {
        if !std::mem::replace(&mut self.slices.armed, true) {
            self.timers.arm(self.at.now + NEXT_TURN, Owner::Names);
        }
    }

    /// Those who wait have a turn.
    pub(crate) fn names_round(&mut self) {
        self.slices.armed = false;
        self.slices.round = true;
        let room = self.names_room();
        let share = match self.slices.takers.len() {
            0 => room,
            _ => room.div_ceil(2),
        };
        self.let_go_of_names(share);
        for _ in 0..self.slices.takers.len() {
            if self.names_room() == 0 {
                break;
            }
            let Some(id) = self.slices.takers.pop_front() else {
                break;
            };
            if let Some(tunnel) = self.tunnels.get_mut(id)
                && let State::Ready(ready) = &mut tunnel.state
            {
                ready.in_line = false;
                self.go_on(id);
            }
        }
        self.let_go_of_names(self.names_room());
        self.slices.round = false;
        if !self.slices.returned.is_empty() || !self.slices.takers.is_empty() {
            self.come_back();
        }
    }

    fn let_go_of_names(&mut self, mut room: usize) {
        while room > 0
            && let Some(mut first) = self.slices.returned.pop_front()
        {
            let until = (first.done + room).min(first.names.len());
            let slice = &first.names[first.done..until];
            room -= slice.len();
            self.slices.done += slice.len();
            self.forget_names(slice, first.by);
            first.done = until;
            if until < first.names.len() {
                self.slices.returned.push_front(first);
            }
        }
    }
}
