//! Bytes from the server, frame by frame.

use super::frame::{self, HEADER, Header};
use super::{Http2, STREAM, head};
use crate::http::HttpError;
use crate::limits::{HTTP2_FRAME, RESPONSE_HEAD};

/// Where in the server's bytes the next one belongs.
#[derive(Debug)]
pub(super) enum Reading {
    /// In a frame header, or in a frame that is kept until it is whole.
    Frame { kept: Vec<u8> },
    /// In a DATA frame: so many octets of data, then so many of padding.
    Data { data: usize, padding: usize, ends: bool },
}

impl Default for Reading {
    fn default() -> Self {
        Self::Frame { kept: Vec::new() }
    }
}

const fn broken(section: &'static str, what: &'static str) -> HttpError {
    HttpError::Protocol { section, what }
}

impl Http2 {
    pub(crate) fn receive(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<(), HttpError> {
        while !bytes.is_empty() {
            let used = match &mut self.reading {
                Reading::Frame { kept } if kept.is_empty() => match whole_frame(bytes)? {
                    Piece::Data(header) => self.begin_data(header, bytes)?,
                    Piece::Whole(header) => {
                        let end = HEADER + header.length;
                        self.frame(header, &bytes[HEADER..end])?;
                        end
                    }
                    Piece::Short => {
                        kept.extend_from_slice(bytes);
                        bytes.len()
                    }
                },
                Reading::Frame { .. } => self.continue_frame(bytes)?,
                Reading::Data { .. } => self.data(bytes, body),
            };
            bytes = &bytes[used..];
        }
        // A DATA frame may end exactly where its header did.
        self.settle_data();
        Ok(())
    }

    /// Completes the kept frame by as many bytes as it lacks.
    fn continue_frame(&mut self, bytes: &[u8]) -> Result<usize, HttpError> {
        let Reading::Frame { kept } = &mut self.reading else {
            return Ok(0);
        };
        let want = match kept.first_chunk::<HEADER>() {
            None => HEADER,
            Some(header) => {
                let header = Header::parse(*header);
                if header.kind == frame::DATA {
                    HEADER + 1
                } else {
                    HEADER + header.length
                }
            }
        };
        let used = bytes.len().min(want.saturating_sub(kept.len()));
        kept.extend_from_slice(&bytes[..used]);
        match whole_frame(kept)? {
            Piece::Short => Ok(used),
            Piece::Data(header) => {
                let kept = std::mem::take(kept);
                self.begin_data(header, &kept)?;
                Ok(used)
            }
            Piece::Whole(header) => {
                let kept = std::mem::take(kept);
                self.frame(header, &kept[HEADER..])?;
                Ok(used)
            }
        }
    }

    /// Starts a DATA frame whose header (and pad length) stand at the front of `bytes`; returns their length.
    fn begin_data(&mut self, header: Header, bytes: &[u8]) -> Result<usize, HttpError> {
        if !self.block.is_empty() {
            return Err(broken("RFC 9113 §6.10", "DATA inside a header block"));
        }
        if header.stream != STREAM {
            return Err(broken("RFC 9113 §5.1.1", "DATA on a stream that was never opened"));
        }
        if self.status.is_none() || self.ended {
            return Err(broken("RFC 9113 §8.1", "DATA outside the response body"));
        }
        self.connection_in.receive(header.length)?;
        self.stream_in.receive(header.length)?;
        let (padding, taken) = match bytes.get(HEADER) {
            Some(&padding) if header.has(frame::PADDED) => (usize::from(padding), HEADER + 1),
            _ => (0, HEADER),
        };
        let data = (header.length + HEADER - taken)
            .checked_sub(padding)
            .ok_or(broken("RFC 9113 §6.1", "padding longer than its frame"))?;
        self.reading = Reading::Data {
            data,
            padding,
            ends: header.has(frame::END_STREAM),
        };
        self.settle_data();
        Ok(taken)
    }

    fn data(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> usize {
        let Reading::Data { data, padding, .. } = &mut self.reading else {
            return 0;
        };
        let payload = bytes.len().min(*data);
        body.extend_from_slice(&bytes[..payload]);
        *data -= payload;
        let padded = (bytes.len() - payload).min(*padding);
        *padding -= padded;
        self.settle_data();
        payload + padded
    }

    fn settle_data(&mut self) {
        if let Reading::Data {
            data: 0,
            padding: 0,
            ends,
        } = self.reading
        {
            self.ended |= ends;
            self.reading = Reading::default();
        }
    }

    fn frame(&mut self, header: Header, payload: &[u8]) -> Result<(), HttpError> {
        if !self.settled && header.kind != frame::SETTINGS {
            return Err(broken("RFC 9113 §3.4", "the first frame is not SETTINGS"));
        }
        if !self.block.is_empty() && header.kind != frame::CONTINUATION {
            return Err(broken("RFC 9113 §6.10", "a header block interrupted by another frame"));
        }
        match header.kind {
            frame::HEADERS => self.headers(header, payload),
            frame::CONTINUATION => {
                if self.block.is_empty() || header.stream != STREAM {
                    return Err(broken("RFC 9113 §6.10", "CONTINUATION without a header block"));
                }
                self.block_piece(header, payload)
            }
            frame::SETTINGS => self.settings(header, payload),
            frame::PING => self.ping(header, payload),
            frame::WINDOW_UPDATE => self.window_update(header, payload),
            frame::RST_STREAM => self.reset(header, payload),
            frame::GOAWAY => self.go_away(payload),
            frame::PUSH_PROMISE => Err(broken("RFC 9113 §8.4", "a push, which we turned off")),
            // PRIORITY is deprecated; unknown kinds are ignored (RFC 9113 §5.5).
            _ => Ok(()),
        }
    }

    fn headers(&mut self, header: Header, payload: &[u8]) -> Result<(), HttpError> {
        if header.stream != STREAM || self.ended {
            return Err(broken("RFC 9113 §5.1", "HEADERS on a stream that is not open"));
        }
        let mut block = payload;
        let mut padding = 0;
        let short = broken("RFC 9113 §6.2", "HEADERS shorter than its fields");
        if header.has(frame::PADDED) {
            let (&first, rest) = block.split_first().ok_or(short.clone())?;
            (padding, block) = (usize::from(first), rest);
        }
        if header.has(frame::PRIORITISED) {
            block = block.get(5..).ok_or(short.clone())?;
        }
        let end = block.len().checked_sub(padding).ok_or(short)?;
        self.block_ends_stream = header.has(frame::END_STREAM);
        self.block_piece(header, &block[..end])
    }

    /// Collects a header block and reads it once it is whole.
    fn block_piece(&mut self, header: Header, piece: &[u8]) -> Result<(), HttpError> {
        if self.block.len() + piece.len() > RESPONSE_HEAD {
            return Err(HttpError::HeadTooLarge { limit: RESPONSE_HEAD });
        }
        // Legal and pointless: nothing but a flood sends it, and it would look like no block at all.
        if piece.is_empty() && !header.has(frame::END_HEADERS) {
            return Err(broken("RFC 9113 §10.5.1", "an empty piece of a header block"));
        }
        self.block.extend_from_slice(piece);
        if !header.has(frame::END_HEADERS) {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let status = head::decode_status(&mut self.decoder, &block)?;
        match (self.status, status) {
            (None, Some(status)) if (100..200).contains(&status) && !self.block_ends_stream => {}
            (None, Some(status)) => self.status = Some(status),
            (Some(_), None) if self.block_ends_stream => {}
            _ => {
                return Err(broken(
                    "RFC 9113 §8.1",
                    "a response head without, or trailers with, a status",
                ));
            }
        }
        self.ended |= self.block_ends_stream;
        Ok(())
    }

    fn settings(&mut self, header: Header, payload: &[u8]) -> Result<(), HttpError> {
        if header.stream != 0 || !payload.len().is_multiple_of(6) || (header.has(frame::ACK) && !payload.is_empty()) {
            return Err(broken("RFC 9113 §6.5", "malformed SETTINGS"));
        }
        if header.has(frame::ACK) {
            return Ok(());
        }
        self.settled = true;
        let (settings, _) = payload.as_chunks::<6>();
        for &[a, b, c, d, e, f] in settings {
            self.apply_setting(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))?;
        }
        frame::write_header(0, frame::SETTINGS, frame::ACK, 0, &mut self.control);
        if let Some(block) = self.deferred.take() {
            if !self.extended {
                return Err(HttpError::Handshake("the server has no extended CONNECT (RFC 8441)"));
            }
            self.request(&block);
        }
        Ok(())
    }

    fn ping(&mut self, header: Header, payload: &[u8]) -> Result<(), HttpError> {
        if header.stream != 0 || payload.len() != 8 {
            return Err(broken("RFC 9113 §6.7", "malformed PING"));
        }
        if !header.has(frame::ACK) {
            frame::write_header(8, frame::PING, frame::ACK, 0, &mut self.control);
            self.control.extend_from_slice(payload);
        }
        Ok(())
    }

    fn window_update(&mut self, header: Header, payload: &[u8]) -> Result<(), HttpError> {
        let increment = number(payload, broken("RFC 9113 §6.9", "malformed WINDOW_UPDATE"))? & 0x7fff_ffff;
        match header.stream {
            0 => self.connection_out.widen(increment),
            STREAM => self.stream_out.widen(increment),
            _ => Err(broken("RFC 9113 §5.1", "WINDOW_UPDATE on an idle stream")),
        }
    }

    fn reset(&mut self, header: Header, payload: &[u8]) -> Result<(), HttpError> {
        let code = number(payload, broken("RFC 9113 §6.4", "malformed RST_STREAM"))?;
        if header.stream != STREAM {
            return Err(broken("RFC 9113 §6.4", "RST_STREAM on an idle stream"));
        }
        // After a complete response NO_ERROR only asks us to stop sending (RFC 9113 §8.1).
        if code == frame::NO_ERROR && self.ended {
            self.finished = true;
            return Ok(());
        }
        self.ended = true;
        self.finished = true;
        Err(HttpError::Reset { code })
    }

    fn go_away(&mut self, payload: &[u8]) -> Result<(), HttpError> {
        let malformed = broken("RFC 9113 §6.8", "malformed GOAWAY");
        let last = number(payload.get(..4).unwrap_or(&[]), malformed.clone())? & 0x7fff_ffff;
        let code = number(payload.get(4..8).unwrap_or(&[]), malformed)?;
        // A graceful GOAWAY lets the streams it covers finish.
        if code == frame::NO_ERROR && last >= STREAM {
            return Ok(());
        }
        self.ended = true;
        Err(HttpError::GoAway { code })
    }
}

fn number(payload: &[u8], otherwise: HttpError) -> Result<u32, HttpError> {
    payload.try_into().map(u32::from_be_bytes).map_err(|_| otherwise)
}

/// What stands at the front of some bytes.
enum Piece {
    Short,
    Data(Header),
    Whole(Header),
}

/// DATA begins as soon as its header and pad length are there; everything else waits until it is whole.
fn whole_frame(bytes: &[u8]) -> Result<Piece, HttpError> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Ok(Piece::Short);
    };
    let header = Header::parse(*header);
    if header.length > HTTP2_FRAME {
        return Err(broken("RFC 9113 §4.2", "a frame larger than we allow"));
    }
    if header.kind != frame::DATA {
        return Ok(if bytes.len() < HEADER + header.length {
            Piece::Short
        } else {
            Piece::Whole(header)
        });
    }
    if header.has(frame::PADDED) {
        if header.length == 0 {
            return Err(broken("RFC 9113 §6.1", "a padded frame without a pad length"));
        }
        if bytes.len() == HEADER {
            return Ok(Piece::Short);
        }
    }
    Ok(Piece::Data(header))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::http::{Outbox, Request};
    use crate::http2::Http2;

    fn opened() -> Http2 {
        Http2::open(&Request {
            authority: "relay.example",
            secure: true,
            traceparent: None,
        })
    }

    /// One frame of a kind that exists, with a payload that may make no sense.
    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let payload = proptest::collection::vec(any::<u8>(), 0..40);
        (0_u8..12, any::<u8>(), 0_u8..3, payload).prop_map(|(kind, flags, stream, payload)| {
            let mut bytes = Vec::new();
            super::frame::write_header(payload.len(), kind, flags, u32::from(stream), &mut bytes);
            bytes.extend_from_slice(&payload);
            bytes
        })
    }

    proptest! {
        #[test]
        fn no_bytes_of_a_server_make_it_panic_and_cuts_change_nothing(
            frames in proptest::collection::vec(frame(), 0..12),
            noise in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 1_usize..50,
        ) {
            // A server that is right so far: SETTINGS, then a head with status 200.
            let mut wire = vec![0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];
            wire.extend(frames.concat());
            wire.extend(noise);
            let (mut whole, mut pieces) = (opened(), opened());
            let (mut body, mut in_pieces) = (Vec::new(), Vec::new());
            let at_once = whole.receive(&wire, &mut body);
            let cut_up = wire.chunks(cut).try_for_each(|piece| pieces.receive(piece, &mut in_pieces));
            prop_assert_eq!(at_once, cut_up);
            prop_assert_eq!(body, in_pieces);
            prop_assert_eq!(whole.progress(), pieces.progress());
            whole.transmit(&mut Outbox::default(), &mut Vec::new());
        }
    }
}
