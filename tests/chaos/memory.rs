//! A control group's limit on memory is reached: by files that a neighbour in the group writes, whose pages the kernel can
//! take back, so that it costs nothing but time; and by the relay itself, which the kernel then kills like a `kill -9`. Either
//! way nothing acknowledged is lost.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use commucat_client::HttpVersion;
use commucat_proto::frame::encode;
use commucat_proto::{ChannelId, Frame, FrameType, Sequence};
use commucat_tests::memory::MIB;
use commucat_tests::people::{Device, Peer, devices};
use commucat_tests::relay::{Home, Relay};
use commucat_tests::stage::Stage;
use rustix::process::Signal;

use crate::chance::Chance;
use crate::confined::MemoryGroup;
use crate::crowd::{Crowd, Pace, Trouble};

/// Its caches are small, so that what it needs fits, and what it has on its disk does not.
const SMALL: &str = "[store]\nblock_cache = \"4MiB\"\n";

/// A relay in a group that may use so much.
fn within(bytes: u64) -> (MemoryGroup, Stage) {
    let group = MemoryGroup::new(bytes);
    let home = Home::new().launched_by(group.launcher());
    (group, Stage::in_home(home, SMALL))
}

#[test]
fn what_the_kernel_can_take_back_at_the_limit_costs_no_message_and_no_session() {
    let (group, stage) = within(256 * MIB);
    let mut chance = Chance::new("memory, taken back");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    for _ in 0..2 {
        crowd.live(&stage, Trouble::NONE, |scene| {
            scene.goes_on(200);
            // Files of twice the limit, written by a neighbour: the relay's own pages are what the kernel has to choose from.
            let file = stage.home().path().join("neighbour");
            let mut wrote = group.neighbour("dd");
            wrote
                .args(["if=/dev/zero", "bs=1M", "count=512"])
                .arg(format!("of={}", file.display()));
            assert!(wrote.output().unwrap().status.success());
            assert!(group.is_met());
            scene.goes_on(1_000);
            std::fs::remove_file(file).unwrap();
        });
    }
    let tally = crowd.settle(&stage);
    assert_eq!(group.killed(), 0);
    println!("memory, taken back: {tally}");
    stage.end();
}

#[test]
fn a_relay_that_the_kernel_ends_for_its_memory_has_lost_nothing_when_it_starts_again() {
    let (group, mut stage) = within(128 * MIB);
    let mut chance = Chance::new("memory, killed");
    let mut crowd = Crowd::gather(&stage, &mut chance, Pace::FAST);
    let strangers = devices("stranger", 12);
    for life in 1..=2 {
        let relay = stage.take();
        let held = crowd.live(&relay, Trouble::KILL, |scene| {
            scene.goes_on(500);
            let mut held = Vec::new();
            for stranger in &strangers {
                held.extend(holds_much(stranger, &relay));
            }
            scene.until("the kernel ends it", || group.killed() >= life);
            held
        });
        drop(held);
        let (status, _) = relay.wait();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        stage.start();
    }
    let tally = crowd.settle(&stage);
    println!("memory, killed: {tally}, {} kills by the kernel", group.killed());
    stage.end();
}

/// A session in the middle of a large frame, which the relay has to keep until the rest comes. None once the relay is gone.
fn holds_much(device: &Device, relay: &Relay) -> Option<Peer> {
    let mut peer = device
        .connect_with(relay, device.config(relay, HttpVersion::Http1))
        .ok()?;
    let frame = Frame {
        kind: FrameType::Msg,
        channel: ChannelId::new(1),
        sequence: Sequence::new(1_000),
        payload: &vec![7; 15 * MIB as usize],
    };
    let mut bytes = Vec::new();
    encode(&frame, &mut bytes);
    let client = peer.client();
    client.connection().inject(&bytes[..bytes.len() - 1]);
    client.flush(Duration::from_secs(60)).ok()?;
    Some(peer)
}
