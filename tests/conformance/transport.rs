//! Transport; Compression and Extensions.

use commucat_client::HttpVersion;

use crate::ground::{Ground, Statement};

pub(crate) const STATEMENTS: &[Statement] = &[
    Statement {
        section: "Transport",
        words: "Once the HTTP response headers (status 200) are emitted, both peers exchange CCP-1 frames until one closes",
        check: the_answer_comes_before_the_body_ends,
    },
    Statement {
        section: "Transport",
        words: "single request multiplexes virtual channels via the channel_id field",
        check: one_request_carries_many_channels,
    },
    Statement {
        section: "Transport",
        words: "HTTP/2 data frames or HTTP/1.1 chunked body",
        check: both_encapsulations_talk_to_each_other,
    },
];

fn the_answer_comes_before_the_body_ends(ground: &Ground<'_>) {
    // `open` waits for the 200 before a byte of body was sent, and the whole session follows on the same request.
    let mut tunnel = ground.ready(&ground.device("ada"));
    tunnel.finish();
    assert_eq!(tunnel.listen(), commucat_tests::tunnel::Next::End);
}

fn one_request_carries_many_channels(ground: &Ground<'_>) {
    let (ada, bob) = (ground.device("ada"), ground.device("bob"));
    let (mut from, mut to) = (ground.connect(&ada), ground.connect(&bob));
    let channels: Vec<u32> = (0..8).map(|_| ground.channel()).collect();
    for channel in &channels {
        from.join(*channel, [&bob]);
    }
    for channel in &channels {
        from.say(*channel, format!("on {channel}"));
        assert_eq!(to.hears(&format!("on {channel}")).channel.get(), *channel);
    }
}

fn both_encapsulations_talk_to_each_other(ground: &Ground<'_>) {
    let (ada, bob, channel) = (ground.device("ada"), ground.device("bob"), ground.channel());
    let other = match ground.http {
        HttpVersion::Http1 => HttpVersion::Http2,
        _ => HttpVersion::Http1,
    };
    let (mut from, mut to) = (ground.connect(&ada), bob.connect(ground.relay, other));
    from.join(channel, [&bob]);
    to.join(channel, [&ada]);
    from.say(channel, "there");
    to.hears("there");
    to.say(channel, "and back");
    from.hears("and back");
}
