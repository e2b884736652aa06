//! DATA (RFC 9113 § 6.1): windows are charged at the frame's header, its octets handed on as they come.

use super::frame::{self, Header};
use super::receive::Step;
use super::{Code, H2, H2Error, H2Event, Stage};

impl H2 {
    pub(super) fn begin_data<'a>(&mut self) -> Step<'a> {
        let Header { left: len, stream, .. } = self.frame;
        if self.is_idle_stream(stream) {
            return Err(H2Error::Protocol("DATA on an idle stream"));
        }
        let receive = self.receive.checked_sub(len);
        self.receive = receive.ok_or(H2Error::FlowControl("DATA beyond the connection window"))?;
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
        self.charge_if_empty(len)?;
        self.skip();
        match code {
            Some(code) => self.stream_error(stream, code),
            None => Ok(None),
        }
    }

    fn begin_payload<'a>(&mut self) -> Step<'a> {
        if !self.frame.has(frame::PADDED) {
            self.begin_pieces(0)
        } else if self.frame.left == 0 {
            Err(H2Error::FrameSize("padded DATA without a pad length"))
        } else {
            self.stage = Stage::PadLength;
            Ok(None)
        }
    }

    pub(super) fn pad_length<'a>(&mut self, padding: u8) -> Step<'a> {
        self.frame.left -= 1;
        if u32::from(padding) > self.frame.left {
            return Err(H2Error::Protocol("padding longer than its frame"));
        }
        // It counts for the windows and is nobody's data.
        let octets = 1 + u32::from(padding);
        self.credit_stream(self.frame.stream, octets);
        self.credit_connection(octets);
        self.begin_pieces(padding)
    }

    /// What is data and what is padding is known. A frame with neither is done.
    fn begin_pieces<'a>(&mut self, padding: u8) -> Step<'a> {
        let Header { left, stream, .. } = self.frame;
        let data = left - u32::from(padding);
        let end = self.frame.has(frame::END_STREAM);
        self.charge_if_empty(data)?;
        let open = self.streams.get_mut(stream);
        if open.is_some_and(|open| !open.take(u64::from(data), end)) {
            self.credit_connection(data);
            self.skip();
            return self.stream_error(stream, Code::Protocol);
        }
        self.stage = Stage::Data(padding);
        if left == 0 {
            return self.data_piece(0, &mut &[][..]);
        }
        Ok(None)
    }

    fn charge_if_empty(&mut self, data: u32) -> Result<(), H2Error> {
        let empty = data == 0 && !self.frame.has(frame::END_STREAM);
        self.charge(u32::from(empty))
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
