//! HTTP/2 frames written and read by hand, independent of the code under test.

use commucat_shard::conn::h2::{H2, H2Error, H2Event, H2Limits, PREFACE};

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITISED: u8 = 0x20;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

pub(crate) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &entries)
}

pub(crate) fn window_update(stream: u32, octets: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &octets.to_be_bytes())
}

pub(crate) fn rst(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Preface and empty SETTINGS.
pub(crate) fn hello() -> Vec<u8> {
    [&PREFACE[..], &settings(&[])].concat()
}

/// Fields as literals that are not indexed.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let len = text.len();
            if len < 127 {
                block.push(len as u8);
            } else {
                assert!((0..128 * 128).contains(&(len - 127)));
                block.extend([127, ((len - 127) & 0x7f) as u8 | 0x80, ((len - 127) >> 7) as u8]);
            }
            block.extend(text.as_bytes());
        }
    }
    block
}

pub(crate) const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "a"),
    (":path", "/connect"),
];

pub(crate) fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    block(&[&POST[..], fields].concat())
}

/// A request whose body stays open.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&POST))
}

/// An event that owns what it holds; pieces of a body are joined, so that cuts do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Request {
        stream: u32,
        line: String,
        fields: Vec<(String, String)>,
        end: bool,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        end: bool,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    Writable(u32),
    Pong([u8; 8]),
    GoAway,
}

pub(crate) fn data(stream: u32, bytes: &[u8], end: bool) -> Seen {
    Seen::Data {
        stream,
        bytes: bytes.to_vec(),
        end,
    }
}

/// A frame that the server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Reply {
    /// The error code of RST_STREAM and GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) fn replies(mut wire: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !wire.is_empty() {
        let (head, rest) = wire.split_first_chunk::<9>().expect("a whole frame");
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let (payload, rest) = rest.split_at(len);
        replies.push(Reply {
            kind: head[3],
            flags: head[4],
            stream,
            payload: payload.to_vec(),
        });
        wire = rest;
    }
    replies
}

/// Feeds `wire` to `h2` until it wants more or fails.
pub(crate) fn feed(h2: &mut H2, wire: &[u8], seen: &mut Vec<Seen>) -> Result<(), H2Error> {
    let mut input = wire;
    while let Some(event) = h2.next(&mut input)? {
        note(event, seen);
    }
    assert!(input.is_empty(), "None means consumed");
    Ok(())
}

fn note(event: H2Event<'_>, seen: &mut Vec<Seen>) {
    match event {
        H2Event::Request { stream, head, end } => seen.push(Seen::Request {
            stream,
            line: format!("{} {}", head.method, head.uri),
            fields: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
                .collect(),
            end,
        }),
        H2Event::Data { stream, bytes, end } => match seen.last_mut() {
            Some(Seen::Data {
                stream: before,
                bytes: joined,
                end: ended,
            }) if *before == stream && !*ended => {
                joined.extend_from_slice(bytes);
                *ended = end;
            }
            _ => seen.push(data(stream, bytes, end)),
        },
        H2Event::Reset { stream, code } => seen.push(Seen::Reset { stream, code }),
        H2Event::Writable { stream } => seen.push(Seen::Writable(stream)),
        H2Event::Pong(payload) => seen.push(Seen::Pong(payload)),
        H2Event::GoAway => seen.push(Seen::GoAway),
    }
}

/// What became of one wire image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    /// What the server said after its own SETTINGS and WINDOW_UPDATE.
    pub(crate) replies: Vec<Reply>,
    pub(crate) ended: Result<(), H2Error>,
}

impl Outcome {
    /// The code of the GOAWAY that ended the connection, which must be the error's.
    pub(crate) fn goaway(&self) -> u32 {
        let error = self.ended.expect_err("the connection goes on");
        let last = self.replies.last().unwrap();
        assert_eq!((last.kind, last.code()), (GOAWAY, error.code() as u32));
        last.code()
    }

    /// The code of the one RST_STREAM on `stream`, while the connection goes on.
    pub(crate) fn reset(&self, stream: u32) -> u32 {
        assert_eq!(self.ended, Ok(()));
        let mut resets = self.replies.iter().filter(|reply| reply.kind == RST_STREAM);
        let reset = resets.next().expect("an RST_STREAM");
        assert_eq!((reset.stream, resets.next()), (stream, None));
        reset.code()
    }
}

pub(crate) fn in_pieces<'a>(limits: H2Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut h2 = H2::new(limits);
    let mut wire = Vec::new();
    h2.pending(&mut wire);
    wire.clear();
    let (mut seen, mut ended) = (Vec::new(), Ok(()));
    for piece in pieces {
        ended = ended.and(feed(&mut h2, piece, &mut seen));
    }
    if ended.is_err() {
        assert_eq!(h2.next(&mut &hello()[..]).map(|event| event.is_none()), Ok(true));
    }
    h2.pending(&mut wire);
    Outcome {
        seen,
        replies: replies(&wire),
        ended,
    }
}

/// Feeds the preface, SETTINGS and `frames` whole, octet by octet, and cut in two in many places: all must agree.
pub(crate) fn run_limited(limits: H2Limits, frames: &[Vec<u8>]) -> Outcome {
    let wire = [&hello()[..], &frames.concat()].concat();
    let whole = in_pieces(limits, [&wire[..]]);
    assert_eq!(in_pieces(limits, wire.chunks(1)), whole, "octet by octet");
    let step = wire.len().div_ceil(200);
    for at in (0..wire.len()).step_by(step) {
        assert_eq!(in_pieces(limits, [&wire[..at], &wire[at..]]), whole, "cut at {at}");
    }
    whole
}

pub(crate) fn run(frames: &[Vec<u8>]) -> Outcome {
    run_limited(H2Limits::default(), frames)
}

/// A connection with stream 1 open, and nothing pending.
pub(crate) fn opened(limits: H2Limits) -> H2 {
    let mut h2 = H2::new(limits);
    feed(&mut h2, &[hello(), post(1)].concat(), &mut Vec::new()).unwrap();
    h2.pending(&mut Vec::new());
    h2
}

/// What is pending now.
pub(crate) fn pending(h2: &mut H2) -> Vec<Reply> {
    let mut wire = Vec::new();
    h2.pending(&mut wire);
    replies(&wire)
}

pub(crate) fn request(stream: u32, line: &str, fields: &[(&str, &str)], end: bool) -> Seen {
    let fields = fields
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    Seen::Request {
        stream,
        line: line.to_owned(),
        fields,
        end,
    }
}

/// The event of `post`.
pub(crate) fn connect(stream: u32) -> Seen {
    request(stream, "POST /connect", &[("host", "a")], false)
}
