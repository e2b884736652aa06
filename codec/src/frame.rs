//! Frames: parsed in place, written as a header in front of a payload that stays where it is.
//!
//! Invariants: a parsed frame borrows its payload from the reader's buffer, nothing is allocated for it; and no limit
//! waits for the bytes it limits, so a reader never buffers for a frame that will be refused.

use crate::diagnostic::Diagnostic;
use crate::ids::{ChannelId, Sequence};
use crate::kind::FrameType;
use crate::limits::{FrameLimits, MAX_U32_VARINT_LEN, MAX_VARINT_LEN};
use crate::varint;

/// Room for everything in front of a payload: `frame_len`, type, channel, sequence, `payload_len`.
pub const MAX_HEADER: usize = MAX_VARINT_LEN + 1 + 2 * MAX_U32_VARINT_LEN + MAX_VARINT_LEN;

/// One frame, its payload borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameType,
    /// The virtual channel.
    pub channel: ChannelId,
    /// The sender's counter.
    pub sequence: Sequence,
    /// JSON or ciphertext, by `kind`.
    pub payload: &'a [u8],
}

impl std::fmt::Debug for Frame<'_> {
    /// Tells the payload's length and not its bytes: frames end up in logs, contents must not.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            kind,
            channel,
            sequence,
            payload,
        } = self;
        write!(
            f,
            "{kind} channel {channel} sequence {sequence} ({} bytes)",
            payload.len()
        )
    }
}

/// What the bytes at hand amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// So far so good.
    NeedMore {
        /// How long the frame will be, its `frame_len` field included, once that is known.
        total: Option<usize>,
    },
    /// A whole frame.
    Frame {
        /// The frame.
        frame: Frame<'a>,
        /// How many bytes of the buffer it took.
        consumed: usize,
    },
}

/// Reads the frame at the start of `buf`.
///
/// # Errors
/// The [`Diagnostic`] that the bytes present prove, also before the frame is whole.
#[inline]
pub fn parse<'a>(buf: &'a [u8], limits: &FrameLimits) -> Result<Parsed<'a>, Diagnostic> {
    let Some((declared, rest)) = varint::split(buf).map_err(overflow)? else {
        return Ok(Parsed::NeedMore { total: None });
    };
    let Some(frame_len) = within(declared, limits.frame_len) else {
        return Err(frame_too_large(declared, limits));
    };
    let total = buf.len() - rest.len() + frame_len;
    match rest.get(..frame_len) {
        Some(body) => match Fields::<true>(body).frame(frame_len, limits) {
            Ok(frame) => Ok(Parsed::Frame { frame, consumed: total }),
            Err(stop) => stop.verdict(total),
        },
        None => parse_partial(rest, frame_len, total, limits),
    }
}

/// A frame that has not arrived whole may prove already that it never will be right.
fn parse_partial<'a>(
    arrived: &'a [u8],
    frame_len: usize,
    total: usize,
    limits: &FrameLimits,
) -> Result<Parsed<'a>, Diagnostic> {
    match Fields::<false>(arrived).frame(frame_len, limits) {
        Ok(_) => Ok(Parsed::NeedMore { total: Some(total) }),
        Err(stop) => stop.verdict(total),
    }
}

/// Writes what stands in front of a payload of `payload_len` bytes; returns how much of `out` it takes.
#[inline]
#[expect(clippy::indexing_slicing, reason = "MAX_HEADER is the longest of what it writes")]
pub fn write_header(
    kind: FrameType,
    channel: ChannelId,
    sequence: Sequence,
    payload_len: usize,
    out: &mut [u8; MAX_HEADER],
) -> usize {
    let frame_len = body_len(channel, sequence, payload_len);
    let mut at = varint::write(frame_len as u64, out);
    out[at] = kind.code();
    at += 1;
    at += varint::write(u64::from(channel.get()), &mut out[at..]);
    at += varint::write(u64::from(sequence.get()), &mut out[at..]);
    at + varint::write(payload_len as u64, &mut out[at..])
}

/// Appends the whole frame.
#[expect(clippy::indexing_slicing, reason = "write_header says how much it wrote")]
pub fn encode(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let mut header = [0; MAX_HEADER];
    let len = write_header(
        frame.kind,
        frame.channel,
        frame.sequence,
        frame.payload.len(),
        &mut header,
    );
    out.reserve(len + frame.payload.len());
    out.extend_from_slice(&header[..len]);
    out.extend_from_slice(frame.payload);
}

/// How many bytes a whole frame takes, its `frame_len` field included.
#[inline]
#[must_use]
pub const fn encoded_len(channel: ChannelId, sequence: Sequence, payload_len: usize) -> usize {
    let body = body_len(channel, sequence, payload_len);
    varint::len(body as u64) + body
}

/// The value of `frame_len`.
#[inline]
const fn body_len(channel: ChannelId, sequence: Sequence, payload_len: usize) -> usize {
    1 + varint::len(channel.get() as u64)
        + varint::len(sequence.get() as u64)
        + varint::len(payload_len as u64)
        + payload_len
}

/// Why a field could not be read.
enum Stop {
    /// The frame has not arrived yet up to there.
    Wait,
    /// It will never be right.
    Refuse(Diagnostic),
}

impl Stop {
    #[cold]
    fn verdict<'a>(self, total: usize) -> Result<Parsed<'a>, Diagnostic> {
        match self {
            Self::Wait => Ok(Parsed::NeedMore { total: Some(total) }),
            Self::Refuse(diagnostic) => Err(diagnostic),
        }
    }
}

/// A cursor over `frame_bytes`. `WHOLE` tells that nothing of the frame is missing, so that running out of bytes is the
/// frame's own fault; the two cases are compiled apart, since nearly all frames are whole.
struct Fields<'a, const WHOLE: bool>(&'a [u8]);

impl<'a, const WHOLE: bool> Fields<'a, WHOLE> {
    /// The frame, its payload as far as it has arrived.
    #[inline]
    fn frame(mut self, frame_len: usize, limits: &FrameLimits) -> Result<Frame<'a>, Stop> {
        let arrived = self.0.len();
        let kind = self.kind()?;
        let channel = ChannelId::new(self.identifier("channel_id")?);
        let sequence = Sequence::new(self.identifier("sequence")?);
        let payload_len = self.payload_len(kind, limits)?;
        let left = frame_len - (arrived - self.0.len());
        if payload_len != left {
            return Err(Stop::Refuse(disagreement(payload_len, left)));
        }
        Ok(Frame {
            kind,
            channel,
            sequence,
            payload: self.0,
        })
    }

    #[inline]
    fn kind(&mut self) -> Result<FrameType, Stop> {
        let Some((&code, rest)) = self.0.split_first() else {
            return Err(Self::ran_out());
        };
        self.0 = rest;
        FrameType::from_code(code).ok_or(Stop::Refuse(Diagnostic::InvalidFrameType { code }))
    }

    #[inline]
    fn identifier(&mut self, field: &'static str) -> Result<u32, Stop> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| Stop::Refuse(Diagnostic::IdentifierOutOfRange { field, value }))
    }

    #[inline]
    fn payload_len(&mut self, kind: FrameType, limits: &FrameLimits) -> Result<usize, Stop> {
        let declared = self.varint()?;
        let limit = if kind.is_control() {
            limits.control_payload
        } else {
            limits.frame_len
        };
        within(declared, limit).ok_or_else(|| Stop::Refuse(payload_too_large(declared, limits)))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Stop> {
        match varint::split(self.0) {
            Ok(Some((value, rest))) => {
                self.0 = rest;
                Ok(value)
            }
            Ok(None) => Err(Self::ran_out()),
            Err(error) => Err(Stop::Refuse(overflow(error))),
        }
    }

    #[cold]
    fn ran_out() -> Stop {
        if WHOLE {
            Stop::Refuse(Diagnostic::TruncatedFrame)
        } else {
            Stop::Wait
        }
    }
}

#[inline]
fn within(declared: u64, limit: usize) -> Option<usize> {
    usize::try_from(declared).ok().filter(|&len| len <= limit)
}

fn overflow(_: varint::Overflow) -> Diagnostic {
    Diagnostic::VarintOverflow
}

#[cold]
fn frame_too_large(declared: u64, limits: &FrameLimits) -> Diagnostic {
    Diagnostic::FrameTooLarge {
        declared,
        limit: limits.frame_len,
    }
}

/// Past the frame limit it is no payload of any kind; below that only a control frame can be too large.
#[cold]
fn payload_too_large(declared: u64, limits: &FrameLimits) -> Diagnostic {
    if within(declared, limits.frame_len).is_none() {
        Diagnostic::PayloadTooLarge {
            declared,
            limit: limits.frame_len,
        }
    } else {
        Diagnostic::ControlPayloadTooLarge {
            declared,
            limit: limits.control_payload,
        }
    }
}

/// `frame_len` and `payload_len` tell different stories (CCP-1, Limits; decisions § 2).
#[cold]
fn disagreement(payload_len: usize, left: usize) -> Diagnostic {
    if payload_len > left {
        Diagnostic::TruncatedFrame
    } else {
        Diagnostic::FrameLengthMismatch {
            excess: left - payload_len,
        }
    }
}
