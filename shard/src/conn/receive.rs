//! Upwards: bytes of a connection, through TLS and HTTP, to tunnels and REST calls.
//!
//! Backpressure: under HTTP/1.1 a tunnel that must wait, or an open REST call, pauses the connection, and what still
//! arrives is kept; under HTTP/2 the stream's window is simply not given back.

use std::net::SocketAddr;

use crate::Shard;
use crate::conn::exchange::Exchange;
use crate::conn::h1::{CONTINUE, H1, H1Event};
use crate::conn::h2::{Code, H2, H2Event, H2Limits, Sniff, sniff};
use crate::conn::tls::{Alpn, Tls, TlsState};
use crate::conn::{Conn, Http, Life, Two};
use crate::effect::{Ending, Reading};
use crate::input::{CallId, ConnId, Listener};
use crate::limits::Limits;

impl Shard {
    pub(crate) fn accepted(&mut self, id: ConnId, peer: SocketAddr, listener: Listener) {
        self.counters.accepted += 1;
        tracing::debug!(conn = id.slot, %peer, "accepted");
        let tls = match (listener, &self.config.tls) {
            (Listener::Plain, _) => Some(None),
            (Listener::Tls, Some(config)) => Tls::new(config).ok().map(|tls| Some(Box::new(tls))),
            (Listener::Tls, None) => None,
        };
        let refused = tls.is_none() || self.draining;
        let idle_until = self.at.now + self.config.limits.head_timeout;
        let mut conn = Box::new(Conn {
            id,
            peer: (listener == Listener::Tls).then_some(peer),
            life: Life::Open,
            tls: tls.flatten(),
            http: Http::Unknown,
            rest: Vec::new(),
            heads: Vec::new(),
            records: Vec::new(),
            sending: false,
            paused: false,
            tunnels: Default::default(),
            last: false,
            idle_until: Some(idle_until),
            end_by: None,
            armed: None,
            dirty: false,
        });
        self.arm_conn(&mut conn, idle_until);
        if refused {
            conn.life = Life::Closing;
            self.fx.closes.push((id, Ending::Abort));
        }
        self.conns.insert(*conn);
    }

    pub(crate) fn received(&mut self, id: ConnId, bytes: &mut [u8]) {
        let Some(mut conn) = self.conns.take(id) else { return };
        if conn.life == Life::Open {
            match conn.tls.take() {
                Some(tls) => self.open_records(&mut conn, tls, bytes),
                None => self.plain(&mut conn, bytes),
            }
            self.settle_conn(&mut conn);
        }
        self.conns.put(conn);
    }

    fn open_records(&mut self, conn: &mut Conn, mut tls: Box<Tls>, bytes: &mut [u8]) {
        let mut records = std::mem::take(&mut conn.records);
        let unknown = matches!(conn.http, Http::Unknown);
        let mut early = Vec::new();
        let outcome = tls.receive(bytes, &mut records, &mut |opened| {
            if unknown {
                // The protocol is known only when the handshake is over, which may be in the same read.
                early.extend_from_slice(opened);
            } else {
                self.plain(conn, opened);
            }
        });
        conn.records = records;
        if unknown && matches!(outcome, Ok(TlsState::Open { .. } | TlsState::PeerClosed)) {
            conn.http = match tls.alpn() {
                Alpn::H2 => self.http2(),
                Alpn::Http11 => Http::One(H1::new(), Exchange::None),
            };
        }
        conn.tls = Some(tls);
        if !early.is_empty() {
            self.plain(conn, &early);
        }
        match outcome {
            Ok(TlsState::PeerClosed) => self.half_closed(conn),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(conn = conn.id.slot, %error, "TLS ended the connection");
                self.counters.malformed += 1;
                self.drop_tunnels(conn);
                self.finish(conn);
            }
        }
    }

    fn http2(&self) -> Http {
        let limits = h2_limits(&self.config.limits);
        Http::Two(Box::new(Two {
            h2: H2::new(limits),
            streams: Default::default(),
            answers: false,
        }))
    }

    /// Plain bytes, as far as they can be understood now.
    pub(super) fn plain(&mut self, conn: &mut Conn, bytes: &[u8]) {
        if conn.rest.is_empty() {
            let mut input = bytes;
            self.http(conn, &mut input);
            if !input.is_empty() && conn.life == Life::Open {
                conn.rest = self.buffers.lease();
                conn.rest.extend_from_slice(input);
            }
        } else {
            conn.rest.extend_from_slice(bytes);
            self.plain_rest(conn);
        }
        if conn.rest.len() > self.config.limits.unparsed_bytes {
            self.counters.malformed += 1;
            self.abort(conn);
        }
    }

    /// What could not be understood before, once more.
    pub(super) fn plain_rest(&mut self, conn: &mut Conn) {
        let mut rest = std::mem::take(&mut conn.rest);
        let mut input = rest.as_slice();
        self.http(conn, &mut input);
        let left = input.len();
        if left == 0 || conn.life != Life::Open {
            self.buffers.give_back(rest);
        } else {
            rest.drain(..rest.len() - left);
            conn.rest = rest;
        }
    }

    fn http(&mut self, conn: &mut Conn, input: &mut &[u8]) {
        if matches!(conn.http, Http::Unknown) {
            match sniff(input) {
                Sniff::NeedMore => return,
                Sniff::H1 => conn.http = Http::One(H1::new(), Exchange::None),
                Sniff::H2 => conn.http = self.http2(),
            }
        }
        match std::mem::replace(&mut conn.http, Http::Unknown) {
            Http::One(mut h1, mut exchange) => {
                self.http1(conn, &mut h1, &mut exchange, input);
                conn.http = Http::One(h1, exchange);
            }
            Http::Two(mut two) => {
                self.http2_events(conn, &mut two, input);
                conn.http = Http::Two(two);
            }
            Http::Unknown => {}
        }
    }

    fn http1(&mut self, conn: &mut Conn, h1: &mut H1, exchange: &mut Exchange, input: &mut &[u8]) {
        while conn.life == Life::Open && !matches!(exchange, Exchange::Calling | Exchange::Streaming(_)) {
            match h1.next(input) {
                Ok(None) => return,
                Ok(Some(H1Event::Request(head, _))) => *exchange = self.request(conn, 0, head),
                Ok(Some(H1Event::Continue)) => {
                    if matches!(exchange, Exchange::Collecting(..)) {
                        conn.heads.extend_from_slice(CONTINUE);
                    }
                }
                Ok(Some(H1Event::Body(bytes))) => {
                    self.body(conn, exchange, bytes);
                }
                Ok(Some(H1Event::End)) => self.request_ended(conn, 0, exchange),
                Err(error) => {
                    tracing::debug!(conn = conn.id.slot, %error, "HTTP/1.1 ended the connection");
                    self.counters.malformed += 1;
                    if matches!(exchange, Exchange::None) {
                        h1.refuse(&error, &mut conn.heads);
                    }
                    self.end_tunnels(conn);
                    self.finish(conn);
                    return;
                }
            }
            // The answer of a tunnel's request goes out before its body is read.
            self.answer_h1(conn, h1, exchange);
        }
    }

    fn http2_events(&mut self, conn: &mut Conn, two: &mut Two, input: &mut &[u8]) {
        two.h2
            .tick(u32::try_from(self.at.now.0 / 1_000_000).unwrap_or(u32::MAX));
        while conn.life == Life::Open {
            match two.h2.next(input) {
                Ok(None) => break,
                Ok(Some(event)) => self.http2_event(conn, two, event),
                Err(error) => {
                    tracing::debug!(conn = conn.id.slot, %error, "HTTP/2 ended the connection");
                    self.counters.malformed += 1;
                    self.drop_tunnels(conn);
                    self.finish(conn);
                    return;
                }
            }
        }
    }

    fn http2_event(&mut self, conn: &mut Conn, two: &mut Two, event: H2Event<'_>) {
        match event {
            H2Event::Request { stream, head, end } => {
                let mut exchange = self.request(conn, stream, head);
                if end {
                    self.request_ended(conn, stream, &mut exchange);
                } else if awaits_continue(&exchange) {
                    two.h2.head(stream, 100, &[], false, &mut conn.heads);
                }
                self.answer_h2(conn, &mut two.h2, stream, &mut exchange);
                keep_stream(two, stream, exchange);
            }
            H2Event::Data { stream, bytes, end } => {
                let Some(mut exchange) = two.streams.remove(stream) else {
                    two.h2.credit(stream, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    return;
                };
                let credit = self.body(conn, &mut exchange, bytes);
                two.h2.credit(stream, credit);
                if end {
                    self.request_ended(conn, stream, &mut exchange);
                }
                self.answer_h2(conn, &mut two.h2, stream, &mut exchange);
                keep_stream(two, stream, exchange);
            }
            H2Event::Reset { stream, .. } => match two.streams.remove(stream) {
                Some(Exchange::Tunnel(tunnel)) => self.drop_tunnel(conn, tunnel),
                Some(Exchange::Streaming(_)) => self.fx.hangups.push(CallId { conn: conn.id, stream }),
                Some(Exchange::Calling) => self.withdraw(CallId { conn: conn.id, stream }),
                _ => {}
            },
            H2Event::Writable { .. } => self.touch_conn(conn),
            H2Event::GoAway => conn.last = true,
            H2Event::Pong(_) => {}
        }
    }

    /// After work on a connection: reading and flushing as its state wants it.
    pub(super) fn settle_conn(&mut self, conn: &mut Conn) {
        self.settle_reading(conn);
        self.settle_idle(conn);
        let control = matches!(&conn.http, Http::Two(two) if two.h2.has_pending());
        if control || !conn.heads.is_empty() || !conn.records.is_empty() || conn.life == Life::Finishing {
            self.touch_conn(conn);
        }
    }

    fn settle_reading(&mut self, conn: &mut Conn) {
        let waits = match &conn.http {
            Http::One(_, Exchange::Calling | Exchange::Streaming(_)) => !conn.rest.is_empty(),
            Http::One(_, Exchange::Tunnel(tunnel)) => self
                .tunnels
                .get_mut(*tunnel)
                .is_some_and(|tunnel| tunnel.stalled.is_some()),
            _ => false,
        };
        if waits != conn.paused && conn.life == Life::Open {
            conn.paused = waits;
            let reading = if waits { Reading::Pause } else { Reading::Resume };
            self.fx.reads.push((conn.id, reading));
        }
    }

    pub(super) fn touch_conn(&mut self, conn: &mut Conn) {
        if !std::mem::replace(&mut conn.dirty, true) {
            self.dirty_conns.push(conn.id);
        }
    }
}

/// An answered request is over; if its body is not, the client is told to keep the rest.
/// Whether the client holds the body of a call back until it is told to go on (RFC 9110 § 10.1.1). A tunnel's 200 comes
/// before its body anyway.
fn awaits_continue(exchange: &Exchange) -> bool {
    let Exchange::Collecting(head, _) = exchange else {
        return false;
    };
    let expected = head.headers.get(http::header::EXPECT);
    expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn keep_stream(two: &mut Two, stream: u32, exchange: Exchange) {
    match exchange {
        Exchange::None => {}
        Exchange::Answered => two.h2.reset(stream, Code::NoError),
        exchange => {
            two.answers |= matches!(exchange, Exchange::Answering(_) | Exchange::Streaming(_));
            two.streams.insert(stream, exchange);
        }
    }
}

fn h2_limits(limits: &Limits) -> H2Limits {
    H2Limits {
        streams: limits.streams,
        extended_connect: true,
        ..H2Limits::default()
    }
}
