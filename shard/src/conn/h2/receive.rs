//! The receiving half: from octets to frames, and what each frame does.
//!
//! Every frame yields at most one event, DATA one per piece. What a frame costs the peer's budgets is charged before its
//! payload is read.

use super::frame::{self, HEADER, Header};
use super::{Code, H2, H2Error, H2Event, PREFACE, Stage};
use crate::conn::limits;

pub(super) type Step<'a> = Result<Option<H2Event<'a>>, H2Error>;

impl H2 {
    /// The next event, or `None` when all of `input` is consumed and more is needed. After an error, and its GOAWAY in
    /// `pending`, whatever comes is consumed and ignored.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        let event = self.events(input);
        if let Err(error) = event {
            self.stage = Stage::Failed;
            self.block = Vec::new();
            frame::goaway(self.last_stream, error.code(), &mut self.pending);
        }
        event
    }

    fn events<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        // A frame without payload is handled on its header, so the loop need not run on empty input.
        while !input.is_empty() {
            let event = self.step(input)?;
            if self.pending.len() > self.limits.pending {
                return Err(H2Error::Calm("unread control replies"));
            }
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        match self.stage {
            Stage::Preface(seen) => self.preface(usize::from(seen), input),
            Stage::FrameHeader => {
                let Some(octets) = self.collect::<HEADER>(input) else {
                    return Ok(None);
                };
                self.frame = Header::parse(octets);
                self.begin()
            }
            Stage::PadLength => {
                let Some([padding]) = self.collect::<1>(input) else {
                    return Ok(None);
                };
                self.pad_length(padding)
            }
            Stage::Data(padding) => self.data_piece(u32::from(padding), input),
            Stage::Block => self.block_piece(input),
            Stage::Fixed(len) => match len {
                4 => self.collect::<4>(input).map_or(Ok(None), |octets| self.fixed4(octets)),
                _ => self.collect::<8>(input).map_or(Ok(None), |octets| self.fixed8(octets)),
            },
            Stage::Settings(opened) => match self.collect::<6>(input) {
                Some(entry) => {
                    self.frame.left -= 6;
                    let opened = self.setting(entry)? || opened;
                    self.stage = Stage::Settings(opened);
                    Ok(self.settings_if_done(opened))
                }
                None => Ok(None),
            },
            Stage::Skip => {
                let len = input.len().min(self.frame.left as usize);
                *input = &input[len..];
                self.frame.left -= len as u32;
                if self.frame.left == 0 {
                    self.stage = Stage::FrameHeader;
                }
                Ok(None)
            }
            Stage::Failed => {
                *input = &[];
                Ok(None)
            }
        }
    }

    fn preface<'a>(&mut self, seen: usize, input: &mut &'a [u8]) -> Step<'a> {
        let len = input.len().min(PREFACE.len() - seen);
        let (head, rest) = input.split_at(len);
        if head != &PREFACE[seen..seen + len] {
            return Err(H2Error::Protocol("not the connection preface"));
        }
        *input = rest;
        let seen = seen + len;
        self.stage = if seen == PREFACE.len() {
            Stage::FrameHeader
        } else {
            Stage::Preface(seen as u8)
        };
        Ok(None)
    }

    /// `N` octets, put together in `scratch` when they come in pieces.
    fn collect<const N: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; N]> {
        if self.scratched == 0
            && let Some((octets, rest)) = input.split_first_chunk::<N>()
        {
            *input = rest;
            return Some(*octets);
        }
        let have = usize::from(self.scratched);
        let len = input.len().min(N - have);
        let (head, rest) = input.split_at(len);
        self.scratch[have..have + len].copy_from_slice(head);
        *input = rest;
        self.scratched += len as u8;
        let octets = self.scratch.first_chunk::<N>().filter(|_| have + len == N)?;
        self.scratched = 0;
        Some(*octets)
    }

    /// Judges a frame by its header, and sets the stage for its payload.
    fn begin<'a>(&mut self) -> Step<'a> {
        let Header {
            left: len,
            kind,
            stream,
            ..
        } = self.frame;
        if len as usize > limits::H2_FRAME {
            return Err(H2Error::FrameSize("frame above SETTINGS_MAX_FRAME_SIZE"));
        }
        if !self.greeted && (kind != frame::SETTINGS || self.frame.has(frame::ACK)) {
            return Err(H2Error::Protocol("the first frame is not SETTINGS"));
        }
        match self.assembly {
            Some(block) if kind != frame::CONTINUATION || stream != block.stream => {
                return Err(H2Error::Protocol("a header block is interrupted"));
            }
            None if kind == frame::CONTINUATION => {
                return Err(H2Error::Protocol("CONTINUATION of no header block"));
            }
            _ => {}
        }
        let on_stream = match kind {
            frame::DATA | frame::HEADERS | frame::PRIORITY | frame::RST_STREAM => Some(true),
            frame::SETTINGS | frame::PING | frame::GOAWAY => Some(false),
            _ => None,
        };
        if on_stream.is_some_and(|on_stream| on_stream != (stream != 0)) {
            return Err(H2Error::Protocol("frame on the wrong stream"));
        }
        match kind {
            frame::DATA => self.begin_data(),
            frame::HEADERS | frame::CONTINUATION => self.begin_block(),
            frame::RST_STREAM if len == 4 && !self.is_idle_stream(stream) => self.fixed(4, 0),
            frame::RST_STREAM if len == 4 => Err(H2Error::Protocol("RST_STREAM on an idle stream")),
            frame::SETTINGS => self.begin_settings(),
            frame::PUSH_PROMISE => Err(H2Error::Protocol("PUSH_PROMISE from a client")),
            frame::PING if len == 8 => self.fixed(8, 1),
            frame::GOAWAY if len >= 8 => self.fixed(8, 1),
            frame::WINDOW_UPDATE if len == 4 && !(stream != 0 && self.is_idle_stream(stream)) => self.fixed(4, 0),
            frame::WINDOW_UPDATE if len == 4 => Err(H2Error::Protocol("WINDOW_UPDATE on an idle stream")),
            frame::RST_STREAM | frame::PING | frame::GOAWAY | frame::WINDOW_UPDATE => {
                Err(H2Error::FrameSize("wrong length for its type"))
            }
            frame::PRIORITY if len != 5 => Err(H2Error::FrameSize("PRIORITY of another length than 5")),
            // PRIORITY is deprecated and unknown types must be ignored (§ 5.3.2, § 4.1).
            _ => {
                self.charge(1)?;
                self.skip();
                Ok(None)
            }
        }
    }

    fn fixed<'a>(&mut self, len: u8, cost: u32) -> Step<'a> {
        self.charge(cost)?;
        self.stage = Stage::Fixed(len);
        Ok(None)
    }

    pub(super) fn skip(&mut self) {
        self.stage = if self.frame.left == 0 {
            Stage::FrameHeader
        } else {
            Stage::Skip
        };
    }

    pub(super) fn charge(&mut self, cost: u32) -> Result<(), H2Error> {
        self.control
            .spend(cost)
            .then_some(())
            .ok_or(H2Error::Calm("control frames"))
    }

    /// Never opened: a client's streams are odd and rise.
    pub(super) fn is_idle_stream(&self, stream: u32) -> bool {
        stream.is_multiple_of(2) || stream > self.last_stream
    }

    /// Resets a stream for the peer's error. The caller hears of it if it knew the stream.
    pub(super) fn stream_error<'a>(&mut self, stream: u32, code: Code) -> Step<'a> {
        let known = self.forget(stream);
        frame::rst_stream(stream, code, &mut self.pending);
        self.charge_reset()?;
        Ok(known.then_some(H2Event::Reset {
            stream,
            code: code as u32,
        }))
    }

    pub(super) fn charge_reset(&mut self) -> Result<(), H2Error> {
        self.resets
            .spend(1)
            .then_some(())
            .ok_or(H2Error::Calm("streams that come to nothing"))
    }
}
