//! What is said in an open channel also goes to every device that has joined the number with a roster that names the
//! speaker, and to nobody else (decisions § 6).

use commucat_client::HttpVersion;
use commucat_tests::people::{Device, Peer, WAYS, devices};
use commucat_tests::stage::Stage;

use crate::{CHANNEL, MOMENT, NOBODY, everybody};

/// The peer has seen this device come online on the channel: each knows of the other.
fn meets(peer: &mut Peer, other: &Device) {
    loop {
        let seen = peer.sees();
        if seen["entity"] == other.id.as_str() && seen["state"] == "online" {
            return;
        }
    }
}

#[test]
fn who_names_a_speaker_hears_it_and_nobody_else_there() {
    let stage = Stage::new("");
    for http in WAYS {
        let people = devices(&format!("names-{http:?}"), 4);
        let mut peers = people.iter().map(|device| device.connect(&stage, http));
        let [mut ada, mut bob, mut carol, mut dora] = std::array::from_fn(|_| peers.next().unwrap());
        ada.join(CHANNEL, NOBODY);
        bob.join(CHANNEL, NOBODY);
        carol.join(CHANNEL, [&people[0]]);
        meets(&mut carol, &people[0]);
        dora.join(CHANNEL, [&people[2]]);
        ada.say(CHANNEL, "to all, and to who names me");
        bob.hears("to all, and to who names me");
        carol.hears("to all, and to who names me");
        bob.say(CHANNEL, "to all");
        ada.hears("to all");
        carol.say(CHANNEL, "to ada alone");
        ada.hears("to ada alone");
        for peer in [&mut ada, &mut bob, &mut carol, &mut dora] {
            assert_eq!(peer.overhear(MOMENT), None);
        }
    }
    stage.end();
}

#[test]
fn an_answer_to_the_first_word_of_somebody_reaches_it() {
    let stage = Stage::new("");
    let speaker = Device::new("speaker");
    let mut ada = speaker.connect(&stage, HttpVersion::Http2);
    ada.join(CHANNEL, NOBODY);
    // Many, on either shard, and none waits for anything before it speaks.
    for (index, device) in devices("stranger", 24).iter().enumerate() {
        let mut bob = device.connect(&stage, WAYS[index % 4]);
        bob.join(CHANNEL, [&speaker]);
        bob.send(CHANNEL, format!("hello {index}"));
        ada.hears(&format!("hello {index}"));
        ada.send(CHANNEL, format!("welcome {index}"));
        bob.hears(&format!("welcome {index}"));
        bob.acked();
        ada.acked();
        if index % 3 == 0 {
            bob.leave(CHANNEL);
        }
    }
    stage.end();
}

#[test]
fn who_named_a_speaker_before_it_came_hears_it_too() {
    let stage = Stage::new("");
    for http in WAYS {
        let people = devices(&format!("before-{http:?}"), 6);
        let mut peers = everybody(&people[1..], &stage);
        for peer in &mut peers {
            peer.join(CHANNEL, [&people[0]]);
        }
        // Its sessions come and go, and the last of them comes and goes on the channel.
        for round in 0..3 {
            let mut ada = people[0].connect(&stage, http);
            for again in 0..2 {
                ada.join(CHANNEL, NOBODY);
                for peer in &mut peers {
                    meets(peer, &people[0]);
                }
                ada.say(CHANNEL, format!("round {round}.{again}"));
                for peer in &mut peers {
                    peer.hears(&format!("round {round}.{again}"));
                }
                ada.leave(CHANNEL);
            }
            if round % 2 == 0 {
                ada.bye();
            }
        }
    }
    stage.end();
}

#[test]
fn who_names_it_no_more_hears_nothing_more() {
    let stage = Stage::new("");
    for http in WAYS {
        let people = devices(&format!("no-more-{http:?}"), 5);
        let mut ada = people[0].connect(&stage, http);
        ada.join(CHANNEL, NOBODY);
        let mut peers = everybody(&people[1..], &stage);
        for peer in &mut peers {
            peer.join(CHANNEL, [&people[0]]);
            meets(peer, &people[0]);
        }
        ada.say(CHANNEL, "one");
        peers.iter_mut().for_each(|peer| drop(peer.hears("one")));
        peers[0].leave(CHANNEL);
        peers[1].join(CHANNEL, [&people[4]]);
        // A later session that names somebody else takes the place of the one that named her.
        let mut later = people[3].connect(&stage, http);
        later.join(CHANNEL, [&people[4]]);
        std::thread::sleep(MOMENT);
        ada.say(CHANNEL, "two");
        peers[3].hears("two");
        for peer in peers[..2].iter_mut().chain([&mut later]) {
            assert_eq!(peer.overhear(MOMENT), None);
        }
        // From naming her to being there, and back.
        peers[3].join(CHANNEL, NOBODY);
        ada.say(CHANNEL, "three");
        peers[3].hears("three");
        peers[3].join(CHANNEL, [&people[0]]);
        peers[3].say(CHANNEL, "still here");
        ada.hears("still here");
        ada.say(CHANNEL, "four");
        peers[3].hears("four");
        assert_eq!(peers[3].overhear(MOMENT), None, "once is enough");
        ada.leave(CHANNEL);
    }
    stage.end();
}

#[test]
fn who_is_slow_or_goes_loses_nothing_and_hears_it_in_order() {
    const FRAMES: u32 = 400;
    let stage = Stage::new("[limits]\noutbox_bytes = \"64KiB\"\n");
    let people = devices("slow", 3);
    let mut ada = people[0].connect(&stage, HttpVersion::Http2);
    ada.join(CHANNEL, NOBODY);
    for http in WAYS {
        let mut slow = people[1].connect(&stage, http);
        slow.join(CHANNEL, [&people[0]]);
        meets(&mut slow, &people[0]);
        let text = |number: u32| format!("{number} {}", "x".repeat(8 << 10));
        for number in 0..FRAMES {
            ada.say(CHANNEL, text(number));
        }
        for number in 0..FRAMES / 2 {
            slow.hears(&text(number));
        }
        // What was kept for the session is there for the next one, wherever it is, before anything new.
        let mut next = people[1].connect(&stage, http);
        next.join(CHANNEL, [&people[0]]);
        meets(&mut next, &people[0]);
        ada.say(CHANNEL, "new");
        let (before, end) = slow.ends();
        assert_eq!(end.problem(), Some(("Session Replaced", 409)));
        let taken = u32::try_from(before.len()).unwrap();
        let number = |text: &str| text.split(' ').next().unwrap().parse::<u32>().unwrap();
        for (got, expected) in before.iter().zip(FRAMES / 2..) {
            assert_eq!(number(&got.text()), expected);
        }
        let mut replayed = Vec::new();
        loop {
            let got = next.hear().text();
            if got == "new" {
                break;
            }
            replayed.push(number(&got));
        }
        // At least once, and nothing is missing between the two.
        let start = replayed.first().copied().unwrap_or(FRAMES);
        assert!(start <= FRAMES / 2 + taken, "{start} after {taken} more");
        assert!(replayed.iter().copied().eq(start..FRAMES), "{replayed:?}");
        next.bye();
    }
    stage.end();
}
