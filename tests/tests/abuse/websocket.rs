//! WebSockets whose frames are wrong, endless, or nothing but overhead (RFC 6455).

use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::Device;
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Next, Tunnel};
use commucat_tests::websocket::{BINARY, PING, TEXT, frame, unmasked};
use commucat_tests::wire::{self, kind};

const SOCKETS: [HttpVersion; 2] = [HttpVersion::WebSocket1, HttpVersion::WebSocket2];

/// Bytes, and the code of the Close that answers them.
fn wrong() -> Vec<(u16, Vec<u8>)> {
    vec![
        (1003, frame(TEXT, b"{}")),
        (1003, frame(0x01, &[b'x'; 3000])),
        (1002, unmasked(BINARY, b"in the clear")),
        (1002, unmasked(PING, b"")),
        (1002, frame(PING, &[0; 126])),
        (1002, frame(PING, &[0; 70_000])),
        (1002, frame(0x09, b"in fragments")),
        (1002, frame(0x80, b"continues nothing")),
        (1002, [frame(0x02, b""), frame(BINARY, b"")].concat()),
        (1002, frame(0xc2, b"compressed")),
        (1002, frame(0x83, b"")),
        (1002, vec![0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0]),
        (1002, frame(0x88, b"x")),
        (1007, frame(0x88, &[0x03, 0xe8, 0xc0])),
        // Not a WebSocket at all.
        (1002, b"POST /connect HTTP/1.1\r\n\r\n".to_vec()),
    ]
}

#[test]
fn a_frame_that_is_none_ends_its_session_with_a_code_and_what_came_whole_before_is_routed() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let [one, two] = ["one", "two"].map(Device::new);
    let mut to = two.connect(&stage, HttpVersion::Http1);
    for http in SOCKETS {
        for (index, (code, bytes)) in wrong().into_iter().enumerate() {
            let mut tunnel = Tunnel::joined(&stage, http, &one, 1, &two);
            let word = format!("{http:?} {index}");
            let number = tunnel.number();
            let before = wire::frame(kind::MSG, 1, number, &word);
            let after = wire::frame(kind::MSG, 1, number + 1, "after");
            tunnel.carry(&[frame(BINARY, &before), bytes, frame(BINARY, &after)].concat());
            to.hears(&word);
            while let Next::Frame(seen) = tunnel.listen() {
                assert_eq!(seen.kind, kind::ACK, "{word}: {seen:?}");
            }
            assert_eq!(tunnel.close_code(), Some(code), "{word}");
        }
    }
    assert!(to.bye().is_empty(), "something after a bad frame was routed");
    bystanders.go_on();
    watermark.below(16 * MIB, "bad WebSocket frames");
    bystanders.stop();
    stage.end();
}

#[test]
fn a_message_of_countless_fragments_is_a_stream_like_any_other() {
    const EMPTY: usize = 20_000;
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let [one, two] = ["one", "two"].map(Device::new);
    let mut to = two.connect(&stage, HttpVersion::Http2);
    for http in SOCKETS {
        let mut tunnel = Tunnel::joined(&stage, http, &one, 1, &two);
        tunnel.carry(&frame(0x02, b""));
        for _ in 0..10 {
            tunnel.carry(&frame(0x00, b"").repeat(EMPTY));
        }
        let number = tunnel.number();
        let word = format!("by the byte over {http:?}");
        for byte in wire::frame(kind::MSG, 1, number, &word) {
            tunnel.carry(&[frame(0x00, &[byte]), frame(0x00, b"")].concat());
        }
        to.hears(&word);
        tunnel.carry(&frame(0x80, b""));
        assert_eq!(tunnel.hear().kind, kind::ACK);
        tunnel.finish();
        assert_eq!((tunnel.listen(), tunnel.close_code()), (Next::End, Some(1000)));
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "endless fragments");
    bystanders.stop();
    stage.end();
}

#[test]
fn a_flood_of_pings_is_answered_now_and_then_and_harms_nobody() {
    const PINGS: usize = 100_000;
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let [one, two] = ["one", "two"].map(Device::new);
    let mut to = two.connect(&stage, HttpVersion::WebSocket1);
    for http in SOCKETS {
        let mut tunnel = Tunnel::joined(&stage, http, &one, 1, &two);
        let pings = frame(PING, &[7; 125]).repeat(PINGS / 100);
        // Nothing is read meanwhile.
        for _ in 0..100 {
            tunnel.carry(&pings);
        }
        let word = format!("after the pings over {http:?}");
        tunnel.say(kind::MSG, 1, &word);
        to.hears(&word);
        assert_eq!(tunnel.hear().kind, kind::ACK);
        tunnel.finish();
        assert_eq!((tunnel.listen(), tunnel.close_code()), (Next::End, Some(1000)));
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "pings");
    bystanders.stop();
    stage.end();
}

#[test]
fn a_header_that_never_ends_waits_like_any_silent_client() {
    let stage = Stage::new("[limits]\nhello_timeout = \"1s\"\n");
    let [one, two] = ["one", "two"].map(Device::new);
    for http in SOCKETS {
        let mut silent = Tunnel::joined(&stage, http, &one, 1, &two);
        silent.carry(&[0x82]);
        assert!(
            silent.stays_silent(Duration::from_secs(2)),
            "an established session has no limit"
        );
        let mut early = Tunnel::open(&stage, http);
        early.carry(&[0x82, 0xff]);
        assert_eq!(early.refusal().0, "Handshake Failed");
    }
    stage.end();
}
