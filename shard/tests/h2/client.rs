//! `conn::h2` against the client of the `h2` crate, over a pipe in memory: a server that echoes bodies and fields.

use std::collections::BTreeMap;
use std::future::poll_fn;

use bytes::Bytes;
use commucat_shard::conn::h2::{Code, H2, H2Event, H2Limits};
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Method, Request, Response, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

#[derive(Default)]
struct Echo {
    queue: Vec<u8>,
    ended: bool,
}

/// Echoes until the client is gone; says GOAWAY after `leave_after` requests. Credit is given as bytes are echoed.
async fn serve(mut io: DuplexStream, limits: H2Limits, leave_after: usize) {
    let mut h2 = H2::new(limits);
    let mut streams: BTreeMap<u32, Echo> = BTreeMap::new();
    let (mut out, mut bytes, mut requests) = (Vec::new(), vec![0; 10_000], 0);
    loop {
        h2.pending(&mut out);
        streams.retain(|stream, echo| {
            let taken = h2.data(*stream, &echo.queue, echo.ended, &mut out);
            echo.queue.drain(..taken);
            h2.credit(*stream, taken as u32);
            !(echo.ended && echo.queue.is_empty())
        });
        h2.pending(&mut out);
        io.write_all(&out).await.unwrap();
        out.clear();
        let len = io.read(&mut bytes).await.unwrap();
        if len == 0 {
            assert_eq!(h2.active(), 0);
            return;
        }
        let mut input = &bytes[..len];
        while let Some(event) = h2.next(&mut input).unwrap() {
            match event {
                H2Event::Request { stream, head, end } => {
                    let fields: Vec<(&str, &str)> = head
                        .headers
                        .iter()
                        .filter(|(name, _)| name.as_str().starts_with("x-"))
                        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                        .collect();
                    h2.head(stream, 200, &fields, false, &mut out);
                    streams.insert(
                        stream,
                        Echo {
                            queue: Vec::new(),
                            ended: end,
                        },
                    );
                    requests += 1;
                    if requests == leave_after {
                        h2.goaway(Code::NoError);
                    }
                }
                H2Event::Data { stream, bytes, end } => {
                    let echo = streams.get_mut(&stream).unwrap();
                    echo.queue.extend_from_slice(bytes);
                    echo.ended |= end;
                }
                H2Event::Reset { stream, .. } => drop(streams.remove(&stream)),
                _ => {}
            }
        }
    }
}

/// Runs `talk` with a client that `builder` made, then waits for both sides to end.
fn with_client<F: Future<Output = ()>>(
    builder: &Builder,
    limits: H2Limits,
    leave_after: usize,
    talk: impl FnOnce(SendRequest<Bytes>) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (ours, theirs) = tokio::io::duplex(7_000);
        let server = tokio::spawn(serve(ours, limits, leave_after));
        let (client, connection) = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        let connection = tokio::spawn(connection);
        talk(client).await;
        connection.await.unwrap().unwrap();
        server.await.unwrap();
    });
}

fn request(fields: &[(&str, String)]) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("https://relay.test/connect")
        .version(Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, value);
    }
    request.body(()).unwrap()
}

fn body(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + seed * 7) as u8).collect()
}

/// Sends `body` in pieces as the window allows, with trailers when asked; returns the response and what came back.
async fn exchange(
    client: SendRequest<Bytes>,
    head: Request<()>,
    body: Vec<u8>,
    trailers: bool,
) -> (Response<()>, Vec<u8>) {
    let mut client = client.ready().await.unwrap();
    let (response, mut stream) = client.send_request(head, false).unwrap();
    drop(client);
    let sender = tokio::spawn(async move {
        let mut rest = Bytes::from(body);
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len().min(9_999));
            let room = poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
            let piece = rest.split_to(room.min(rest.len()));
            stream.send_data(piece, false).unwrap();
        }
        if trailers {
            let fields = HeaderMap::from_iter([("checksum".parse().unwrap(), "1".parse().unwrap())]);
            stream.send_trailers(fields).unwrap();
        } else {
            stream.send_data(Bytes::new(), true).unwrap();
        }
    });
    let (head, mut incoming) = response.await.unwrap().into_parts();
    let mut echoed = Vec::new();
    while let Some(piece) = incoming.data().await {
        let piece = piece.unwrap();
        incoming.flow_control().release_capacity(piece.len()).unwrap();
        echoed.extend_from_slice(&piece);
    }
    sender.await.unwrap();
    (Response::from_parts(head, ()), echoed)
}

async fn echo_many(client: SendRequest<Bytes>, streams: usize, len: usize) {
    let tasks: Vec<_> = (0..streams)
        .map(|n| {
            let sent = body(n, len + n);
            let head = request(&[]);
            tokio::spawn({
                let client = client.clone();
                async move {
                    let (response, echoed) = exchange(client, head, sent.clone(), n % 3 == 0).await;
                    assert_eq!(response.status(), 200);
                    assert!(echoed == sent, "stream {n} came back changed");
                }
            })
        })
        .collect();
    drop(client);
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn many_streams_share_a_connection() {
    with_client(&Builder::new(), H2Limits::default(), usize::MAX, |client| {
        echo_many(client, 50, 100_000)
    });
}

#[test]
fn small_windows_on_both_sides_slow_down_and_lose_nothing() {
    let limits = H2Limits {
        stream_window: 65_535,
        connection_window: 65_535,
        streams: 4,
        ..H2Limits::default()
    };
    let mut builder = Builder::new();
    builder
        .initial_window_size(999)
        .initial_connection_window_size(65_535)
        .header_table_size(0);
    with_client(&builder, limits, usize::MAX, |client| echo_many(client, 6, 150_000));
}

#[test]
fn fields_survive_the_codes_and_the_table() {
    with_client(&Builder::new(), H2Limits::default(), usize::MAX, |client| async move {
        for n in 0..200usize {
            let all: String = (0..n).map(|i| char::from(b'!' + ((i * 7 + n) % 94) as u8)).collect();
            let fields = [
                ("x-all", all),
                ("x-round", (n % 5).to_string()),
                ("x-same", "the same".to_owned()),
            ];
            let (response, _) = exchange(client.clone(), request(&fields), Vec::new(), false).await;
            for (name, value) in &fields {
                assert_eq!(response.headers()[*name], value.trim());
            }
        }
    });
}

#[test]
fn a_head_that_is_too_large_is_answered_431_and_the_connection_lives() {
    with_client(&Builder::new(), H2Limits::default(), usize::MAX, |client| async move {
        let large = request(&[("x-large", "v".repeat(20_000))]);
        let mut ready = client.clone().ready().await.unwrap();
        let (response, _) = ready.send_request(large, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 431);
        drop(ready);
        let (response, _) = exchange(client, request(&[]), Vec::new(), false).await;
        assert_eq!(response.status(), 200);
    });
}

#[test]
fn after_goaway_the_open_stream_ends_well_and_a_new_one_is_not_opened() {
    with_client(&Builder::new(), H2Limits::default(), 1, |client| async move {
        let (response, echoed) = exchange(client.clone(), request(&[]), body(1, 300_000), false).await;
        assert_eq!((response.status(), echoed.len()), (200.try_into().unwrap(), 300_000));
        let error = client.ready().await.unwrap_err();
        assert!(error.is_go_away() || error.is_remote(), "{error}");
    });
}

#[test]
fn a_cancelled_stream_leaves_the_others_alone() {
    with_client(&Builder::new(), H2Limits::default(), usize::MAX, |client| async move {
        for _ in 0..20 {
            let mut ready = client.clone().ready().await.unwrap();
            let (response, mut stream) = ready.send_request(request(&[]), false).unwrap();
            stream.send_data(Bytes::from(body(0, 30_000)), false).unwrap();
            response.await.unwrap();
            stream.send_reset(h2::Reason::CANCEL);
        }
        echo_many(client, 3, 200_000).await;
    });
}

#[test]
fn an_extended_connect_is_a_stream_like_any_other() {
    let limits = H2Limits {
        extended_connect: true,
        ..H2Limits::default()
    };
    with_client(&Builder::new(), limits, usize::MAX, |client| async move {
        // An ordinary request brings the server's SETTINGS along.
        exchange(client.clone(), request(&[]), Vec::new(), false).await;
        assert!(client.is_extended_connect_protocol_enabled());
        let mut head = request(&[]);
        *head.method_mut() = Method::CONNECT;
        head.extensions_mut()
            .insert(h2::ext::Protocol::from_static("websocket"));
        let (response, echoed) = exchange(client, head, body(3, 200_000), false).await;
        assert_eq!((response.status(), echoed), (200.try_into().unwrap(), body(3, 200_000)));
    });
}
