//! HTTP/1.1, server side, as a value: request bytes in, events out one at a time; response bytes appended to a buffer.
//!
//! [`H1::next`] is pulled by the connection layer, which keeps what it has not consumed: stopping in the middle of a
//! buffer is how backpressure works here. Body bytes are borrowed from the input and never copied. Only a head that
//! arrives in pieces is kept inside, up to [`limits::HEAD`]; an idle connection holds no buffer.
//!
//! Invariant: what a request means does not depend on how its bytes were cut, and no request is accepted whose end two
//! readers could see in different places (RFC 9112 § 11.2): every doubt about framing is an error, and after an error
//! nothing more is read.

mod chunked;
mod error;
mod head;
mod write;

use http::request::Parts;

use self::chunked::{Chunked, Piece};
pub use self::error::HttpError;
pub use self::write::{CONTINUE, OutBody};
use super::fields::is_token;
use super::limits;

/// How the length of a request body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// No body; `End` follows at once.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What the bytes said. For each request: `Request`, perhaps `Continue`, any number of `Body`, `End`.
#[derive(Debug)]
pub enum H1Event<'a> {
    /// A request head. The target is in origin form (or `*`), and `host` is its one authority, whatever form came.
    Request(Box<Parts>, BodyKind),
    /// `Expect: 100-continue`: the client holds its body back until it sees [`CONTINUE`] or a final status.
    Continue,
    /// A piece of the body, as it came.
    Body(&'a [u8]),
    /// The request is complete. Call `next` again only when its answer has been written: requests are sequential.
    End,
}

#[derive(Debug)]
enum State {
    /// Before a request line; counts the octets of blank lines seen.
    Between(u8),
    /// Inside a head that is being collected in `fragments`.
    Head,
    /// The head asked for `100 Continue`; the event is owed.
    Expecting(BodyKind),
    /// That many octets of body to come.
    Length(u64),
    Chunked(Chunked),
    /// Another protocol has taken over: whatever comes is its own.
    Upgraded,
    /// The last request on this connection is done.
    Closed,
    Failed(HttpError),
}

/// One HTTP/1.1 connection.
#[derive(Debug)]
pub struct H1 {
    state: State,
    fragments: Vec<u8>,
    /// Whether another request may follow the current one.
    persistent: bool,
    /// The current request is HTTP/1.0: its answer must not be chunked.
    http10: bool,
    /// The current answer is framed in chunks.
    chunking: bool,
}

impl Default for H1 {
    fn default() -> Self {
        Self::new()
    }
}

impl H1 {
    /// A connection that waits for its first request.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Between(0),
            fragments: Vec::new(),
            persistent: true,
            http10: false,
            chunking: false,
        }
    }

    /// The next event, or `None` when all of `input` is consumed and more is needed. After an error, the same error.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<H1Event<'a>>, HttpError> {
        let event = self.step(input);
        if let Err(error) = event {
            self.state = State::Failed(error);
            self.persistent = false;
            self.fragments = Vec::new();
        }
        event
    }

    /// Whether the connection outlives the current request, as far as the client and earlier answers said.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.persistent
    }

    /// Nothing of a request has arrived: the place for an idle time limit, and for closing without harm.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Between(_) | State::Closed)
    }

    /// Octets of an incomplete head held inside.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.fragments.len()
    }

    fn step<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<H1Event<'a>>, HttpError> {
        match &mut self.state {
            State::Between(blank) => {
                if !skip_blank_lines(input, blank)? {
                    return Ok(None);
                }
                self.state = State::Head;
                self.collect(input)
            }
            State::Head => self.collect(input),
            State::Expecting(kind) => {
                self.state = body(*kind);
                Ok(Some(H1Event::Continue))
            }
            State::Length(0) => Ok(Some(self.end())),
            State::Length(left) => {
                if input.is_empty() {
                    return Ok(None);
                }
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                let (piece, rest) = input.split_at(len);
                *input = rest;
                *left -= len as u64;
                Ok(Some(H1Event::Body(piece)))
            }
            State::Chunked(chunked) => Ok(match chunked.next(input)? {
                Piece::More => None,
                Piece::Data(piece) => Some(H1Event::Body(piece)),
                Piece::End => Some(self.end()),
            }),
            State::Upgraded => {
                let piece = std::mem::take(input);
                Ok((!piece.is_empty()).then_some(H1Event::Body(piece)))
            }
            State::Closed => {
                *input = &[];
                Ok(None)
            }
            State::Failed(error) => Err(*error),
        }
    }

    fn end<'a>(&mut self) -> H1Event<'a> {
        self.state = if self.persistent {
            State::Between(0)
        } else {
            State::Closed
        };
        H1Event::End
    }

    /// Looks for the end of the head: in place if it came whole, else in `fragments`.
    fn collect<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<H1Event<'a>>, HttpError> {
        let before = self.fragments.len();
        let room = limits::HEAD - before;
        let taken = &input[..input.len().min(room)];
        if before == 0
            && let Some(end) = head::end(taken, 0)
        {
            *input = &input[end..];
            return self.request(&taken[..end]).map(Some);
        }
        self.fragments.extend_from_slice(taken);
        match head::end(&self.fragments, before.saturating_sub(3)) {
            Some(end) => {
                *input = &input[end - before..];
                let mut whole = std::mem::take(&mut self.fragments);
                whole.truncate(end);
                self.request(&whole).map(Some)
            }
            None if self.fragments.len() == limits::HEAD => Err(HttpError::HeadTooLarge),
            None => {
                *input = &[];
                Ok(None)
            }
        }
    }

    fn request<'a>(&mut self, bytes: &[u8]) -> Result<H1Event<'a>, HttpError> {
        let head = head::parse(bytes)?;
        self.persistent = head.persistent;
        self.http10 = head.parts.version == http::Version::HTTP_10;
        self.chunking = false;
        self.state = if head.expects {
            State::Expecting(head.body)
        } else {
            body(head.body)
        };
        Ok(H1Event::Request(Box::new(head.parts), head.body))
    }
}

fn body(kind: BodyKind) -> State {
    match kind {
        BodyKind::None => State::Length(0),
        BodyKind::Length(len) => State::Length(len),
        BodyKind::Chunked => State::Chunked(Chunked::new()),
    }
}

/// Drops blank lines; `true` when something else follows. `seen` counts octets, so an odd count is after a CR.
fn skip_blank_lines(input: &mut &[u8], seen: &mut u8) -> Result<bool, HttpError> {
    while let Some((&first, rest)) = input.split_first() {
        match (first, seen.is_multiple_of(2)) {
            (b'\r', true) | (b'\n', false) => *seen += 1,
            (_, true) if is_token(first) => return Ok(true),
            _ => return Err(HttpError::Malformed("request line")),
        }
        if *seen > 2 * limits::H1_BLANK_LINES {
            return Err(HttpError::Malformed("blank lines before the request line"));
        }
        *input = rest;
    }
    Ok(false)
}
