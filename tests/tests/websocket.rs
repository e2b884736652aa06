//! WebSocket at `/connect` (decisions § 1) as others speak it: a client that is not ours, and requests that are none.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use commucat_client::blocking::Client;
use commucat_client::tls::{Trust, client_config};
use commucat_client::{Config, HttpVersion, OsEntropy, Pattern, StaticKey};
use commucat_crypto::InitiatorHello;
use commucat_tests::curl::curl;
use commucat_tests::http2;
use commucat_tests::people::{Device, PATIENCE, WAYS, endpoint, options};
use commucat_tests::raw::{Raw, dial};
use commucat_tests::relay::Relay;
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Next, Tunnel, hello};
use commucat_tests::websocket;
use commucat_tests::wire::{self, Seen, frame, kind};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

type Stream = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// Someone with another WebSocket library, and frames made by hand.
struct Other {
    socket: WebSocket<Stream>,
    body: Vec<u8>,
    sequence: u64,
}

impl Other {
    fn open(relay: &Relay, subprotocols: Option<&str>) -> (Self, Response) {
        let config = client_config(&Trust::Insecure, HttpVersion::WebSocket1).unwrap();
        let name = endpoint(relay).server_name().unwrap();
        let tcp = dial(relay);
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let stream = Stream::new(rustls::ClientConnection::new(Arc::clone(&config), name).unwrap(), tcp);
        let mut request = format!("wss://{}/connect", relay.address())
            .into_client_request()
            .unwrap();
        if let Some(names) = subprotocols {
            let names = names.parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", names);
        }
        let (socket, response) = tungstenite::client(request, stream).unwrap();
        let other = Self {
            socket,
            body: Vec::new(),
            sequence: 0,
        };
        (other, response)
    }

    /// A frame in messages of these lengths, and one of the rest.
    fn say(&mut self, kind: u8, channel: u64, payload: impl AsRef<[u8]>, cuts: &[usize]) -> u64 {
        self.sequence += 1;
        let bytes = frame(kind, channel, self.sequence, payload);
        let mut rest = bytes.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(*cut);
            self.socket.write(Message::binary(now.to_vec())).unwrap();
            rest = later;
        }
        self.socket.send(Message::binary(rest.to_vec())).unwrap();
        self.sequence
    }

    /// The next frame; nothing once the relay has taken its leave.
    fn listen(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = wire::take(&mut self.body) {
                return Some(seen);
            }
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.body.extend(bytes),
                Ok(Message::Close(_)) | Err(Error::ConnectionClosed) => return None,
                Ok(Message::Pong(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn hear(&mut self) -> (u8, Value) {
        let seen = self.listen().unwrap();
        let text = String::from_utf8_lossy(&seen.payload).into_owned();
        (seen.kind, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn greet(&mut self, relay: &Relay, device: &Device) {
        let (state, payload): (InitiatorHello, String) = hello(relay, device, Pattern::Xk, |_| {});
        self.say(kind::HELLO, 0, payload, &[1, 0, 10]);
        let (kind, auth) = self.hear();
        assert_eq!(kind, kind::AUTH, "{auth}");
        let message = hex::decode(auth["handshake"].as_str().unwrap()).unwrap();
        let (proof, _) = state.read_auth(&message).unwrap().0.proof().unwrap();
        let proof = json!({ "handshake": hex::encode(proof) }).to_string();
        self.say(kind::AUTH, 0, proof, &[]);
        let (kind, ready) = self.hear();
        assert_eq!((kind, &ready["handshake"]), (kind::ACK, &json!("ok")));
    }
}

#[test]
fn a_client_that_is_not_ours_has_a_whole_session_with_ours_over_every_way() {
    let stage = Stage::new("[limits]\npresence_roster = 0\n");
    let ada = Device::new("ada");
    for http in WAYS {
        let bob = Device::new(&format!("bob-{http:?}"));
        let mut ours = bob.connect(&stage, http);
        let (mut other, response) = Other::open(&stage, None);
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
        other.greet(&stage, &ada);
        let members = json!({ "members": [bob.id.as_str()], "relay": true }).to_string();
        let number = other.say(kind::JOIN, 5, members, &[2]);
        assert_eq!(other.hear(), (kind::ACK, json!({ "ack": number })));

        let long: String = "long ".repeat(30_000);
        for text in ["short", long.as_str()] {
            let number = other.say(kind::MSG, 5, text, &[3, 1]);
            ours.hears(text);
            assert_eq!(other.hear(), (kind::ACK, json!({ "ack": number })));
        }
        // Many frames in one message, and a Ping between.
        let both: Vec<u8> = ["one", "two"]
            .iter()
            .flat_map(|text| {
                other.sequence += 1;
                frame(kind::MSG, 5, other.sequence, text)
            })
            .collect();
        other.socket.send(Message::Ping("hm".into())).unwrap();
        other.socket.send(Message::binary(both)).unwrap();
        ours.hears("one");
        ours.hears("two");
        for _ in 0..2 {
            assert_eq!(other.hear().0, kind::ACK);
        }

        ours.join(5, [&ada]);
        for text in ["back", long.as_str()] {
            ours.say(5, text);
            assert_eq!(other.hear(), (kind::MSG, json!(text)));
        }
        let leave = CloseFrame {
            code: CloseCode::from(3456),
            reason: "enough".into(),
        };
        other.socket.close(Some(leave)).unwrap();
        let farewell = loop {
            match other.socket.read() {
                Ok(Message::Close(farewell)) => break farewell.unwrap(),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(farewell.code, CloseCode::from(3456), "our code comes back");
        assert!(matches!(other.socket.read(), Err(Error::ConnectionClosed)));
        assert!(ours.bye().is_empty());
    }
    stage.end();
}

#[test]
fn our_client_is_understood_by_a_server_that_is_not_ours() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        let mut bytes = Vec::new();
        let hello = loop {
            bytes.extend(socket.read().unwrap().into_data());
            if let Some(seen) = wire::take(&mut bytes) {
                break seen;
            }
        };
        assert_eq!(hello.kind, kind::HELLO);
        socket.send(Message::Ping("still there?".into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("still there?".into()));
        let problem = json!({ "type": "about:blank", "title": "Not Now", "status": 503, "detail": "" }).to_string();
        for piece in frame(kind::ERROR, 0, 1, problem).chunks(7) {
            socket.write(Message::binary(piece.to_vec())).unwrap();
        }
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    });
    let config = Config {
        http: HttpVersion::WebSocket1,
        ..Config::new(
            Device::new("ada").id,
            StaticKey::generate(&mut OsEntropy),
            StaticKey::generate(&mut OsEntropy).public(),
        )
    };
    let refused = Client::connect(&url.parse().unwrap(), &options(), config).unwrap_err();
    assert!(refused.to_string().contains("Not Now"), "{refused}");
    server.join().unwrap();
}

#[test]
fn the_subprotocol_is_chosen_from_what_is_offered() {
    let stage = Stage::new("");
    let (_other, response) = Other::open(&stage, Some("chat, ccp.1"));
    assert_eq!(response.headers()["sec-websocket-protocol"], "ccp.1");
    stage.end();
}

#[test]
fn what_ends_a_session_stands_in_its_error_and_in_the_code_of_its_close() {
    let stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    for http in [HttpVersion::WebSocket1, HttpVersion::WebSocket2] {
        for (bytes, title, code) in [
            (wire::framed(&[0x7f, 1, 1, 0]), "Invalid Frame Type", 1002),
            (wire::varint(17 << 20), "Frame Too Large", 1009),
            (frame(kind::MSG, 1, 1, "before HELLO"), "Handshake Failed", 1008),
        ] {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.send(&bytes);
            let problem = tunnel.hear();
            let problem: Value = serde_json::from_slice(&problem.payload).unwrap();
            assert_eq!(problem["title"], title, "{problem}");
            assert_eq!(tunnel.listen(), Next::End);
            assert_eq!(tunnel.close_code(), Some(code), "{title}");
        }
        // A session that is not complained about.
        let mut tunnel = Tunnel::joined(&stage, http, &one, 1, &two);
        tunnel.finish();
        assert_eq!((tunnel.listen(), tunnel.close_code()), (Next::End, Some(1000)));
    }
    stage.end();
}

#[test]
fn a_relay_that_goes_away_says_so() {
    let mut stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    let mut tunnels = [
        Tunnel::joined(&stage, HttpVersion::WebSocket1, &one, 1, &two),
        Tunnel::joined(&stage, HttpVersion::WebSocket2, &two, 1, &one),
    ];
    let relay = stage.take();
    let ended = std::thread::spawn(move || relay.terminate());
    for tunnel in &mut tunnels {
        while let Next::Frame(_) = tunnel.listen() {}
        assert_eq!(tunnel.close_code(), Some(1001));
    }
    assert!(ended.join().unwrap().0.success());
}

#[test]
fn a_handshake_that_is_none_is_refused_with_what_it_lacks() {
    let stage = Stage::new("");
    let url = format!("{}/connect", stage.url());
    let ask = |arguments: &[&str]| {
        let good = [
            "--http1.1",
            "--header",
            "connection: upgrade",
            "--header",
            "upgrade: websocket",
            "--header",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        curl(&[&good, arguments, &[url.as_str()]].concat()).unwrap()
    };
    let thirteen = "sec-websocket-version: 13";
    let answer = ask(&["--header", "sec-websocket-version: 14"]);
    answer.assert_problem(426, "Upgrade Required");
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    ask(&[]).assert_problem(426, "Upgrade Required");
    for wrong in [
        &["--header", "sec-websocket-key: short"][..],
        &["--header", "content-length: 5"],
        &["--header", "transfer-encoding: chunked"],
    ] {
        ask(&[&["--header", thirteen], wrong].concat()).assert_problem(400, "Bad Request");
    }
    // A POST is a tunnel of its own, whatever else it asks for.
    let mut raw = Raw::connect(&stage, HttpVersion::Http1);
    let post = websocket::HANDSHAKE
        .replace("GET", "POST")
        .replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
    let head = raw.ask(post.as_bytes());
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    stage.end();
}

#[test]
fn extended_connect_opens_a_websocket_at_connect_and_nothing_else() {
    let stage = Stage::new("");
    let mut raw = Raw::connect(&stage, HttpVersion::Http2);
    raw.write(&[http2::PREFACE, &http2::settings(&[])].concat()).unwrap();
    for (stream, status, fields) in [
        (
            1,
            "404",
            [
                (":protocol", "websocket"),
                (":path", "/elsewhere"),
                ("sec-websocket-version", "13"),
            ],
        ),
        (
            3,
            "501",
            [
                (":protocol", "connect-udp"),
                (":path", "/connect"),
                ("sec-websocket-version", "13"),
            ],
        ),
        (
            5,
            "426",
            [
                (":protocol", "websocket"),
                (":path", "/connect"),
                ("sec-websocket-version", "8"),
            ],
        ),
    ] {
        let common = [
            (":method", "CONNECT"),
            (":scheme", "https"),
            (":authority", "localhost"),
        ];
        let block = http2::block(&[&common[..], &fields].concat());
        raw.write(&http2::frame(http2::kind::HEADERS, http2::END_HEADERS, stream, block))
            .unwrap();
        let head = loop {
            match http2::take(&mut raw.plain) {
                Some(seen) if seen.kind == http2::kind::HEADERS => break seen,
                Some(_) => {}
                None => assert!(raw.pull(PATIENCE), "no answer"),
            }
        };
        assert_eq!(head.stream, stream);
        let text = String::from_utf8_lossy(&head.payload).into_owned();
        // The static table has a code of its own for 404 (RFC 7541, Appendix A).
        assert!(
            text.contains(status) || (status == "404" && head.payload.contains(&0x8d)),
            "{head:?}"
        );
        assert!(!text.contains("upgrade"), "{head:?}");
    }
    stage.end();
}
