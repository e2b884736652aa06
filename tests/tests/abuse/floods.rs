//! Many at once, each of whom does nothing wrong for as long as it is there: connections, TLS handshakes, HELLOs.

use std::net::{IpAddr, Ipv4Addr, TcpStream};

use commucat_client::{HttpVersion, Pattern};
use commucat_tests::bystanders::Bystanders;
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::{Device, WAYS};
use commucat_tests::raw::{Raw, dial_from, read_to_end};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Tunnel, hello, title};
use commucat_tests::wire::{frame, kind};
use serde_json::json;

#[test]
fn connections_beyond_the_limit_wait_outside_until_those_before_them_have_had_their_time() {
    // Two shards: 96 connections, 12 of them the bystanders'.
    let stage = Stage::measured("[limits]\nconnections = 48\nhead_timeout = \"2s\"\nclose_timeout = \"1s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let silent: Vec<TcpStream> = (0..400)
        .map(|at| {
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 2, (at % 50) as u8 + 1));
            dial_from(&stage, source).unwrap_or_else(|error| panic!("connection {at}: {error}"))
        })
        .collect();
    bystanders.go_on();
    // Behind all of them, and served when its turn comes.
    Device::new("patient").connect(&stage, HttpVersion::Http2).bye();
    bystanders.go_on();
    for mut socket in silent {
        assert_eq!(read_to_end(&mut socket), b"", "whoever never spoke is told nothing");
    }
    watermark.below(16 * MIB, "400 connections where 96 may be");
    bystanders.stop();
    stage.end();
}

#[test]
fn tls_handshakes_one_after_another_leave_nothing_behind() {
    const EACH: usize = 150;
    let stage = Stage::measured("");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    std::thread::scope(|scope| {
        for http in WAYS {
            let stage = &stage;
            scope.spawn(move || {
                for at in 0..EACH {
                    let raw = Raw::connect(stage, http);
                    if at % 2 == 0 {
                        // A reset, not an orderly end.
                        let socket = socket2::SockRef::from(raw.socket());
                        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    }
                }
            });
        }
        bystanders.go_on();
    });
    bystanders.go_on();
    watermark.below(16 * MIB, "600 TLS handshakes");
    bystanders.stop();
    stage.end();
}

#[test]
fn hellos_that_are_never_proven_are_answered_once_and_given_up_in_time() {
    let stage = Stage::measured("[limits]\nhello_timeout = \"3s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let watermark = Watermark::set(&stage);
    let mut tunnels = Vec::new();
    for at in 0..200 {
        let (pattern, device) = match at % 3 {
            0 => (Pattern::Xk, Device::new(&format!("flood-{at}"))),
            1 => (Pattern::Ik, Device::new(&format!("flood-{at}"))),
            // In the name of a bystander, whom it does not disturb.
            _ => (Pattern::Xk, Device::new("bystander-asks-0")),
        };
        let mut tunnel = Tunnel::open(&stage, WAYS[at % 4]);
        let (_, payload) = hello(&stage, &device, pattern, |_| {});
        tunnel.say(kind::HELLO, 0, payload);
        tunnels.push(tunnel);
    }
    bystanders.go_on();
    watermark.below(24 * MIB, "200 handshakes that stand open");
    for (at, tunnel) in tunnels.into_iter().enumerate() {
        let (before, problem) = tunnel.error();
        let answered: Vec<_> = before.iter().map(|seen| seen.kind).collect();
        assert!(answered == [kind::AUTH] || at % 3 == 2, "{at}: {answered:?}");
        assert_eq!(title(&problem), ("Handshake Failed".to_owned(), 403));
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn a_recorded_message_1_of_ik_replayed_a_hundred_times_gets_no_session_and_costs_its_device_nothing() {
    let stage = Stage::new("[limits]\nhello_timeout = \"3s\"\n");
    let mut bystanders = Bystanders::start(&stage);
    let [sender, device] = ["sender", "recorded"].map(Device::new);
    let (state, recorded) = hello(&stage, &device, Pattern::Ik, |_| {});
    let mut owner = Tunnel::open(&stage, HttpVersion::Http1);
    owner.say(kind::HELLO, 0, &recorded);
    let (ready, ..) = owner.auth(state);
    owner.prove(ready);
    assert_eq!(owner.hear().kind, kind::ACK);
    let mut from = sender.connect(&stage, HttpVersion::Http2);
    from.join(1, [&device]);
    for round in 0..25 {
        let replays: Vec<Tunnel> = WAYS
            .into_iter()
            .map(|http| {
                let mut replay = Tunnel::open(&stage, http);
                replay.say(kind::HELLO, 0, &recorded);
                assert_eq!(replay.hear().kind, kind::AUTH);
                replay
            })
            .collect();
        let word = format!("for the device alone {round}");
        from.say(1, &word);
        assert_eq!(owner.hear().payload, word.into_bytes());
        for mut replay in replays {
            let number = replay.number();
            // The recorded proof would be of another handshake; any other is a guess.
            let guess = json!({ "handshake": "5a".repeat(64) }).to_string();
            replay.send(&frame(kind::AUTH, 0, number, guess));
            assert_eq!(replay.refusal(), ("Handshake Failed".to_owned(), 403));
        }
    }
    bystanders.go_on();
    owner.finish();
    device.connect(&stage, HttpVersion::Http2).bye();
    bystanders.stop();
    stage.end();
}
