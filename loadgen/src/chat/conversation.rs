//! What is said, what is acknowledged, what waits: the chat without keyboard, screen or socket.
//!
//! Invariant: every line that was typed is in `waiting` until the relay acknowledged it for its reader; what is in there
//! is sent again, in order, on every new session. What the relay rejected (it does not know the reader yet, his inbox is
//! full) is sent again too, and before anything that was typed later.

use std::collections::{HashSet, VecDeque};

use commucat_client::{ClientError, Connection, Incoming};
use commucat_proto::control::{Join, Presence};
use commucat_proto::{ChannelId, DeviceId, FrameType, Sequence};

use super::envelope::{self, printable};
use crate::limits::CHAT_SEEN;

/// What a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A line of the other's.
    Said { who: String, text: String },
    /// A line of ours is with the relay, or on the other's screen.
    Acknowledged { line: u64 },
    /// The relay could not keep it.
    Rejected { line: u64, why: String },
    /// The other came or went.
    Presence { who: String, state: String },
}

/// Both directions of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    own: DeviceId,
    peer: DeviceId,
    channel: ChannelId,
    /// Distinguishes this start of the program in the ids of lines.
    start: String,
    typed: u64,
    waiting: VecDeque<Waiting>,
    seen: HashSet<String>,
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Waiting {
    line: u64,
    payload: Vec<u8>,
    state: State,
}

/// What is known of a line that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// There was no session for it yet.
    Unsent,
    /// On its way under this sequence; after that rejection, when it is on its way again.
    Sent(Sequence, Option<String>),
    /// The relay could not keep it, for this reason.
    Rejected(String),
}

impl Waiting {
    fn is_one_of(&self, from: Sequence, to: Sequence) -> bool {
        matches!(self.state, State::Sent(sequence, _) if (from..=to).contains(&sequence))
    }
}

/// The channel of two devices: the first 32 bits of FNV-1a over both names in order, so that both ends compute the same.
/// Where two conversations share a number nothing mixes on the relay (a route is its sender's), and the envelope tells the
/// writer.
pub(crate) fn channel_of(one: &DeviceId, other: &DeviceId) -> ChannelId {
    let mut names = [one.as_str(), other.as_str()];
    names.sort_unstable();
    let hash = names.join("\n").bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // Channel 0 is the connection's own.
    ChannelId::new(((hash >> 32) as u32).max(1))
}

impl Conversation {
    pub(crate) fn new(own: DeviceId, peer: DeviceId, start: u64) -> Self {
        Self {
            channel: channel_of(&own, &peer),
            own,
            peer,
            start: format!("{start:016x}"),
            typed: 0,
            waiting: VecDeque::new(),
            seen: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Lines that the relay has not acknowledged, rejected ones included.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lines whose fate is not known yet.
    pub(crate) fn undecided(&self) -> usize {
        self.waiting
            .iter()
            .filter(|waiting| !matches!(waiting.state, State::Rejected(_)))
            .count()
    }

    /// A line was typed; it is sent when there is a session, now or later.
    pub(crate) fn say(&mut self, text: &str, connection: Option<&mut Connection>) -> Result<u64, ClientError> {
        self.typed += 1;
        let line = self.typed;
        let payload = envelope::seal(&format!("{}-{line}", self.start), &self.own, text);
        self.waiting.push_back(Waiting {
            line,
            payload,
            state: State::Unsent,
        });
        if let Some(connection) = connection {
            self.send_waiting(connection)?;
        }
        Ok(line)
    }

    /// A session is established: join, and send what waits.
    pub(crate) fn connected(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        let join = Join {
            members: vec![self.peer.clone()],
            relay: true,
            group_id: None,
        };
        connection.join(self.channel, &join)?;
        for waiting in &mut self.waiting {
            waiting.state = State::Unsent;
        }
        self.send_waiting(connection)
    }

    /// Sends what is not on its way: what is new, and first what was rejected.
    pub(crate) fn send_waiting(&mut self, connection: &mut Connection) -> Result<(), ClientError> {
        for waiting in &mut self.waiting {
            let before = match &mut waiting.state {
                State::Sent(..) => continue,
                State::Rejected(why) => Some(std::mem::take(why)),
                State::Unsent => None,
            };
            let sequence = connection.send(FrameType::Msg, self.channel, &waiting.payload)?;
            waiting.state = State::Sent(sequence, before);
        }
        Ok(())
    }

    /// Something happened on the session.
    pub(crate) fn event(&mut self, event: Incoming, connection: &mut Connection) -> Result<Vec<Notice>, ClientError> {
        match event {
            Incoming::Frame {
                kind: FrameType::Msg,
                channel,
                payload,
                ..
            } => Ok(self.said(channel, &payload).into_iter().collect()),
            Incoming::Frame {
                kind: FrameType::Presence,
                payload,
                ..
            } => self.presence(&payload, connection),
            Incoming::Acknowledged {
                channel,
                from,
                to,
                body,
            } if channel == self.channel => {
                let why = body.filter(|ack| !ack.rejected.is_empty()).map(|ack| {
                    ack.reason
                        .map_or_else(|| "no reason given".to_owned(), |reason| printable(reason.as_str()))
                });
                Ok(self.decided(from, to, why.as_deref()))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A line of the other's; `None` when it was shown before, or is somebody else's on a channel of the same number.
    fn said(&mut self, channel: ChannelId, payload: &[u8]) -> Option<Notice> {
        let line = envelope::open(payload);
        let who = line.from.unwrap_or_else(|| self.peer.to_string());
        if channel != self.channel || who != self.peer.as_str() {
            return None;
        }
        if let Some(id) = line.id {
            if !self.seen.insert(id.clone()) {
                return None;
            }
            self.order.push_back(id);
            if self.order.len() > CHAT_SEEN
                && let Some(oldest) = self.order.pop_front()
            {
                self.seen.remove(&oldest);
            }
        }
        Some(Notice::Said { who, text: line.text })
    }

    /// The relay decided on our lines `from..=to`. Being rejected for the same reason again is no news.
    fn decided(&mut self, from: Sequence, to: Sequence, why: Option<&str>) -> Vec<Notice> {
        let mut notices = Vec::new();
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.is_one_of(from, to)) {
            let line = waiting.line;
            match (why, &waiting.state) {
                (Some(why), State::Sent(_, Some(before))) if before == why => {}
                (Some(why), _) => notices.push(Notice::Rejected {
                    line,
                    why: why.to_owned(),
                }),
                (None, _) => notices.push(Notice::Acknowledged { line }),
            }
            if let Some(why) = why {
                waiting.state = State::Rejected(why.to_owned());
            }
        }
        if why.is_none() {
            self.waiting.retain(|waiting| !waiting.is_one_of(from, to));
        }
        notices
    }

    /// The other came or went. When he came, what the relay could not keep for him is sent again.
    fn presence(&mut self, payload: &[u8], connection: &mut Connection) -> Result<Vec<Notice>, ClientError> {
        let presence: Presence = commucat_proto::control::parse(payload, &mut Vec::new())?;
        if presence.entity != self.peer {
            return Ok(Vec::new());
        }
        if presence.state.as_str() == "online" {
            self.send_waiting(connection)?;
        }
        let state = printable(presence.state.as_str());
        Ok(vec![Notice::Presence {
            who: self.peer.to_string(),
            state,
        }])
    }
}

#[cfg(test)]
mod tests {
    use commucat_proto::{ChannelId, DeviceId, Sequence};

    use super::{Conversation, Notice, State, channel_of, envelope};

    fn device(name: &str) -> DeviceId {
        DeviceId::parse(name).expect("valid")
    }

    fn conversation() -> Conversation {
        Conversation::new(device("alice"), device("bob"), 1)
    }

    #[test]
    fn both_ends_compute_the_same_channel_and_others_another() {
        let (alice, bob, carol) = (device("alice"), device("bob"), device("carol"));
        assert_eq!(channel_of(&alice, &bob), channel_of(&bob, &alice));
        assert_ne!(channel_of(&alice, &bob), channel_of(&alice, &carol));
        assert_ne!(channel_of(&alice, &bob), ChannelId::ZERO);
        // Fixed for ever: the two ends may be different versions of this program.
        assert_eq!(channel_of(&alice, &bob).get(), 0x69c84686);
    }

    #[test]
    fn lines_typed_without_a_session_wait() {
        let mut conversation = conversation();
        assert_eq!(conversation.say("one", None).expect("kept"), 1);
        assert_eq!(conversation.say("two", None).expect("kept"), 2);
        assert_eq!((conversation.waiting(), conversation.undecided()), (2, 2));
    }

    #[test]
    fn an_ack_ends_the_wait_of_exactly_its_lines_and_a_rejection_keeps_them() {
        let mut conversation = conversation();
        for text in ["one", "two", "three"] {
            conversation.say(text, None).expect("kept");
        }
        for (index, waiting) in conversation.waiting.iter_mut().enumerate() {
            waiting.state = State::Sent(Sequence::new(10 + index as u32), None);
        }
        let notices = conversation.decided(Sequence::new(11), Sequence::new(11), None);
        assert_eq!(notices, [Notice::Acknowledged { line: 2 }]);
        let notices = conversation.decided(Sequence::new(10), Sequence::new(10), Some("inbox full"));
        assert_eq!(
            notices,
            [Notice::Rejected {
                line: 1,
                why: "inbox full".to_owned()
            }]
        );
        assert_eq!((conversation.waiting(), conversation.undecided()), (2, 1));
        let notices = conversation.decided(Sequence::new(1), Sequence::new(12), None);
        assert_eq!(notices, [Notice::Acknowledged { line: 3 }]);
        assert_eq!((conversation.waiting(), conversation.undecided()), (1, 0));
    }

    #[test]
    fn a_rejection_is_told_once_per_reason() {
        let mut conversation = conversation();
        conversation.say("one", None).expect("kept");
        let told: Vec<usize> = ["unknown", "unknown", "inbox full"]
            .into_iter()
            .map(|why| {
                let before = match &conversation.waiting[0].state {
                    State::Rejected(before) => Some(before.clone()),
                    _ => None,
                };
                conversation.waiting[0].state = State::Sent(Sequence::new(5), before);
                conversation
                    .decided(Sequence::new(5), Sequence::new(5), Some(why))
                    .len()
            })
            .collect();
        assert_eq!(told, [1, 0, 1]);
    }

    #[test]
    fn a_line_that_comes_twice_is_shown_once_and_a_strangers_never() {
        let mut conversation = conversation();
        let channel = conversation.channel;
        let from_bob = envelope::seal("x-1", &device("bob"), "hello");
        let shown = Some(Notice::Said {
            who: "bob".to_owned(),
            text: "hello".to_owned(),
        });
        assert_eq!(conversation.said(channel, &from_bob), shown);
        assert_eq!(conversation.said(channel, &from_bob), None);
        let next = envelope::seal("x-2", &device("bob"), "hello");
        assert_eq!(
            conversation.said(channel, &next),
            shown,
            "the same words again are another line"
        );
        let stranger = envelope::seal("y-1", &device("mallory"), "hello");
        assert_eq!(conversation.said(channel, &stranger), None);
        assert_eq!(
            conversation.said(ChannelId::new(5), &envelope::seal("x-3", &device("bob"), "hi")),
            None
        );
    }

    #[test]
    fn an_ack_of_something_else_decides_nothing() {
        let mut conversation = conversation();
        conversation.say("one", None).expect("kept");
        assert_eq!(conversation.decided(Sequence::new(1), Sequence::new(9), None), []);
        assert_eq!(conversation.waiting(), 1, "it was never sent");
    }
}
