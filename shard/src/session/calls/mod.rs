//! A session's part in calls: what it knows of each, and the route along which its frames of that call go. What decides is
//! the call's home (`crate::calls`), which is asked about each CALL_OFFER, CALL_ANSWER and CALL_END, and once for
//! CALL_STATS; the session waits for the answer, so nothing it says overtakes anything else. Media ask nobody.
//!
//! **Channels.** A frame of a call goes out under the channel number its sender gave it. Media go to the call that the
//! session last offered or accepted on their channel, joined or not, and to its participants alone; so whoever accepts
//! does so on the channel of the offer, or on one where it wants to speak. Offering or accepting ends what a LEAVE of
//! the channel began, as a JOIN does. A LEAVE takes the channel from its call.
//!
//! **The end.** A call that is over keeps its place: media that crossed its end are acknowledged and dropped, never sent to
//! a roster that was not meant. That lasts until the client shows that it knows: `call_linger` after a CALL_END or a
//! decline of its own (or a JOIN after that), with a LEAVE, or with another call on the channel. It need not say so: the
//! oldest such places are given to new calls.
//!
//! Invariant (order): all routes of a session, those of its channels and of its calls, that lead to one device lead the
//! same way: a route is planned anew only while no other one of its channel and none of a call has frames on their way.

mod end;
mod send;
mod signal;

use std::sync::Arc;

use commucat_proto::control::Ack;
use commucat_proto::{CallId, ChannelId, Sequence};
use smallvec::SmallVec;

pub(crate) use self::end::LeftCalls;
use crate::clock::Now;
use crate::mesh::call::{CallKey, Verdict};
use crate::mesh::message::DeviceKey;
use crate::route::Route;

/// What the ACK of a frame of a call says besides its number.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whose route the frame took.
    serial: u32,
    /// With refusals.
    ack: Ack,
    /// Without: ready to be written behind the number.
    tail: Box<[u8]>,
}

impl Said {
    fn new(serial: u32, ack: Ack) -> Self {
        Self {
            serial,
            tail: ack.tail(),
            ack,
        }
    }
}

/// One call, as its participant's session knows it.
#[derive(Debug)]
struct Entry {
    /// Names it for receipts: a later call may take its place.
    serial: u32,
    id: CallId,
    key: CallKey,
    /// Where its last offer or answer was said.
    channel: ChannelId,
    /// Media on that channel are of this call.
    carries: bool,
    /// To the other participants.
    route: Route,
    /// Whom the directory knows by this entry, under the channel `named`. They stay while frames are on their way: a
    /// refusal must find its name.
    names: SmallVec<[DeviceKey; 1]>,
    named: ChannelId,
    /// Others have heard of it from this session, or this session from others.
    heard: bool,
    over: Option<Over>,
    /// For media.
    said: Arc<Said>,
}

/// Devices that an entry named in the directory, and the channel it did so for.
pub(crate) type Names = (SmallVec<[DeviceKey; 1]>, ChannelId);

impl Entry {
    /// Whom the directory need not know any more, once the call is over and nothing is on its way.
    fn done_with(&mut self) -> Option<Names> {
        let done = self.over.is_some() && self.route.outstanding == 0;
        done.then(|| (std::mem::take(&mut self.names), self.named))
    }
}

/// The end of a call.
#[derive(Clone, Copy, Debug)]
struct Over {
    /// Until then frames may have crossed it.
    until: Now,
    /// The client has said so itself.
    own: bool,
}

impl Over {
    /// Whether media are still taken for those of the call.
    fn holds(self, now: Now) -> bool {
        now < self.until || !self.own
    }
}

/// A frame that waits for the home's answer.
#[derive(Debug)]
struct Asking {
    sequence: Sequence,
    call: CallKey,
    id: CallId,
    channel: ChannelId,
    /// It is the CALL_OFFER that begins the call: nobody has heard of it yet.
    opens: bool,
    verdict: Option<Verdict>,
}

/// All of a session's calls; a session without any has none of this.
#[derive(Debug, Default)]
pub(crate) struct SessionCalls {
    list: Vec<Entry>,
    asking: Option<Asking>,
    serials: u32,
}

/// Whether one more call has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Yes,
    /// When frames on their way have arrived.
    Soon,
    No,
}

impl SessionCalls {
    fn find(&self, key: CallKey) -> Option<usize> {
        self.list.iter().position(|entry| entry.key == key)
    }

    fn find_open(&self, key: CallKey) -> Option<usize> {
        self.find(key).filter(|at| self.list[*at].over.is_none())
    }

    /// The call whose media a channel carries.
    pub(crate) fn carried_by(&self, channel: ChannelId) -> Option<usize> {
        let carries = |entry: &Entry| entry.channel == channel && entry.carries;
        self.list.iter().position(carries)
    }

    /// Makes room for one call more. `most` may be open; as many that are over keep their places.
    fn make_room(&mut self, now: Now, most: usize, open: bool) -> Room {
        let settled = |entry: &Entry| entry.route.outstanding == 0;
        self.list
            .retain(|entry| !settled(entry) || entry.over.is_none_or(|over| over.holds(now)));
        let taken = self.list.iter().filter(|entry| entry.over.is_none()).count();
        if open && taken >= most {
            return Room::No;
        }
        if self.list.len() < 2 * most {
            return Room::Yes;
        }
        let of = |own: bool| move |entry: &Entry| settled(entry) && entry.over.is_some_and(|over| over.own == own);
        let oldest = self
            .list
            .iter()
            .position(of(true))
            .or_else(|| self.list.iter().position(of(false)));
        match oldest {
            Some(at) => {
                self.list.remove(at);
                Room::Yes
            }
            None if taken < self.list.len() => Room::Soon,
            None => Room::No,
        }
    }

    /// Media on `channel` are of this call from now on, and of no other.
    fn carry(&mut self, at: usize, channel: ChannelId) {
        self.release(channel);
        self.list[at].channel = channel;
        self.list[at].carries = true;
    }

    /// The channel has been left.
    pub(crate) fn release(&mut self, channel: ChannelId) {
        for entry in self.list.iter_mut().filter(|entry| entry.channel == channel) {
            entry.carries = false;
        }
    }

    /// The channel has been joined: it no more stands for a call that the client has ended.
    pub(crate) fn joined(&mut self, channel: ChannelId) {
        let over = |entry: &&mut Entry| entry.channel == channel && entry.over.is_some_and(|over| over.own);
        for entry in self.list.iter_mut().filter(over) {
            entry.carries = false;
        }
    }

    /// Whether a frame of a call is on its way, those of one call aside.
    pub(crate) fn under_way(&self, but: Option<u32>) -> bool {
        self.list
            .iter()
            .any(|entry| Some(entry.serial) != but && entry.route.outstanding > 0)
    }

    /// All recipients of a frame are settled. Gives whom the directory need not know any more.
    pub(crate) fn settled(&mut self, said: &Said) -> Option<Names> {
        let entry = self.list.iter_mut().find(|entry| entry.serial == said.serial)?;
        entry.route.outstanding -= 1;
        entry.done_with()
    }

    /// Some recipient has moved.
    pub(crate) fn mark_dirty(&mut self) {
        self.list.iter_mut().for_each(|entry| entry.route.mark_dirty());
    }

    /// The home's answer for the frame that waits, when it is this one; asked only once.
    fn verdict(&self, sequence: Sequence) -> Option<Option<Verdict>> {
        let asking = self.asking.as_ref()?;
        (asking.sequence == sequence).then(|| asking.verdict.clone())
    }
}
