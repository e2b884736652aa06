//! One HTTP request and what becomes of it: `POST /connect` opens a tunnel (decisions § 1), everything else is a REST
//! call for the router outside; this shard knows no other path.

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use smallvec::SmallVec;

use crate::Shard;
use crate::conn::h1::{CONTINUE, H1, OutBody};
use crate::conn::h2::H2;
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
    Opening(TunnelId),
    /// Frames flow both ways.
    Tunnel(TunnelId),
    /// The body of a REST call is being collected.
    Collecting(Box<Parts>, Vec<u8>),
    /// The router has it.
    Calling,
    /// HTTP/2: what is left of the router's answer leaves as the window opens.
    Answering(Bytes),
    /// An answer is to be written; what is left of the body is discarded.
    Refused(Refusal),
    /// Answered; what is left of the body is discarded.
    Answered,
}

/// An answer of the shard's own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// `/connect` is for POST.
    Method,
    /// The body of a REST call is over its limit.
    TooLarge,
}

impl Refusal {
    const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::TooLarge => 413,
        }
    }

    /// RFC 9457.
    const fn body(self) -> &'static str {
        match self {
            Self::Method => {
                r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"/connect is opened with POST"}"#
            }
            Self::TooLarge => {
                r#"{"type":"about:blank","title":"Content Too Large","status":413,"detail":"the request body is over its limit"}"#
            }
        }
    }

    fn headers(self) -> SmallVec<[(&'static str, &'static str); 2]> {
        let mut headers = SmallVec::new();
        headers.push(("content-type", "application/problem+json"));
        if matches!(self, Self::Method) {
            headers.push(("allow", "POST"));
        }
        headers
    }
}

/// The head of an accepted `/connect`.
const CONNECTED: &[(&str, &str)] = &[
    ("content-type", "application/octet-stream"),
    ("cache-control", "no-store"),
];

impl Shard {
    pub(super) fn request(&mut self, conn: &mut Conn, stream: u32, head: Box<Parts>) -> Exchange {
        if head.uri.path() != "/connect" {
            return Exchange::Collecting(head, Vec::new());
        }
        if head.method != Method::POST {
            return Exchange::Refused(Refusal::Method);
        }
        if stream == 0 && head.headers.contains_key(http::header::EXPECT) {
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
            state: State::Hello,
            phase: Phase::Open,
            outbox: Outbox::default(),
            unparsed: Vec::new(),
            stalled: None,
            owed_credit: 0,
            unparsed_counted: 0,
            last_sequence: None,
            hello_by: Some(hello_by),
            frame_since: None,
            end_by: None,
            armed: None,
            dirty: false,
            fat: false,
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
        Exchange::Opening(id)
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
            Exchange::Opening(_) => {
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
            Exchange::Opening(id) => {
                *exchange = Exchange::Opening(id);
                self.half_close(id);
            }
            Exchange::Answered => *exchange = Exchange::None,
            other => *exchange = other,
        }
    }

    /// Writes what a request's state has to say at once, over HTTP/1.1.
    pub(super) fn answer_h1(&mut self, conn: &mut Conn, h1: &mut H1, exchange: &mut Exchange) {
        match exchange {
            Exchange::Opening(id) => {
                h1.head(200, CONNECTED, OutBody::Chunked, false, &mut conn.heads);
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
            Exchange::Opening(id) => {
                h2.head(stream, 200, CONNECTED, false, &mut conn.heads);
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
            let headers: Vec<(&str, &str)> = parts
                .headers
                .iter()
                .filter(|(name, _)| *name != http::header::CONTENT_LENGTH)
                .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
                .collect();
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
                if matches!(two.streams.get(&stream), Some(Exchange::Calling)) {
                    two.h2.head(stream, status, headers, body.is_empty(), &mut conn.heads);
                    two.streams.insert(stream, Exchange::Answering(body));
                }
            }
            _ => {}
        }
    }
}
