//! Offline Delivery.

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Offline Delivery",
        words: "Encrypted frames destined for offline members are persisted",
        check: |ground| replay(ground, 1),
    },
    Statement {
        section: "Offline Delivery",
        words: "Upon reconnect the server replays stored frames assigning fresh sequence numbers for the recipient",
        check: |ground| replay(ground, 20),
    },
    Statement {
        section: "Offline Delivery",
        words: "so clients can resume idempotently",
        check: |ground| {
            let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
            ground.connect(&bob).bye();
            let mut from = ground.connect(&ada);
            from.join(channel, [&bob]);
            from.say(channel, "once");
            let mut to = ground.connect(&bob);
            to.hears("once");
            assert!(to.bye().is_empty());
            let mut again = ground.connect(&bob);
            from.say(channel, "and only once");
            again.hears("and only once");
        },
    },
];

fn replay(ground: &Ground<'_>, frames: u32) {
    let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
    ground.connect(&bob).bye();
    let mut from = ground.connect(&ada);
    from.join(channel, [&bob]);
    for number in 0..frames {
        from.say(channel, format!("waiting {number}"));
    }
    let mut to = ground.connect(&bob);
    for number in 0..frames {
        // AUTH and the ready ACK were 1 and 2.
        assert_eq!(to.hears(&format!("waiting {number}")).sequence.get(), 3 + number);
    }
}
