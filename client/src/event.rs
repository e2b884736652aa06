//! What a session reports, borrowed as it comes and owned for those who keep it.

use std::fmt;

use commucat_proto::control::{Ack, Problem};
use commucat_proto::{ChannelId, Frame, FrameType, Sequence};

use crate::session::Session;

/// The next thing that happened. Payloads are borrowed from the connection's buffer.
#[derive(Debug)]
pub enum Event<'a> {
    /// The relay accepted the session; frames may be sent from here on.
    Ready(&'a Session),
    /// A frame for the application: every type but ACK, ERROR and the handshake's.
    Frame(Frame<'a>),
    /// The relay keeps its promise for our frames `from..=to` of `channel` (decisions § 3).
    Acknowledged {
        /// The frames' channel.
        channel: ChannelId,
        /// The first of them.
        from: Sequence,
        /// The last of them.
        to: Sequence,
        /// The whole body, when it says more than the numbers: rejected recipients, a group's id, a call's.
        body: Option<Box<Ack>>,
    },
    /// An ERROR frame. It is fatal: only [`Event::Ended`] follows.
    Problem(Box<Problem>),
    /// No tunnel: the HTTP answer was not 200.
    Refused {
        /// The status.
        status: u16,
        /// The answer's body, an RFC 9457 document by rights.
        body: &'a [u8],
    },
    /// Nothing more will come.
    Ended {
        /// Whether the relay ended the body, or the connection went away under it.
        clean: bool,
    },
}

/// An [`Event`] that owns its bytes.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// See [`Event::Ready`]; the session is at [`crate::Connection::session`].
    Ready,
    /// See [`Event::Frame`].
    Frame {
        /// What the payload is.
        kind: FrameType,
        /// The channel.
        channel: ChannelId,
        /// The relay's number for it.
        sequence: Sequence,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// See [`Event::Acknowledged`].
    Acknowledged {
        /// The frames' channel.
        channel: ChannelId,
        /// The first of them.
        from: Sequence,
        /// The last of them.
        to: Sequence,
        /// The whole body, when it says more than the numbers.
        body: Option<Box<Ack>>,
    },
    /// See [`Event::Problem`].
    Problem(Box<Problem>),
    /// See [`Event::Refused`].
    Refused {
        /// The status.
        status: u16,
        /// The answer's body.
        body: Vec<u8>,
    },
    /// See [`Event::Ended`].
    Ended {
        /// Whether the relay ended the body itself.
        clean: bool,
    },
}

impl From<Event<'_>> for Incoming {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Ready(_) => Self::Ready,
            Event::Frame(Frame {
                kind,
                channel,
                sequence,
                payload,
            }) => Self::Frame {
                kind,
                channel,
                sequence,
                payload: payload.to_vec(),
            },
            Event::Acknowledged {
                channel,
                from,
                to,
                body,
            } => Self::Acknowledged {
                channel,
                from,
                to,
                body,
            },
            Event::Problem(problem) => Self::Problem(problem),
            Event::Refused { status, body } => Self::Refused {
                status,
                body: body.to_vec(),
            },
            Event::Ended { clean } => Self::Ended { clean },
        }
    }
}

impl fmt::Display for Incoming {
    /// For a person who asks why there is no session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("the session is established"),
            Self::Frame { kind, channel, .. } => write!(f, "{kind} on channel {channel}"),
            Self::Acknowledged { channel, to, .. } => {
                write!(f, "frame {to} of channel {channel} acknowledged")
            }
            Self::Problem(problem) => {
                write!(f, "{} ({})", problem.title, problem.status)?;
                if problem.detail.is_empty() {
                    Ok(())
                } else {
                    write!(f, ": {}", problem.detail)
                }
            }
            Self::Refused { status, body } => {
                let text: String = String::from_utf8_lossy(body)
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                write!(f, "HTTP status {status} {text}")
            }
            Self::Ended { clean: true } => f.write_str("the relay ended the tunnel"),
            Self::Ended { clean: false } => f.write_str("the connection was lost"),
        }
    }
}
