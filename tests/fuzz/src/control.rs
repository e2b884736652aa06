//! Control payloads, each type by two parsers of JSON.

use std::fmt::Debug;

use commucat_proto::control::{
    Ack, Auth, AuthProof, AuthSecret, CallAnswer, CallEnd, CallOffer, CallStats, GroupCreate, GroupInvite, Hello, Join,
    Leave, Metadata, Presence, PresenceUpdate, Problem, Ready, parse, write,
};
use commucat_proto::{Diagnostic, FrameType, Sequence};
use serde::Serialize;
use serde::de::DeserializeOwned;

type Check = fn(&[u8]);

/// Every payload, by the type of frame it comes in.
const KINDS: [(FrameType, Check); 18] = [
    (FrameType::Hello, one::<Hello>),
    (FrameType::Auth, one::<Auth>),
    (FrameType::Auth, one::<AuthSecret>),
    (FrameType::Auth, one::<AuthProof>),
    (FrameType::Ack, one::<Ready>),
    (FrameType::Ack, ack),
    (FrameType::Join, one::<Join>),
    (FrameType::Leave, one::<Leave>),
    (FrameType::Presence, one::<Presence>),
    (FrameType::Presence, one::<PresenceUpdate>),
    (FrameType::GroupCreate, one::<GroupCreate>),
    (FrameType::GroupInvite, one::<GroupInvite>),
    (FrameType::Error, one::<Problem>),
    (FrameType::CallOffer, one::<CallOffer>),
    (FrameType::CallAnswer, one::<CallAnswer>),
    (FrameType::CallEnd, one::<CallEnd>),
    (FrameType::CallStats, one::<CallStats>),
    (FrameType::CallOffer, one::<Metadata>),
];

/// The first byte chooses a type, or all of them; the rest is the payload.
pub fn check(data: &[u8]) {
    let Some((&which, payload)) = data.split_first() else {
        return;
    };
    match KINDS.get(usize::from(which)) {
        Some((_, check)) => check(payload),
        None => KINDS.iter().for_each(|(_, check)| check(payload)),
    }
}

/// What is read, the plain parser reads alike, and it is the same once written; what is refused, is so in few words.
fn one<T: DeserializeOwned + Serialize + PartialEq + Debug>(payload: &[u8]) {
    let scratch = &mut Vec::new();
    match parse::<T>(payload, scratch) {
        Ok(value) => {
            // The other way round it need not hold: the plain parser knows no limit of depth and lets more pass in what
            // it skips.
            let plain = serde_json::from_slice::<T>(payload);
            // Nor need it for `-0`, which the plain parser takes for a fraction where a whole number is expected; it has no
            // other way to say so than in words.
            let minus_nought = |error: &serde_json::Error| error.to_string().contains("floating point `-0.0`");
            if !plain.as_ref().is_err_and(minus_nought) {
                assert_eq!(plain.as_ref().ok(), Some(&value), "{plain:?}");
            }
            let mut written = Vec::new();
            write(&value, &mut written);
            assert_eq!(parse::<T>(&written, scratch), Ok(value));
        }
        Err(Diagnostic::InvalidControlPayload { reason }) => assert!((1..=256).contains(&reason.len()), "{reason}"),
        Err(other) => panic!("{other:?} is not about a payload"),
    }
}

/// An ACK has a short way besides.
fn ack(payload: &[u8]) {
    one::<Ack>(payload);
    if let Some(sequence) = Ack::read_plain(payload) {
        let sequence: Sequence = sequence;
        assert_eq!(parse::<Ack>(payload, &mut Vec::new()), Ok(Ack::of(sequence)));
    }
}

/// Payloads that each type takes, and some that none does.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let key = "ab".repeat(32);
    let hello = format!(
        r#"{{"pattern":"XK","device_id":"dev-1","client_static":"{key}","handshake":"00ff","supported_versions":[1],"user":{{"id":"u","handle":"h","display_name":"é","avatar_url":null}},"capabilities":["ack-range"],"device_public":"{key}","zkp":{{"commitment":"{key}","response":"{key}"}},"device_certificate":{{"serial":1}}}}"#
    );
    let user = r#"{"id":"u","handle":"h","display_name":"d","avatar_url":"a"}"#;
    let auth = format!(
        r#"{{"session":"{key}","handshake":"00","server_static":"{key}","protocol_version":1,"supported_versions":[1],"user":{user},"pairing_required":false,"accepted_capabilities":[]}}"#
    );
    let media = r#"{"audio":{"codec":"opus","bitrate":16000,"sample_rate":48000,"channels":1,"fec":true,"dtx":false},"video":{"codec":"vp8","max_bitrate":500000,"max_resolution":{"width":640,"height":480},"frame_rate":24,"adaptive":true},"mode":"full_duplex"}"#;
    let payloads = [
        hello,
        auth,
        format!(r#"{{"session":"{key}","user":{user}}}"#),
        r#"{"handshake":"00ff"}"#.to_owned(),
        format!(r#"{{"handshake":"ok","pairing_required":false,"user":{user}}}"#),
        r#"{"ack":7,"from":3,"to":9,"rejected":{"dev-2":"inbox-full"}}"#.to_owned(),
        r#"{"members":["a","b@c.example"],"group_id":"g","relay":true}"#.to_owned(),
        "{}".to_owned(),
        r#"{"entity":"device-1","state":"online","channel":1,"user":{"id":"u"},"peer":"p","candidate":null}"#.to_owned(),
        r#"{"state":"away"}"#.to_owned(),
        r#"{"group_id":"g","members":["a"],"roles":{"a":"owner"},"relay":true}"#.to_owned(),
        r#"{"group_id":"g","device":"a","role":"member"}"#.to_owned(),
        r#"{"type":"about:blank","title":"t","status":400,"detail":"d"}"#.to_owned(),
        format!(r#"{{"call_id":"c","from":"a","to":["b"],"media":{media},"transport":{{"prefer_relay":true,"udp_candidates":[]}},"expires_at":9,"ephemeral_key":"{key}"}}"#),
        format!(r#"{{"call_id":"c","accept":true,"media":{media},"reason":"busy"}}"#),
        r#"{"call_id":"c","reason":"hangup","metadata":{"x":1}}"#.to_owned(),
        r#"{"call_id":"c","direction":"send","audio":{"bitrate":1,"packet_loss":0.5,"jitter_ms":3},"video":{"bitrate":2,"frame_rate":24.5}}"#.to_owned(),
        r#"{"system":"x","a":[1,-1,1e400,"\ud83d\ude00",null]}"#.to_owned(),
        r#"{"relay":true,"\u0072elay":false}"#.to_owned(),
        format!("{{\"x\":{}{}}}", "[".repeat(40), "]".repeat(40)),
    ];
    let tagged = payloads.iter().enumerate().map(|(index, payload)| {
        let which = u8::try_from(index).unwrap_or(u8::MAX);
        [&[which][..], payload.as_bytes()].concat()
    });
    let ack = [&[5][..], br#"{"ack":4294967295}"#].concat();
    tagged.chain([ack]).collect()
}
