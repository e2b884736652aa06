//! HELLO and AUTH, valid ones perturbed: nobody gets in whose key was not proven, and who does not get in is gone in time.

use std::time::Duration;

use commucat_crypto::{DEFAULT_PROLOGUE, Initiator, Pattern};
use commucat_proto::control::{Auth, AuthProof, Hello, parse};
use commucat_proto::{FrameLimits, FrameType, Parsed, frame};

use crate::bed::{Bed, key};
use crate::dice::Dice;
use crate::frame::encoded;
use crate::input::{Input, cut};

const HEAD: &[u8] = b"POST /connect HTTP/1.1\r\nHost: relay.example\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A pattern, the cuts, then edits of HELLO, edits of AUTH, and bytes behind them.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let Some(setup) = input.byte() else { return };
    let pattern = if setup & 1 == 0 { Pattern::Xk } else { Pattern::Ik };
    let started = Initiator::start(pattern, key(1), key(0).public(), DEFAULT_PROLOGUE, &mut Dice::new(5));
    let (noise, message) = started.expect("a good key");
    let mut bed = Bed::new();
    let wire = bed.accept();
    bed.write(wire, [HEAD]);
    let hello = compose(&mut input, &hello(pattern, &message));
    say(&mut bed, wire, setup, &framed(&mut input, FrameType::Hello, 1, &hello));
    let mut proof = None;
    if let Some(auth) = server_auth(&bed.read(wire)) {
        let (ready, _) = noise
            .read_auth(&auth.handshake.0)
            .expect("the relay's own message, if ours came whole");
        proof = ready.proof().ok().map(|(proof, _)| proof);
    }
    let genuine = proof.clone().unwrap_or_default();
    let auth = compose(&mut input, &[("handshake", format!("\"{}\"", hex(&genuine)))]);
    say(&mut bed, wire, setup, &framed(&mut input, FrameType::Auth, 2, &auth));
    say(&mut bed, wire, setup, input.rest());
    if bed.counters().ready > 0 {
        let scratch = &mut Vec::new();
        let (hello, auth) = (parse::<Hello>(&hello, scratch), parse::<AuthProof>(&auth, scratch));
        let (hello, auth) = (hello.expect("accepted"), auth.expect("accepted"));
        assert_eq!(hello.handshake.0, message, "somebody else's first message");
        assert_eq!(&hello.client_static.0, key(1).public().as_bytes());
        assert_eq!(Some(&auth.handshake.0), proof.as_ref(), "a proof that is none");
    } else {
        bed.pass(Duration::from_secs(120));
        assert_eq!(bed.gauges().connections, 0, "it may wait for ever");
    }
    bed.leave_nothing(false);
}

type Members = [(&'static str, String)];

/// A good HELLO, by its members.
fn hello(pattern: Pattern, message: &[u8]) -> Vec<(&'static str, String)> {
    let text = |text: &str| format!("\"{text}\"");
    vec![
        ("pattern", text(pattern.name())),
        ("device_id", text("dev-1")),
        ("client_static", text(&hex(key(1).public().as_bytes()))),
        ("handshake", text(&hex(message))),
        ("supported_versions", "[1]".to_owned()),
        ("user", r#"{"handle":"ada"}"#.to_owned()),
        (
            "capabilities",
            r#"["ack-range","delivery-ack","noise-transport"]"#.to_owned(),
        ),
    ]
}

/// An object of these members after edits: one is left out, written otherwise, changed in a byte, or one more comes.
/// Or no such thing, but bytes.
fn compose(input: &mut Input<'_>, members: &Members) -> Vec<u8> {
    let mut members: Vec<(String, Vec<u8>)> = members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
        .collect();
    let edits = input.byte().unwrap_or(0);
    if edits == 0xff {
        return input.piece().unwrap_or_default().to_vec();
    }
    for _ in 0..edits % 4 {
        let (how, which) = (input.byte().unwrap_or(0), input.byte().unwrap_or(0));
        let which = usize::from(which) % members.len().max(1);
        match how % 4 {
            0 if !members.is_empty() => drop(members.remove(which)),
            1 if !members.is_empty() => members[which].1 = input.piece().unwrap_or_default().to_vec(),
            2 if !members.is_empty() => {
                let value = &mut members[which].1;
                let at = usize::from(input.byte().unwrap_or(0)) % value.len().max(1);
                if let (Some(byte), Some(new)) = (value.get_mut(at), input.byte()) {
                    *byte = new;
                }
            }
            _ => {
                let name = String::from_utf8_lossy(input.piece().unwrap_or_default()).into_owned();
                members.push((name, input.piece().unwrap_or_default().to_vec()));
            }
        }
    }
    let mut object = b"{".to_vec();
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            object.push(b',');
        }
        object.extend(format!("{name:?}:").bytes());
        object.extend(value);
    }
    object.push(b'}');
    object
}

/// The payload in its frame, or in another one.
fn framed(input: &mut Input<'_>, kind: FrameType, sequence: u32, payload: &[u8]) -> Vec<u8> {
    match input.byte().unwrap_or(0) {
        0..=199 => encoded(kind, 0, sequence, payload),
        other => {
            let kind = FrameType::ALL[usize::from(other) % FrameType::ALL.len()];
            let channel = u32::from(input.byte().unwrap_or(0));
            encoded(kind, channel, u32::from(input.short().unwrap_or(0)), payload)
        }
    }
}

/// Sends bytes as one chunk, in the input's pieces.
fn say(bed: &mut Bed, wire: usize, setup: u8, bytes: &[u8]) {
    if !bytes.is_empty() && !bed.is_closed(wire) {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend(bytes);
        chunk.extend(b"\r\n");
        bed.write(wire, cut(&chunk, setup | 1));
    }
}

/// The relay's AUTH, if that is its first frame.
fn server_auth(wire: &[u8]) -> Option<Auth> {
    let at = wire.windows(4).position(|end| end == b"\r\n\r\n")?;
    let mut rest = &wire[at + 4..];
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|end| end == b"\r\n") {
        let len = usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?, 16).ok()?;
        body.extend_from_slice(rest.get(end + 2..end + 2 + len)?);
        rest = rest.get(end + 4 + len..)?;
    }
    match frame::parse(&body, &FrameLimits::default()) {
        Ok(Parsed::Frame { frame, .. }) if frame.kind == FrameType::Auth => parse(frame.payload, &mut Vec::new()).ok(),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Both patterns as they should be, and one edit of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![
        vec![0, 0, 0, 0, 0],
        vec![1, 0, 0, 0, 0],
        vec![9, 0, 0, 0, 0, 3, 5, 0, 0],
    ];
    for member in 0..7 {
        all.push(vec![0, 1, 0, member, 0, 0, 0]);
        all.push([&[1, 1, 1, member, 6][..], br#""dev""#, &[0, 0, 0, 0]].concat());
        all.push(vec![2, 1, 2, member, 5, b'0', 0, 0, 0]);
    }
    all.push([&[0, 1, 3, 0, 3][..], b"zkp", &[2], b"{}", &[0, 0, 0]].concat());
    all.push([&[0, 0xff, 2][..], b"{}", &[0, 0, 0]].concat());
    all.push(vec![0, 0, 0, 1, 2, 0, 9, b'0', 0]);
    all.push(vec![1, 0, 0, 0xff, 0, 0]);
    all.push(vec![0, 0, 220, 1, 0, 7, 0, 0]);
    all
}
