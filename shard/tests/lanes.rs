//! The lanes between shards, from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use commucat_shard::mesh::lanes::{Endpoint, lanes};
use commucat_shard::mesh::message::{Batch, ShardId};

fn numbered(number: u32) -> Batch {
    Batch {
        messages: Vec::new(),
        arena: number.to_le_bytes().to_vec(),
    }
}

fn number(batch: &Batch) -> u32 {
    u32::from_le_bytes(batch.arena.as_slice().try_into().unwrap())
}

fn received(endpoint: &mut Endpoint) -> Vec<(u16, u32)> {
    let mut got = Vec::new();
    endpoint.receive(|from, batch| got.push((from.0, number(&batch))));
    got
}

#[test]
fn every_ordered_pair_has_a_lane_of_its_own() {
    let mut shards = lanes(3, 4);
    for from in 0..3u16 {
        for to in (0..3u16).filter(|to| *to != from) {
            shards[usize::from(from)].send(ShardId(to), numbered(u32::from(from) * 10 + u32::from(to)));
        }
    }
    assert_eq!(received(&mut shards[0]), [(1, 10), (2, 20)]);
    assert_eq!(received(&mut shards[1]), [(0, 1), (2, 21)]);
    assert_eq!(received(&mut shards[2]), [(0, 2), (1, 12)]);
}

#[test]
fn order_is_kept_when_a_lane_overflows() {
    let mut shards = lanes(2, 2);
    for n in 0..7 {
        shards[0].send(ShardId(1), numbered(n));
    }
    assert!(shards[0].is_congested());
    let mut got = Vec::new();
    while got.len() < 7 {
        got.extend(received(&mut shards[1]).into_iter().map(|(_, n)| n));
        shards[0].ring(|_| {});
    }
    assert_eq!(got, [0, 1, 2, 3, 4, 5, 6]);
    assert!(!shards[0].is_congested());
    assert!(!shards[1].has_mail());
}

#[test]
fn a_batch_counts_as_handled_only_when_the_turn_that_took_it_has_ended() {
    let mut shards = lanes(2, 4);
    let watch = shards[0].watch();
    assert!(watch.is_empty());
    shards[0].send(ShardId(1), numbered(1));
    shards[0].ring(|_| {});
    assert!(!watch.is_empty());
    received(&mut shards[1]);
    assert!(!watch.is_empty(), "its answer could still come");
    shards[1].send(ShardId(0), numbered(2));
    shards[1].ring(|_| {});
    assert!(!watch.is_empty(), "the answer is on its way");
    received(&mut shards[0]);
    shards[0].ring(|_| {});
    assert!(watch.is_empty());
    assert_eq!(watch.sent(), 2);
}

#[test]
fn only_a_sleeping_shard_is_rung_and_only_once() {
    let mut shards = lanes(2, 4);
    let mut rung = Vec::new();
    shards[0].send(ShardId(1), numbered(1));
    shards[0].ring(|to| rung.push(to));
    assert!(rung.is_empty(), "it is awake");
    shards[1].bell().announce();
    shards[0].ring(|to| rung.push(to));
    assert!(rung.is_empty(), "nothing is new");
    shards[0].send(ShardId(1), numbered(2));
    shards[0].send(ShardId(1), numbered(3));
    shards[0].ring(|to| rung.push(to));
    shards[0].send(ShardId(1), numbered(4));
    shards[0].ring(|to| rung.push(to));
    assert_eq!(rung, [ShardId(1)]);
}

#[test]
fn two_threads_that_sleep_and_ring_exchange_everything_in_order() {
    const BATCHES: u32 = 20_000;
    let mut ends = lanes(2, 8);
    let mut receiver = ends.pop().unwrap();
    let mut sender = ends.pop().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        let receiving = scope.spawn(move || {
            let mut next = 0;
            while next < BATCHES {
                receiver.receive(|_, batch| {
                    assert_eq!(number(&batch), next);
                    next += 1;
                });
                receiver.ring(|_| {});
                if next == BATCHES {
                    break;
                }
                receiver.bell().announce();
                if !receiver.has_mail() {
                    thread::park();
                }
                receiver.bell().awake();
            }
            done.store(true, Ordering::Release);
        });
        for n in 0..BATCHES {
            sender.send(ShardId(1), numbered(n));
            sender.ring(|_| receiving.thread().unpark());
        }
        while !done.load(Ordering::Acquire) {
            sender.ring(|_| receiving.thread().unpark());
            thread::yield_now();
        }
    });
}
