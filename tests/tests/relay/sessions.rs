//! How sessions end and follow each other.

use commucat_client::HttpVersion;
use commucat_tests::people::{Device, WAYS};
use commucat_tests::stage::Stage;
use commucat_tests::tunnel::{Next, Tunnel};
use commucat_tests::wire::kind;

const CHANNEL: u32 = 3;

#[test]
fn a_second_connection_replaces_the_first_and_hears_what_comes_from_then_on() {
    let stage = Stage::new("");
    let [sender, device] = ["sender", "device"].map(Device::new);
    let mut from = sender.connect(&stage, HttpVersion::Http1);
    from.join(CHANNEL, [&device]);
    // Often enough that both connections meet on one core and on two.
    for round in 0..12 {
        let mut first = device.connect(&stage, WAYS[round % 4]);
        from.say(CHANNEL, format!("first {round}"));
        first.hears(&format!("first {round}"));
        let mut second = device.connect(&stage, WAYS[round / 2 % 4]);
        from.say(CHANNEL, format!("second {round}"));
        second.hears(&format!("second {round}"));
        let (rest, end) = first.ends();
        assert_eq!(
            (rest, end.problem(), end.clean),
            (Vec::new(), Some(("Session Replaced", 409)), true)
        );
        assert!(second.bye().is_empty());
    }
    stage.end();
}

#[test]
fn a_client_that_half_closes_is_sent_all_that_is_owed_to_it() {
    let stage = Stage::new("");
    let [sender, device, away] = ["sender", "device", "away"].map(Device::new);
    away.connect(&stage, HttpVersion::Http1).bye();
    for http in WAYS {
        // Acknowledgements that wait for the store.
        let mut from = Tunnel::joined(&stage, http, &sender, CHANNEL.into(), &away);
        let sent: Vec<u64> = (0..50)
            .map(|number| from.say(kind::MSG, CHANNEL.into(), format!("{number}")))
            .collect();
        from.finish();
        for sequence in sent {
            let seen = from.hear();
            assert_eq!(
                (seen.kind, seen.payload),
                (kind::ACK, format!("{{\"ack\":{sequence}}}").into_bytes())
            );
        }
        assert_eq!(from.listen(), Next::End);
        // Frames that wait in its queue.
        let mut from = sender.connect(&stage, http);
        from.join(CHANNEL, [&device]);
        let to = device.connect(&stage, http);
        for number in 0..50 {
            from.say(CHANNEL, format!("{number} {}", "x".repeat(5000)));
        }
        let owed = to.bye();
        let numbers: Vec<String> = owed.iter().map(|got| got.text()[..2].trim().to_owned()).collect();
        assert_eq!(numbers, (0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    }
    stage.end();
}
