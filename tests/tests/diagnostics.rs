//! CCP-1, Codec Diagnostics: each condition of the table, made by hand and sent over real TLS, brings exactly one ERROR
//! with the title of the table and the status of decisions § 2, and the end. What came whole before is routed.

use commucat_client::{HttpVersion, Pattern};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Tunnel, title};
use commucat_tests::wire::{frame, framed, inner, kind, varint};
use serde_json::json;

const CHANNEL: u64 = 5;
const MIB16: u64 = 16 << 20;

/// What a bad frame is called, and the bytes it is made of, given its sequence.
struct Case {
    title: &'static str,
    status: u64,
    bytes: Box<dyn Fn(u64) -> Vec<u8>>,
}

fn case(title: &'static str, status: u64, bytes: impl Fn(u64) -> Vec<u8> + 'static) -> Case {
    Case {
        title,
        status,
        bytes: Box::new(bytes),
    }
}

/// Sixty-five bits and eleven bytes.
const OVERFLOWS: [&[u8]; 2] = [
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
];

/// Conditions that any frame can fulfil, whatever the state of its session.
fn any_frame() -> Vec<Case> {
    let mut cases = Vec::new();
    for code in [0x00, 0x14, 0x7f, 0xff] {
        cases.push(case("Invalid Frame Type", 400, move |n| frame(code, CHANNEL, n, "?")));
    }
    // From its first bytes: nothing of it follows.
    cases.push(case("Frame Too Large", 413, |_| varint(MIB16 + 1)));
    cases.push(case("Frame Too Large", 413, |_| varint(u64::MAX)));
    for payload in [MIB16 + 1, u64::MAX] {
        cases.push(case("Payload Too Large", 413, move |n| {
            [
                varint(MIB16),
                vec![kind::MSG],
                varint(CHANNEL),
                varint(n),
                varint(payload),
            ]
            .concat()
        }));
    }
    for control in [kind::HELLO, kind::AUTH, kind::JOIN, kind::ACK, 0x13] {
        cases.push(case("Control Payload Too Large", 413, move |n| {
            let head = [vec![control], varint(CHANNEL), varint(n), varint(262_145)].concat();
            [varint(head.len() as u64 + 262_145), head].concat()
        }));
    }
    for (channel, sequence) in [(1 << 32, None), (CHANNEL, Some(1_u64 << 32)), (u64::MAX, None)] {
        cases.push(case("Identifier Out Of Range", 400, move |n| {
            frame(kind::MSG, channel, sequence.unwrap_or(n), "?")
        }));
    }
    for overflow in OVERFLOWS {
        cases.push(case("Varint Overflow", 400, |_| overflow.to_vec()));
        for place in 0..3 {
            cases.push(case("Varint Overflow", 400, move |n| {
                let fields = [varint(CHANNEL), varint(n), varint(1)];
                let mut bytes = vec![kind::MSG];
                for (at, field) in fields.iter().enumerate() {
                    bytes.extend_from_slice(if at == place { overflow } else { field });
                }
                bytes.push(b'?');
                framed(&bytes)
            }));
        }
    }
    cases.push(case("Truncated Frame", 400, |_| framed(&[])));
    for cut in [1, 2, 3] {
        // Cut after the type, the channel and the sequence.
        cases.push(case("Truncated Frame", 400, move |_| {
            framed(&inner(kind::MSG, CHANNEL, 1, b"")[..cut])
        }));
    }
    cases.push(case("Truncated Frame", 400, |n| {
        let whole = inner(kind::MSG, CHANNEL, n, b"eight...");
        framed(&whole[..whole.len() - 1])
    }));
    cases.push(case("Frame Length Mismatch", 400, |n| {
        framed(&[inner(kind::MSG, CHANNEL, n, b"eight...").as_slice(), b"+"].concat())
    }));
    cases
}

/// What a JOIN can be instead of a JSON object that says what a JOIN says.
fn bad_control() -> Vec<Case> {
    let deep = |open: &str, close: &str, depth: usize| {
        format!(
            r#"{{"members":["x"],"deep":{}0{}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let payloads: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"}".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"members\"".to_vec(),
        b"{\"members\":[\"x\"]} trailing".to_vec(),
        b"{\"members\":[\"x\",]}".to_vec(),
        b"{\"members\":\"x\"}".to_vec(),
        b"{\"members\":[1]}".to_vec(),
        b"{\"members\":[\"\"]}".to_vec(),
        b"{\"members\":[\"x\"],\"relay\":\"yes\"}".to_vec(),
        // Not UTF-8: alone, overlong, a surrogate, cut short.
        b"{\"members\":[\"\xff\"]}".to_vec(),
        b"{\"members\":[\"x\"],\"y\":\"\xc0\xaf\"}".to_vec(),
        b"{\"members\":[\"x\"],\"y\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"members\":[\"x\"],\"y\":\"\xe2\x82\"}".to_vec(),
        // As deep as a control payload can hold, in arrays and in objects.
        deep("[", "]", 100).into_bytes(),
        deep("[", "]", 120_000).into_bytes(),
        deep("{\"a\":", "}", 30_000).into_bytes(),
        vec![b'['; 262_144],
    ];
    payloads
        .into_iter()
        .map(|payload| {
            case("Invalid Control Payload", 400, move |n| {
                frame(kind::JOIN, CHANNEL, n, &payload)
            })
        })
        .collect()
}

#[test]
fn every_condition_in_a_session_is_one_error_and_the_end_and_what_came_whole_before_is_routed() {
    let stage = Stage::new("");
    let [bad, good] = ["bad", "good"].map(Device::new);
    let mut to = good.connect(&stage, HttpVersion::Http2);
    for http in WAYS {
        for (index, case) in any_frame().into_iter().chain(bad_control()).enumerate() {
            let mut tunnel = Tunnel::joined(&stage, http, &bad, CHANNEL, &good);
            let before = tunnel.number();
            let (wrong, after) = (tunnel.number(), tunnel.number());
            let bytes = [
                frame(kind::MSG, CHANNEL, before, format!("{index} before")),
                (case.bytes)(wrong),
                frame(kind::MSG, CHANNEL, after, format!("{index} after")),
            ];
            tunnel.send(&bytes.concat());
            let (acks, problem) = tunnel.error();
            assert_eq!(
                title(&problem),
                (case.title.to_owned(), case.status),
                "{index}: {problem}"
            );
            // A frame that waits for another core when its session ends is routed, and its ACK comes too late.
            assert!(
                acks.is_empty() || acks[0].payload == format!("{{\"ack\":{before}}}").into_bytes() && acks.len() == 1,
                "{acks:?}"
            );
            to.hears(&format!("{index} before"));
        }
    }
    // Of what came after a bad frame, nothing.
    assert!(to.bye().is_empty());
    stage.end();
}

#[test]
fn every_condition_in_the_first_frame_is_one_error_and_the_end() {
    let stage = Stage::new("");
    for http in WAYS {
        for (index, case) in any_frame().into_iter().enumerate() {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.send(&(case.bytes)(1));
            assert_eq!(tunnel.refusal(), (case.title.to_owned(), case.status), "{index}");
        }
        for payload in [
            b"".as_slice(),
            b"{}",
            b"{\"pattern\":\"XK\"}",
            b"\xff",
            &[b'['; 100_000],
        ] {
            let mut tunnel = Tunnel::open(&stage, http);
            tunnel.send(&frame(kind::HELLO, 0, 1, payload));
            assert_eq!(tunnel.refusal(), ("Invalid Control Payload".to_owned(), 400));
        }
    }
    stage.end();
}

#[test]
fn no_common_version_and_a_device_that_needs_pairing_are_diagnostics_of_the_handshake() {
    let stage = Stage::new("auto_approve_devices = false\n");
    let device = Device::new("device");
    for http in WAYS {
        let mut tunnel = Tunnel::open(&stage, http);
        tunnel.hello(&stage, &device, Pattern::Xk, |hello| {
            hello["supported_versions"] = json!([2])
        });
        assert_eq!(tunnel.refusal(), ("Protocol Version Mismatch".to_owned(), 409));
        let mut tunnel = Tunnel::open(&stage, http);
        tunnel.hello(&stage, &device, Pattern::Xk, |_| {});
        assert_eq!(tunnel.refusal(), ("PairingRequired".to_owned(), 403));
    }
    stage.end();
}

#[test]
fn what_is_at_a_limit_or_merely_odd_is_no_error() {
    let stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    for http in WAYS {
        let mut to = two.connect(&stage, http);
        let mut tunnel = Tunnel::joined(&stage, http, &one, u64::from(u32::MAX), &two);
        // Varints that are longer than they need be.
        let payload = b"odd";
        let odd = [
            vec![kind::MSG],
            b"\xff\xff\xff\xff\x8f\x80\x80\x80\x80\x00".to_vec(),
            b"\x84\x80\x00".to_vec(),
            b"\x83\x00".to_vec(),
            payload.to_vec(),
        ];
        let odd = odd.concat();
        tunnel.send(&[varint(odd.len() as u64 | 0x80)[..1].to_vec(), vec![0x80, 0x00], odd].concat());
        assert_eq!(tunnel.hear().payload, b"{\"ack\":4}");
        to.hears("odd");
        // The largest control payload, and the largest numbers.
        let mut join = format!(r#"{{"members":["two"],"relay":true,"padding":"{}"#, " ".repeat(262_000));
        join.push_str(&" ".repeat(262_144 - 2 - join.len()));
        join.push_str("\"}");
        assert_eq!(join.len(), 262_144);
        tunnel.send(&frame(kind::JOIN, 1, 5, &join));
        assert_eq!(tunnel.hear().payload, b"{\"ack\":5}");
        tunnel.send(&frame(kind::MSG, 1, u64::from(u32::MAX), "last"));
        assert_eq!(tunnel.hear().payload, format!("{{\"ack\":{}}}", u32::MAX).into_bytes());
        to.hears("last");
    }
    stage.end();
}
