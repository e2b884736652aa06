//! The blocking driver against a fake relay on a loopback socket, without TLS (which has its own tests).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use commucat_client::blocking::{Call, Client, DriverError, Options, call, server_info};
use commucat_client::{Endpoint, Incoming};
use commucat_proto::{ChannelId, FrameType};

use crate::relay::{ChunkedServer, Fault, Relay, config};

const CHANNEL: ChannelId = ChannelId::new(3);
const PATIENCE: Duration = Duration::from_secs(20);

fn listener() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, format!("http://127.0.0.1:{port}").parse().expect("a URL"))
}

/// Serves one tunnel until the client ends it.
fn serve(listener: TcpListener, mut relay: Relay) -> JoinHandle<Relay> {
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let (mut server, mut buffer) = (ChunkedServer::default(), vec![0; 4096]);
        loop {
            let count = socket.read(&mut buffer).expect("open");
            let (body, mut answer) = server.receive(&buffer[..count]);
            answer.extend(ChunkedServer::chunk(&relay.body(&body)));
            if server.ended || count == 0 {
                answer.extend(b"0\r\n\r\n");
            }
            socket.write_all(&answer).expect("open");
            if server.ended || count == 0 {
                return relay;
            }
        }
    })
}

/// Answers every request with the same bytes.
fn answer(listener: TcpListener, bytes: &'static [u8]) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut request = vec![0; 4096];
        let count = socket.read(&mut request).expect("open");
        socket.write_all(bytes).expect("open");
        request.truncate(count);
        request
    })
}

fn options() -> Options {
    Options {
        timeout: PATIENCE,
        ..Options::default()
    }
}

#[test]
fn a_client_on_a_socket_talks_and_ends_cleanly() {
    let (listener, endpoint) = listener();
    let relay = Relay::new(1, Fault::None);
    let config = config(&relay, 2);
    let server = serve(listener, relay);
    let mut client = Client::connect(&endpoint, &options(), config).expect("a session");
    // More than the sockets' buffers hold, so that both directions have to be served at once.
    let payload = vec![5; 12 << 20];
    let sent = client.send(FrameType::Msg, CHANNEL, &payload).expect("ready");
    assert!(client.flush(PATIENCE).expect("open"), "everything leaves");
    match client.recv(PATIENCE).expect("open") {
        Some(Incoming::Acknowledged { to, .. }) => assert_eq!(to, sent),
        other => panic!("{other:?}"),
    }
    match client.recv(PATIENCE).expect("open") {
        Some(Incoming::Frame { payload: echoed, .. }) => assert!(echoed == payload),
        other => panic!("{other:?}"),
    }
    client.close().expect("open");
    assert!(matches!(
        client.recv(PATIENCE).expect("open"),
        Some(Incoming::Ended { clean: true })
    ));
    let relay = server.join().expect("no panic");
    assert_eq!(relay.seen.len(), 3);
}

#[test]
fn an_error_frame_refuses_the_connection_with_its_reason() {
    let (listener, endpoint) = listener();
    let relay = Relay::new(1, Fault::RefusesHello);
    let config = config(&relay, 2);
    let server = serve(listener, relay);
    let error = Client::connect(&endpoint, &options(), config)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("Handshake Failed (403): invalid static key"), "{error}");
    server.join().expect("no panic");
}

#[test]
fn a_waker_ends_a_wait_from_another_thread() {
    let (listener, endpoint) = listener();
    let relay = Relay::new(1, Fault::None);
    let config = config(&relay, 2);
    let server = serve(listener, relay);
    let mut client = Client::connect(&endpoint, &options(), config).expect("a session");
    let waker = client.waker().expect("descriptors");
    let other = std::thread::spawn(move || waker.wake());
    assert!(client.recv(Duration::from_secs(3600)).expect("open").is_none());
    other.join().expect("no panic");
    drop(client);
    server.join().expect("no panic");
}

#[test]
fn a_relay_that_says_nothing_is_given_up_in_time() {
    let (listener, endpoint) = listener();
    let relay = Relay::new(1, Fault::None);
    let options = Options {
        timeout: Duration::from_millis(50),
        ..Options::default()
    };
    let error = Client::connect(&endpoint, &options, config(&relay, 2)).expect_err("silence");
    assert!(matches!(error, DriverError::Timeout { .. }), "{error}");
    drop(listener);
}

#[test]
fn server_info_tells_the_noise_key_and_ignores_what_it_does_not_know() {
    let (listener, endpoint) = listener();
    let server = answer(
        listener,
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 154\r\n\r\n\
          {\"noise_public\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\
          \"domain\":\"relay.example\",\"supported_versions\":[1],\"new\":{},\"x\":1      }",
    );
    let info = server_info(&endpoint, &options()).expect("an answer");
    assert_eq!(info.noise_public.as_bytes()[31], 31);
    assert_eq!(
        (info.domain.as_str(), info.supported_versions),
        ("relay.example", vec![1])
    );
    let request = String::from_utf8(server.join().expect("no panic")).expect("ASCII");
    assert!(
        request.starts_with("GET /api/server-info HTTP/1.1\r\nhost: 127.0.0.1:"),
        "{request}"
    );
}

#[test]
fn useless_answers_to_calls_are_explained() {
    let cases: [(&'static [u8], &str); 3] = [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "unusable JSON"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{}", "cut off"),
    ];
    for (bytes, expected) in cases {
        let (listener, endpoint) = listener();
        let server = answer(listener, bytes);
        let error = server_info(&endpoint, &options()).expect_err(expected).to_string();
        assert!(
            error.contains(expected) && error.contains("/api/server-info"),
            "{error}"
        );
        server.join().expect("no panic");
    }
}

#[test]
fn a_call_sends_its_token_and_body_and_reads_chunks() {
    let (listener, endpoint) = listener();
    let server = answer(
        listener,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let request = Call {
        method: "POST",
        path: "/api/pair",
        bearer: Some("t0ken"),
        body: Some(b"{\"ttl\":60}"),
    };
    let answer = call(&endpoint, &options(), &request).expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
    let request = String::from_utf8(server.join().expect("no panic")).expect("ASCII");
    assert!(request.contains("\r\nauthorization: Bearer t0ken\r\n"), "{request}");
    assert!(
        request.ends_with("\r\ncontent-length: 10\r\n\r\n{\"ttl\":60}"),
        "{request}"
    );
}

#[test]
fn nobody_listening_is_told_with_the_address() {
    let (listener, endpoint) = listener();
    drop(listener);
    let error = server_info(&endpoint, &options()).expect_err("nobody").to_string();
    assert!(error.contains(&format!("cannot connect to {endpoint}")), "{error}");
    // A port that was free a moment ago is still nobody's.
    assert!(TcpStream::connect((endpoint.host.as_str(), endpoint.port)).is_err());
}
