//! `noise-transport` (decisions § 5) of one session: what lies between the body of its stream and its frames. A session
//! without it has none of this.
//!
//! ```text
//! body bytes ─► unopened ─one message at a time─► frames      session::feed
//! frames ─► the turn's plain text, sealed where they stand    conn::flush
//! ```
//!
//! Invariants: a message is opened only when everything before it has been parsed and nobody has told the session to wait,
//! so that frames before a forged message are routed; nothing leaves but whole messages in their order, one per flush and
//! DATA frame, however many frames they hold.

use commucat_crypto::{MAX_PLAINTEXT, NoiseError, NoiseStage, NoiseStageError, Transport};
use commucat_proto::Title;

use crate::Shard;
use crate::outbox::Outbox;
use crate::tunnel::{Phase, Tunnel};

/// Room below which no message fits: a length, a tag and an octet.
pub(crate) const LEAST_ROOM: usize = 18;

/// Content of a message that is sealed although the way down has no room for a whole one.
const ASIDE: usize = 1024;

const _: () = assert!(ASIDE <= MAX_PLAINTEXT);

/// The layer.
#[derive(Debug)]
pub(crate) struct Sealed {
    stage: NoiseStage,
    /// The beginning of a message, or what came during a stall.
    pub(crate) unopened: Vec<u8>,
    /// A message that has begun to leave; what is before `aside_from` has left.
    aside: Vec<u8>,
    aside_from: usize,
    /// Frames whose last octet is in it.
    aside_frames: usize,
}

impl Sealed {
    pub(crate) fn new(transport: Transport) -> Self {
        Self {
            stage: NoiseStage::new(transport),
            unopened: Vec::new(),
            aside: Vec::new(),
            aside_from: 0,
            aside_frames: 0,
        }
    }

    /// Part of a message has left, and the rest has not.
    pub(crate) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Frames that the outbox takes for sent and that have not left whole.
    pub(crate) fn aside_frames(&self) -> usize {
        self.aside_frames
    }

    /// Up to `room` octets of the message that has begun to leave.
    fn hand_out(&mut self, out: &mut Vec<u8>, room: usize) {
        let rest = &self.aside[self.aside_from..];
        let count = rest.len().min(room);
        out.extend_from_slice(&rest[..count]);
        self.aside_from += count;
        if self.aside_from == self.aside.len() {
            self.aside = Vec::new();
            (self.aside_from, self.aside_frames) = (0, 0);
        }
    }
}

/// The ERROR for a message that is refused.
fn refusal(error: NoiseStageError) -> (Title, &'static str) {
    match error {
        NoiseStageError::Length => (Title::VarintOverflow, "the length of a Noise message is no number"),
        NoiseStageError::Noise(NoiseError::TooLong { .. }) => {
            (Title::FrameTooLarge, "a Noise message has at most 65535 bytes")
        }
        NoiseStageError::Noise(NoiseError::Exhausted) => (Title::SequenceExhausted, "connect again for new Noise keys"),
        NoiseStageError::Noise(_) => (Title::IntegrityCheckFailed, "a Noise message does not authenticate"),
    }
}

impl Shard {
    /// Body bytes of a session with `noise-transport`.
    pub(crate) fn feed_sealed(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) {
        let Some(sealed) = &mut tunnel.sealed else { return };
        if sealed.unopened.is_empty() {
            let used = self.unseal(tunnel, bytes);
            if used < bytes.len()
                && let Some(sealed) = &mut tunnel.sealed
            {
                sealed.unopened = self.buffers.lease();
                sealed.unopened.extend_from_slice(&bytes[used..]);
            }
        } else {
            sealed.unopened.extend_from_slice(bytes);
            self.open_unopened(tunnel);
        }
    }

    /// What has arrived and is not opened, as far as it can be.
    pub(crate) fn open_unopened(&mut self, tunnel: &mut Tunnel) {
        let Some(sealed) = &mut tunnel.sealed else { return };
        let mut bytes = std::mem::take(&mut sealed.unopened);
        let used = self.unseal(tunnel, &bytes);
        if used == bytes.len() {
            self.buffers.give_back(bytes);
        } else if let Some(sealed) = &mut tunnel.sealed {
            bytes.drain(..used);
            sealed.unopened = bytes;
        }
    }

    /// Opens whole messages at the front of `bytes` and takes their frames, until the session has to wait; gives how many
    /// bytes they were.
    fn unseal(&mut self, tunnel: &mut Tunnel, bytes: &[u8]) -> usize {
        let mut used = 0;
        let mut plain = std::mem::take(&mut self.opened);
        while tunnel.stalled.is_none() && tunnel.phase != Phase::Ending {
            let Some(sealed) = &mut tunnel.sealed else { break };
            plain.clear();
            let within_frame = !tunnel.unparsed.is_empty();
            let inner = if within_frame { &mut tunnel.unparsed } else { &mut plain };
            match sealed.stage.open_next(&bytes[used..], inner) {
                Ok(None) => break,
                Ok(Some(length)) => used += length,
                Err(error) => {
                    let (title, detail) = refusal(error);
                    self.fail(tunnel, title, detail);
                    break;
                }
            }
            if within_frame {
                self.parse_unparsed(tunnel);
            } else {
                self.parse_or_keep(tunnel, &plain);
            }
        }
        self.opened = plain;
        if tunnel.phase == Phase::Ending {
            bytes.len()
        } else {
            used
        }
    }

    /// Frames of one session, sealed, up to `room` bytes.
    pub(crate) fn fill_sealed(&mut self, tunnel: &mut Tunnel, out: &mut Vec<u8>, room: usize) {
        let Some(mut sealed) = tunnel.sealed.take() else { return };
        let (start, end) = (out.len(), out.len() + room);
        sealed.hand_out(out, room);
        while out.len() < end {
            if end - out.len() < LEAST_ROOM && out.len() > start {
                // The next send has more room.
                break;
            }
            match sealed.stage.seals_left() {
                0 => {
                    // Nothing that could still be said can be sealed.
                    self.end(tunnel);
                    tunnel.outbox = Outbox::default();
                    break;
                }
                1 => self.exhausted(tunnel),
                _ => {}
            }
            let room = end - out.len();
            let written = match NoiseStage::content_room(room) {
                0 => self.fill_aside(tunnel, &mut sealed, out, room),
                content => {
                    let unit = NoiseStage::begin(out);
                    self.fill_frames(tunnel, out, content);
                    sealed.stage.finish(unit, out)
                }
            };
            match written {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%error, "a session's frames could not be sealed");
                    debug_assert!(false, "content fits and numbers are left");
                    break;
                }
            }
        }
        tunnel.sealed = Some(sealed);
    }

    /// A window smaller than any message: one is sealed beside the way, and leaves as the window opens.
    fn fill_aside(
        &mut self,
        tunnel: &mut Tunnel,
        sealed: &mut Sealed,
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<bool, NoiseError> {
        let before = tunnel.outbox.in_flight();
        let mut aside = Vec::new();
        let unit = NoiseStage::begin(&mut aside);
        self.fill_frames(tunnel, &mut aside, ASIDE);
        let written = sealed.stage.finish(unit, &mut aside)?;
        sealed.aside = aside;
        sealed.aside_frames = tunnel.outbox.in_flight().saturating_sub(before);
        sealed.hand_out(out, room);
        Ok(written)
    }
}
