//! The `h2` crate's client: many streams at once, windows that it keeps as RFC 9113 says, whole sessions on POST and on
//! extended CONNECT, and how the relay takes its leave.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use commucat_client::tls::{Trust, client_config};
use commucat_client::{HttpVersion, Pattern};
use commucat_tests::people::{Device, PATIENCE, endpoint};
use commucat_tests::relay::Relay;
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::hello;
use commucat_tests::websocket::{self, BINARY};
use commucat_tests::wire::{self, Seen, frame, kind};
use h2::client::{Builder, SendRequest};
use h2::ext::Protocol;
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{Method, Request, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

const OPEN: &str = "[limits]\nrest_calls = 4096\n[rest]\naddress_rate = 1000000\naddress_burst = 1000000\n";

/// Runs `talk`, which must end in time.
fn block_on(talk: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, talk).await });
    ended.expect("the relay and the h2 crate wait for each other");
}

/// A connection, which is driven until it ends.
struct Link {
    client: SendRequest<Bytes>,
    ping: PingPong,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Link {
    async fn open(relay: &Relay, builder: &Builder) -> Self {
        let config = client_config(&Trust::Insecure, HttpVersion::Http2).unwrap();
        let tcp = TcpStream::connect(relay.address()).await.unwrap();
        let name = endpoint(relay).server_name().unwrap();
        let stream = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (client, mut connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
        let ping = connection.ping_pong().unwrap();
        Self {
            client,
            ping,
            driver: tokio::spawn(connection),
        }
    }
}

/// A GET's status and body.
async fn get(client: SendRequest<Bytes>, path: &str) -> Result<(StatusCode, Vec<u8>), h2::Error> {
    let (answer, _) = client.ready().await?.send_request(request(Method::GET, path), true)?;
    let (head, mut incoming) = answer.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = next(&mut incoming).await {
        body.extend(piece?);
    }
    Ok((head.status, body))
}

fn request(method: Method, path: &str) -> Request<()> {
    let uri = format!("https://localhost{path}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

/// The next piece of a body; its window is given back.
async fn next(incoming: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let piece = incoming.data().await?;
    if let Ok(piece) = &piece {
        incoming.flow_control().release_capacity(piece.len()).unwrap();
    }
    Some(piece)
}

/// A `/connect` on one stream of a link.
struct Tunnel {
    out: SendStream<Bytes>,
    incoming: RecvStream,
    /// Its frames travel in messages of RFC 6455.
    socket: bool,
    messages: Vec<u8>,
    body: Vec<u8>,
    sequence: u64,
}

impl Tunnel {
    async fn open(link: &Link, socket: bool) -> Self {
        let mut client = link.client.clone().ready().await.unwrap();
        let mut head = request(if socket { Method::CONNECT } else { Method::POST }, "/connect");
        if socket {
            assert!(client.is_extended_connect_protocol_enabled());
            head.extensions_mut().insert(Protocol::from("websocket"));
            head.headers_mut()
                .insert("sec-websocket-version", "13".parse().unwrap());
        }
        let (answer, out) = client.send_request(head, false).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        Self {
            out,
            incoming: answer.into_body(),
            socket,
            messages: Vec::new(),
            body: Vec::new(),
            sequence: 0,
        }
    }

    /// Sends a frame, as the windows let it out.
    async fn say(&mut self, kind: u8, channel: u64, payload: impl AsRef<[u8]>) -> u64 {
        self.sequence += 1;
        let bytes = frame(kind, channel, self.sequence, payload);
        let mut rest = if self.socket {
            Bytes::from(websocket::frame(BINARY, &bytes))
        } else {
            bytes.into()
        };
        while !rest.is_empty() {
            self.out.reserve_capacity(rest.len());
            let room = poll_fn(|context| self.out.poll_capacity(context))
                .await
                .unwrap()
                .unwrap();
            let piece = rest.split_to(room.min(rest.len()));
            self.out.send_data(piece, false).unwrap();
        }
        self.sequence
    }

    /// The next frame; nothing once the relay has ended the body.
    async fn listen(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = wire::take(&mut self.body) {
                return Some(seen);
            }
            let piece = next(&mut self.incoming).await?.unwrap();
            if !self.socket {
                self.body.extend(piece);
                continue;
            }
            self.messages.extend(piece);
            while let Some(message) = websocket::take(&mut self.messages) {
                match message.opcode {
                    BINARY => self.body.extend(message.payload),
                    opcode => assert_eq!(opcode, websocket::CLOSE),
                }
            }
        }
    }

    async fn hear(&mut self) -> Seen {
        self.listen().await.expect("the session goes on")
    }

    async fn greet(&mut self, relay: &Relay, device: &Device) {
        let (state, payload) = hello(relay, device, Pattern::Ik, |_| {});
        self.say(kind::HELLO, 0, payload).await;
        let auth: Value = serde_json::from_slice(&self.hear().await.payload).unwrap();
        let message = hex::decode(auth["handshake"].as_str().unwrap()).unwrap();
        let (proof, _) = state.read_auth(&message).unwrap().0.proof().unwrap();
        let proof = json!({ "handshake": hex::encode(proof) }).to_string();
        self.say(kind::AUTH, 0, proof).await;
        assert_eq!(self.hear().await.kind, kind::ACK);
    }

    async fn join(&mut self, channel: u64, member: &Device) {
        let members = json!({ "members": [member.id.as_str()], "relay": true });
        self.say(kind::JOIN, channel, members.to_string()).await;
        assert_eq!(self.hear().await.kind, kind::ACK);
    }

    /// Ends this side, and waits for the other.
    async fn finish(mut self) {
        let close = websocket::frame(websocket::CLOSE, &1000_u16.to_be_bytes());
        let last = if self.socket { close.into() } else { Bytes::new() };
        self.out.send_data(last, true).unwrap();
        assert_eq!(self.listen().await, None);
    }
}

#[test]
fn a_hundred_streams_are_answered_at_once_and_pings_between_them() {
    let stage = Stage::new(OPEN);
    block_on(async {
        let mut link = Link::open(&stage, &Builder::new()).await;
        let (_, document) = get(link.client.clone(), "/api/openapi.json").await.unwrap();
        for _ in 0..5 {
            let path = |at: usize| {
                if at.is_multiple_of(2) {
                    "/api/openapi.json"
                } else {
                    "/healthz"
                }
            };
            let asked: Vec<_> = (0..100)
                .map(|at| tokio::spawn(get(link.client.clone(), path(at))))
                .collect();
            link.ping.ping(Ping::opaque()).await.unwrap();
            for (at, answer) in asked.into_iter().enumerate() {
                let (status, body) = answer.await.unwrap().unwrap();
                assert_eq!(status, 200);
                assert!(at % 2 == 1 || body == document, "{at}");
            }
        }
    });
    stage.end();
}

#[test]
fn a_body_that_is_too_long_is_answered_before_its_end_and_the_rest_is_not_wanted() {
    let stage = Stage::new("");
    block_on(async {
        let link = Link::open(&stage, &Builder::new()).await;
        let mut head = request(Method::POST, "/api/pair/claim");
        head.headers_mut()
            .insert("content-type", "application/json".parse().unwrap());
        let mut client = link.client.clone().ready().await.unwrap();
        let (answer, mut out) = client.send_request(head, false).unwrap();
        // limits.rest_body is 256 KiB.
        while let Some(room) = {
            out.reserve_capacity(16 << 10);
            poll_fn(|context| out.poll_capacity(context)).await
        } {
            let Ok(room) = room else { break };
            if out.send_data(vec![b' '; room].into(), false).is_err() {
                break;
            }
        }
        let mut answer = answer.await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (413, &"application/problem+json".parse().unwrap())
        );
        let problem: Value = serde_json::from_slice(&next(answer.body_mut()).await.unwrap().unwrap()).unwrap();
        assert_eq!(problem["status"], 413);
        let end = poll_fn(|context| out.poll_reset(context)).await.unwrap();
        assert_eq!(end, Reason::NO_ERROR);
        assert_eq!(get(link.client.clone(), "/healthz").await.unwrap().0, 200);
    });
    stage.end();
}

#[test]
fn whole_sessions_share_a_connection_by_post_and_by_extended_connect_and_large_frames_pass_every_window() {
    let stage = Stage::new("[limits]\npresence_roster = 0\n");
    // The protocol's own default, and the least that a frame's head fits into.
    for window in [65_535, 9] {
        block_on(async {
            let mut builder = Builder::new();
            builder.initial_window_size(window);
            let link = Link::open(&stage, &builder).await;
            let names = ["posts", "upgrades"].map(|name| Device::new(&format!("{name}-{window}")));
            let mut posts = Tunnel::open(&link, false).await;
            let mut upgrades = Tunnel::open(&link, true).await;
            posts.greet(&stage, &names[0]).await;
            upgrades.greet(&stage, &names[1]).await;
            posts.join(1, &names[1]).await;
            upgrades.join(1, &names[0]).await;
            let long = "many frames long ".repeat(if window == 9 { 50 } else { 20_000 });
            for text in ["short", &long] {
                let number = posts.say(kind::MSG, 1, text).await;
                assert_eq!(upgrades.hear().await.payload, text.as_bytes());
                assert_eq!(posts.hear().await.payload, format!("{{\"ack\":{number}}}").into_bytes());
                let number = upgrades.say(kind::MSG, 1, text).await;
                assert_eq!(posts.hear().await.payload, text.as_bytes());
                assert_eq!(
                    upgrades.hear().await.payload,
                    format!("{{\"ack\":{number}}}").into_bytes()
                );
            }
            posts.finish().await;
            upgrades.finish().await;
            assert_eq!(get(link.client.clone(), "/healthz").await.unwrap().0, 200);
        });
    }
    stage.end();
}

#[test]
fn the_next_stream_waits_until_one_of_as_many_as_may_be_has_ended() {
    let stage = Stage::new("[limits]\nstreams = 3\n");
    block_on(async {
        let link = Link::open(&stage, &Builder::new()).await;
        let mut tunnels = Vec::new();
        for _ in 0..3 {
            tunnels.push(Tunnel::open(&link, false).await);
        }
        assert_eq!(link.client.current_max_send_streams(), 3);
        let mut fourth = tokio::spawn(get(link.client.clone(), "/healthz"));
        let early = tokio::time::timeout(Duration::from_millis(300), &mut fourth).await;
        assert!(early.is_err(), "{early:?}");
        // One that is given up makes room at once.
        tunnels.pop().unwrap().out.send_reset(Reason::CANCEL);
        assert_eq!(fourth.await.unwrap().unwrap().0, 200);
    });
    stage.end();
}

#[test]
fn a_relay_that_ends_says_goaway_ends_its_sessions_and_takes_no_more_streams() {
    let mut stage = Stage::new("");
    block_on(async {
        let link = Link::open(&stage, &Builder::new()).await;
        let mut tunnel = Tunnel::open(&link, false).await;
        tunnel.greet(&stage, &Device::new("last")).await;
        stage.signal(Signal::TERM);
        while let Some(seen) = tunnel.listen().await {
            assert_eq!(seen.kind, kind::ERROR, "{seen:?}");
        }
        let late = get(link.client.clone(), "/healthz").await.unwrap_err();
        assert!(
            late.is_go_away() || late.is_io() || late.reason() == Some(Reason::REFUSED_STREAM),
            "{late}"
        );
        drop((tunnel, link.client));
        // GOAWAY with NO_ERROR, and then the end of the connection, is no error of the connection's.
        link.driver.await.unwrap().unwrap();
    });
    let (status, log) = stage.take().wait();
    assert!(status.success(), "{log}");
}
