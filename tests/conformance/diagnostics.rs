//! The rest of the table of Codec Diagnostics; Error Frames; Compression and Extensions.

use commucat_tests::tunnel::Next;
use commucat_tests::wire::{frame, framed, kind, varint};
use serde_json::json;

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Codec Diagnostics",
        words: "Unknown frame type: Invalid Frame Type",
        check: |ground| refused(ground, "Invalid Frame Type", |number| frame(0x14, 1, number, "?")),
    },
    Statement {
        section: "Codec Diagnostics",
        words: "No mutually supported protocol version: Protocol Version Mismatch",
        check: |ground| {
            let hello = |hello: &mut serde_json::Value| hello["supported_versions"] = json!([2]);
            let (title, _) = ground.refusal(&ground.device("ada"), hello);
            assert_eq!(title, "Protocol Version Mismatch");
        },
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Declared frame length exceeds limits: Frame Too Large",
        check: |ground| refused(ground, "Frame Too Large", |_| varint(1 << 40)),
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Control payload exceeds JSON limits: Control Payload Too Large",
        check: |ground| {
            refused(ground, "Control Payload Too Large", |number| {
                frame(kind::GROUP_CREATE, 1, number, vec![b' '; 262_145])
            });
        },
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Channel or sequence outside allowed range: Identifier Out Of Range",
        check: |ground| {
            refused(ground, "Identifier Out Of Range", |number| {
                frame(kind::JOIN, u64::MAX, number, "{}")
            });
        },
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Varint exceeds 64-bit width: Varint Overflow",
        check: |ground| refused(ground, "Varint Overflow", |_| vec![0xff; 11]),
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Buffer underrun before payload end: Truncated Frame",
        check: |ground| refused(ground, "Truncated Frame", |_| framed(&[kind::MSG, 1])),
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Codec failures surfaced during framing SHOULD be translated into terminal ERROR frames",
        check: |ground| {
            let mut tunnel = ground.ready(&ground.device("ada"));
            let number = tunnel.number();
            tunnel.send(&frame(0x7f, 1, number, "?"));
            assert_eq!(tunnel.hear().kind, kind::ERROR);
            assert_eq!(tunnel.listen(), Next::End);
        },
    },
    Statement {
        section: "Compression and Extensions",
        words: "peers MAY wrap ciphertext payloads in per-message zstd. Negotiation outcome is opaque to the server",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            // A zstd frame of one raw block: the magic number, a header, "hello".
            let wrapped = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
            from.say(channel, r#"{ "compression": "zstd" }"#);
            from.say(channel, wrapped);
            to.hears(r#"{ "compression": "zstd" }"#);
            assert_eq!(to.hear().payload, wrapped);
        },
    },
];

/// Bytes, made of the next sequence, end a ready session with an ERROR of this title.
fn refused(ground: &Ground<'_>, title: &str, bytes: impl Fn(u64) -> Vec<u8>) {
    let mut tunnel = ground.ready(&ground.device("ada"));
    let number = tunnel.number();
    tunnel.send(&bytes(number));
    assert_eq!(tunnel.refusal().0, title);
}
