//! HTTP/2 from the client's side: one connection, one stream, one `POST /connect` (RFC 9113) or what carries a WebSocket
//! there (RFC 8441).
//!
//! Only what one long duplex stream needs: the preface and SETTINGS, a request of literals, DATA under flow control both
//! ways, PING, GOAWAY, RST_STREAM. Receive credit returns as bytes are handed on, because the caller takes every event
//! before it feeds more; a caller that stops feeding stops the server.
//!
//! Invariant: `receive` consumes every byte. DATA is passed on as it comes; of other frames at most one is kept, whole,
//! and it is at most [`HTTP2_FRAME`](crate::limits::HTTP2_FRAME) long.

mod flow;
mod frame;
mod head;
mod receive;

use std::fmt;

use flow::{DEFAULT_WINDOW, ReceiveWindow, SendWindow};
use frame::{DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, write_header, write_window_update};

use crate::http::{HttpError, Outbox, Progress, Request};
use crate::limits::{HTTP2_DATA, HTTP2_WINDOW};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The only stream we open.
const STREAM: u32 = 1;

/// The client's half of one HTTP/2 connection.
pub(crate) struct Http2 {
    control: Vec<u8>,
    /// The head of an extended CONNECT, until the server has said that it knows what that is (RFC 8441 §3).
    deferred: Option<Vec<u8>>,
    extended: bool,
    reading: receive::Reading,
    block: Vec<u8>,
    block_ends_stream: bool,
    decoder: loona_hpack::Decoder<'static>,
    status: Option<u16>,
    ended: bool,
    cut: bool,
    finishing: bool,
    finished: bool,
    settled: bool,
    connection_out: SendWindow,
    stream_out: SendWindow,
    initial_window: u32,
    connection_in: ReceiveWindow,
    stream_in: ReceiveWindow,
    max_frame: usize,
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2")
            .field("status", &self.status)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Http2 {
    pub(crate) fn open(request: &Request<'_>) -> Self {
        let mut http = Self::new();
        http.request(&head::encode(request));
        http
    }

    /// A stream for a WebSocket. Its request leaves once the server's SETTINGS allow it.
    pub(crate) fn extended(request: &Request<'_>) -> Self {
        Self {
            deferred: Some(head::encode_extended(request)),
            ..Self::new()
        }
    }

    fn request(&mut self, block: &[u8]) {
        write_header(block.len(), HEADERS, END_HEADERS, STREAM, &mut self.control);
        self.control.extend_from_slice(block);
    }

    fn new() -> Self {
        let mut control = PREFACE.to_vec();
        write_header(12, SETTINGS, 0, 0, &mut control);
        for (setting, value) in [(frame::ENABLE_PUSH, 0_u32), (frame::INITIAL_WINDOW_SIZE, HTTP2_WINDOW)] {
            control.extend_from_slice(&setting.to_be_bytes());
            control.extend_from_slice(&value.to_be_bytes());
        }
        write_window_update(0, HTTP2_WINDOW - DEFAULT_WINDOW, &mut control);
        Self {
            control,
            deferred: None,
            extended: false,
            reading: receive::Reading::default(),
            block: Vec::new(),
            block_ends_stream: false,
            decoder: loona_hpack::Decoder::new(),
            status: None,
            ended: false,
            cut: false,
            finishing: false,
            finished: false,
            settled: false,
            connection_out: SendWindow::new(),
            stream_out: SendWindow::new(),
            initial_window: DEFAULT_WINDOW,
            connection_in: ReceiveWindow::new(),
            stream_in: ReceiveWindow::new(),
            max_frame: HTTP2_DATA,
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            status: self.status,
            ended: self.ended,
            cut: self.cut,
        }
    }

    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    pub(crate) fn disconnected(&mut self) {
        self.cut |= !self.ended;
        self.ended = true;
    }

    pub(crate) fn transmit(&mut self, outbox: &mut Outbox, out: &mut Vec<u8>) {
        self.connection_in.replenish(0, &mut self.control);
        if !self.ended {
            self.stream_in.replenish(STREAM, &mut self.control);
        }
        out.append(&mut self.control);
        if self.finished || self.deferred.is_some() {
            return;
        }
        loop {
            let pending = outbox.pending();
            let allowed = self
                .connection_out
                .available()
                .min(self.stream_out.available())
                .min(self.max_frame);
            let count = pending.len().min(allowed);
            if count == 0 {
                break;
            }
            write_header(count, DATA, 0, STREAM, out);
            out.extend_from_slice(&pending[..count]);
            outbox.take(count);
            self.connection_out.spend(count);
            self.stream_out.spend(count);
        }
        if self.finishing && outbox.pending().is_empty() {
            write_header(0, DATA, END_STREAM, STREAM, out);
            self.finished = true;
        }
    }

    /// A setting of the server's took effect (RFC 9113 §6.5.2).
    fn apply_setting(&mut self, setting: u16, value: u32) -> Result<(), HttpError> {
        match setting {
            frame::INITIAL_WINDOW_SIZE => {
                if value > 0x7fff_ffff {
                    return Err(HttpError::Protocol {
                        section: "RFC 9113 §6.5.2",
                        what: "a window beyond 2^31-1",
                    });
                }
                self.stream_out
                    .shift(i64::from(value) - i64::from(self.initial_window))?;
                self.initial_window = value;
            }
            frame::MAX_FRAME_SIZE => {
                if !(16_384..=16_777_215).contains(&value) {
                    return Err(HttpError::Protocol {
                        section: "RFC 9113 §6.5.2",
                        what: "a frame size out of range",
                    });
                }
                self.max_frame = HTTP2_DATA.min(value as usize);
            }
            frame::ENABLE_CONNECT_PROTOCOL => self.extended = value == 1,
            _ => {}
        }
        Ok(())
    }
}
