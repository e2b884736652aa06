//! The relay is killed under load, twenty times, and asked to end under load: what it has acknowledged is delivered
//! (decisions § 3, § 8).
//!
//! Recipients of each life are of two kinds: those who are away, to whom everybody sends, and those who are back and read
//! what earlier lives have kept for them. The next life changes the roles.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use commucat_client::HttpVersion;
use commucat_client::blocking::DriverError;
use commucat_tests::ledger::{Hearing, Ledger, message};
use commucat_tests::people::{Device, PATIENCE, Peer, WAYS, devices};
use commucat_tests::relay::Relay;
use commucat_tests::stage::Stage;
use rustix::process::Signal;

const LIVES: u32 = 20;
const SENDERS: usize = 6;
/// Of either kind.
const AWAY: usize = 4;
/// A sender's messages that wait for their acknowledgement.
const WINDOW: usize = 24;
const MOMENT: Duration = Duration::from_millis(5);

/// A sender across the relay's lives: it never uses a number again.
struct Sender {
    index: usize,
    device: Device,
    number: u32,
}

/// A session, unless the relay is killed meanwhile.
fn connect(device: &Device, relay: &Relay, http: HttpVersion) -> Option<Peer> {
    match device.connect_with(relay, device.config(relay, http)) {
        Ok(peer) => Some(peer),
        Err(DriverError::Refused { what, .. }) if matches!(*what, commucat_client::Incoming::Problem(_)) => {
            panic!("{what}")
        }
        Err(_) => None,
    }
}

/// Talks to everybody who is away until the relay is gone.
fn talk(sender: &mut Sender, relay: &Relay, life: u32, away: &[(usize, &Device)], ledger: &Ledger) {
    let http = WAYS[(sender.index + life as usize) % 4];
    let Some(mut peer) = connect(&sender.device, relay, http) else {
        return;
    };
    let mut sent = std::collections::VecDeque::new();
    for (index, device) in away {
        let join = commucat_proto::control::Join {
            members: vec![device.id.clone()],
            relay: true,
            group_id: None,
        };
        let channel = commucat_proto::ChannelId::new(*index as u32);
        let sequence = peer.client().connection().join(channel, &join).unwrap();
        sent.push_back((sequence, None));
    }
    let mut turn = 0;
    while !peer.is_over() {
        while sent.len() < WINDOW && !peer.is_over() {
            sender.number += 1;
            let (to, _) = away[turn % away.len()];
            turn += 1;
            let sequence = peer.send(to as u32, message(sender.index, sender.number, 200));
            sent.push_back((sequence, Some((to, sender.number))));
        }
        while let Some(acked) = peer.glance(MOMENT) {
            assert_eq!(acked.body, None, "kept for everybody");
            // Channels are acknowledged apart: it need not be the oldest.
            let at = sent
                .iter()
                .position(|(sequence, _)| *sequence == acked.sequence)
                .unwrap();
            if let Some((_, Some((to, number)))) = sent.remove(at) {
                ledger.promise(sender.index, to, number);
            }
        }
    }
}

/// Hears what was kept until the relay is gone.
fn listen(index: usize, device: &Device, relay: &Relay, life: u32, ledger: &Ledger) {
    let Some(mut peer) = connect(device, relay, WAYS[(index + life as usize) % 4]) else {
        return;
    };
    let mut hearing = Hearing::of(index);
    while !peer.is_over() {
        if let Some(got) = peer.overhear(MOMENT) {
            ledger.hear(&mut hearing, &got);
        }
    }
    while let Some(got) = peer.overhear(MOMENT) {
        ledger.hear(&mut hearing, &got);
    }
}

/// Waits for so many more promises, and a little of what comes after.
fn wait_for(promises: usize, ledger: &Ledger, failed: impl Fn() -> bool) {
    let started = Instant::now();
    while ledger.promised() < promises && !failed() {
        assert!(
            started.elapsed() < PATIENCE,
            "only {} of {promises} promises",
            ledger.promised()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Everybody comes back and hears what is owed, and nothing is left.
fn settle(recipients: &[Device], relay: &Relay, ledger: &Ledger) {
    for (index, device) in recipients.iter().enumerate() {
        let (mut peer, mut hearing) = (device.connect(relay, WAYS[index % 4]), Hearing::of(index));
        while ledger.owed(index) > 0 {
            ledger.hear(&mut hearing, &peer.hear());
        }
        // Sent and not acknowledged: it may have been kept, and comes in its order then.
        for got in peer.bye() {
            ledger.hear(&mut hearing, &got);
        }
    }
    ledger.settle();
}

#[test]
fn twenty_kills_under_load_lose_nothing_that_was_acknowledged_and_keep_its_order() {
    let mut stage = Stage::new("");
    let ledger = Ledger::default();
    let recipients = devices("recipient", 2 * AWAY);
    for device in &recipients {
        device.connect(&stage, HttpVersion::Http1).bye();
    }
    let mut senders: Vec<Sender> = (0..SENDERS)
        .map(|index| Sender {
            index,
            device: Device::new(&format!("sender-{index}")),
            number: 0,
        })
        .collect();
    for life in 0..LIVES {
        let (relay, broken) = (stage.take(), AtomicBool::new(false));
        let everybody = recipients.iter().enumerate();
        let (away, back): (Vec<_>, Vec<_>) = everybody.partition(|(at, _)| (at + life as usize).is_multiple_of(2));
        std::thread::scope(|scope| {
            let (ledger, broken, away, relay) = (&ledger, &broken, &away, &relay);
            for sender in &mut senders {
                scope.spawn(move || guarded(broken, || talk(sender, relay, life, away, ledger)));
            }
            for (index, device) in back {
                scope.spawn(move || guarded(broken, || listen(index, device, relay, life, ledger)));
            }
            // Each life is of another length, so that the kill meets another moment.
            let more = 40 + (life as usize * 97) % 400;
            wait_for(ledger.promised() + more, ledger, || broken.load(Ordering::Acquire));
            relay.signal(Signal::KILL);
        });
        let _ = relay.wait();
        stage.start();
    }
    settle(&recipients, &stage, &ledger);
    println!("{} messages were acknowledged", ledger.promised());
    stage.end();
}

/// Runs `work`; a panic is known to those who wait for its effect.
fn guarded(broken: &AtomicBool, work: impl FnOnce()) {
    struct Guard<'a>(&'a AtomicBool);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.store(true, Ordering::Release);
            }
        }
    }
    let _guard = Guard(broken);
    work();
}

#[test]
fn sigterm_under_load_ends_well_and_loses_nothing_that_was_acknowledged() {
    let mut stage = Stage::new("[limits]\ndrain_timeout = \"1s\"\n");
    let ledger = Ledger::default();
    // Two are away, two read, and two are there and do not read.
    let recipients = devices("recipient", 6);
    for device in &recipients {
        device.connect(&stage, HttpVersion::Http1).bye();
    }
    for life in 0..3 {
        let relay = stage.take();
        let broken = AtomicBool::new(false);
        let mut deaf: Vec<(usize, Peer)> = (4..6)
            .map(|index| (index, recipients[index].connect(&relay, WAYS[index % 4])))
            .collect();
        std::thread::scope(|scope| {
            let (ledger, broken, relay, recipients) = (&ledger, &broken, &relay, &recipients);
            for (index, device) in recipients[2..4].iter().enumerate() {
                scope.spawn(move || guarded(broken, || listen(2 + index, device, relay, life, ledger)));
            }
            for index in 0..SENDERS {
                let mut sender = Sender {
                    index: life as usize * SENDERS + index,
                    device: Device::new(&format!("sender-{life}-{index}")),
                    number: 0,
                };
                let to: Vec<(usize, &Device)> = recipients.iter().enumerate().collect();
                scope.spawn(move || guarded(broken, || talk(&mut sender, relay, life, &to, ledger)));
            }
            wait_for(ledger.promised() + 1500, ledger, || broken.load(Ordering::Acquire));
            relay.signal(Signal::TERM);
        });
        let (status, log) = relay.wait();
        assert!(status.success(), "{status}: {log}");
        // What had left for those who do not read still stands in their sockets.
        for (index, peer) in deaf.drain(..) {
            let (rest, _) = peer.ends();
            let mut hearing = Hearing::of(index);
            rest.iter().for_each(|got| ledger.hear(&mut hearing, got));
        }
        stage.start();
        settle(&recipients, &stage, &ledger);
    }
    stage.end();
}
