//! REST answers that come in parts: an event stream, whose length nobody knows when it begins.
//!
//! Invariants: what waits for a reader is at most `answer_bytes`, or one part of any size; a reader that lets it come to more
//! loses its stream, for nothing in the middle of a body can be left out. Each `Head` is followed by the router's `End` or by
//! exactly one hangup of ours, whatever ends the stream: the reader, its connection, or the drain.

use bytes::Bytes;
use http::Response;
use smallvec::SmallVec;

use crate::Shard;
use crate::conn::exchange::{Exchange, headers};
use crate::conn::h1::OutBody;
use crate::conn::h2::Code;
use crate::conn::{Conn, Http, Life};
use crate::input::{CallId, Part};

/// What of an answer has not left yet.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    pub(super) bytes: Vec<u8>,
    /// Nothing comes after them.
    pub(super) over: bool,
}

impl Shard {
    /// The next part of the router's answer to a call.
    pub(crate) fn streamed(&mut self, call: CallId, part: Part) {
        let Some(mut conn) = self.conns.take(call.conn) else {
            self.refuse_part(call, &part);
            return;
        };
        if conn.life == Life::Open {
            match part {
                Part::Head(head) => self.begin(&mut conn, call, &head),
                Part::Data(bytes) => self.push_part(&mut conn, call, &bytes),
                Part::End => {
                    if let Some(unsent) = unsent(&mut conn, call.stream) {
                        unsent.over = true;
                        self.touch_conn(&mut conn);
                    }
                }
            }
            self.settle_conn(&mut conn);
        } else {
            self.refuse_part(call, &part);
        }
        self.conns.put(conn);
    }

    fn refuse_part(&mut self, call: CallId, part: &Part) {
        // Whatever comes after a head that was refused, or after a hangup, was on its way already.
        if matches!(part, Part::Head(_)) {
            self.fx.hangups.push(call);
        }
    }

    fn begin(&mut self, conn: &mut Conn, call: CallId, head: &Response<()>) {
        let (status, headers) = (head.status().as_u16(), headers(head.headers()));
        match &mut conn.http {
            Http::One(h1, exchange @ Exchange::Calling) => {
                h1.head(status, &headers, OutBody::Chunked, false, &mut conn.heads);
                *exchange = Exchange::Streaming(Unsent::default());
            }
            Http::Two(two) if matches!(two.streams.get(call.stream), Some(Exchange::Calling)) => {
                two.h2.head(call.stream, status, &headers, false, &mut conn.heads);
                two.streams.insert(call.stream, Exchange::Streaming(Unsent::default()));
                two.answers = true;
            }
            // The client has taken its request back.
            _ => self.fx.hangups.push(call),
        }
        if self.draining {
            self.end_streams(conn);
        }
    }

    fn push_part(&mut self, conn: &mut Conn, call: CallId, part: &Bytes) {
        let limit = self.config.limits.answer_bytes;
        let Some(unsent) = unsent(conn, call.stream) else {
            return;
        };
        if unsent.bytes.is_empty() || unsent.bytes.len() + part.len() <= limit {
            unsent.bytes.extend_from_slice(part);
            self.touch_conn(conn);
            return;
        }
        self.counters.slow_readers += 1;
        tracing::debug!(
            conn = conn.id.slot,
            stream = call.stream,
            "an answer in parts has a reader that is too slow"
        );
        match &mut conn.http {
            Http::Two(two) => {
                two.h2.reset(call.stream, Code::Cancel);
                two.streams.remove(call.stream);
                self.fx.hangups.push(call);
            }
            // Without its last chunk, the client sees that something is missing.
            _ => self.abort(conn),
        }
    }

    /// Ends the answers of a connection in good order, as far as the client takes them now.
    pub(super) fn end_streams(&mut self, conn: &mut Conn) {
        match &mut conn.http {
            Http::One(h1, Exchange::Streaming(unsent)) => {
                h1.chunk(&unsent.bytes, &mut conn.heads);
                h1.last_chunk(&mut conn.heads);
                self.hang_up(conn);
                self.finish(conn);
            }
            Http::Two(two) => {
                for (stream, exchange) in two.streams.iter() {
                    let Exchange::Streaming(unsent) = exchange else {
                        continue;
                    };
                    let taken = two.h2.data(stream, &unsent.bytes, true, &mut conn.heads);
                    if taken < unsent.bytes.len() {
                        two.h2.reset(stream, Code::Cancel);
                    }
                }
                self.hang_up(conn);
            }
            _ => {}
        }
    }

    /// Nobody listens to the answers of this connection any longer.
    pub(super) fn hang_up(&mut self, conn: &mut Conn) {
        let mut gone: SmallVec<[u32; 1]> = SmallVec::new();
        match &mut conn.http {
            Http::One(_, exchange @ Exchange::Streaming(_)) => {
                *exchange = Exchange::Answered;
                gone.push(0);
            }
            Http::Two(two) => two.streams.retain(|stream, exchange| {
                let streaming = matches!(exchange, Exchange::Streaming(_));
                if streaming {
                    gone.push(stream);
                }
                !streaming
            }),
            _ => {}
        }
        let call = |stream| CallId { conn: conn.id, stream };
        self.fx.hangups.extend(gone.into_iter().map(call));
    }
}

fn unsent(conn: &mut Conn, stream: u32) -> Option<&mut Unsent> {
    let exchange = match &mut conn.http {
        Http::One(_, exchange) => Some(exchange),
        Http::Two(two) => two.streams.get_mut(stream),
        Http::Unknown => None,
    };
    match exchange {
        Some(Exchange::Streaming(unsent)) => Some(unsent),
        _ => None,
    }
}
