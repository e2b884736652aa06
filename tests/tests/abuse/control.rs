//! Payloads that a JSON parser could choke on, and frames that announce more than they may.

use commucat_client::HttpVersion;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::Tunnel;
use commucat_tests::wire::{frame, framed, kind, varint};

#[test]
fn deep_and_broken_json_in_control_frames_costs_its_sender_the_session_and_nobody_else_anything() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let payloads: Vec<Vec<u8>> = vec![
        vec![b'['; 262_144],
        b"{\"a\":".repeat(52_428),
        [
            b"{\"members\":".as_slice(),
            &vec![b'['; 130_000],
            &vec![b']'; 130_000],
            b"}",
        ]
        .concat(),
        [b"{\"members\":[\"".as_slice(), &vec![0xff; 200_000], b"\"]}"].concat(),
        [
            b"{\"members\":[".as_slice(),
            &b"\"\\ud800\",".repeat(20_000),
            b"\"x\"]}",
        ]
        .concat(),
        [b"{\"members\":[".as_slice(), &b"0,".repeat(130_000), b"0]}"].concat(),
        [b"{\"x\":".as_slice(), &vec![b'9'; 250_000], b"}"].concat(),
    ];
    let device = Device::new("deep");
    let other = Device::new("other");
    for payload in &payloads {
        for http in WAYS {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.send(&frame(kind::HELLO, 0, 1, payload));
            assert_eq!(tunnel.refusal(), ("Invalid Control Payload".to_owned(), 400));
            let mut tunnel = Tunnel::joined(&stage, http, &device, 1, &other);
            let number = tunnel.number();
            tunnel.send(&frame(kind::JOIN, 1, number, payload));
            let (title, _) = tunnel.refusal();
            // 130,000 numbers are no members; a number of 250,000 digits is no number, or one that nobody looks at.
            assert_eq!(title, "Invalid Control Payload");
        }
    }
    bystanders.go_on();
    watermark.below(40 * MIB, "deep JSON");
    bystanders.stop();
    stage.end();
}

#[test]
fn a_frame_of_16_mib_and_one_byte_is_refused_from_its_first_bytes_however_often_it_is_announced() {
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    for _ in 0..50 {
        for http in WAYS {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.send(&varint((16 << 20) + 1));
            assert_eq!(tunnel.refusal(), ("Frame Too Large".to_owned(), 413));
        }
    }
    bystanders.go_on();
    watermark.below(16 * MIB, "oversized frames");
    bystanders.stop();
    stage.end();
}

#[test]
fn before_its_session_is_ready_a_client_cannot_make_the_relay_hold_a_large_frame() {
    let stage = Stage::measured("[limits]\nhello_timeout = \"3s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    // A MSG of 16 MiB as the first frame: its type is known after a few bytes, and has no place there.
    let announced = [
        varint((16 << 20) - 16),
        vec![kind::MSG],
        varint(1),
        varint(1),
        varint((16 << 20) - 27),
    ]
    .concat();
    let tunnels: Vec<Tunnel> = (0..20)
        .map(|at| {
            let mut tunnel = Tunnel::open(&stage, WAYS[at % 4]);
            tunnel.send(&announced);
            for _ in 0..8 {
                tunnel.send(&vec![0; 1 << 20]);
            }
            tunnel
        })
        .collect();
    bystanders.go_on();
    watermark.below(48 * MIB, "large first frames");
    drop(tunnels);
    // A HELLO as large as a control frame may be, and not one byte more.
    let mut tunnel = Tunnel::open(&stage, HttpVersion::Http1);
    tunnel.send(&framed(&[[kind::HELLO, 0, 1].as_slice(), &varint(262_145)].concat()));
    assert_eq!(tunnel.refusal(), ("Control Payload Too Large".to_owned(), 413));
    bystanders.stop();
    stage.end();
}
