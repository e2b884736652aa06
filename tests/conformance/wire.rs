//! Frame Format, Limits, Varint Encoding, Codec Diagnostics, Error Frames.

use commucat_tests::wire::{frame, framed, kind, varint};

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Limits",
        words: "frame_len MUST be <= 16,777,216 bytes (16 MiB). Larger frames are rejected",
        check: |ground| refused(ground, "Frame Too Large", 413, |_| varint((16 << 20) + 1)),
    },
    Statement {
        section: "Limits",
        words: "JSON control payloads MUST be <= 262,144 bytes (256 KiB)",
        check: |ground| {
            refused(ground, "Control Payload Too Large", 413, |number| {
                frame(kind::JOIN, 1, number, vec![b' '; 262_145])
            });
        },
    },
    Statement {
        section: "Limits",
        words: "channel_id MUST fit into 32-bit unsigned integers; higher values are rejected",
        check: |ground| {
            refused(ground, "Identifier Out Of Range", 400, |number| {
                frame(kind::MSG, 1 << 32, number, "?")
            });
        },
    },
    Statement {
        section: "Limits",
        words: "sequence MUST fit into 32-bit unsigned integers; higher values are rejected",
        check: |ground| {
            refused(ground, "Identifier Out Of Range", 400, |_| {
                frame(kind::MSG, 1, 1 << 32, "?")
            })
        },
    },
    Statement {
        section: "Limits",
        words: "MUST reject frames whose declared payload_len exceeds the remaining buffer",
        check: |ground| {
            refused(ground, "Truncated Frame", 400, |number| {
                let fields = [vec![kind::MSG], varint(1), varint(number), varint(5)];
                framed(&[fields.concat(), b"four".to_vec()].concat())
            });
        },
    },
    Statement {
        section: "Limits",
        words: "Varints longer than 10 bytes or overflowing 64 bits MUST raise a decoding error",
        check: |ground| {
            refused(ground, "Varint Overflow", 400, |_| {
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02".to_vec()
            });
            refused(ground, "Varint Overflow", 400, |_| {
                b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01".to_vec()
            });
        },
    },
    Statement {
        section: "Varint Encoding",
        words: "CCP-1 encodes integers in little-endian base-128 with continuation bit (0x80)",
        check: long_varints_are_understood,
    },
    Statement {
        section: "Frame Types",
        words: "Unknown frame type: Invalid Frame Type",
        check: |ground| refused(ground, "Invalid Frame Type", 400, |number| frame(0x7f, 1, number, "?")),
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Control JSON cannot be parsed: Invalid Control Payload",
        check: |ground| {
            refused(ground, "Invalid Control Payload", 400, |number| {
                frame(kind::JOIN, 1, number, "{\"members\":")
            });
        },
    },
    Statement {
        section: "Codec Diagnostics",
        words: "Declared payload length exceeds limits: Payload Too Large",
        check: |ground| {
            refused(ground, "Payload Too Large", 413, |number| {
                let fields = [varint(16 << 20), vec![kind::MSG], varint(1), varint(number)];
                [fields.concat(), varint((16 << 20) + 1)].concat()
            });
        },
    },
    Statement {
        section: "Error Frames",
        words: "ERROR control payloads follow RFC 9457 shape",
        // `refusal` checks type, title, status and detail of every ERROR.
        check: |ground| refused(ground, "Invalid Frame Type", 400, |number| frame(0, 1, number, "")),
    },
];

/// Bytes, made of the next sequence, end a ready session with this ERROR.
fn refused(ground: &Ground<'_>, title: &str, status: u64, bytes: impl Fn(u64) -> Vec<u8>) {
    let mut tunnel = ground.ready(&ground.device(&format!("ada{}", ground.channel())));
    let number = tunnel.number();
    tunnel.send(&bytes(number));
    assert_eq!(tunnel.refusal(), (title.to_owned(), status));
}

fn long_varints_are_understood(ground: &Ground<'_>) {
    let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
    let mut to = ground.connect(&bob);
    let mut tunnel = commucat_tests::tunnel::Tunnel::joined(ground.relay, ground.http, &ada, channel.into(), &bob);
    let number = tunnel.number();
    let mut bytes = vec![kind::MSG];
    bytes.extend(varint(channel.into()));
    bytes.extend(varint(number));
    // Five in three bytes: more than needed is no error.
    bytes.extend([0x85, 0x80, 0x00]);
    bytes.extend(b"hello");
    tunnel.send(&framed(&bytes));
    to.hears("hello");
}
