//! A recipient that stops reading while 100 senders talk to it (decisions § 6, Slow recipient): the relay holds no more for
//! it than its budget, everybody else is served as before, and it gets everything when it reads again or comes back. One that
//! reads slowly falls behind into its inbox, and hears everything as well.

use std::sync::atomic::{AtomicUsize, Ordering};

use commucat_client::HttpVersion;
use commucat_tests::bystanders::Bystanders;
use commucat_tests::ledger::{Hearing, Ledger, message};
use commucat_tests::memory::{MIB, Watermark};
use commucat_tests::people::{BOTH, Device, Peer, WAYS, devices};
use commucat_tests::relay::Relay;
use commucat_tests::stage::Stage;

const SENDERS: usize = 100;
const THREADS: usize = 4;
const CHANNEL: u32 = 1;
const ROUNDS: u32 = 16;
const BURST: u32 = 4;
const LENGTH: usize = 8 << 10;
const EACH: u32 = ROUNDS * BURST;
const ALL: usize = SENDERS * EACH as usize;

/// A small budget and a small cache, so that what the relay holds is not hidden behind what it may hold anyway.
const SETTINGS: &str = "[limits]\noutbox_bytes = \"256KiB\"\n[store]\nblock_cache = \"1MiB\"\n";

/// 100 senders say all they have to say to one recipient; returns when everything is acknowledged.
fn talk(relay: &Relay, to: &Device, ledger: &Ledger) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut senders: Vec<(usize, Peer)> = Vec::new();
                while senders.len() < SENDERS / THREADS {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let mut peer =
                        Device::new(&format!("to-{}-{index}", to.id.as_str())).connect(relay, WAYS[index % 4]);
                    peer.join(CHANNEL, [to]);
                    senders.push((index, peer));
                }
                for round in 0..ROUNDS {
                    let numbers = round * BURST + 1..=(round + 1) * BURST;
                    for (index, peer) in &mut senders {
                        for number in numbers.clone() {
                            peer.send(CHANNEL, message(*index, number, LENGTH));
                        }
                    }
                    for (index, peer) in &mut senders {
                        for number in numbers.clone() {
                            let acked = peer.acked();
                            assert_eq!(acked.body, None, "kept for the recipient");
                            ledger.promise(*index, 0, number);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(ledger.promised(), ALL);
}

/// Hears what is owed and nothing else.
fn catch_up(peer: &mut Peer, hearing: &mut Hearing, ledger: &Ledger) {
    while ledger.owed(0) > 0 {
        ledger.hear(hearing, &peer.hear());
    }
}

/// How far the relay grows when nobody is there and everything goes straight to the inbox: what the store alone costs.
fn growth_without_a_reader() -> u64 {
    let stage = Stage::measured(SETTINGS);
    let (away, ledger) = (Device::new("away"), Ledger::default());
    away.connect(&stage, HttpVersion::Http1).bye();
    let watermark = Watermark::set(&stage);
    talk(&stage, &away, &ledger);
    // A table of the store is written out at 64 MiB; how full it is at the highest moment is chance.
    watermark.rise().max(64 * MIB)
}

#[test]
fn a_reader_that_stops_costs_its_budget_and_no_more_and_hears_all_when_it_reads_again() {
    let store = growth_without_a_reader();
    for http in BOTH {
        let stage = Stage::measured(SETTINGS);
        let (slow, ledger) = (Device::new("slow"), Ledger::default());
        let mut bystanders = Bystanders::start(&stage);
        let mut peer = slow.connect(&stage, http);
        let watermark = Watermark::set(&stage);
        talk(&stage, &slow, &ledger);
        bystanders.go_on();
        watermark.below(
            store + 16 * MIB,
            &format!("a reader that stops, beside {} KiB for the store,", store >> 10),
        );
        let mut hearing = Hearing::of(0);
        catch_up(&mut peer, &mut hearing, &ledger);
        assert_eq!(hearing.repeated(), 0);
        assert!(peer.bye().is_empty());
        ledger.settle();
        bystanders.stop();
        // Sockets and windows hold a few MiB of the 50; the rest was not in memory, for it was in the store.
        let stored = stored(&stage.end());
        assert!(stored > ALL / 2, "only {stored} of {ALL} messages went to the inbox");
    }
}

/// What the shards have put into inboxes, as they say at their end.
fn stored(log: &str) -> usize {
    let counts = log.lines().filter(|line| line.contains("shard ended"));
    counts
        .filter_map(|line| line.split("stored=").nth(1)?.split(' ').next()?.parse::<usize>().ok())
        .sum()
}

#[test]
fn a_reader_that_stops_hears_all_when_it_connects_again() {
    let stage = Stage::new(SETTINGS);
    let mut bystanders = Bystanders::start(&stage);
    for (index, http) in [WAYS[1], WAYS[2]].into_iter().enumerate() {
        let (slow, ledger) = (Device::new(&format!("slow-{index}")), Ledger::default());
        let first = slow.connect(&stage, http);
        talk(&stage, &slow, &ledger);
        bystanders.go_on();
        let mut second = slow.connect(&stage, WAYS[3 - 3 * index]);
        // What stands in the first connection has left the relay: it has to be read there.
        let (rest, end) = first.ends();
        let mut hearing = Hearing::of(0);
        rest.iter().for_each(|got| ledger.hear(&mut hearing, got));
        assert_eq!(end.problem(), Some(("Session Replaced", 409)));
        catch_up(&mut second, &mut Hearing::of(0), &ledger);
        assert!(second.bye().is_empty());
        ledger.settle();
    }
    bystanders.stop();
    stage.end();
}

#[test]
fn one_slow_recipient_of_many_holds_up_neither_its_sender_nor_the_others() {
    let stage = Stage::new(SETTINGS);
    let (sender, slow, quick) = (Device::new("sender"), devices("slow", 4), devices("quick", 4));
    let mut deaf: Vec<Peer> = WAYS
        .iter()
        .zip(&slow)
        .map(|(http, device)| device.connect(&stage, *http))
        .collect();
    let mut others: Vec<Peer> = quick
        .iter()
        .map(|device| device.connect(&stage, HttpVersion::Http1))
        .collect();
    let mut from = sender.connect(&stage, HttpVersion::Http2);
    from.join(CHANNEL, slow.iter().chain(&quick));
    let ledger = Ledger::default();
    let mut hearings: Vec<Hearing> = (0..8).map(Hearing::of).collect();
    for number in 1..=500 {
        from.say(CHANNEL, message(0, number, LENGTH));
        for (at, peer) in others.iter_mut().enumerate() {
            ledger.hear(&mut hearings[4 + at], &peer.hear());
        }
    }
    for (at, peer) in deaf.iter_mut().enumerate() {
        for _ in 1..=500 {
            ledger.hear(&mut hearings[at], &peer.hear());
        }
    }
    stage.end();
}

#[test]
fn a_slow_reader_falls_behind_into_its_inbox_and_hears_everything_once_and_in_order() {
    const SAID: u32 = 2_400;
    let stage = Stage::new(SETTINGS);
    let mut bystanders = Bystanders::start(&stage);
    for http in BOTH {
        let (slow, ledger) = (Device::new(&format!("slow-{http:?}")), Ledger::default());
        let (mut peer, mut hearing) = (slow.connect(&stage, http), Hearing::of(0));
        let mut from = Device::new(&format!("from-{http:?}")).connect(&stage, HttpVersion::Http2);
        from.join(CHANNEL, [&slow]);
        // It reads one of twelve.
        for first in (1..=SAID).step_by(12) {
            for number in first..first + 12 {
                from.send(CHANNEL, message(0, number, LENGTH));
            }
            for number in first..first + 12 {
                assert_eq!(from.acked().body, None, "kept for the recipient");
                ledger.promise(0, 0, number);
            }
            ledger.hear(&mut hearing, &peer.hear());
        }
        bystanders.go_on();
        catch_up(&mut peer, &mut hearing, &ledger);
        assert!(peer.bye().is_empty());
        let tally = ledger.settle();
        assert_eq!(tally.duplicates, 0);
        println!("slow reader, {http:?}: {tally}");
    }
    bystanders.stop();
    let stored = stored(&stage.end());
    assert!(stored > SAID as usize, "only {stored} messages went to the inbox");
}
