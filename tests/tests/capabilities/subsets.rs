//! Every combination of the extensions, over every way to a relay.

use commucat_client::{Config, HttpVersion, Pattern};
use commucat_proto::frame::MAX_HEADER;
use commucat_proto::limits::MAX_FRAME_LEN;
use commucat_tests::people::{BOTH, Device, Peer};
use commucat_tests::stage::Stage;

use crate::{offering, with};

const CHANNEL: u32 = 4;
const EXTENSIONS: [&str; 3] = ["ack-range", "delivery-ack", "noise-transport"];
const BURST: usize = 300;

/// The extensions whose bits are set.
fn subset(bits: usize) -> Vec<&'static str> {
    let set = (0..EXTENSIONS.len()).filter(|at| bits >> at & 1 == 1);
    set.map(|at| EXTENSIONS[at]).collect()
}

fn connect(stage: &Stage, device: &Device, http: HttpVersion, pattern: Pattern, bits: usize) -> Peer {
    let mut offered = subset(bits);
    // What the server does not know is not echoed, and changes nothing.
    offered.push("time-travel");
    let config = Config {
        pattern,
        ..offering(stage, device, http, &offered)
    };
    let mut peer = device.connect_with(stage, config).unwrap();
    let session = peer.client().connection().session().unwrap();
    let mut accepted = session.capabilities.clone();
    accepted.sort_unstable();
    assert_eq!(accepted, subset(bits));
    peer
}

/// A burst from one to the other, everything heard once and in order, everything acknowledged once.
fn talk(from: &mut Peer, to: &mut Peer, text: &str) {
    let sent: Vec<_> = (0..BURST)
        .map(|number| from.send(CHANNEL, format!("{text} {number}")))
        .collect();
    for number in 0..BURST {
        to.hears(&format!("{text} {number}"));
    }
    let mut acked: Vec<_> = (0..BURST).map(|_| from.acked().sequence).collect();
    acked.sort_unstable();
    assert_eq!(acked, sent);
}

#[test]
fn every_combination_of_extensions_carries_frames_both_ways_and_through_the_inbox() {
    let stage = Stage::new("");
    for pattern in [Pattern::Xk, Pattern::Ik] {
        for (way, http) in BOTH.into_iter().enumerate() {
            let name = |who: &str| Device::new(&format!("{who}-{pattern:?}-{way}"));
            let (ada, bob) = (name("ada"), name("bob"));
            for bits in 0..8 {
                let mut to = connect(&stage, &bob, http, pattern, bits);
                // Two sessions agree on what each of them wants.
                let mut from = connect(&stage, &ada, BOTH[1 - way], pattern, 7 - bits);
                from.join(CHANNEL, [&bob]);
                to.join(CHANNEL, [&ada]);
                talk(&mut from, &mut to, "there");
                talk(&mut to, &mut from, "back");
                assert!(to.bye().is_empty());
                let sent: Vec<_> = (0..20)
                    .map(|number| from.send(CHANNEL, format!("kept {number}")))
                    .collect();
                let mut acked: Vec<_> = sent.iter().map(|_| from.acked().sequence).collect();
                acked.sort_unstable();
                assert_eq!(acked, sent);
                let mut to = connect(&stage, &bob, http, pattern, bits);
                for number in 0..20 {
                    to.hears(&format!("kept {number}"));
                }
                assert!(to.bye().is_empty(), "what was heard once does not come again");
                assert!(from.bye().is_empty());
            }
        }
    }
    stage.end();
}

#[test]
fn the_largest_frame_passes_through_hundreds_of_noise_messages() {
    let stage = Stage::new("");
    let payload: Vec<u8> = (0..MAX_FRAME_LEN - MAX_HEADER).map(|at| (at % 251) as u8).collect();
    for http in BOTH {
        let [ada, bob] = ["ada", "bob"].map(|name| Device::new(&format!("{name}-{http:?}")));
        let mut to = with(&stage, &bob, http, &EXTENSIONS);
        let mut from = with(&stage, &ada, http, &EXTENSIONS);
        from.join(CHANNEL, [&bob]);
        from.send(CHANNEL, "before");
        from.send(CHANNEL, &payload);
        from.send(CHANNEL, "after");
        assert!(from.client().flush(commucat_tests::people::PATIENCE).unwrap());
        to.hears("before");
        assert!(to.hear().payload == payload);
        to.hears("after");
        for _ in 0..3 {
            assert_eq!(from.acked().body, None);
        }
        assert!(to.bye().is_empty() && from.bye().is_empty());
    }
    stage.end();
}
