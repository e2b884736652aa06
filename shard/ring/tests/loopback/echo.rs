//! Bytes in, the same bytes out.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::bed::{Bed, Dice, Echo, small};
use commucat_ring::RingConfig;

/// Sends `chunks` while reading the echo, and closes when all of it is back.
fn exchange(addr: SocketAddr, chunks: Vec<Vec<u8>>) {
    let mut client = TcpStream::connect(addr).unwrap();
    let expected = chunks.concat();
    let mut writer = client.try_clone().unwrap();
    let writing = thread::spawn(move || chunks.iter().for_each(|chunk| writer.write_all(chunk).unwrap()));
    let mut back = vec![0; expected.len()];
    client.read_exact(&mut back).unwrap();
    assert!(back == expected, "the echo differs");
    writing.join().unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "nothing follows the echo");
}

fn echo(config: RingConfig, conversations: Vec<Vec<Vec<u8>>>) -> Bed {
    let mut bed = Bed::new(config);
    let count = conversations.len();
    let addr = bed.addr;
    let clients = thread::spawn(move || {
        let clients: Vec<_> = conversations
            .into_iter()
            .map(|chunks| thread::spawn(move || exchange(addr, chunks)))
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    Echo::default().run_until_closed(&mut bed.ring, count);
    clients.join().unwrap();
    assert_eq!(bed.ring.connections(), 0);
    bed
}

fn sizes() -> Vec<Vec<Vec<u8>>> {
    let mut dice = Dice(7);
    [1, 2, 63, 64, 65, 4095, 16_384, 65_535, 65_536, 65_537, 1 << 20]
        .map(|size| vec![dice.bytes(size)])
        .to_vec()
}

#[test]
fn every_size_comes_back_as_it_was() {
    let bed = echo(small(), sizes());
    assert!(bed.ring.is_incremental(), "this kernel has incremental buffers");
}

#[test]
fn every_size_comes_back_through_plain_buffers() {
    let bed = echo(
        RingConfig {
            incremental: false,
            ..small()
        },
        sizes(),
    );
    assert!(!bed.ring.is_incremental());
}

#[test]
fn sixteen_mebibytes_come_back() {
    echo(small(), vec![vec![Dice(9).bytes(16 << 20)]]);
}

#[test]
fn single_bytes_come_back_in_order() {
    let chunks = Dice(11).bytes(2000).into_iter().map(|byte| vec![byte]).collect();
    echo(small(), vec![chunks]);
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    let mut bed = Bed::new(RingConfig {
        connections: 1200,
        ..RingConfig::default()
    });
    let addr = bed.addr;
    let clients = thread::spawn(move || {
        let mut dice = Dice(13);
        let mut clients: Vec<_> = (0..1000)
            .map(|_| (TcpStream::connect(addr).unwrap(), dice.bytes(300)))
            .collect();
        for (client, bytes) in &mut clients {
            client.write_all(bytes).unwrap();
        }
        for (client, bytes) in &mut clients {
            let mut back = vec![0; bytes.len()];
            client.read_exact(&mut back).unwrap();
            assert_eq!(&back, bytes);
        }
    });
    let mut echo = Echo::default();
    echo.run_until_closed(&mut bed.ring, 1000);
    clients.join().unwrap();
    assert_eq!(echo.accepted, 1000);
}

#[test]
fn queues_of_the_least_length_lose_nothing() {
    // One submission and four completions at a time: every turn overflows both.
    let conversations = (1..100).map(|seed| vec![Dice(seed).bytes(5000)]).collect();
    let bed = echo(
        RingConfig {
            connections: 128,
            entries: 1,
            ..small()
        },
        conversations,
    );
    assert!(bed.ring.counters().early_submits > 0);
    assert!(bed.ring.counters().overflows > 0);
}

#[test]
fn a_turn_enters_the_kernel_once() {
    let mut bed = Bed::new(RingConfig::default());
    let mut clients: Vec<_> = (0..50).map(|_| TcpStream::connect(bed.addr).unwrap()).collect();
    let mut echo = Echo::default();
    while echo.accepted < clients.len() {
        echo.turn(&mut bed.ring, Duration::from_millis(100));
    }
    let before = *bed.ring.counters();
    let mut turns = 0;
    for round in 0..20u8 {
        for client in &mut clients {
            client.write_all(&[round; 100]).unwrap();
        }
        let goal = before.sent_bytes + (u64::from(round) + 1) * 100 * clients.len() as u64;
        while bed.ring.counters().sent_bytes < goal {
            echo.turn(&mut bed.ring, Duration::from_millis(100));
            turns += 1;
        }
    }
    let after = *bed.ring.counters();
    assert_eq!(after.enters - before.enters, turns);
    assert_eq!(after.early_submits, 0);
    assert!(after.sends - before.sends > turns, "a turn serves several connections");
}
