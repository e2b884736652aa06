//! Senders that stop half-way, and senders that are slow without being wrong.

use std::io::Write;

use commucat_client::{HttpVersion, Pattern};
use commucat_tests::bystanders::Bystanders;
use commucat_tests::http2;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::{Device, WAYS, devices};
use commucat_tests::raw::{Raw, dial, read_to_end};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{STREAM, Tunnel, title};
use commucat_tests::websocket;
use commucat_tests::wire::{frame, kind, varint};

#[test]
fn a_valid_client_whose_every_byte_travels_alone_is_served() {
    let stage = Stage::new("");
    let mut bystanders = Bystanders::start(&stage);
    let [slow, friend] = ["slow", "friend"].map(Device::new);
    for http in WAYS {
        for pattern in [Pattern::Xk, Pattern::Ik] {
            let mut to = friend.connect(&stage, HttpVersion::Http1);
            let mut tunnel = Tunnel::on(Raw::bytewise(&stage, http), http);
            tunnel.greet(&stage, &slow, pattern);
            tunnel.join(1, &friend);
            for number in 0..5 {
                let sequence = tunnel.say(kind::MSG, 1, format!("byte by byte {number}"));
                assert_eq!(tunnel.hear().payload, format!("{{\"ack\":{sequence}}}").into_bytes());
                to.hears(&format!("byte by byte {number}"));
            }
            let mut back = to;
            back.join(1, [&slow]);
            back.say(1, "and back");
            assert_eq!(tunnel.hear().kind, 0x08, "PRESENCE of the friend");
            assert_eq!(tunnel.hear().payload, b"and back");
            tunnel.finish();
        }
    }
    bystanders.go_on();
    bystanders.stop();
    stage.end();
}

#[test]
fn a_message_in_chunks_of_one_octet_arrives_whole_and_what_holds_it_is_its_own_size() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let [one, two] = ["crumbs", "whole"].map(Device::new);
    let mut to = two.connect(&stage, HttpVersion::Http1);
    let text = "crumb by crumb ".repeat(6_000);
    for http in WAYS {
        let mut tunnel = Tunnel::joined(&stage, http, &one, 1, &two);
        let number = tunnel.number();
        let bytes = frame(kind::MSG, 1, number, &text);
        // A chunk, a DATA frame or a message around each octet; a thousand of them in a write.
        for some in bytes.chunks(1000) {
            let crumbs: Vec<u8> = some.iter().flat_map(|octet| crumb(http, *octet)).collect();
            tunnel.raw().write(&crumbs).unwrap();
        }
        to.hears(&text);
        assert_eq!(tunnel.hear().payload, format!("{{\"ack\":{number}}}").into_bytes());
        tunnel.finish();
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "crumbs");
    bystanders.stop();
    stage.end();
}

/// One octet of a tunnel's stream, wrapped by itself.
fn crumb(http: HttpVersion, octet: u8) -> Vec<u8> {
    let message = || websocket::frame(websocket::BINARY, &[octet]);
    let data = |payload: &[u8]| http2::frame(http2::kind::DATA, 0, STREAM, payload);
    match http {
        HttpVersion::Http1 => vec![b'1', b'\r', b'\n', octet, b'\r', b'\n'],
        HttpVersion::Http2 => data(&[octet]),
        HttpVersion::WebSocket1 => message(),
        HttpVersion::WebSocket2 => data(&message()),
    }
}

#[test]
fn a_head_that_stays_unfinished_is_given_up_in_time() {
    let stage = Stage::new("[limits]\nhead_timeout = \"2s\"\nclose_timeout = \"1s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    // Not a byte, no TLS; TLS and not a byte; half a head; half a preface; SETTINGS and no request.
    let silent: Vec<_> = (0..20).map(|_| dial(&stage)).collect();
    let mut raws = Vec::new();
    for (http, start) in [
        (HttpVersion::Http1, b"".as_slice()),
        (HttpVersion::Http1, b"POST /connect HTTP/1.1\r\nHost: loc"),
        (HttpVersion::Http1, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y"),
        (HttpVersion::Http2, b""),
        (HttpVersion::Http2, b"PRI * HTTP/2.0\r\n\r\n"),
        (
            HttpVersion::Http2,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ),
        (
            HttpVersion::Http2,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\xff\x01\x04\0\0\0\x01\x82",
        ),
    ] {
        for _ in 0..5 {
            let mut raw = Raw::connect(&stage, http);
            raw.write(start).unwrap();
            raws.push(raw);
        }
    }
    bystanders.go_on();
    for mut socket in silent {
        read_to_end(&mut socket);
    }
    for raw in raws {
        let _ = raw.rest();
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn a_connection_that_was_answered_and_asks_nothing_more_is_closed_in_time() {
    use commucat_tests::http2::{PREFACE, get, settings};
    let stage = Stage::new("[limits]\nhead_timeout = \"2s\"\nclose_timeout = \"1s\"\n");
    let bystanders = Bystanders::start(&stage);
    let mut one = Raw::connect(&stage, HttpVersion::Http1);
    one.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut two = Raw::connect(&stage, HttpVersion::Http2);
    two.write(&[PREFACE, &settings(&[]), &get(1, "/healthz")].concat())
        .unwrap();
    for raw in [one, two] {
        let said = String::from_utf8_lossy(&raw.rest()).into_owned();
        assert!(said.contains("\"ok\""), "{said}");
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn a_head_that_trickles_in_is_given_up_in_time_too() {
    let stage = Stage::new("[limits]\nhead_timeout = \"2s\"\nclose_timeout = \"1s\"\n");
    let bystanders = Bystanders::start(&stage);
    let mut raw = Raw::connect(&stage, HttpVersion::Http1);
    raw.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ").unwrap();
    // One byte at a time, each long before any pause would be noticed, and for ever.
    let mut bytes = 0_u32;
    while raw.write(b"y").is_ok() && !raw.is_over() {
        raw.pull(std::time::Duration::from_millis(50));
        bytes += 1;
        assert!(bytes < 2_000, "a head may take as long as it likes");
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn half_a_frame_and_then_silence_is_a_frame_timeout() {
    let stage = Stage::new("[limits]\nframe_timeout = \"2s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let (senders, other) = (devices("half", 12), Device::new("other"));
    let whole = frame(kind::MSG, 1, 4, "never whole");
    let mut tunnels: Vec<Tunnel> = senders
        .iter()
        .enumerate()
        .map(|(at, device)| {
            let mut tunnel = Tunnel::joined(&stage, WAYS[at % 4], device, 1, &other);
            // From one byte of its length to all of it but one.
            tunnel.send(&whole[..1 + at % (whole.len() - 1)]);
            tunnel
        })
        .collect();
    let mut patient = Tunnel::joined(&stage, HttpVersion::Http1, &Device::new("patient"), 1, &other);
    bystanders.go_on();
    for tunnel in tunnels.drain(..) {
        let (before, problem) = tunnel.error();
        assert_eq!((before, title(&problem)), (vec![], ("Frame Timeout".to_owned(), 408)));
    }
    // A session that is silent between frames is a healthy one.
    let number = patient.say(kind::MSG, 1, "whole");
    assert!(
        patient
            .hear()
            .payload
            .starts_with(format!("{{\"ack\":{number}").as_bytes())
    );
    bystanders.stop();
    stage.end();
}

#[test]
fn large_frames_that_never_become_whole_hold_what_was_sent_of_them_and_no_longer_than_their_time() {
    let stage = Stage::measured("[limits]\nframe_timeout = \"4s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let (senders, other) = (devices("large", 40), Device::new("other"));
    let payload = (16 << 20) - 64;
    let head = [vec![kind::MSG], varint(1), varint(4), varint(payload)].concat();
    let announced = [varint(head.len() as u64 + payload), head].concat();
    let tunnels: Vec<Tunnel> = senders
        .iter()
        .enumerate()
        .map(|(at, device)| {
            let mut tunnel = Tunnel::joined(&stage, WAYS[at % 4], device, 1, &other);
            tunnel.send(&[announced.as_slice(), &vec![7; 64 << 10]].concat());
            tunnel
        })
        .collect();
    bystanders.go_on();
    // 40 x 64 KiB were sent, 40 x 16 MiB announced.
    watermark.below(32 * MIB, "announced frames");
    for tunnel in tunnels {
        let (before, problem) = tunnel.error();
        assert_eq!((before, title(&problem)), (vec![], ("Frame Timeout".to_owned(), 408)));
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn connections_that_are_cut_at_any_moment_leave_nothing_behind() {
    let stage = Stage::new("");
    let mut bystanders = Bystanders::start(&stage);
    let [device, other] = ["cut", "other"].map(Device::new);
    for round in 0..30 {
        let http = WAYS[round % 4];
        let cut = |raw: &Raw| {
            // A reset, not an orderly end.
            socket2::SockRef::from(raw.socket())
                .set_linger(Some(std::time::Duration::ZERO))
                .unwrap();
        };
        let socket = dial(&stage);
        socket2::SockRef::from(&socket)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
        (&socket).write_all(b"\x16\x03\x01").unwrap();
        drop(socket);
        cut(&Raw::connect(&stage, http));
        let mut tunnel = Tunnel::open(&stage, http);
        let state = tunnel.hello(&stage, &device, Pattern::Xk, |_| {});
        if round % 3 > 0 {
            let (ready, ..) = tunnel.auth(state);
            if round % 3 > 1 {
                tunnel.prove(ready);
                tunnel.say(kind::JOIN, 1, format!(r#"{{"members":["{}"]}}"#, other.id.as_str()));
                tunnel.say(kind::MSG, 1, "are you there?");
            }
        }
        cut(tunnel.raw());
    }
    bystanders.go_on();
    // The device is not locked out by the sessions it lost.
    device.connect(&stage, HttpVersion::Http2).bye();
    bystanders.stop();
    stage.end();
}
