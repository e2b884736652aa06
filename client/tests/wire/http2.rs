//! Our HTTP/2 against an independent one (the `h2` crate's server), in memory, cut at random places.

use std::time::Duration;

use bytes::Bytes;
use commucat_client::{ClientError, Connection, HttpVersion, Incoming};
use commucat_proto::{ChannelId, FrameType};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use crate::relay::{Fault, Relay, Seeded, config};

const CHANNEL: ChannelId = ChannelId::new(9);

/// What the server does once the request is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Relay,
    Refuse,
    Reset,
    GoAway,
    EndAtOnce,
    /// A WebSocket by extended CONNECT.
    Socket,
    /// What has never heard of that.
    NoSocket,
}

impl Server {
    fn http(self) -> HttpVersion {
        match self {
            Self::Socket | Self::NoSocket => HttpVersion::WebSocket2,
            _ => HttpVersion::Http2,
        }
    }
}

async fn serve(pipe: DuplexStream, mut relay: Relay, server: Server, window: u32) -> Relay {
    let mut builder = h2::server::Builder::new();
    if server == Server::Socket {
        builder.enable_connect_protocol();
    }
    let mut connection = builder
        .initial_window_size(window)
        .initial_connection_window_size(window)
        .max_frame_size(20_000)
        .handshake::<_, Bytes>(pipe)
        .await
        .expect("our preface is right");
    let Some(request) = connection.accept().await else {
        assert_eq!(server, Server::NoSocket, "a request");
        return relay;
    };
    let (request, mut respond) = request.expect("a valid request");
    let method = if server == Server::Socket { "CONNECT" } else { "POST" };
    assert_eq!((request.method().as_str(), request.uri().path()), (method, "/connect"));
    if server == Server::Socket {
        let protocol = request.extensions().get::<h2::ext::Protocol>().expect("extended");
        assert_eq!(protocol.as_str(), "websocket");
        assert_eq!(request.headers()["sec-websocket-version"], "13");
    }
    assert_eq!(
        request.headers()["traceparent"],
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    );
    let (done, mut finished) = mpsc::channel(1);
    let body = request.into_body();
    {
        let tunnel = async {
            match server {
                Server::Relay | Server::NoSocket => echo(&mut relay, body, &mut respond, None).await,
                Server::Socket => echo(&mut relay, body, &mut respond, Some(Messages::default())).await,
                Server::Refuse => refuse(&mut respond),
                Server::Reset => respond.send_reset(Reason::ENHANCE_YOUR_CALM),
                Server::EndAtOnce => {
                    respond.send_response(http::Response::new(()), true).expect("sends");
                }
                Server::GoAway => done.send(()).await.expect("listening"),
            }
            // Hold the stream while the connection flushes.
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::pin!(tunnel);
        loop {
            tokio::select! {
                () = &mut tunnel => break,
                next = connection.accept() => if next.is_none() { break },
                Some(()) = finished.recv() => connection.abrupt_shutdown(Reason::INTERNAL_ERROR),
            }
        }
    }
    relay
}

fn refuse(respond: &mut SendResponse<Bytes>) {
    let head = http::Response::builder().status(503).body(()).expect("valid");
    let mut body = respond.send_response(head, false).expect("sends");
    body.send_data(Bytes::from_static(b"try later"), true).expect("sends");
}

/// The server's half of a WebSocket, octet by octet (RFC 6455 § 5).
#[derive(Default)]
struct Messages(Vec<u8>);

impl Messages {
    /// The bytes of the client's messages, and whether it has sent its Close.
    fn read(&mut self, wire: &[u8]) -> (Vec<u8>, bool) {
        self.0.extend_from_slice(wire);
        let (mut bytes, mut closed) = (Vec::new(), false);
        while let Some((opcode, payload)) = self.take() {
            match opcode {
                0x82 => bytes.extend(payload),
                0x88 => closed = true,
                other => panic!("opcode {other:#x}"),
            }
        }
        (bytes, closed)
    }

    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let second = *self.0.get(1)?;
        assert!(second & 0x80 != 0, "masked");
        let (at, length) = match second & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(self.0.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(self.0.get(2..10)?.try_into().ok()?) as usize),
            short => (2, usize::from(short)),
        };
        let key = self.0.get(at..at + 4)?.to_vec();
        let payload = self.0.get(at + 4..at + 4 + length)?;
        let payload = payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(octet, key)| octet ^ key)
            .collect();
        let opcode = self.0[0];
        self.0.drain(..at + 4 + length);
        Some((opcode, payload))
    }

    /// Unmasked, in two fragments with a Ping between.
    fn write(bytes: &[u8]) -> Vec<u8> {
        let (one, two) = bytes.split_at(bytes.len() / 3);
        let frame = |opcode: u8, payload: &[u8]| {
            let length = payload.len() as u64;
            let header = match length {
                0..=125 => vec![opcode, length as u8],
                126..=0xffff => [&[opcode, 126][..], &(length as u16).to_be_bytes()].concat(),
                _ => [&[opcode, 127][..], &length.to_be_bytes()].concat(),
            };
            [&header, payload].concat()
        };
        [frame(0x02, one), frame(0x8a, b"unasked"), frame(0x80, two)].concat()
    }
}

async fn echo(
    relay: &mut Relay,
    mut body: RecvStream,
    respond: &mut SendResponse<Bytes>,
    mut messages: Option<Messages>,
) {
    let mut out = respond.send_response(http::Response::new(()), false).expect("sends");
    while let Some(piece) = body.data().await {
        let piece = piece.expect("no reset");
        body.flow_control().release_capacity(piece.len()).expect("ours");
        let reply = match &mut messages {
            None => relay.body(&piece),
            Some(messages) => {
                let (bytes, closed) = messages.read(&piece);
                let mut reply = Messages::write(&relay.body(&bytes));
                if closed {
                    reply.extend([0x88, 2, 0x03, 0xe8]);
                }
                reply
            }
        };
        let mut reply = Bytes::from(reply);
        while !reply.is_empty() {
            out.reserve_capacity(reply.len());
            let room = std::future::poll_fn(|cx| out.poll_capacity(cx))
                .await
                .expect("open")
                .expect("window");
            out.send_data(reply.split_to(room.min(reply.len())), false)
                .expect("sends");
        }
    }
    out.send_data(Bytes::new(), true).expect("sends");
}

/// The client's end: moves bytes until `done` says so, in random pieces.
async fn drive(
    client: &mut Connection,
    pipe: &mut DuplexStream,
    cuts: &mut Seeded,
    mut done: impl FnMut(&mut Connection, &Incoming) -> bool,
) -> Result<(), ClientError> {
    let mut buffer = vec![0; 40_000];
    loop {
        let mut wire = Vec::new();
        client.transmit(&mut wire);
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            let length = (1 + cuts.below(3000)).min(rest.len());
            tokio::select! {
                written = pipe.write(&rest[..length]) => rest = &rest[written.expect("open")..],
            }
        }
        let room = 1 + cuts.below(buffer.len() - 1);
        let read = match tokio::time::timeout(Duration::from_secs(20), pipe.read(&mut buffer[..room])).await {
            Ok(read) => read.expect("open"),
            Err(_) => panic!("the tunnel is stuck: {client:?}"),
        };
        if read == 0 {
            client.disconnected();
        } else {
            client.receive(&buffer[..read]);
        }
        while let Some(event) = client.next_event()? {
            let event = Incoming::from(event);
            if done(client, &event) {
                return Ok(());
            }
        }
    }
}

struct Setup {
    client: Connection,
    pipe: DuplexStream,
    server: tokio::task::JoinHandle<Relay>,
    cuts: Seeded,
}

fn set_up(seed: u64, server: Server, window: u32) -> Setup {
    let relay = Relay::new(seed, Fault::None);
    let mut config = config(&relay, seed + 1);
    config.http = server.http();
    config.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let client = Connection::new(config, &mut Seeded::new(seed + 2)).expect("a usable key");
    // Wide enough that the two ends of this single thread never wait for each other to write.
    let (pipe, theirs) = tokio::io::duplex(64 << 20);
    let server = tokio::spawn(serve(theirs, relay, server, window));
    Setup {
        client,
        pipe,
        server,
        cuts: Seeded::new(seed + 3),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(future)
}

#[test]
fn a_tunnel_over_http2_carries_frames_both_ways_wherever_the_wire_is_cut() {
    frames_both_ways(Server::Relay);
}

#[test]
fn a_websocket_on_a_stream_of_http2_carries_frames_both_ways_wherever_the_wire_is_cut() {
    frames_both_ways(Server::Socket);
}

#[test]
fn a_server_without_extended_connect_is_not_asked() {
    run(async {
        let Setup {
            mut client,
            mut pipe,
            mut cuts,
            ..
        } = set_up(1, Server::NoSocket, 65_535);
        let error = drive(&mut client, &mut pipe, &mut cuts, |_, event| panic!("{event:?}"))
            .await
            .expect_err("it cannot")
            .to_string();
        assert!(error.contains("no extended CONNECT"), "{error}");
    });
}

fn frames_both_ways(server: Server) {
    for seed in 0..15 {
        run(async {
            // A narrow window makes our side wait for the server's updates, a wide one does not.
            let window = if seed % 2 == 0 { 65_535 } else { 1 << 20 };
            let Setup {
                mut client,
                mut pipe,
                server,
                mut cuts,
            } = set_up(seed, server, window);
            drive(&mut client, &mut pipe, &mut cuts, |_, event| {
                matches!(event, Incoming::Ready)
            })
            .await
            .expect("ready");
            // More than both windows, both ways, one frame larger than any window.
            let sizes = [10_usize, 0, 3_000_000, 64, 400_000, 1];
            for (index, size) in sizes.into_iter().enumerate() {
                let payload = vec![u8::try_from(index).expect("few"); size];
                client.send(FrameType::Msg, CHANNEL, &payload).expect("ready");
            }
            let mut echoed = Vec::new();
            drive(&mut client, &mut pipe, &mut cuts, |client, event| {
                if let Incoming::Frame { payload, .. } = event {
                    assert!(payload.iter().all(|&byte| usize::from(byte) == echoed.len()));
                    echoed.push(payload.len());
                }
                if echoed.len() == sizes.len() {
                    client.close();
                }
                matches!(event, Incoming::Ended { clean: true })
            })
            .await
            .expect("no error");
            assert_eq!(echoed, sizes);
            let relay = server.await.expect("no panic");
            assert_eq!(
                relay.seen.iter().filter(|seen| seen.0 == FrameType::Msg).count(),
                sizes.len()
            );
        });
    }
}

#[test]
fn a_refusal_over_http2_comes_with_its_status_and_body() {
    run(async {
        let Setup {
            mut client,
            mut pipe,
            mut cuts,
            ..
        } = set_up(1, Server::Refuse, 65_535);
        drive(&mut client, &mut pipe, &mut cuts, |_, event| match event {
            Incoming::Refused { status: 503, body } => body == b"try later",
            other => panic!("{other:?}"),
        })
        .await
        .expect("no error");
    });
}

#[test]
fn a_tunnel_that_ends_with_its_head_is_a_clean_end() {
    run(async {
        let Setup {
            mut client,
            mut pipe,
            mut cuts,
            ..
        } = set_up(1, Server::EndAtOnce, 65_535);
        drive(&mut client, &mut pipe, &mut cuts, |_, event| {
            matches!(event, Incoming::Ended { clean: true })
        })
        .await
        .expect("no error");
    });
}

#[test]
fn a_reset_stream_and_a_closed_connection_name_their_code() {
    for (server, expected) in [
        (Server::Reset, "reset the HTTP/2 stream (code 11)"),
        (Server::GoAway, "code 2"),
    ] {
        run(async {
            let Setup {
                mut client,
                mut pipe,
                mut cuts,
                ..
            } = set_up(1, server, 65_535);
            let error = drive(&mut client, &mut pipe, &mut cuts, |_, event| panic!("{event:?}"))
                .await
                .expect_err("the server said no")
                .to_string();
            assert!(error.contains(expected), "{server:?}: {error}");
        });
    }
}
