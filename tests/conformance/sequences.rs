//! Sequence Numbers.

use commucat_tests::wire::{frame, kind};
use serde_json::Value;

use crate::ground::Statement;

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Sequence Numbers",
        words: "ACK frames echo the confirmed sequence in the control payload",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel().into());
            ground.connect(&bob).bye();
            let mut tunnel = ground.ready(&ada);
            tunnel.join(channel, &bob);
            let number = tunnel.number() + 1000;
            tunnel.send(&frame(kind::MSG, channel, number, "numbered"));
            let ack: Value = serde_json::from_slice(&tunnel.hear().payload).unwrap();
            assert_eq!(ack["ack"], number);
        },
    },
    Statement {
        section: "Sequence Numbers",
        words: "Clients can resend unacknowledged frames as idempotent envelopes when needed",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            let sequence = from.say(channel, "once");
            assert_eq!(from.say_again(channel, sequence, "once").sequence, sequence);
            from.say(channel, "next");
            to.hears("once");
            to.hears("next");
        },
    },
    Statement {
        section: "Sequence Numbers",
        words: "Each sender maintains an independent monotonic 32-bit sequence per connection",
        check: |ground| {
            let (mut from, mut to, channel) = ground.pair();
            // The client refuses any number from the server that is not the next one.
            for number in 0..50 {
                from.say(channel, format!("{number}"));
                to.hears(&format!("{number}"));
            }
        },
    },
];
