//! One HTTP request and what becomes of it: `POST /connect` opens a tunnel, and so does a WebSocket on the same path
//! (decisions § 1); everything else is a REST call for the router outside; this shard knows no other path.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use smallvec::SmallVec;

use crate::Shard;
use crate::conn::h1::{CONTINUE, H1, OutBody};
use crate::conn::h2::{H2, Protocol};
use crate::conn::parts::Unsent;
use crate::conn::ws::{self, Upgrade};
use crate::conn::{Conn, Http, Life};
use crate::input::{CallId, Observed};
use crate::mesh::message::TunnelId;
use crate::outbox::Outbox;
use crate::session::State;
use crate::trace::TraceId;
use crate::tunnel::{Phase, Tunnel};

/// How far a request is.
#[derive(Debug)]
pub(super) enum Exchange {
    /// HTTP/1.1: between requests.
    None,
    /// `/connect` was accepted; its head is to be written.
    Opening(TunnelId, Opening),
    /// Frames flow both ways.
    Tunnel(TunnelId),
    /// The body of a REST call is being collected.
    Collecting(Box<Parts>, Vec<u8>),
    /// The router has it.
    Calling,
    /// HTTP/2: what is left of the router's answer leaves as the window opens.
    Answering(Bytes),
    /// The router's answer comes in parts; what of it has not left yet.
    Streaming(Unsent),
    /// An answer is to be written; what is left of the body is discarded.
    Refused(Refusal),
    /// Answered; what is left of the body is discarded.
    Answered,
}

/// What the head of an accepted `/connect` says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opening {
    /// To a POST: the body is the tunnel.
    Body,
    /// To a WebSocket's handshake.
    Socket(Upgrade),
}

/// An answer of the shard's own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// `/connect` is for POST, and for GET with an upgrade.
    Method,
    /// The body of a REST call is over its limit.
    TooLarge,
    /// What asks for a WebSocket does not ask as RFC 6455 wants it.
    Handshake,
    /// The WebSocket is of another version.
    WebSocketVersion,
    /// Nothing is tunnelled to this path.
    NotFound,
    /// An extended CONNECT for something else than a WebSocket.
    Protocol,
}

impl Refusal {
    const fn status(self) -> u16 {
        match self {
            Self::Handshake => 400,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::WebSocketVersion => 426,
            Self::Protocol => 501,
        }
    }

    /// RFC 9457.
    const fn body(self) -> &'static str {
        match self {
            Self::Handshake => {
                r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"not a WebSocket handshake (RFC 6455, section 4.2.1)"}"#
            }
            Self::NotFound => {
                r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"a WebSocket is opened at /connect"}"#
            }
            Self::Method => {
                r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"/connect is opened with POST, or as a WebSocket"}"#
            }
            Self::TooLarge => {
                r#"{"type":"about:blank","title":"Content Too Large","status":413,"detail":"the request body is over its limit"}"#
            }
            Self::WebSocketVersion => {
                r#"{"type":"about:blank","title":"Upgrade Required","status":426,"detail":"the version of WebSocket is 13"}"#
            }
            Self::Protocol => {
                r#"{"type":"about:blank","title":"Not Implemented","status":501,"detail":"the only protocol that CONNECT opens is websocket"}"#
            }
        }
    }

    fn headers(self) -> SmallVec<[(&'static str, &'static str); 4]> {
        let mut headers = SmallVec::new();
        headers.push(("content-type", "application/problem+json"));
        match self {
            Self::Method => headers.push(("allow", "POST")),
            // HTTP/2 leaves the fields of an upgrade out.
            Self::WebSocketVersion => headers.extend_from_slice(&[
                ("sec-websocket-version", "13"),
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
            ]),
            _ => {}
        }
        headers
    }
}

impl From<ws::Refused> for Refusal {
    fn from(refused: ws::Refused) -> Self {
        match refused {
            ws::Refused::Malformed => Self::Handshake,
            ws::Refused::Version => Self::WebSocketVersion,
        }
    }
}

/// The head of an accepted `/connect`.
const CONNECTED: &[(&str, &str)] = &[
    ("content-type", "application/octet-stream"),
    ("cache-control", "no-store"),
];

/// Whether, and as what, a request for `/connect` opens a tunnel.
fn opening(head: &Parts) -> Result<Opening, Refusal> {
    match head.method {
        Method::POST => Ok(Opening::Body),
        Method::GET if ws::asks_upgrade(head) => Ok(Opening::Socket(ws::upgrade(head)?)),
        // HTTP/2 alone hands it on, and with its protocol.
        Method::CONNECT => match head.extensions.get() {
            Some(Protocol(protocol)) if protocol.eq_ignore_ascii_case("websocket") => {
                Ok(Opening::Socket(ws::extended(head)?))
            }
            _ => Err(Refusal::Protocol),
        },
        _ => Err(Refusal::Method),
    }
}

/// The fields of the answer to a WebSocket's handshake. HTTP/2 leaves the first two out.
fn agreed(upgrade: &Upgrade) -> SmallVec<[(&str, &str); 4]> {
    let mut fields = SmallVec::from_slice(&[("connection", "upgrade"), ("upgrade", "websocket")]);
    fields.extend(upgrade.accept().map(|accept| ("sec-websocket-accept", accept)));
    fields.extend(upgrade.subprotocol().map(|name| ("sec-websocket-protocol", name)));
    fields
}

impl Shard {
    pub(super) fn request(&mut self, conn: &mut Conn, stream: u32, head: Box<Parts>) -> Exchange {
        if head.uri.path() != "/connect" {
            // A CONNECT has no end to wait for.
            return if head.method == Method::CONNECT {
                Exchange::Refused(Refusal::NotFound)
            } else {
                Exchange::Collecting(head, Vec::new())
            };
        }
        match opening(&head) {
            Ok(opening) => self.open(conn, stream, &head, opening),
            Err(refusal) => Exchange::Refused(refusal),
        }
    }

    fn open(&mut self, conn: &mut Conn, stream: u32, head: &Parts, opening: Opening) -> Exchange {
        let expects = matches!(opening, Opening::Body) && head.headers.contains_key(http::header::EXPECT);
        if stream == 0 && expects {
            conn.heads.extend_from_slice(CONTINUE);
        }
        let trace = head
            .headers
            .get("traceparent")
            .and_then(|value| TraceId::parse(value.as_bytes()));
        let hello_by = self.at.now + self.config.limits.hello_timeout;
        let id = self.tunnels.insert(|id| Tunnel {
            id,
            conn: conn.id,
            peer: conn.peer,
            stream,
            trace,
            ws: matches!(opening, Opening::Socket(_)).then(Box::default),
            state: State::Hello,
            phase: Phase::Open,
            problem: None,
            outbox: Outbox::default(),
            unparsed: Vec::new(),
            sealed: None,
            stalled: None,
            owed_credit: 0,
            unparsed_counted: 0,
            last_sequence: None,
            hello_by: Some(hello_by),
            frame_since: None,
            end_by: None,
            armed: None,
            dirty: false,
            fat: None,
        });
        if let Some(mut tunnel) = self.tunnels.take(id) {
            self.arm(&mut tunnel, hello_by);
            self.tunnels.put(tunnel);
        }
        conn.tunnels.push(id);
        tracing::debug!(
            conn = conn.id.slot,
            stream,
            trace = trace.map(tracing::field::display),
            "tunnel opened"
        );
        Exchange::Opening(id, opening)
    }

    /// Gives how many octets of window are the client's again.
    pub(super) fn body(&mut self, conn: &Conn, exchange: &mut Exchange, bytes: &[u8]) -> u32 {
        let whole = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match exchange {
            Exchange::Tunnel(id) => self.feed(*id, bytes),
            Exchange::Collecting(_, body) => {
                if body.len() + bytes.len() > self.config.limits.rest_body {
                    *exchange = Exchange::Refused(Refusal::TooLarge);
                } else {
                    body.extend_from_slice(bytes);
                }
                whole
            }
            Exchange::Opening(..) => {
                debug_assert!(
                    false,
                    "the head of a tunnel is written before its body is read: {:?}",
                    conn.id
                );
                whole
            }
            _ => whole,
        }
    }

    pub(super) fn request_ended(&mut self, conn: &mut Conn, stream: u32, exchange: &mut Exchange) {
        match std::mem::replace(exchange, Exchange::Calling) {
            Exchange::Collecting(parts, body) => {
                let call = CallId { conn: conn.id, stream };
                let mut request = Request::from_parts(*parts, Bytes::from(body));
                request.extensions_mut().insert(Observed(conn.peer));
                self.fx.calls.push((call, request));
            }
            Exchange::Tunnel(id) => {
                *exchange = Exchange::Tunnel(id);
                self.half_close(id);
            }
            Exchange::Opening(id, opening) => {
                *exchange = Exchange::Opening(id, opening);
                self.half_close(id);
            }
            Exchange::Answered => *exchange = Exchange::None,
            other => *exchange = other,
        }
    }

    /// A request that is taken back in the same read never costs the router anything (CVE-2023-44487).
    pub(super) fn withdraw(&mut self, call: CallId) {
        // What one read has asked for is handed out when that read is done, so this list is its requests and no more.
        if let Some(at) = self.fx.calls.iter().rposition(|(asked, _)| *asked == call) {
            self.fx.calls.remove(at);
        }
    }

    /// Writes what a request's state has to say at once, over HTTP/1.1.
    pub(super) fn answer_h1(&mut self, conn: &mut Conn, h1: &mut H1, exchange: &mut Exchange) {
        match exchange {
            Exchange::Opening(id, opening) => {
                match opening {
                    Opening::Body => h1.head(200, CONNECTED, OutBody::Chunked, false, &mut conn.heads),
                    Opening::Socket(upgrade) => h1.upgrade(&agreed(upgrade), &mut conn.heads),
                }
                *exchange = Exchange::Tunnel(*id);
            }
            Exchange::Refused(refusal) => {
                let body = refusal.body();
                // The rest of the body may be long: the connection ends rather than read it.
                h1.head(
                    refusal.status(),
                    &refusal.headers(),
                    OutBody::Length(body.len() as u64),
                    false,
                    &mut conn.heads,
                );
                conn.heads.extend_from_slice(body.as_bytes());
                *exchange = Exchange::Answered;
                self.finish(conn);
            }
            _ => {}
        }
    }

    /// The same over HTTP/2.
    pub(super) fn answer_h2(&mut self, conn: &mut Conn, h2: &mut H2, stream: u32, exchange: &mut Exchange) {
        match exchange {
            Exchange::Opening(id, opening) => {
                match opening {
                    Opening::Body => h2.head(stream, 200, CONNECTED, false, &mut conn.heads),
                    Opening::Socket(upgrade) => h2.head(stream, 200, &agreed(upgrade), false, &mut conn.heads),
                }
                *exchange = Exchange::Tunnel(*id);
            }
            Exchange::Refused(refusal) => {
                h2.head(stream, refusal.status(), &refusal.headers(), false, &mut conn.heads);
                h2.data(stream, refusal.body().as_bytes(), true, &mut conn.heads);
                *exchange = Exchange::Answered;
            }
            _ => {}
        }
    }

    /// The router's answer to a call.
    pub(crate) fn answered(&mut self, call: CallId, response: Response<Bytes>) {
        let Some(mut conn) = self.conns.take(call.conn) else {
            return;
        };
        if conn.life == Life::Open {
            let (parts, body) = response.into_parts();
            let headers = headers(&parts.headers);
            // An answer to HEAD has no body, and says how long the one to GET would be.
            let told = parts.headers.get(http::header::CONTENT_LENGTH);
            let told = told.and_then(|value| value.to_str().ok()?.parse().ok());
            let length = told.filter(|_| body.is_empty()).unwrap_or(body.len() as u64);
            let answer = (parts.status.as_u16(), length, body);
            self.write_answer(&mut conn, call.stream, &headers, answer);
            self.settle_conn(&mut conn);
        }
        self.conns.put(conn);
    }

    fn write_answer(
        &mut self,
        conn: &mut Conn,
        stream: u32,
        headers: &[(&str, &str)],
        (status, length, body): (u16, u64, Bytes),
    ) {
        match &mut conn.http {
            Http::One(h1, exchange @ Exchange::Calling) => {
                let keep = !self.draining;
                h1.head(status, headers, OutBody::Length(length), keep, &mut conn.heads);
                conn.heads.extend_from_slice(&body);
                *exchange = Exchange::None;
                if !h1.keep_alive() {
                    self.finish(conn);
                } else if !conn.rest.is_empty() {
                    self.plain_rest(conn);
                }
            }
            Http::Two(two) => {
                if matches!(two.streams.get(stream), Some(Exchange::Calling)) {
                    two.h2.head(stream, status, headers, body.is_empty(), &mut conn.heads);
                    two.streams.insert(stream, Exchange::Answering(body));
                    two.answers = true;
                }
            }
            _ => {}
        }
    }
}

/// What of an answer's headers goes out as it is; its length is told by its framing.
pub(super) fn headers(map: &HeaderMap) -> Vec<(&str, &str)> {
    map.iter()
        .filter(|(name, _)| *name != http::header::CONTENT_LENGTH)
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect()
}
