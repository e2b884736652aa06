//! Not reading is how a ring holds a peer back, and a small pool holds nobody back for long.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::bed::{Bed, Dice, Said, small};
use commucat_ring::{Ending, Event, RingConfig, SocketId};

/// Writes until the kernel takes no more; returns how much it took.
fn fill(client: &mut TcpStream) -> usize {
    client.set_nonblocking(true).unwrap();
    let chunk = [7; 65_536];
    let mut written = 0;
    loop {
        match client.write(&chunk) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return written,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_paused_connection_is_not_read_and_resumes_where_it_stopped() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    bed.ring.pause(id);
    bed.settle();
    let mut written = fill(&mut client);
    bed.settle();
    assert_eq!(bed.received(id), b"", "nothing is read while paused");
    written += fill(&mut client);
    bed.settle();
    assert_eq!(fill(&mut client), 0, "the peer's send blocks");
    bed.ring.resume(id);
    bed.until("all that was written", |log| {
        let got = log.iter().map(|said| {
            if let Said::Received { bytes, .. } = said {
                bytes.len()
            } else {
                0
            }
        });
        got.sum::<usize>() == written
    });
    client.write_all(b"and on").unwrap();
    bed.until(
        "what comes after",
        |log| matches!(log.last(), Some(Said::Received { bytes, .. }) if bytes == b"and on"),
    );
}

#[test]
fn pausing_and_resuming_in_one_turn_changes_nothing() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    for _ in 0..3 {
        bed.ring.pause(id);
        bed.ring.resume(id);
    }
    client.write_all(b"still here").unwrap();
    bed.until("the bytes", |log| {
        log.iter().any(|said| matches!(said, Said::Received { .. }))
    });
    assert_eq!(bed.received(id), b"still here");
}

#[test]
fn a_pause_reaches_a_receive_that_the_kernel_is_about_to_retry() {
    // After 32 buffers in a row the kernel puts a receive aside and lets others go first; a cancellation that comes just
    // then does not find it.
    let mut bed = Bed::new(RingConfig {
        buffers: 4096,
        buffer_size: 1024,
        ..small()
    });
    let (mut client, id) = bed.connect();
    bed.ring.pause(id);
    bed.settle();
    let written = fill(&mut client);
    bed.ring.resume(id);
    bed.ring.pause(id);
    bed.settle();
    let got = bed.received(id).len();
    assert!(got < written / 2, "paused after {got} of {written} bytes");
    bed.settle();
    assert_eq!(bed.received(id).len(), got, "nothing more came");
}

#[test]
fn a_stream_survives_any_pattern_of_pauses() {
    let mut bed = Bed::new(RingConfig {
        buffers: 2,
        buffer_size: 4096,
        ..small()
    });
    let (mut client, id) = bed.connect();
    let mut dice = Dice(17);
    let sent = dice.bytes(4 << 20);
    let copy = sent.clone();
    let writing = thread::spawn(move || {
        client.write_all(&copy).unwrap();
        client
    });
    let mut got = Vec::new();
    while got.len() < sent.len() {
        match dice.roll(3) {
            0 => bed.ring.pause(id),
            _ => bed.ring.resume(id),
        }
        bed.ring.wait(Some(Duration::from_millis(1))).unwrap();
        bed.ring.reap(&mut |event| {
            if let Event::Received { bytes, .. } = event {
                got.extend_from_slice(bytes);
                // The loan is exclusive: what is written here must not show up anywhere else.
                bytes.fill(0xee);
            }
        });
    }
    assert!(got == sent, "bytes were lost, doubled or mixed");
    drop(writing.join().unwrap());
}

#[test]
fn a_paused_connection_that_is_closed_still_closes() {
    for ending in [Ending::Graceful, Ending::Abort] {
        let mut bed = Bed::new(RingConfig {
            linger: Duration::from_millis(30),
            ..small()
        });
        let (mut client, id) = bed.connect();
        bed.ring.pause(id);
        bed.settle();
        fill(&mut client);
        bed.ring.close(id, ending);
        bed.until_closed(id);
        bed.settle();
        bed.assert_lives();
        assert_eq!(bed.received(id), b"", "what comes after a close is discarded");
    }
}

#[test]
fn a_pool_of_one_small_buffer_serves_everyone() {
    for incremental in [true, false] {
        let config = RingConfig {
            connections: 256,
            buffers: 1,
            buffer_size: 64,
            incremental,
            ..small()
        };
        let mut bed = Bed::new(config);
        let mut clients: Vec<_> = (0..200u8).map(|_| bed.connect()).collect();
        for (index, (client, _)) in clients.iter_mut().enumerate() {
            client.write_all(&[index as u8; 1000]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        }
        bed.until("every end", |log| {
            log.iter().filter(|said| matches!(said, Said::Eof { .. })).count() == 200
        });
        for (index, (_, id)) in clients.iter().enumerate() {
            assert_eq!(bed.received(*id), [index as u8; 1000]);
        }
        assert!(bed.ring.counters().enobufs > 0, "the pool did run out");
    }
}

#[test]
fn under_a_flood_with_too_few_buffers_everyone_gets_a_share() {
    const PEERS: usize = 32;
    const FAIR: usize = 256 * 1024;
    let mut bed = Bed::new(RingConfig {
        buffers: 2,
        buffer_size: 2048,
        ..small()
    });
    let mut peers: Vec<_> = (0..PEERS).map(|_| bed.connect()).collect();
    for (client, _) in &mut peers {
        assert!(fill(client) > 2 * FAIR, "there is more to read than will be read");
    }
    let mut shares: HashMap<SocketId, usize> = HashMap::new();
    while shares.values().sum::<usize>() < PEERS * FAIR {
        bed.ring.wait(Some(Duration::from_millis(100))).unwrap();
        bed.ring.reap(&mut |event| {
            if let Event::Received { id, bytes } = event {
                *shares.entry(id).or_default() += bytes.len();
            }
        });
    }
    assert!(bed.ring.counters().enobufs > 0, "the pool did run out");
    let least = peers
        .iter()
        .map(|(_, id)| shares.get(id).copied().unwrap_or(0))
        .min()
        .unwrap();
    assert!(least > FAIR / 2, "the worst served got {least} of a fair {FAIR}");
}

#[test]
fn a_half_closed_peer_can_still_be_sent_to() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("the end of input", |log| log.contains(&Said::Eof { id }));
    assert_eq!(bed.received(id), b"question");
    bed.ring.send(id, b"answer".to_vec());
    bed.ring.close(id, Ending::Graceful);
    bed.until_closed(id);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
    assert_eq!(
        bed.count(&Said::Sent {
            id,
            buffer: b"answer".to_vec()
        }),
        1,
        "the buffer came home"
    );
}

/// Threads the kernel runs for this thread's rings.
fn kernel_workers() -> usize {
    let me = std::fs::read_link("/proc/thread-self").unwrap();
    let name = format!("iou-wrk-{}", me.file_name().unwrap().to_str().unwrap());
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    names.filter(|comm| comm.trim() == name).count()
}

#[test]
fn a_half_closed_peer_that_reads_slowly_costs_neither_a_thread_nor_a_spin() {
    let mut bed = Bed::new(small());
    let (mut client, id) = bed.connect();
    let sent = Dice(29).bytes(16 << 20);
    bed.ring.send(id, sent.clone());
    bed.settle();
    client.shutdown(Shutdown::Write).unwrap();
    bed.until("the end of input", |log| log.contains(&Said::Eof { id }));
    bed.settle();
    let before = bed.ring.counters().cqes;
    bed.settle();
    assert_eq!(
        bed.ring.counters().cqes,
        before,
        "nothing completes while the peer does not read"
    );
    assert_eq!(kernel_workers(), 0, "no thread of the kernel's is blocked in the send");
    let reading = thread::spawn(move || {
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got
    });
    bed.ring.close(id, Ending::Graceful);
    bed.until_closed(id);
    assert!(reading.join().unwrap() == sent, "it came whole");
}
