//! Frames between devices that are there.

use commucat_client::HttpVersion;
use commucat_proto::{ChannelId, FrameType, Sequence};
use commucat_tests::people::{Device, Peer, WAYS, devices};
use commucat_tests::stage::Stage;

const CHANNEL: u32 = 7;

/// Enough for either core to be met as sender and as recipient, and for both to be the same.
const PAIRS: usize = 24;
const MESSAGES: usize = 40;

/// Of many lengths, the empty one included, and all byte values.
fn payload(pair: usize, message: usize) -> Vec<u8> {
    let length = [0, 1, 64, 127, 128, 1000, 16_384, 20_000][message % 8];
    (0..length).map(|at| (at + pair * 7 + message) as u8).collect()
}

#[test]
fn many_pairs_on_both_cores_hear_every_message_once_in_order_and_unchanged() {
    let stage = Stage::new("");
    let (ones, twos) = (devices("one", PAIRS), devices("two", PAIRS));
    let mut pairs: Vec<(Peer, Peer)> = ones
        .iter()
        .zip(&twos)
        .enumerate()
        .map(|(index, (one, two))| {
            (
                one.connect(&stage, WAYS[index % 4]),
                two.connect(&stage, WAYS[index / 2 % 4]),
            )
        })
        .collect();
    for (index, (from, to)) in pairs.iter_mut().enumerate() {
        from.join(CHANNEL, [&twos[index]]);
        to.join(CHANNEL, [&ones[index]]);
    }
    for message in 0..MESSAGES {
        for (index, (from, to)) in pairs.iter_mut().enumerate() {
            from.send(CHANNEL, payload(index, message));
            to.send(CHANNEL, payload(index + PAIRS, message));
        }
    }
    for (index, (mut from, mut to)) in pairs.into_iter().enumerate() {
        // HELLO, AUTH and JOIN were frames 1, 2 and 3 of each client.
        for message in 0..MESSAGES {
            from.settled(Sequence::new(4 + message as u32));
            to.settled(Sequence::new(4 + message as u32));
            for (peer, sender) in [(&mut to, index), (&mut from, index + PAIRS)] {
                let got = peer.hear();
                assert_eq!((got.kind, got.channel), (FrameType::Msg, ChannelId::new(CHANNEL)));
                assert!(
                    got.payload == payload(sender, message),
                    "pair {index}, message {message}"
                );
            }
        }
        assert!(from.bye().is_empty() && to.bye().is_empty(), "a message came twice");
    }
    let log = stage.end();
    let sessions: Vec<usize> = log
        .lines()
        .filter(|line| line.contains("shard ended"))
        .filter_map(|line| line.split("sessions=").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(sessions.iter().sum::<usize>(), 2 * PAIRS, "{log}");
    assert!(sessions.len() == 2 && sessions.iter().all(|&count| count > 0), "{log}");
}

#[test]
fn a_frame_reaches_each_member_of_its_roster_and_the_servers_numbers_are_each_recipients_own() {
    let stage = Stage::new("");
    let (sender, members) = (Device::new("sender"), devices("member", 6));
    let mut peers: Vec<Peer> = members
        .iter()
        .enumerate()
        .map(|(index, member)| member.connect(&stage, WAYS[index % 4]))
        .collect();
    let mut from = sender.connect(&stage, HttpVersion::Http2);
    from.join(CHANNEL, &members);
    for number in 0..10 {
        from.say(CHANNEL, format!("to all {number}"));
    }
    for peer in &mut peers {
        for number in 0..10 {
            // AUTH and the ready ACK were 1 and 2. Nobody has joined but the sender: a first message arrives so.
            let got = peer.hears(&format!("to all {number}"));
            assert_eq!(got.sequence, Sequence::new(3 + number));
        }
    }
    stage.end();
}

#[test]
fn every_opaque_type_is_relayed_as_it_is() {
    let stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    for http in WAYS {
        let (mut from, mut to) = (one.connect(&stage, http), two.connect(&stage, http));
        from.join(CHANNEL, [&two]);
        // A session takes voice, video and typing only when its inbox is known to be empty, so a message goes first.
        from.say(CHANNEL, "first");
        to.hears("first");
        for kind in FrameType::ALL.into_iter().filter(|kind| kind.is_opaque()) {
            let payload = format!("\0\u{1}not {{json {}", kind.name());
            let sequence = from
                .client()
                .send(kind, ChannelId::new(CHANNEL), payload.as_bytes())
                .unwrap();
            from.settled(sequence);
            let got = to.hear();
            assert_eq!((got.kind, got.text()), (kind, payload));
        }
    }
    stage.end();
}

#[test]
fn a_resent_frame_is_acknowledged_again_and_not_delivered_twice() {
    let stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    for http in WAYS {
        let (mut from, mut to) = (one.connect(&stage, http), two.connect(&stage, http));
        from.join(CHANNEL, [&two]);
        let first = from.say(CHANNEL, "first");
        let second = from.say(CHANNEL, "second");
        for sequence in [first, second, first] {
            let acked = from.say_again(CHANNEL, sequence, "again");
            assert_eq!((acked.sequence, acked.body), (sequence, None));
        }
        from.say(CHANNEL, "third");
        for text in ["first", "second", "third"] {
            to.hears(text);
        }
    }
    stage.end();
}

#[test]
fn the_largest_frames_pass_over_every_way() {
    let stage = Stage::new("");
    let [one, two] = ["one", "two"].map(Device::new);
    for (index, to) in WAYS.into_iter().enumerate() {
        let from = WAYS[(index + 1) % 4];
        let (mut from, mut to) = (one.connect(&stage, from), two.connect(&stage, to));
        from.join(CHANNEL, [&two]);
        let large: Vec<u8> = (0..(16 << 20) - 64).map(|at: u32| (at / 251) as u8).collect();
        let sequence = from.send(CHANNEL, &large);
        let receiver = std::thread::spawn(move || to.hear());
        from.settled(sequence);
        assert!(receiver.join().unwrap().payload == large);
    }
    stage.end();
}

#[test]
fn a_send_of_the_largest_size_fits_what_a_chunk_can_say() {
    let stage = Stage::new("[limits]\nsend_bytes = \"16 MiB\"\noutbox_bytes = \"64 MiB\"\n");
    let [one, two] = ["one", "two"].map(Device::new);
    let (mut from, mut to) = (
        one.connect(&stage, HttpVersion::Http2),
        two.connect(&stage, HttpVersion::Http1),
    );
    from.join(CHANNEL, [&two]);
    let large = vec![7; (16 << 20) - 64];
    // Nobody reads yet: while the first is on its way, more than one send's worth gathers behind it.
    for _ in 0..3 {
        from.say(CHANNEL, &large);
    }
    for _ in 0..3 {
        assert!(to.hear().payload == large);
    }
    stage.end();
}
