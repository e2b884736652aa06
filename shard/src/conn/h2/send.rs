//! The sending half: credit, response heads, DATA, and the control frames that the caller asks for.

use super::budget::Budget;
use super::frame::{self, Header};
use super::streams::Streams;
use super::{Code, Decoder, H2, H2Limits, Stage};
use crate::conn::hpack::encode;
use crate::conn::limits;

/// A window before anyone has said anything (RFC 9113 § 6.9.2).
const DEFAULT_WINDOW: u32 = 65_535;

impl H2 {
    /// A connection that waits for the preface. Its own SETTINGS are pending at once.
    #[must_use]
    pub fn new(limits: H2Limits) -> Self {
        let limits = H2Limits {
            // A client may use the default windows before it has seen ours.
            stream_window: limits.stream_window.clamp(DEFAULT_WINDOW, i32::MAX as u32),
            connection_window: limits.connection_window.clamp(DEFAULT_WINDOW, i32::MAX as u32),
            ..limits
        };
        let mut settings = vec![
            (frame::SETTING_MAX_CONCURRENT_STREAMS, limits.streams),
            (frame::SETTING_INITIAL_WINDOW_SIZE, limits.stream_window),
            (frame::SETTING_MAX_HEADER_LIST_SIZE, limits::HEAD as u32),
            (frame::SETTING_NO_RFC7540_PRIORITIES, 1),
        ];
        if limits.extended_connect {
            settings.push((frame::SETTING_ENABLE_CONNECT_PROTOCOL, 1));
        }
        let mut pending = Vec::new();
        frame::settings(&settings, &mut pending);
        if limits.connection_window > DEFAULT_WINDOW {
            frame::window_update(0, limits.connection_window - DEFAULT_WINDOW, &mut pending);
        }
        Self {
            stage: Stage::Preface(0),
            frame: Header::default(),
            scratch: [0; frame::HEADER],
            scratched: 0,
            assembly: None,
            block: Vec::new(),
            block_frame: 0,
            decoder: Decoder::new(),
            streams: Streams::default(),
            last_stream: 0,
            send: DEFAULT_WINDOW as i32,
            initial_send: DEFAULT_WINDOW as i32,
            receive: limits.connection_window,
            owed: 0,
            pending,
            resets: Budget::new(limits.resets),
            control: Budget::new(limits.control),
            second: 0,
            greeted: false,
            leaving: false,
            table_closed: false,
            limits,
        }
    }

    /// Tells the time, in seconds since anything: budgets fill up again. Without it they last for the whole connection.
    pub fn tick(&mut self, second: u32) {
        let passed = second.saturating_sub(self.second);
        if passed > 0 {
            self.second = second;
            self.resets.pass(passed);
            self.control.pass(passed);
        }
    }

    /// Moves the control frames that are owed to `out`.
    pub fn pending(&mut self, out: &mut Vec<u8>) {
        if !self.pending.is_empty() {
            out.append(&mut self.pending);
            // What a busy stream needs again and again, its window updates, allocates once.
            if self.pending.capacity() > limits::H2_PENDING_KEPT {
                self.pending = Vec::new();
            }
        }
    }

    /// Whether `pending` has anything.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Open and half-closed streams.
    #[must_use]
    pub fn active(&self) -> usize {
        self.streams.len()
    }

    /// Octets of an incomplete header block held inside.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.block.len()
    }

    /// Gives the peer back `octets` that `Data` events delivered on `stream`. Announced in batches of half a window.
    pub fn credit(&mut self, stream: u32, octets: u32) {
        let Some(open) = self.streams.get_mut(stream) else {
            // It went back to the connection when the stream went.
            return;
        };
        let octets = octets.min(open.held);
        open.held -= octets;
        self.credit_stream(stream, octets);
        self.credit_connection(octets);
    }

    pub(super) fn credit_stream(&mut self, stream: u32, octets: u32) {
        if let Some(open) = self.streams.get_mut(stream) {
            open.owed += octets;
            if !open.peer_ended && open.owed >= self.limits.stream_window / 2 {
                frame::window_update(stream, open.owed, &mut self.pending);
                open.receive += std::mem::take(&mut open.owed);
            }
        }
    }

    pub(super) fn credit_connection(&mut self, octets: u32) {
        self.owed += octets;
        assert!(
            self.receive + self.owed <= self.limits.connection_window,
            "credit was never taken"
        );
        if self.owed >= self.limits.connection_window / 2 {
            frame::window_update(0, self.owed, &mut self.pending);
            self.receive += std::mem::take(&mut self.owed);
        }
    }

    /// How many octets of DATA may be sent on `stream` now; 0 when it is gone.
    #[must_use]
    pub fn window(&self, stream: u32) -> usize {
        match self.streams.get(stream) {
            Some(open) if !open.we_ended => usize::try_from(open.send.min(self.send)).unwrap_or(0),
            _ => 0,
        }
    }

    /// What fits into one DATA frame on `stream` now.
    #[must_use]
    pub fn room(&self, stream: u32) -> usize {
        self.window(stream).min(limits::H2_FRAME)
    }

    /// Writes a response head. Names are lower case; fields that HTTP/2 forbids are left out, so that one list serves both
    /// versions. Nothing is written on a stream that is gone.
    pub fn head(&mut self, stream: u32, status: u16, headers: &[(&str, &str)], end: bool, out: &mut Vec<u8>) {
        if self.streams.get(stream).is_none_or(|open| open.we_ended) {
            return;
        }
        // Our SETTINGS must be the first frame of all.
        self.pending(out);
        self.write_head(stream, status, headers, end, out);
        if end {
            self.end_ours(stream);
        }
    }

    pub(super) fn write_head(
        &mut self,
        stream: u32,
        status: u16,
        headers: &[(&str, &str)],
        end: bool,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(&[0; frame::HEADER]);
        if !self.table_closed {
            out.push(encode::NO_TABLE);
            self.table_closed = true;
        }
        encode::status(status, out);
        for (name, value) in headers.iter().filter(|(name, _)| !is_connection_specific(name)) {
            encode::field(name, value, out);
        }
        let block = out.len() - start - frame::HEADER;
        let end_stream = if end { frame::END_STREAM } else { 0 };
        if block <= limits::H2_FRAME {
            let flags = frame::END_HEADERS | end_stream;
            out[start..start + frame::HEADER].copy_from_slice(&frame::header(block, frame::HEADERS, flags, stream));
            return;
        }
        let rest = out.split_off(start + frame::HEADER + limits::H2_FRAME);
        let first = frame::header(limits::H2_FRAME, frame::HEADERS, end_stream, stream);
        out[start..start + frame::HEADER].copy_from_slice(&first);
        let mut pieces = rest.chunks(limits::H2_FRAME).peekable();
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { frame::END_HEADERS } else { 0 };
            let header = frame::header(piece.len(), frame::CONTINUATION, flags, stream);
            out.extend_from_slice(&header);
            out.extend_from_slice(piece);
        }
    }

    /// Writes as much of `bytes` as the windows take, in as few DATA frames as fit, and says how much that was. `end` is
    /// written only behind the last octet.
    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool, out: &mut Vec<u8>) -> usize {
        let mut taken = 0;
        loop {
            let left = bytes.len() - taken;
            let len = left.min(self.room(stream));
            let last = len == left;
            if len == 0 && !(last && end) {
                return taken;
            }
            let at = self.open_data(out);
            out.extend_from_slice(&bytes[taken..taken + len]);
            self.close_data(stream, at, last && end, out);
            taken += len;
            if last {
                return taken;
            }
        }
    }

    /// Begins a DATA frame whose octets, at most `room`, the caller appends to `out` itself; give what this returns to
    /// `close_data`.
    #[must_use]
    pub fn open_data(&self, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&[0; frame::HEADER]);
        out.len()
    }

    /// Ends the DATA frame whose octets began at `at`; takes it back if it says nothing, or if the stream is gone.
    pub fn close_data(&mut self, stream: u32, at: usize, end: bool, out: &mut Vec<u8>) {
        let len = out.len() - at;
        let start = at - frame::HEADER;
        let open = self.streams.get_mut(stream).filter(|open| !open.we_ended);
        let Some(open) = open.filter(|_| len > 0 || end) else {
            out.truncate(start);
            return;
        };
        // Bounded by a frame, so the casts are exact.
        assert!(len <= limits::H2_FRAME, "the caller asks `room`");
        assert!(
            len == 0 || len as i32 <= open.send.min(self.send),
            "the caller asks `room`"
        );
        open.send -= len as i32;
        self.send -= len as i32;
        let flags = if end { frame::END_STREAM } else { 0 };
        out[start..at].copy_from_slice(&frame::header(len, frame::DATA, flags, stream));
        // A peer that we have something to say to has a reason to answer: window updates, pings that measure.
        self.control.give(2);
        if end {
            self.end_ours(stream);
        }
    }

    /// Ends a stream in both directions.
    pub fn reset(&mut self, stream: u32, code: Code) {
        if self.forget(stream) {
            frame::rst_stream(stream, code, &mut self.pending);
            // A peer that brings us to this again and again is rapid reset by another road (CVE-2025-8671); when the
            // budget is gone, the next stream that comes to nothing ends the connection.
            let _ = self.resets.spend(1);
        }
    }

    /// Refuses new streams from now on. Those that are open go on.
    pub fn goaway(&mut self, code: Code) {
        if !self.leaving {
            self.leaving = true;
            frame::goaway(self.last_stream, code, &mut self.pending);
        }
    }

    /// Asks the peer for a `Pong`.
    pub fn ping(&mut self, payload: [u8; 8]) {
        frame::ping(payload, 0, &mut self.pending);
    }

    fn end_ours(&mut self, stream: u32) {
        if let Some(open) = self.streams.get_mut(stream) {
            open.we_ended = true;
            if open.peer_ended {
                self.forget(stream);
            }
        }
    }

    /// Takes a stream out; what the caller still holds of it is credited to the connection.
    pub(super) fn forget(&mut self, stream: u32) -> bool {
        let Some(gone) = self.streams.remove(stream) else {
            return false;
        };
        self.credit_connection(gone.held);
        true
    }
}

fn is_connection_specific(name: &str) -> bool {
    let names = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ];
    names.contains(&name)
}
