//! `delivery-ack` (decisions § 3): which frames the application has taken, and what the relay is told of them.

use commucat_proto::control::Ack;
use commucat_proto::{ChannelId, FrameType, Sequence};

use super::Connection;
use crate::error::ClientError;

/// Channels whose frames are acknowledged together; with one more the turn is cut in two.
const OPEN: usize = 64;

/// What is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Taken {
    /// `ack-range`: one ACK for all frames of a channel.
    ranges: bool,
    /// The application looks at it.
    reported: Option<(ChannelId, Sequence)>,
    runs: Vec<(ChannelId, Sequence, Sequence)>,
}

impl Taken {
    pub(super) fn new(ranges: bool) -> Self {
        Self {
            ranges,
            reported: None,
            runs: Vec::new(),
        }
    }

    /// A frame is being given to the application.
    pub(super) fn report(&mut self, kind: FrameType, channel: ChannelId, sequence: Sequence) {
        // Nothing else is kept for us by the relay.
        if kind.is_storable() {
            self.reported = Some((channel, sequence));
        }
    }

    /// The application comes back: it has taken what it was given. Says whether there is no room for more.
    fn take(&mut self) -> bool {
        let Some((channel, sequence)) = self.reported.take() else {
            return false;
        };
        // The relay's numbers rise, and we have heard all of them: the frames of a channel in between are taken, too.
        let open = self.runs.iter_mut().find(|(of, ..)| self.ranges && *of == channel);
        match open {
            Some((_, _, to)) => *to = sequence,
            None => self.runs.push((channel, sequence, sequence)),
        }
        self.runs.len() == OPEN
    }
}

impl Connection {
    /// The application has taken the last frame.
    pub(super) fn take_reported(&mut self) -> Result<(), ClientError> {
        let full = self.taken.as_mut().is_some_and(|taken| taken.take());
        if full { self.tell_taken() } else { Ok(()) }
    }

    /// Tells the relay what was taken.
    pub(super) fn tell_taken(&mut self) -> Result<(), ClientError> {
        let Some(taken) = &mut self.taken else { return Ok(()) };
        let mut runs = std::mem::take(&mut taken.runs);
        let sent = if self.is_ready() {
            runs.drain(..)
                .try_for_each(|(channel, from, to)| self.acknowledge_range(channel, from, to).map(drop))
        } else {
            Ok(())
        };
        runs.clear();
        if let Some(taken) = &mut self.taken {
            taken.runs = runs;
        }
        sent
    }

    /// Tells the relay that we have frame `sequence` of `channel` (`delivery-ack` with [`crate::Acks::ByHand`]).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn acknowledge(&mut self, channel: ChannelId, sequence: Sequence) -> Result<Sequence, ClientError> {
        self.acknowledge_range(channel, sequence, sequence)
    }

    /// Tells the relay that we have every frame of `channel` from `from` to `to`; where these differ, `ack-range` has to be
    /// accepted, too.
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn acknowledge_range(
        &mut self,
        channel: ChannelId,
        from: Sequence,
        to: Sequence,
    ) -> Result<Sequence, ClientError> {
        let mut payload = std::mem::take(&mut self.scratch);
        payload.clear();
        if from == to {
            Ack::write_plain(to, &mut payload);
        } else {
            Ack::write_range(from, to, &mut payload);
        }
        let sent = self.send(FrameType::Ack, channel, &payload);
        self.scratch = payload;
        sent
    }
}
