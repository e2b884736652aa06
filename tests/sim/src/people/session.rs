//! One connection of a person: the real client on a byte pipe, and what it has said so far.

use std::collections::{BTreeMap, VecDeque};

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
    /// Frames said so far.
    pub(crate) counter: u32,
    /// Whether the last word about it was JOIN.
    pub(crate) joined: bool,
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
        }
    }

    /// Whether the person can say something on it.
    pub(crate) fn open(&self) -> bool {
        self.ready && !self.finished
    }

    /// The channels it may talk on.
    pub(crate) fn joined(&self) -> Vec<u32> {
        self.channels
            .iter()
            .filter(|(_, channel)| channel.joined)
            .map(|(number, _)| *number)
            .collect()
    }

    /// The channel goes to a group from now on.
    pub(crate) fn enter(&mut self, channel: u32, group: u16) {
        let known = self.channels.entry(channel).or_default();
        known.joined = true;
        known.group = Some(group);
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
