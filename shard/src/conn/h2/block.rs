//! HEADERS and CONTINUATION (RFC 9113 § 6.2, § 6.10): collecting a block, and what a whole one means.

use std::ops::Range;

use super::frame::{self, Header};
use super::head::{Fields, Refusal};
use super::receive::Step;
use super::streams::Stream;
use super::{Assembly, Code, H2, H2Error, H2Event, Stage};
use crate::conn::h1::HttpError;
use crate::conn::limits;

/// RFC 9457.
const PROBLEM: &[(&str, &str)] = &[("content-type", "application/problem+json")];

impl H2 {
    pub(super) fn begin_block<'a>(&mut self) -> Step<'a> {
        let Header { left: len, stream, .. } = self.frame;
        if self.block.len() + len as usize > limits::H2_BLOCK {
            return Err(H2Error::Calm("header block"));
        }
        match &mut self.assembly {
            Some(block) if block.continuations == limits::H2_CONTINUATIONS => {
                return Err(H2Error::Calm("CONTINUATION"));
            }
            Some(block) => block.continuations += 1,
            None if stream.is_multiple_of(2) => {
                return Err(H2Error::Protocol("HEADERS on a stream that is not the client's"));
            }
            None => {
                let end = self.frame.has(frame::END_STREAM);
                self.assembly = Some(Assembly {
                    stream,
                    end,
                    continuations: 0,
                });
            }
        }
        self.block_frame = self.block.len();
        self.stage = Stage::Block;
        if len == 0 {
            self.charge(1)?;
            return self.block_piece(&mut &[][..]);
        }
        Ok(None)
    }

    pub(super) fn block_piece<'a>(&mut self, input: &mut &'a [u8]) -> Step<'a> {
        let left = self.frame.left as usize;
        let (piece, rest) = input.split_at(input.len().min(left));
        *input = rest;
        self.frame.left -= piece.len() as u32;
        if self.frame.left == 0 && self.block.is_empty() && self.frame.has(frame::END_HEADERS) {
            // The usual case: the whole block is here, and need not be copied.
            let range = fragment(&self.frame, piece)?;
            return self.end_block(&piece[range]);
        }
        self.block.extend_from_slice(piece);
        if self.frame.left > 0 {
            return Ok(None);
        }
        let range = fragment(&self.frame, &self.block[self.block_frame..])?;
        self.block.truncate(self.block_frame + range.end);
        self.block.drain(self.block_frame..self.block_frame + range.start);
        if self.frame.has(frame::END_HEADERS) {
            let block = std::mem::take(&mut self.block);
            return self.end_block(&block);
        }
        self.stage = Stage::FrameHeader;
        Ok(None)
    }

    fn end_block<'a>(&mut self, block: &[u8]) -> Step<'a> {
        self.stage = Stage::FrameHeader;
        match self.assembly.take() {
            Some(Assembly { stream, end, .. }) => self.on_head(stream, end, block),
            None => Ok(None),
        }
    }

    fn on_head<'a>(&mut self, stream: u32, end: bool, block: &[u8]) -> Step<'a> {
        let mut fields = Fields::default();
        // Whatever becomes of the stream: the block must be decoded, or the tables are out of step.
        self.decoder
            .decode(block, limits::H2_BLOCK_DECODED, &mut |name, value| {
                fields.add(name, value)
            })?;
        if self.streams.get(stream).is_some() {
            return self.on_trailers(stream, end, &fields);
        }
        if !self.is_idle_stream(stream) {
            // Reset or ended before; what was on its way is read over.
            self.charge(1)?;
            return Ok(None);
        }
        self.last_stream = stream;
        if self.leaving || self.streams.len() >= self.limits.streams as usize {
            return self.stream_error(stream, Code::RefusedStream);
        }
        let (head, length) = match fields.request(self.limits.extended_connect) {
            Ok((_, Some(1..))) if end => return self.stream_error(stream, Code::Protocol),
            Ok(head) => head,
            Err(Refusal::Malformed) => return self.stream_error(stream, Code::Protocol),
            Err(Refusal::Answer(error)) => return self.refuse(stream, error, end),
        };
        self.open(stream, length, end);
        Ok(Some(H2Event::Request { stream, head, end }))
    }

    /// § 8.1: a second head ends the body.
    fn on_trailers<'a>(&mut self, stream: u32, end: bool, fields: &Fields) -> Step<'a> {
        let Some(open) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        if open.peer_ended {
            return self.stream_error(stream, Code::StreamClosed);
        }
        if !end || !fields.are_trailers() || !open.take(0, true) {
            return self.stream_error(stream, Code::Protocol);
        }
        self.peer_ended(stream);
        Ok(Some(H2Event::Data {
            stream,
            bytes: &[],
            end: true,
        }))
    }

    fn open(&mut self, id: u32, expected: Option<u64>, peer_ended: bool) {
        self.streams.push(Stream {
            id,
            send: self.initial_send,
            receive: self.limits.stream_window,
            held: 0,
            owed: 0,
            expected,
            peer_ended,
            we_ended: false,
        });
    }

    /// Answers a request that is not handed on. The stream is open no longer than that takes: what of the answer a shut
    /// window keeps back is given up.
    fn refuse<'a>(&mut self, stream: u32, error: HttpError, end: bool) -> Step<'a> {
        self.open(stream, None, end);
        let mut out = std::mem::take(&mut self.pending);
        self.write_head(stream, error.status(), PROBLEM, false, &mut out);
        self.data(stream, error.problem().as_bytes(), true, &mut out);
        // § 8.1: the answer is complete, and the rest of the request is not wanted.
        if self.forget(stream) {
            frame::rst_stream(stream, Code::NoError, &mut self.pending);
        }
        out.append(&mut self.pending);
        self.pending = out;
        self.charge_reset()?;
        Ok(None)
    }
}

/// Where in the payload of HEADERS or CONTINUATION its fragment is: without padding and priority.
fn fragment(header: &Header, payload: &[u8]) -> Result<Range<usize>, H2Error> {
    let mut range = 0..payload.len();
    if header.kind == frame::CONTINUATION {
        return Ok(range);
    }
    if header.has(frame::PADDED) {
        let padding = payload.first().ok_or(H2Error::FrameSize("HEADERS too short"))?;
        range.start = 1;
        range.end -= usize::from(*padding).min(range.end);
    }
    if header.has(frame::PRIORITISED) {
        range.start += 5;
        if range.start > payload.len() {
            return Err(H2Error::FrameSize("HEADERS too short"));
        }
    }
    if range.start > range.end {
        return Err(H2Error::Protocol("padding longer than its frame"));
    }
    Ok(range)
}
