//! REST answers in parts, through a whole shard without TLS: over both versions of HTTP, with readers that stop, leave or
//! are too slow.

use bytes::Bytes;
use commucat_crypto::{Entropy, StaticKey};
use commucat_shard::Shard;
use commucat_shard::clock::Moment;
use commucat_shard::config::{NoiseKeys, Policy, ShardConfig};
use commucat_shard::effect::{Effects, Ending};
use commucat_shard::input::{CallId, ConnId, Input, Listener, Part};
use commucat_shard::limits::Limits;
use commucat_shard::mesh::message::ShardId;
use http::Response;

const CONN: ConnId = ConnId { slot: 0, generation: 1 };
const LIMIT: usize = 1000;

struct Count(u8);

impl Entropy for Count {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
    }
}

/// A shard with one connection.
struct Bed {
    shard: Shard,
    fx: Effects,
}

impl Bed {
    fn new() -> Self {
        let config = ShardConfig {
            id: ShardId(0),
            shards: 1,
            tls: None,
            noise: NoiseKeys::only(StaticKey::generate(&mut Count(0))),
            device_ca: None,
            prologue: b"commucat".as_slice().into(),
            domain: "localhost".into(),
            hash_key: [7; 32],
            policy: Policy::default(),
            limits: Limits {
                answer_bytes: LIMIT,
                ..Limits::default()
            },
        };
        let mut bed = Self {
            shard: Shard::new(config, Box::new(Count(0))),
            fx: Effects::default(),
        };
        bed.feed(Input::Accepted {
            conn: CONN,
            peer: ([127, 0, 0, 1], 1).into(),
            listener: Listener::Plain,
        });
        bed
    }

    fn feed(&mut self, input: Input<'_>) {
        self.shard.handle(Moment::default(), input, &mut self.fx);
        self.shard.flush(Moment::default(), &mut self.fx);
    }

    fn receive(&mut self, bytes: &[u8]) {
        let bytes = &mut bytes.to_vec()[..];
        self.feed(Input::Received { conn: CONN, bytes });
    }

    /// The call that the router got.
    fn called(&mut self) -> CallId {
        let (call, request) = self.fx.calls.pop().expect("a call");
        assert_eq!(request.uri().path(), "/events");
        call
    }

    fn part(&mut self, call: CallId, part: Part) {
        self.feed(Input::Streamed { call, part });
    }

    fn head(&mut self, call: CallId) {
        let head = Response::builder().header("content-type", "text/event-stream").body(());
        self.part(call, Part::Head(head.unwrap()));
    }

    fn data(&mut self, call: CallId, bytes: impl Into<Bytes>) {
        self.part(call, Part::Data(bytes.into()));
    }

    /// What was sent, as far as the kernel takes it.
    fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((conn, buffer)) = self.fx.sends.pop() {
            all.extend_from_slice(&buffer);
            self.feed(Input::Sent { conn, buffer });
        }
        all
    }

    fn hangups(&mut self) -> Vec<CallId> {
        std::mem::take(&mut self.fx.hangups)
    }

    /// After a request over HTTP/1.1 whose head has been answered.
    fn http1() -> (Self, CallId) {
        let mut bed = Self::new();
        bed.receive(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
        let call = bed.called();
        bed.head(call);
        let head = String::from_utf8(bed.sent()).unwrap();
        assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
        assert!(
            head.contains("transfer-encoding: chunked\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        (bed, call)
    }

    /// The same over HTTP/2, with the window that a client has by default.
    fn http2() -> (Self, CallId) {
        let mut bed = Self::new();
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        bytes.extend(request(1));
        bed.receive(&bytes);
        let call = bed.called();
        bed.head(call);
        let kinds: Vec<u8> = frames(&bed.sent()).iter().map(|(kind, ..)| *kind).collect();
        assert!(kinds.contains(&1), "{kinds:?}");
        (bed, call)
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
    bytes.extend_from_slice(payload);
    bytes
}

fn request(stream: u8) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/events"),
        (":authority", "x"),
    ];
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    frame(1, 0x5, stream, &block)
}

/// Kind, flags, payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut all = Vec::new();
    while let [_, high, low, kind, flags, _, _, _, _, rest @ ..] = bytes {
        let (payload, rest) = rest.split_at(usize::from(*high) << 8 | usize::from(*low));
        all.push((*kind, *flags, payload.to_vec()));
        bytes = rest;
    }
    all
}

#[test]
fn over_http_1_1_each_part_is_a_chunk_and_the_end_closes_the_connection() {
    let (mut bed, call) = Bed::http1();
    for text in ["one", "two"] {
        bed.data(call, text);
        assert_eq!(bed.sent(), format!("000003\r\n{text}\r\n").as_bytes());
    }
    bed.data(call, "three");
    bed.part(call, Part::End);
    assert_eq!(bed.sent(), b"000005\r\nthree\r\n0\r\n\r\n");
    assert_eq!(bed.fx.closes, [(CONN, Ending::Graceful)]);
    assert!(bed.hangups().is_empty(), "the router ended it itself");
}

#[test]
fn over_http_2_parts_are_data_and_other_requests_go_on_beside_them() {
    let (mut bed, call) = Bed::http2();
    bed.data(call, "one");
    assert_eq!(frames(&bed.sent()), [(0, 0, b"one".to_vec())]);
    bed.receive(&request(3));
    let other = bed.called();
    bed.feed(Input::Answered {
        call: other,
        response: Response::new(Bytes::from_static(b"whole")),
    });
    assert_eq!(frames(&bed.sent()).last(), Some(&(0, 1, b"whole".to_vec())));
    bed.data(call, "two");
    bed.part(call, Part::End);
    assert_eq!(frames(&bed.sent()), [(0, 0, b"two".to_vec()), (0, 1, Vec::new())]);
    assert!(bed.hangups().is_empty() && bed.fx.closes.is_empty());
}

#[test]
fn a_reader_that_takes_nothing_loses_its_stream_at_the_limit() {
    for (mut bed, call) in [Bed::http1(), Bed::http2()] {
        // The kernel takes the first part and completes nothing.
        bed.data(call, vec![b'x'; 100]);
        bed.data(call, vec![b'x'; LIMIT]);
        assert!(bed.hangups().is_empty(), "so much may wait");
        bed.data(call, "x");
        assert_eq!(bed.hangups(), [call]);
        assert_eq!(bed.shard.counters().slow_readers, 1);
        bed.data(call, "y");
        bed.part(call, Part::End);
        assert!(bed.hangups().is_empty(), "once is enough");
    }
}

#[test]
fn over_http_1_1_a_slow_reader_loses_its_connection_and_over_http_2_the_stream_alone() {
    let (mut bed, call) = Bed::http1();
    bed.data(call, vec![b'x'; LIMIT]);
    bed.data(call, vec![b'x'; LIMIT]);
    bed.data(call, "x");
    assert_eq!(bed.fx.closes, [(CONN, Ending::Abort)]);

    let (mut bed, call) = Bed::http2();
    bed.data(call, vec![b'x'; LIMIT]);
    bed.data(call, vec![b'x'; LIMIT]);
    bed.data(call, "x");
    assert!(bed.fx.closes.is_empty());
    let reset = frames(&bed.sent()).into_iter().find(|(kind, ..)| *kind == 3);
    assert_eq!(reset, Some((3, 0, 8u32.to_be_bytes().to_vec())), "CANCEL");
}

#[test]
fn a_client_that_leaves_is_hung_up_on_once() {
    let (mut bed, call) = Bed::http1();
    bed.feed(Input::Closed { conn: CONN });
    assert_eq!(bed.hangups(), [call]);

    let (mut bed, call) = Bed::http1();
    bed.feed(Input::Eof { conn: CONN });
    assert_eq!(bed.hangups(), [call]);
    bed.feed(Input::Closed { conn: CONN });
    assert!(bed.hangups().is_empty());

    let (mut bed, call) = Bed::http2();
    bed.receive(&cancel(1));
    assert_eq!(bed.hangups(), [call]);
    bed.feed(Input::Closed { conn: CONN });
    assert!(bed.hangups().is_empty());
}

/// RST_STREAM: CANCEL.
fn cancel(stream: u8) -> Vec<u8> {
    frame(3, 0, stream, &8u32.to_be_bytes())
}

#[test]
fn a_request_that_is_cancelled_in_the_same_read_never_reaches_the_router() {
    let (mut bed, _) = Bed::http2();
    bed.receive(&[request(3), request(5), cancel(3), request(7), cancel(7)].concat());
    assert_eq!((bed.called().stream, bed.fx.calls.len()), (5, 0), "the other one does");

    bed.receive(&request(9));
    bed.receive(&cancel(9));
    let call = bed.called();
    let response = Response::new(Bytes::from_static(b"too late"));
    bed.feed(Input::Answered { call, response });
    assert!(
        bed.sent().is_empty() && bed.hangups().is_empty(),
        "its answer is for nobody"
    );
}

#[test]
fn a_head_for_nobody_is_hung_up_on_at_once() {
    let mut bed = Bed::new();
    bed.receive(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
    let call = bed.called();
    bed.feed(Input::Closed { conn: CONN });
    assert!(bed.hangups().is_empty(), "nobody knows yet that it comes in parts");
    bed.head(call);
    assert_eq!(bed.hangups(), [call]);
}

#[test]
fn a_drain_ends_what_has_begun_and_what_begins_in_good_order() {
    let (mut bed, call) = Bed::http1();
    bed.feed(Input::Drain);
    assert_eq!((bed.hangups(), bed.sent()), (vec![call], b"0\r\n\r\n".to_vec()));
    assert_eq!(bed.fx.closes, [(CONN, Ending::Graceful)]);

    let (mut bed, call) = Bed::http2();
    bed.feed(Input::Drain);
    assert_eq!(bed.hangups(), [call]);
    assert!(frames(&bed.sent()).contains(&(0, 1, Vec::new())), "END_STREAM");
    assert_eq!(bed.fx.closes, [(CONN, Ending::Graceful)]);
}

#[test]
fn what_a_client_sends_during_a_stream_is_not_read_as_a_request() {
    let (mut bed, call) = Bed::http1();
    bed.receive(b"GET /other HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(bed.fx.calls.is_empty());
    bed.data(call, "still here");
    assert_eq!(bed.sent(), b"00000a\r\nstill here\r\n");
}
