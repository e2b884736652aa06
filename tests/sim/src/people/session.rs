//! One connection of a person: the real client on a byte pipe, and what it has said so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use commucat_client::HttpVersion;
use commucat_proto::FrameType;

use super::calls::Calls;
use super::client::{Client, Secrets};
use super::groups::Deed;
use crate::ids::{DeviceNo, FrameKey, SessionNo};
use crate::tap::Tap;

/// What a session remembers of a channel it has joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Channel {
    /// Recipients, the session's own device never among them.
    pub(crate) roster: Vec<DeviceNo>,
    /// The group that they are, instead.
    pub(crate) group: Option<u16>,
    /// Or everybody in the open channel of the number.
    pub(crate) open: Option<Openness>,
    /// Frames said so far.
    pub(crate) counter: u32,
    /// Whether the last word about it was JOIN.
    pub(crate) joined: bool,
    /// Frames said before the last JOIN.
    since: u32,
    /// JOINs so far.
    joins: u32,
}

impl Channel {
    /// A JOIN: what was said before says nothing of it.
    pub(crate) fn join(&mut self) {
        self.joined = true;
        self.joins += 1;
        self.since = self.counter;
    }
}

/// How far a session is with the open channel that it has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Openness {
    /// Its JOIN, of this sequence, has not been acknowledged.
    Asked(u32),
    /// It is there.
    There,
}

/// A frame as it was said, for saying it again.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    pub(crate) key: FrameKey,
    pub(crate) kind: FrameType,
    pub(crate) sequence: u32,
    pub(crate) len: usize,
}

/// The connection.
pub(crate) struct Session {
    pub(crate) no: SessionNo,
    pub(crate) device: DeviceNo,
    pub(crate) client: Client,
    /// Reads what the client reads, on its own.
    pub(crate) tap: Tap,
    pub(crate) secrets: Secrets,
    /// The person acknowledges what it was given when it likes, instead of the client.
    pub(crate) by_hand: bool,
    /// Channel and number of what is not acknowledged.
    pub(crate) unconfirmed: Vec<(u32, u32)>,
    /// Frames that only the tap has found so far, or only the client: of a cut DATA frame either may know more.
    pub(crate) brought: VecDeque<FrameKey>,
    pub(crate) understood: VecDeque<FrameKey>,
    pub(crate) channels: BTreeMap<u32, Channel>,
    pub(crate) spoken: Vec<Spoken>,
    pub(crate) calls: Calls,
    /// Sequences that wait for their ACK.
    pub(crate) waiting: BTreeMap<u32, &'static str>,
    /// What some of them will have done.
    pub(crate) deeds: BTreeMap<u32, Deed>,
    pub(crate) ready: bool,
    /// The person has said that it will send no more.
    pub(crate) finished: bool,
    /// The client does not read before this moment.
    pub(crate) stalled_until: u64,
    /// Bytes of the client's own making were written between its own: what it hears may be an ERROR about them.
    pub(crate) tampered: bool,
    /// It has tried to join a group of strangers, and will be told.
    pub(crate) trespasses: bool,
    /// Whom it has heard last, and on which channel.
    pub(crate) heard: Option<(u32, DeviceNo)>,
    /// JOINs of others that it has heard of, by what they said after it: channel, session, and which of its JOINs.
    pub(crate) aware: BTreeSet<(u32, SessionNo, u32)>,
}

impl Session {
    pub(crate) fn new(
        no: SessionNo,
        device: DeviceNo,
        (client, secrets): (Client, Secrets),
        http: HttpVersion,
        by_hand: bool,
    ) -> Self {
        Self {
            no,
            device,
            client,
            tap: Tap::new(http, secrets.hello()),
            secrets,
            by_hand,
            unconfirmed: Vec::new(),
            brought: VecDeque::new(),
            understood: VecDeque::new(),
            channels: BTreeMap::new(),
            spoken: Vec::new(),
            calls: Calls::default(),
            waiting: BTreeMap::new(),
            deeds: BTreeMap::new(),
            ready: false,
            finished: false,
            stalled_until: 0,
            tampered: false,
            trespasses: false,
            heard: None,
            aware: BTreeSet::new(),
        }
    }

    /// Whether the person can say something on it.
    pub(crate) fn open(&self) -> bool {
        self.ready && !self.finished
    }

    /// Whether it is open, and has said what it seems to have said and nothing else.
    fn honest(&self) -> bool {
        self.open() && !self.tampered
    }

    /// The channels it may talk on.
    pub(crate) fn joined(&self) -> Vec<u32> {
        self.channels
            .iter()
            .filter(|(_, channel)| channel.joined)
            .map(|(number, _)| *number)
            .collect()
    }

    /// The channel is the open one of its number from now on.
    pub(crate) fn enter_open(&mut self, channel: u32, sequence: u32) {
        let known = self.channels.entry(channel).or_default();
        known.join();
        (known.group, known.roster) = (None, Vec::new());
        known.open = Some(Openness::Asked(sequence));
    }

    /// The relay has acknowledged a JOIN of the open channel.
    pub(crate) fn entered(&mut self, channel: u32, sequence: u32) {
        if let Some(known) = self.channels.get_mut(&channel)
            && known.open == Some(Openness::Asked(sequence))
        {
            known.open = Some(Openness::There);
        }
    }

    /// Whether it certainly is in the open channel of this number.
    pub(crate) fn is_in(&self, channel: u32) -> bool {
        let known = self.channels.get(&channel);
        self.honest() && known.is_some_and(|known| known.joined && known.open == Some(Openness::There))
    }

    /// Which of its JOINs a frame of its own followed, if that one still holds and its roster names the device.
    pub(crate) fn names(&self, device: DeviceNo, key: FrameKey) -> Option<u32> {
        let known = self.channels.get(&key.channel)?;
        let holds = self.honest() && known.joined && known.roster.contains(&device);
        (holds && key.counter > known.since).then_some(known.joins)
    }

    /// Whether this JOIN still holds.
    pub(crate) fn holds(&self, channel: u32, join: u32) -> bool {
        let known = self.channels.get(&channel);
        self.honest() && known.is_some_and(|known| known.joined && known.joins == join)
    }

    /// The channel goes to a group from now on.
    pub(crate) fn enter(&mut self, channel: u32, group: u16) {
        let known = self.channels.entry(channel).or_default();
        known.join();
        known.group = Some(group);
        known.open = None;
        known.roster = Vec::new();
    }

    /// The name of the next frame on a channel, and to whom it goes, where that is no group.
    pub(crate) fn next_key(&mut self, channel: u32) -> (FrameKey, Vec<DeviceNo>, Option<u16>) {
        let known = self.channels.entry(channel).or_default();
        known.counter += 1;
        (
            FrameKey {
                session: self.no,
                channel,
                counter: known.counter,
            },
            known.roster.clone(),
            known.group,
        )
    }
}
