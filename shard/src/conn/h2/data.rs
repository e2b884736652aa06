//! DATA (RFC 9113 § 6.1): windows are charged at the frame's header, its octets handed on as they come.

use super::frame::{self, Header};
use super::receive::Step;
use super::{Code, H2, H2Error, H2Event, Stage};

impl H2 {
    pub(super) fn begin_data<'a>(&mut self) -> Step<'a> {
        let Header {
            left: len, stream, ..
        } = self.frame;
        if self.is_idle_stream(stream) {
            return Err(H2Error::Protocol("DATA on an idle stream"));
        }
        let receive = self.receive.checked_sub(len);
        self.receive = receive.ok_or(H2Error::FlowControl("DATA beyond the connection window"))?;
        if len == 0 && !self.frame.has(frame::END_STREAM) {
            self.charge(1)?;
        }
        let code = match self.streams.get_mut(stream) {
            None => None,
            Some(open) if open.peer_ended => Some(Code::StreamClosed),
            Some(open) => match open.receive.checked_sub(len) {
                None => Some(Code::FlowControl),
                Some(left) => {
                    open.receive = left;
                    return self.begin_payload();
                }
            },
        };
        // Of no use to anyone: the connection gets it back at once.
        self.credit_connection(len);
        self.skip();
        match code {
            Some(code) => self.stream_error(stream, code),
            None => Ok(None),
        }
    }

    fn begin_payload<'a>(&mut self) -> Step<'a> {
        if !self.frame.has(frame::PADDED) {
            self.stage = Stage::Data(0);
            self.data_if_empty(0)
        } else if self.frame.left == 0 {
            Err(H2Error::FrameSize("padded DATA without a pad length"))
        } else {
            self.stage = Stage::PadLength;
            Ok(None)
        }
    }

    /// Gives back what counts for the windows and is nobody's data.
    pub(super) fn uncounted(&mut self, octets: u32) {
        self.credit_stream(self.frame.stream, octets);
        self.credit_connection(octets);
    }

    /// A DATA frame with nothing to wait for is done at its header.
    pub(super) fn data_if_empty<'a>(&mut self, padding: u8) -> Step<'a> {
        if self.frame.left == 0 {
            self.data_piece(u32::from(padding), &mut &[][..])
        } else {
            Ok(None)
        }
    }

    /// A piece of the data, or of the padding behind it.
    pub(super) fn data_piece<'a>(&mut self, padding: u32, input: &mut &'a [u8]) -> Step<'a> {
        let Header { left, stream, .. } = self.frame;
        let data = left.saturating_sub(padding);
        let want = if data > 0 { data } else { left };
        let (piece, rest) = input.split_at(input.len().min(want as usize));
        *input = rest;
        let len = piece.len() as u32;
        self.frame.left -= len;
        let done = self.frame.left == 0;
        if done {
            self.stage = Stage::FrameHeader;
        }
        let bytes = if data > 0 { piece } else { &[] };
        let end = done && self.frame.has(frame::END_STREAM);

        let Some(open) = self.streams.get_mut(stream) else {
            // Reset since the frame began.
            self.credit_connection(bytes.len() as u32);
            return Ok(None);
        };
        if !open.take(bytes.len() as u64, end) {
            self.credit_connection(bytes.len() as u32);
            return self.stream_error(stream, Code::Protocol);
        }
        open.held += bytes.len() as u32;
        if end {
            self.peer_ended(stream);
        }
        let news = end || !bytes.is_empty();
        Ok(news.then_some(H2Event::Data { stream, bytes, end }))
    }

    pub(super) fn peer_ended(&mut self, stream: u32) {
        if let Some(open) = self.streams.get_mut(stream) {
            open.peer_ended = true;
            if open.we_ended {
                self.forget(stream);
            }
        }
    }
}
